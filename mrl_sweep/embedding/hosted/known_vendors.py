"""What each vendor wants and answers: its documented wire format and nothing else.

`openai:MODEL`, and every server that speaks as OpenAI does (TEI, vLLM, Ollama, LM Studio, Infinity, llama.cpp), through `openai`;
Voyage, Cohere and Gemini by one POST of JSON through httpx2, their own clients being heavier than the job.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from mrl_sweep.embedding.hosted.vendor import Connection, Key, VendorModel, hidden
from mrl_sweep.embedding.hosted.wire import (
    WIRE_CODES,
    EmbedRequest,
    Reply,
    Transient,
    by_index,
    decoded,
    in_order,
    member,
    parsed,
)
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import EnvironmentFault, MissingExtra
from mrl_sweep.types import Advice, Float32Array

_NO_KEY: Final = "none"


class OpenAi:
    """300,000 tokens and 2,048 texts a call at OpenAI; 32 texts at TEI, which many others keep too."""

    provider: str = "openai"
    url: str = "https://api.openai.com/v1"
    url_variable: str = "OPENAI_BASE_URL"
    key_variables: tuple[str, ...] = ("OPENAI_API_KEY",)
    codes: tuple[str, ...] = ()

    def __init__(self, target: VendorModel) -> None:
        self.target = target
        self.title = "OpenAI" if target.own_address else target.address.host
        self.batching = (
            Batching(texts=256, characters=200_000, by_length=False, calls=4)
            if target.own_address
            else Batching(texts=32, characters=100_000, calls=2)
        )

    @property
    def full_dim(self) -> int | None:
        return self.target.family.full if self.target.own_address and self.target.family else None

    @property
    def asks_full_dim(self) -> bool:
        return False

    @property
    def truncates(self) -> bool:
        return not self.target.own_address

    def parameters(self, role: Role) -> Mapping[str, Any]:  # noqa: ARG002
        return {}

    def open(self, key: Key | None, timeout_s: float) -> Connection:
        return _OpenAiLine(self.target, key, timeout_s)

    def read(self, reply: Reply, n: int) -> Float32Array:
        return by_index(member(parsed(reply), "data"), n)

    def read_codes(self, reply: Reply, n: int, code: str) -> Float32Array:
        return decoded(self.read(reply, n), code)

    def advice(self) -> Iterator[Advice]:
        family = self.target.family
        if not self.target.own_address and family is not None and family.query_prompt is None:
            yield Advice(
                "prompt-unknown",
                f"{family.name} may want a prompt before each query, which {self.title} does not add by itself",
                "look at the model's card; --query-prompt TEXT",
            )


class _OpenAiLine:
    """The vendor's client, which neither retries nor follows redirects here."""

    def __init__(self, target: VendorModel, key: Key | None, timeout_s: float) -> None:
        try:
            import httpx2
            import openai

            from mrl_sweep.embedding.hosted.transport import BoundedTransport
        except ImportError:
            raise MissingExtra("openai", "hosted") from None
        self._openai: Any = openai
        self._response: Any = httpx2.Response
        self._target, self._key, self._timeout_s = target, key, timeout_s
        self._client = openai.OpenAI(
            api_key=key.reveal() if key else _NO_KEY,
            base_url=target.address.url,
            max_retries=0,
            timeout=timeout_s,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False, timeout=timeout_s, transport=BoundedTransport(timeout_s)
            ),
        )

    def send(self, question: EmbedRequest) -> Reply:
        # By `post`: `embeddings.create` names an encoding even where it is given none, and some servers know no such option.
        body: dict[str, Any] = {"model": self._target.model, "input": list(question.texts)}
        if not question.plain:
            body["encoding_format"] = "base64" if self._target.own_address else "float"
        if question.dim is not None:
            body["dimensions"] = question.dim
        try:
            response = self._client.post("/embeddings", cast_to=self._response, body=body)
        except self._openai.APIStatusError as error:
            response = error.response
        except self._openai.APITimeoutError:
            raise Transient(f"did not answer within {self._timeout_s:g} s") from None
        except self._openai.APIConnectionError as error:
            cause = error.__cause__
            said = hidden(str(cause or error), [self._key])
            if type(cause).__name__ == "ConnectError":
                raise Transient(f"cannot be reached: {said}", unreachable=True) from None
            raise Transient(f"broke off: {said}") from None
        except self._openai.OpenAIError as error:
            raise EnvironmentFault(f"the openai client: {hidden(str(error), [self._key])}") from None
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)

    def close(self) -> None:
        self._client.close()


