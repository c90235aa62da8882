"""What `HostedModel` needs to know of a vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mrl_sweep.embedding.families import Family
from mrl_sweep.embedding.hosted.access import Address, Key, find_key
from mrl_sweep.embedding.hosted.wire import EmbedRequest, Reply
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import InputError
from mrl_sweep.types import Advice, Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorModel:
    """The model that is asked: its name, its family, and the address; `own_address` False where the user gave another."""

    model: str
    family: Family | None
    address: Address
    own_address: bool


class Connection(Protocol):
    """An open connection: one call a question. May be used from several threads."""

    def send(self, question: EmbedRequest) -> Reply: ...

    def close(self) -> None: ...


class Vendor(Protocol):
    """One vendor's API. Making one connects to nothing.

    `codes` are the precisions of which it gives codes of its own. `url` is its own address; `url_variable` and `key_variables`
    are the environment variables that its own client reads.
    """

    provider: str
    title: str
    target: VendorModel
    batching: Batching
    codes: tuple[str, ...]
    url: str
    url_variable: str
    key_variables: tuple[str, ...]

    @property
    def full_dim(self) -> int | None:
        """The full size where it is known before asking; None: the first answer tells."""
        ...

    @property
    def asks_full_dim(self) -> bool:
        """True where the full size has to be asked for, since the vendor gives less by default."""
        ...

    @property
    def truncates(self) -> bool:
        """False where a text that is too long is refused, so that what came back was read whole."""
        ...

    def parameters(self, role: Role) -> Mapping[str, Any]:
        """What goes with the texts and decides their vectors, besides model and size."""
        ...

    def open(self, key: Key | None, timeout_s: float) -> Connection: ...

    def read(self, reply: Reply, n: int) -> Float32Array:
        """(n, dim) vectors in the question's order. Raises Garbled."""
        ...

    def read_codes(self, reply: Reply, n: int, code: str) -> Float32Array:
        """(n, dim) the vendor's own codes as `wire.decoded` gives them. Raises Garbled."""
        ...

    def advice(self) -> Iterator[Advice]: ...


def required_key(vendor: Vendor) -> Key | None:
    """The key for this vendor; None where another server is asked and none is set. Raises InputError."""
    key = find_key(vendor.key_variables)
    if key is None and vendor.target.own_address:
        raise InputError(f"no API key for {vendor.title}", f"export {vendor.key_variables[0]}=…")
    return key
