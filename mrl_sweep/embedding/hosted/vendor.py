"""A vendor: at which address and with which key it is asked, and what `HostedModel` needs to know of it.

Keys come from the environment only, are checked, and are never shown.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from mrl_sweep.embedding.hosted.wire import EmbedRequest, Reply
from mrl_sweep.embedding.model_families import Family
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import InputError
from mrl_sweep.types import Advice, Float32Array
from mrl_sweep.words import printable

_SHOWN_CHARACTERS: Final = 240


class Key:
    """An API key that no message, debugger or log shows by accident: only `reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Key(…)"

    __str__ = __repr__


def find_key(variables: Sequence[str]) -> Key | None:
    """The key in the first of these environment variables that is set; None without one.

    Raises InputError, without its value, for a key that no HTTP header can hold.
    """
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        if value:
            if not (value.isascii() and value.isprintable() and " " not in value):
                raise InputError(f"{variable} holds characters that no API key has", f"set {variable} again")
            return Key(value)
    return None


def hidden(text: str, keys: Iterable[Key | None]) -> str:
    """A vendor's words fit for a message: without the keys, without control characters, and short."""
    for key in keys:
        if key is not None:
            text = text.replace(key.reveal(), "[key]")
    return printable(" ".join(text.split()), _SHOWN_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL without user, password, query or trailing slash."""

    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """True for this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def in_clear(self) -> bool:
        """True where texts and key cross a network unencrypted."""
        return urlsplit(self.url).scheme == "http" and not self.is_local


def address(url: str) -> Address:
    """The address of a base URL. Raises InputError for one that is none, or that carries a password or a query."""
    try:
        parts = urlsplit(url.strip())  # which drops line ends, that a user should know of
        if any(not letter.isprintable() or letter.isspace() for letter in url.strip()):
            raise ValueError("characters that no address has")
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole:
        bare = url.strip() if re.fullmatch(r"[\w.-]+(?::\d+)?(?:/[\w/.-]*)?", url.strip()) else ""
        hint = f"--base-url http://{bare}" if bare else "--base-url https://HOST/v1"
        raise InputError("the base URL is not an http or https address", hint)
    if parts.path.rstrip("/").endswith("/embeddings"):
        whole_url = url.strip().rstrip("/").removesuffix("/embeddings")
        raise InputError("the base URL ends in /embeddings, which is added to it", f"--base-url {whole_url}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            f"the base URL for {parts.hostname} carries a password, a query or a fragment",
            "give it as --base-url https://HOST/v1, and the key in the environment",
        )
    return Address(f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}")


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
