"""Where a vendor is asked and with which key: from the environment only, checked, and never shown."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mrl_sweep.errors import InputError
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
        raise InputError("the base URL is not an http or https address", "--base-url https://HOST/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            f"the base URL for {parts.hostname} carries a password, a query or a fragment",
            "give it as --base-url https://HOST/v1, and the key in the environment",
        )
    return Address(f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}")
