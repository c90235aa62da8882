"""`voyage:MODEL`: Voyage 4 and its siblings, against the documented wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mrl_sweep.embedding.hosted.access import Key
from mrl_sweep.embedding.hosted.http import HttpLine
from mrl_sweep.embedding.hosted.vendor import Line, Target
from mrl_sweep.embedding.hosted.wire import Question, Reply, by_index, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Advice, Float32Array


class Voyage:
    """1,000 texts and, for the largest models, 120,000 tokens a call; 1,024 dimensions unless more are asked for."""

    provider: str = "voyage"
    title: str = "Voyage"
    url: str = "https://api.voyageai.com/v1"
    url_variable: str = ""
    key_variables: tuple[str, ...] = ("VOYAGE_API_KEY",)

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batching = Batching(texts=128, characters=100_000, by_length=False, calls=4)

    @property
    def full_dim(self) -> int | None:
        return self.target.family.full if self.target.family else None

    @property
    def asks_full_dim(self) -> bool:
        return True

    @property
    def truncates(self) -> bool:
        return False

    def parameters(self, role: Role) -> Mapping[str, Any]:
        return {"input_type": role.value, "truncation": False}

    def open(self, key: Key | None, timeout_s: float) -> Line:
        return _VoyageLine(self, key, timeout_s)

    def read(self, reply: Reply, n: int) -> Float32Array:
        return by_index(member(parsed(reply), "data"), n)

    def advice(self) -> Iterator[Advice]:
        yield from ()


class _VoyageLine:
    def __init__(self, vendor: Voyage, key: Key | None, timeout_s: float) -> None:
        self._vendor = vendor
        self._http = HttpLine({"Authorization": f"Bearer {key.reveal()}"} if key else {}, key, timeout_s)

    def send(self, question: Question) -> Reply:
        document = {
            "model": self._vendor.target.model,
            "input": list(question.texts),
            "output_dtype": "float",
            "encoding_format": "base64",
            **self._vendor.parameters(question.role),
        }
        if question.dim is not None:
            document["output_dimension"] = question.dim
        return self._http.post(f"{self._vendor.target.address.url}/embeddings", document)

    def close(self) -> None:
        self._http.close()
