"""Vendors (OpenAI and servers like it, Voyage, Cohere, Gemini): a class each with its wire format, and `VENDORS`, their list.

Each takes one POST of JSON. Vendors' own clients would only be in the way: each retries, follows redirects and reads answers
by rules of its own (Voyage's brings langchain and aiohttp, Cohere's fastavro, Gemini's google-auth).
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from mrl_sweep.embedding.hosted.connection import Key, address, find_key
from mrl_sweep.embedding.hosted.wire import WIRE_CODES, EmbedRequest, Reply, by_index, decoded, in_order, member, parsed
from mrl_sweep.embedding.model_families import family_of
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import InputError
from mrl_sweep.types import Advice, Float32Array

PRICES_AS_OF: Final = "May 2026"


class Vendor(ABC):
    """A vendor describes an API and one of its models. Making one connects to nothing.

    `url` is the vendor's own address; `url_variable` and `key_variables` are the environment variables that its own client reads.
    `models` matches the names that only this vendor has, `well_known` are names to which a misspelt one may be near, `prices` are
    US dollars a million tokens by a model's name. `size_option` is what the size is called on the wire, `size_parameter` in the
    vendor's own client where that is another word. `codes` are the precisions of which it gives codes of its own. `truncates` is
    False where a text that is too long is refused, so that what came back was read whole. `asks_full_dim` is True where a vendor
    gives less than the full size unless it is asked for.
    """

    provider: ClassVar[str]
    title: str
    url: ClassVar[str]
    url_variable: ClassVar[str] = ""
    key_variables: ClassVar[tuple[str, ...]]
    models: ClassVar[str]
    well_known: ClassVar[tuple[str, ...]]
    batching: Batching
    size_option: ClassVar[str]
    size_parameter: ClassVar[str] = ""
    prices: ClassVar[Mapping[str, float]] = {}
    codes: ClassVar[tuple[str, ...]] = ()
    truncates: bool = False
    asks_full_dim: ClassVar[bool] = True

    def __init__(self, model: str, base_url: str | None = None) -> None:
        configured = os.environ.get(self.url_variable) if self.url_variable else None
        self.model, self.family = model, family_of(model)
        self.address = address(base_url or configured or self.url)
        self.own_address = self.address == address(self.url)

    @property
    def full_dim(self) -> int | None:
        """Returns the full size where it is known before a call; None: the first answer's vectors have it."""
        return self.family.full if self.family else None

    @classmethod
    def list_price(cls, model: str) -> float | None:
        """Returns US dollars a million tokens, as the vendor listed it at `PRICES_AS_OF`; None where it is not known."""
        return next((price for name, price in cls.prices.items() if re.fullmatch(name, model)), None)

    def key(self) -> Key | None:
        """Returns the key for this vendor; None where another server is used and none is set. Raises InputError."""
        key = find_key(self.key_variables)
        if key is None and self.own_address:
            raise InputError(f"no API key for {self.title}", f"export {self.key_variables[0]}=…")
        return key

    def headers(self, key: Key | None) -> dict[str, str]:
        """Makes the HTTP headers that carry the key."""
        return {"Authorization": f"Bearer {key.reveal()}"} if key else {}

    def parameters(self, role: Role) -> dict[str, Any]:  # noqa: ARG002
        """Returns the parameters that are sent with the texts and decide their vectors, besides model and size."""
        return {}

    def options(self, request: EmbedRequest) -> dict[str, Any]:
        """Joins the parameters of the request's role with its size, where the request names one."""
        size = {} if request.dim is None else {self.size_option: request.dim}
        return {**self.parameters(request.role), **size}

    @abstractmethod
    def document(self, request: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        """Returns the path below the address, and the JSON document that is posted to it."""

    @abstractmethod
    def rows(self, answer: Any, request: EmbedRequest) -> Float32Array:
        """Takes (n, dim) numbers in the texts' order out of the JSON document that came back. Raises Garbled."""

    def read(self, reply: Reply, request: EmbedRequest) -> Float32Array:
        """Reads (n, dim) vectors in the texts' order, or the vendor's own codes as `wire.decoded` gives them. Raises Garbled."""
        rows = self.rows(parsed(reply), request)
        return decoded(rows, request.code) if request.code else rows

    def advice(self) -> Iterator[Advice]:
        """Yields advice on what a user of this vendor's model has to know."""
        yield from ()


class OpenAi(Vendor):
    """OpenAI speaks this format, and so does every server like it (TEI, vLLM, Ollama, LM Studio, Infinity, llama.cpp).

    OpenAI takes 300,000 tokens and 2,048 texts a call; TEI takes 32 texts, and many other servers do too.
    """

    provider = "openai"
    url = "https://api.openai.com/v1"
    url_variable = "OPENAI_BASE_URL"
    key_variables = ("OPENAI_API_KEY",)
    models = r"text-embedding-(3-(small|large)|ada-\d+)"
    well_known = ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002")
    size_option = "dimensions"
    prices: ClassVar = {r"text-embedding-3-small": 0.02, r"text-embedding-3-large": 0.13}
    asks_full_dim = False

    def __init__(self, model: str, base_url: str | None = None) -> None:
        super().__init__(model, base_url)
        own = self.own_address
        self.title = "OpenAI" if own else self.address.host
        self.truncates = not own
        self.batching = (
            Batching(texts=256, characters=200_000, by_length=False, calls=4)
            if own
            else Batching(texts=32, characters=100_000, calls=2)
        )

    @property
    def full_dim(self) -> int | None:
        return super().full_dim if self.own_address else None

    def headers(self, key: Key | None) -> dict[str, str]:
        """Adds to the key the headers that OpenAI's own client makes of environment variables."""
        named = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
        chosen = {header: os.environ[variable] for header, variable in named.items() if os.environ.get(variable)}
        lines = (line.partition(":") for line in os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines())
        return super().headers(key) | chosen | {name.strip(): value.strip() for name, colon, value in lines if colon}

    def document(self, request: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        encoding = {} if request.plain else {"encoding_format": "base64" if self.own_address else "float"}
        return "embeddings", {"model": self.model, "input": list(request.texts), **encoding, **self.options(request)}

    def rows(self, answer: Any, request: EmbedRequest) -> Float32Array:
        return by_index(member(answer, "data"), len(request.texts))

    def advice(self) -> Iterator[Advice]:
        if not self.own_address and self.family is not None and self.family.query_prompt is None:
            yield Advice(
                "prompt-unknown",
                f"{self.family.name} may want a prompt before each query, which {self.title} does not add by itself",
                "look at the model's card; --query-prompt TEXT",
            )


class Voyage(Vendor):
    """Voyage takes 1,000 texts and, for the largest models, 120,000 tokens a call; it gives 1,024 dimensions unless asked."""

    provider = "voyage"
    title = "Voyage"
    url = "https://api.voyageai.com/v1"
    key_variables = ("VOYAGE_API_KEY",)
    models = r"voyage-"
    well_known = ("voyage-4", "voyage-4-large", "voyage-4-lite", "voyage-code-3")
    batching = Batching(texts=128, characters=100_000, by_length=False, calls=4)
    size_option = "output_dimension"
    prices: ClassVar = {r"voyage-3-large": 0.18, r"voyage-3\.5": 0.06}
    codes = ("int8", "binary")

    def parameters(self, role: Role) -> dict[str, Any]:
        return {"input_type": role.value, "truncation": False}

    def document(self, request: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        encoding = {} if request.plain or request.code else {"encoding_format": "base64"}
        document = {"model": self.model, "input": list(request.texts), "output_dtype": _wire_type(request.code)}
        return "embeddings", {**document, **encoding, **self.options(request)}

    def rows(self, answer: Any, request: EmbedRequest) -> Float32Array:
        return by_index(member(answer, "data"), len(request.texts))


class Cohere(Vendor):
    """Cohere takes 96 texts a call and answers in the texts' order, without an index."""

    provider = "cohere"
    title = "Cohere"
    url = "https://api.cohere.com"
    url_variable = "CO_API_URL"
    key_variables = ("CO_API_KEY", "COHERE_API_KEY")
    models = r"embed-(v\d|english|multilingual)"
    well_known = ("embed-v4.0", "embed-english-v3.0", "embed-multilingual-v3.0")
    batching = Batching(texts=96, characters=200_000, by_length=False, calls=4)
    size_option = "output_dimension"
    codes = ("int8", "binary")

    def parameters(self, role: Role) -> dict[str, Any]:
        return {"input_type": f"search_{role.value}", "truncate": "NONE"}

    def document(self, request: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        document = {"model": self.model, "texts": list(request.texts), "embedding_types": [_wire_type(request.code)]}
        return "v2/embed", {**document, **self.options(request)}

    def rows(self, answer: Any, request: EmbedRequest) -> Float32Array:
        return in_order(member(answer, "embeddings", _wire_type(request.code)), len(request.texts))


class Gemini(Vendor):
    """Gemini takes 100 texts a call and answers in the texts' order, without an index. Only the full size has unit length."""

    provider = "gemini"
    title = "Gemini"
    url = "https://generativelanguage.googleapis.com"
    url_variable = "GOOGLE_GEMINI_BASE_URL"
    key_variables = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    models = r"gemini-embedding|text-embedding-00\d"
    well_known = ("gemini-embedding-001",)
    batching = Batching(texts=100, characters=60_000, by_length=False, calls=4)
    size_option = "outputDimensionality"
    size_parameter = "output_dimensionality"
    prices: ClassVar = {r"gemini-embedding-001": 0.15}
    truncates = True

    def headers(self, key: Key | None) -> dict[str, str]:
        return {"x-goog-api-key": key.reveal()} if key else {}

    def parameters(self, role: Role) -> dict[str, Any]:
        return {"taskType": f"RETRIEVAL_{role.value.upper()}"}

    def document(self, request: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        model = f"models/{self.model.removeprefix('models/')}"
        common = {"model": model, **self.options(request)}
        requests = [{**common, "content": {"parts": [{"text": text}]}} for text in request.texts]
        return f"v1beta/{quote(model)}:batchEmbedContents", {"requests": requests}

    def rows(self, answer: Any, request: EmbedRequest) -> Float32Array:
        entries = member(answer, "embeddings")
        rows = [member(entry, "values") for entry in entries] if isinstance(entries, list) else entries
        return in_order(rows, len(request.texts))

    def advice(self) -> Iterator[Advice]:
        yield Advice(
            "silent-truncation",
            "Gemini reads the beginning of a text that is too long (2,048 tokens for gemini-embedding-001) and does not say so",
            "split longer documents",
        )


def _wire_type(code: str | None) -> str:
    """Returns what Voyage and Cohere call full vectors, or codes of a precision."""
    return WIRE_CODES[code] if code else "float"


VENDORS: Final[dict[str, type[Vendor]]] = {vendor.provider: vendor for vendor in (OpenAi, Voyage, Cohere, Gemini)}
"""Vendors by what stands before the colon of `--model`. A new vendor is a class above, and listed here."""


def hosted_by(name: str) -> str:
    """Returns the provider of a model that is hosted only; "" for any other name, and for one with its owner, as on the hub."""
    if "/" in name:
        return ""
    return next((vendor.provider for vendor in VENDORS.values() if re.match(vendor.models, name.lower())), "")
