"""`voyage:MODEL`: Voyage 4 and its siblings, against the documented wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mrl_sweep.embedding.hosted.http import HttpVendor
from mrl_sweep.embedding.hosted.wire import WIRE_CODES, EmbedRequest, Reply, by_index, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Float32Array


class Voyage(HttpVendor):
    """1,000 texts and, for the largest models, 120,000 tokens a call; 1,024 dimensions unless more are asked for."""

    provider = "voyage"
    title = "Voyage"
    url = "https://api.voyageai.com/v1"
    key_variables: tuple[str, ...] = ("VOYAGE_API_KEY",)
    codes: tuple[str, ...] = ("int8", "binary")
    batching = Batching(texts=128, characters=100_000, by_length=False, calls=4)

    def parameters(self, role: Role) -> Mapping[str, Any]:
        return {"input_type": role.value, "truncation": False}

    def request(self, question: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        size = {} if question.dim is None else {"output_dimension": question.dim}
        dtype = WIRE_CODES[question.code] if question.code else "float"
        coding = (
            {"output_dtype": dtype} if question.plain or question.code else {"output_dtype": dtype, "encoding_format": "base64"}
        )
        asked = {"model": self.target.model, "input": list(question.texts)}
        return "embeddings", {**asked, **coding, **self.parameters(question.role), **size}

    def read(self, reply: Reply, n: int) -> Float32Array:
        return by_index(member(parsed(reply), "data"), n)
