"""`openai:MODEL`, and every server that speaks as OpenAI does (TEI, vLLM, Ollama, LM Studio, Infinity, llama.cpp)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mrl_sweep.embedding.hosted.vendor import Connection, Key, VendorModel, hidden
from mrl_sweep.embedding.hosted.wire import EmbedRequest, Reply, Transient, by_index, decoded, member, parsed
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
