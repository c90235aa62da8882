"""`cohere:MODEL`: Embed v4 and its elders through the v2 API, against the documented wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mrl_sweep.embedding.hosted.access import Key
from mrl_sweep.embedding.hosted.http import HttpLine
from mrl_sweep.embedding.hosted.vendor import Line, Target
from mrl_sweep.embedding.hosted.wire import Question, Reply, in_order, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Advice, Float32Array


class Cohere:
    """96 texts a call; answers come in the texts' order, without an index."""

    provider: str = "cohere"
    title: str = "Cohere"
    url: str = "https://api.cohere.com"
    url_variable: str = "CO_API_URL"
    key_variables: tuple[str, ...] = ("CO_API_KEY", "COHERE_API_KEY")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batching = Batching(texts=96, characters=200_000, by_length=False, calls=4)

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
        return {"input_type": f"search_{role.value}", "truncate": "NONE"}

    def open(self, key: Key | None, timeout_s: float) -> Line:
        return _CohereLine(self, key, timeout_s)

    def read(self, reply: Reply, n: int) -> Float32Array:
        return in_order(member(parsed(reply), "embeddings", "float"), n)

    def advice(self) -> Iterator[Advice]:
        yield from ()


class _CohereLine:
    def __init__(self, vendor: Cohere, key: Key | None, timeout_s: float) -> None:
        self._vendor = vendor
        self._http = HttpLine({"Authorization": f"Bearer {key.reveal()}"} if key else {}, key, timeout_s)

    def send(self, question: Question) -> Reply:
        document = {
            "model": self._vendor.target.model,
            "texts": list(question.texts),
            "embedding_types": ["float"],
            **self._vendor.parameters(question.role),
        }
        if question.dim is not None:
            document["output_dimension"] = question.dim
        return self._http.post(f"{self._vendor.target.address.url}/v2/embed", document)

    def close(self) -> None:
        self._http.close()