class HttpVendor(ABC):
    """A `Vendor` that is asked by one POST a question. What is left to a vendor is its wire format.

    Its full size is known by family and has to be asked for; a text that is too long is refused unless it says otherwise.
    """

    provider: str
    title: str
    url: str
    url_variable: str = ""
    key_variables: tuple[str, ...]
    batching: Batching
    truncates: bool = False
    asks_full_dim: bool = True
    codes: tuple[str, ...] = ()

    def __init__(self, target: VendorModel) -> None:
        self.target = target

    @property
    def full_dim(self) -> int | None:
        return self.target.family.full if self.target.family else None

    def open(self, key: Key | None, timeout_s: float) -> Connection:
        return HttpLine(self, key, timeout_s)

    def advice(self) -> Iterator[Advice]:
        yield from ()

    def headers(self, key: Key) -> Mapping[str, str]:
        """What shows the key."""
        return {"Authorization": f"Bearer {key.reveal()}"}

    @abstractmethod
    def parameters(self, role: Role) -> Mapping[str, Any]: ...

    @abstractmethod
    def request(self, question: EmbedRequest) -> tuple[str, Mapping[str, Any]]:
        """The path below the address, and the document that is posted to it."""

    @abstractmethod
    def read(self, reply: Reply, n: int) -> Float32Array: ...

    def read_codes(self, reply: Reply, n: int, code: str) -> Float32Array:
        """Vendors whose answers hold codes under a name of their own read them otherwise."""
        return decoded(self.read(reply, n), code)


class HttpLine:
    """A kept-alive connection. It follows no redirect, so that no key goes where it was not meant to."""

    def __init__(self, vendor: HttpVendor, key: Key | None, timeout_s: float) -> None:
        try:
            import httpx2

            from mrl_sweep.embedding.hosted.transport import BoundedTransport
        except ImportError:
            raise MissingExtra("httpx2", "hosted") from None
        self._httpx: Any = httpx2
        self._vendor, self._key, self._timeout_s = vendor, key, timeout_s
        headers = dict(vendor.headers(key)) if key else {}
        transport = BoundedTransport(timeout_s)
        self._client = httpx2.Client(headers=headers, timeout=timeout_s, follow_redirects=False, transport=transport)

    def send(self, question: EmbedRequest) -> Reply:
        """The answer, whatever its status. Raises Transient where there was none."""
        path, document = self._vendor.request(question)
        try:
            response = self._client.post(f"{self._vendor.target.address.url}/{path}", json=document)
            return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)
        except self._httpx.ConnectError as error:
            raise Transient(f"cannot be reached: {hidden(str(error), [self._key])}", unreachable=True) from None
        except self._httpx.TimeoutException:
            raise Transient(f"did not answer within {self._timeout_s:g} s") from None
        except (self._httpx.TransportError, self._httpx.DecodingError) as error:
            raise Transient(f"broke off: {hidden(str(error) or type(error).__name__, [self._key])}") from None
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            raise EnvironmentFault(f"cannot ask: {hidden(str(error), [self._key])}") from None

    def close(self) -> None:
        self._client.close()


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
        document = {"model": self.target.model, "input": list(question.texts)}
        return "embeddings", {**document, **coding, **self.parameters(question.role), **size}

    def read(self, reply: Reply, n: int) -> Float32Array:
        return by_index(member(parsed(reply), "data"), n)


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
        document = {"model": self.target.model, "texts": list(question.texts), "embedding_types": [_wire_type(question.code)]}
        return "v2/embed", {**document, **self.parameters(question.role), **size}

    def read(self, reply: Reply, n: int) -> Float32Array:
        return in_order(member(parsed(reply), "embeddings", "float"), n)

    def read_codes(self, reply: Reply, n: int, code: str) -> Float32Array:
        return decoded(in_order(member(parsed(reply), "embeddings", _wire_type(code)), n), code)


def _wire_type(code: str | None) -> str:
    return WIRE_CODES[code] if code else "float"


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
