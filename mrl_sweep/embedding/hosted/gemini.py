"""`gemini:MODEL`: Gemini Embedding through the Gemini API, against the documented wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from mrl_sweep.embedding.hosted.access import Key
from mrl_sweep.embedding.hosted.http import HttpLine
from mrl_sweep.embedding.hosted.vendor import Line, Target
from mrl_sweep.embedding.hosted.wire import Question, Reply, in_order, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Advice, Float32Array

_TASKS: Final = {Role.QUERY: "RETRIEVAL_QUERY", Role.DOCUMENT: "RETRIEVAL_DOCUMENT"}


class Gemini:
    """100 texts a call; answers come in the texts' order, without an index. Only the full size arrives unit length."""

    provider: str = "gemini"
    title: str = "Gemini"
    url: str = "https://generativelanguage.googleapis.com"
    url_variable: str = "GOOGLE_GEMINI_BASE_URL"
    key_variables: tuple[str, ...] = ("GOOGLE_API_KEY", "GEMINI_API_KEY")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.batching = Batching(texts=100, characters=60_000, by_length=False, calls=4)

    @property
    def full_dim(self) -> int | None:
        return self.target.family.full if self.target.family else None

    @property
    def asks_full_dim(self) -> bool:
        return True

    @property
    def truncates(self) -> bool:
        return True

    def parameters(self, role: Role) -> Mapping[str, Any]:
        return {"taskType": _TASKS[role]}

    def open(self, key: Key | None, timeout_s: float) -> Line:
        return _GeminiLine(self, key, timeout_s)

    def read(self, reply: Reply, n: int) -> Float32Array:
        entries = member(parsed(reply), "embeddings")
        return in_order([member(entry, "values") for entry in entries] if isinstance(entries, list) else entries, n)

    def advice(self) -> Iterator[Advice]:
        yield Advice(
            "silent-truncation",
            "Gemini reads the beginning of a text that is too long (2,048 tokens for gemini-embedding-001) and does not say so",
            "split longer documents",
        )


class _GeminiLine:
    def __init__(self, vendor: Gemini, key: Key | None, timeout_s: float) -> None:
        self._vendor = vendor
        self._http = HttpLine({"x-goog-api-key": key.reveal()} if key else {}, key, timeout_s)

    def send(self, question: Question) -> Reply:
        model = f"models/{self._vendor.target.model.removeprefix('models/')}"
        common: dict[str, Any] = {"model": model, **self._vendor.parameters(question.role)}
        if question.dim is not None:
            common["outputDimensionality"] = question.dim
        requests = [{**common, "content": {"parts": [{"text": text}]}} for text in question.texts]
        url = f"{self._vendor.target.address.url}/v1beta/{quote(model)}:batchEmbedContents"
        return self._http.post(url, {"requests": requests})

    def close(self) -> None:
        self._http.close()
