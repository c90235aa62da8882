"""A vendor: at which address, with which key and how patiently it is asked, and what `HostedModel` needs to know of it.

Keys come from the environment only, are checked, and are never shown. What a vendor asks for is waited, the rest backs off
with jitter, and all of it is bounded.
"""

from __future__ import annotations

import ipaddress
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from mrl_sweep.embedding.hosted.wire import EmbedRequest, Garbled, Reply, Transient
from mrl_sweep.embedding.model_families import Family
from mrl_sweep.embedding.protocol import Batching, Role
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.interrupt import pause
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


T = TypeVar("T")

_KEPT = "what was embedded is kept; run the same command again to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long a batch is tried. All in seconds.

    Between tries it waits what the vendor asks for, else `first_s` doubled each time up to `most_s`, less a random part of up to
    a half; never more than `total_s` for one batch. `unreachable` bounds the tries where nobody listens, `garbled` those with
    answers that make no sense. `sleep` returns True where it was interrupted.
    """

    attempts: int = 8
    unreachable: int = 4
    garbled: int = 4
    total_s: float = 600.0
    first_s: float = 1.0
    most_s: float = 60.0
    timeout_s: float = 120.0
    sleep: Callable[[float], bool] = pause
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def most(self, fault: Transient) -> int:
        """How many tries this kind of fault is worth."""
        if fault.unreachable:
            return self.unreachable
        return self.garbled if isinstance(fault, Garbled) else self.attempts

    def wait_s(self, fault: Transient, attempt: int) -> float:
        """Before the try after the `attempt`-th."""
        if fault.retry_after_s is not None:
            return fault.retry_after_s
        return min(self.most_s, self.first_s * 2.0 ** (attempt - 1)) * (1 - 0.5 * self.chance())


class Gate:
    """Holds all of a model's calls back while one of them was told to wait."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def hold(self, until: float) -> None:
        with self._lock:
            self._until = max(self._until, until)

    def wait_s(self, now: float) -> float:
        with self._lock:
            return max(0.0, self._until - now)


def patiently(call: Callable[[], T], title: str, patience: Patience, gate: Gate) -> T:
    """What `call` returns, however many tries the `patience` allows. Raises EnvironmentFault when it is used up.

    A `Garbled` that lasts is raised as it is: whoever asked knows the texts' names.
    """
    try:
        import tenacity
    except ImportError:
        raise MissingExtra("tenacity", "hosted") from None

    def fault_of(state: tenacity.RetryCallState) -> Transient:
        fault = state.outcome.exception() if state.outcome else None
        assert isinstance(fault, Transient)
        return fault

    def wait(state: tenacity.RetryCallState) -> float:
        fault = fault_of(state)
        seconds = patience.wait_s(fault, state.attempt_number)
        if fault.retry_after_s is not None and state.idle_for + seconds <= patience.total_s:
            gate.hold(patience.now() + seconds)
        return seconds

    def stop(state: tenacity.RetryCallState) -> bool:
        spent = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= patience.most(fault_of(state)) or spent > patience.total_s

    def sleep(seconds: float) -> None:
        if seconds > 0 and patience.sleep(seconds):
            raise EnvironmentFault(f"{title}: interrupted while waiting to try again", _KEPT)

    def gated() -> T:
        sleep(gate.wait_s(patience.now()))
        return call()

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient), wait=wait, stop=stop, sleep=sleep, reraise=True
    )
    try:
        return retrying(gated)
    except Garbled:
        raise
    except Transient as fault:
        raise given_up(fault, title, int(retrying.statistics["attempt_number"])) from None


def given_up(fault: Transient, title: str, attempts: int | None = None) -> EnvironmentFault:
    """What the user is told when trying again has not helped."""
    tries = f" ({attempts} {'try' if attempts == 1 else 'tries'})" if attempts else ""
    wait = f"; it asks to wait {fault.retry_after_s:,.0f} s" if fault.retry_after_s else ""
    hint = f"is the server running, and --base-url right? {_KEPT}" if fault.unreachable else _KEPT
    return EnvironmentFault(f"{title} {fault}{wait}{tries}", hint)
