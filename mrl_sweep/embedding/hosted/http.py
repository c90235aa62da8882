"""The thin line to vendors whose own client is heavier than the job: one POST of JSON through httpx2 a question."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from mrl_sweep.embedding.hosted.access import Key, hidden
from mrl_sweep.embedding.hosted.vendor import Connection, VendorModel
from mrl_sweep.embedding.hosted.wire import EmbedRequest, Reply, Transient, decoded
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import EnvironmentFault, MissingExtra
from mrl_sweep.types import Advice, Float32Array


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
