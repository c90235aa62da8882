"""`cohere:MODEL`: Embed v4 and its elders through the v2 API, against the documented wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mrl_sweep.embedding.hosted.http import HttpVendor
from mrl_sweep.embedding.hosted.wire import WIRE_CODES, EmbedRequest, Reply, decoded, in_order, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Float32Array


class Cohere(HttpVendor):
    """96 texts a call; answers come in the texts' order, without an index."""

    provider = "cohere"
    title = "Cohere"
    url = "https://api.cohere.com"
    url_variable = "CO_API_URL"
    key_variables: tuple[str, ...] = ("CO_API_KEY", "COHERE_API_KEY")
    codes: tuple[str, ...] = ("int8", "binary")
    batching = Batching(texts=96, characters=200_000, by_length=False, calls=4)

    def parameters(self, role: Role) -> Mapping[str, Any]:
        return {"input_type": f"search_{role.value}", "truncate": "NONE"}

    def request(self, question: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        size = {} if question.dim is None else {"output_dimension": question.dim}
        asked = {"model": self.target.model, "texts": list(question.texts), "embedding_types": [_wire_type(question.code)]}
        return "v2/embed", {**asked, **self.parameters(question.role), **size}

    def read(self, reply: Reply, n: int) -> Float32Array:
        return in_order(member(parsed(reply), "embeddings", "float"), n)

    def read_codes(self, reply: Reply, n: int, code: str) -> Float32Array:
        return decoded(in_order(member(parsed(reply), "embeddings", _wire_type(code)), n), code)


def _wire_type(code: str | None) -> str:
    return WIRE_CODES[code] if code else "float"
