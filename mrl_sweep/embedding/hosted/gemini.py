"""`gemini:MODEL`: Gemini Embedding through the Gemini API, against the documented wire format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from mrl_sweep.embedding.hosted.access import Key
from mrl_sweep.embedding.hosted.http import HttpVendor
from mrl_sweep.embedding.hosted.wire import EmbedRequest, Reply, in_order, member, parsed
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.types import Advice, Float32Array

_TASKS: Final = {Role.QUERY: "RETRIEVAL_QUERY", Role.DOCUMENT: "RETRIEVAL_DOCUMENT"}


class Gemini(HttpVendor):
    """100 texts a call; answers come in the texts' order, without an index. Only the full size arrives unit length."""

    provider = "gemini"
    title = "Gemini"
    url = "https://generativelanguage.googleapis.com"
    url_variable = "GOOGLE_GEMINI_BASE_URL"
    key_variables: tuple[str, ...] = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    batching = Batching(texts=100, characters=60_000, by_length=False, calls=4)
    truncates = True

    def headers(self, key: Key) -> Mapping[str, str]:
        return {"x-goog-api-key": key.reveal()}

    def parameters(self, role: Role) -> Mapping[str, Any]:
        return {"taskType": _TASKS[role]}

    def request(self, question: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        model = f"models/{self.target.model.removeprefix('models/')}"
        size = {} if question.dim is None else {"outputDimensionality": question.dim}
        common = {"model": model, **self.parameters(question.role), **size}
        requests = [{**common, "content": {"parts": [{"text": text}]}} for text in question.texts]
        return f"v1beta/{quote(model)}:batchEmbedContents", {"requests": requests}

    def read(self, reply: Reply, n: int) -> Float32Array:
        entries = member(parsed(reply), "embeddings")
        return in_order([member(entry, "values") for entry in entries] if isinstance(entries, list) else entries, n)

    def advice(self) -> Iterator[Advice]:
        yield Advice(
            "silent-truncation",
            "Gemini reads the beginning of a text that is too long (2,048 tokens for gemini-embedding-001) and does not say so",
            "split longer documents",
        )
