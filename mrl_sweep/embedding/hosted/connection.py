"""A vendor's address, its API key, and the one HTTP connection to it, bounded in time and size.

A server may drip its answer a byte at a time, or never end it (FAULTS 62, 63).
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import urlsplit

from mrl_sweep.embedding.hosted.patience import Transient
from mrl_sweep.embedding.hosted.wire import Reply
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.record import record
from mrl_sweep.words import printable

_SHOWN_CHARACTERS: Final = 240


class Key:
    """A key hides itself from messages, debuggers and logs: only `reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Key(…)"

    __str__ = __repr__


def find_key(variables: Sequence[str]) -> Key | None:
    """Reads the key from the first of these environment variables that is set; None without one.

    Raises InputError, without its value, for a key that no HTTP header can hold.
    """
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        if value:
            if not (value.isascii() and value.isprintable() and " " not in value):
                raise InputError(f"{variable} holds characters that no API key has", f"set {variable} again")
            return Key(value)
    return None


def hidden(text: str, key: Key | None) -> str:
    """Makes a vendor's words fit for a message: without the key, without control characters, and short."""
    if key is not None:
        text = text.replace(key.reveal(), "[key]")
    return printable(" ".join(text.split()), _SHOWN_CHARACTERS)


@record
class Address:
    """An address is a base URL without user, password, query or trailing slash."""

    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Tells whether the address is this machine's."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def in_clear(self) -> bool:
        """Tells whether texts and key cross a network unencrypted."""
        return urlsplit(self.url).scheme == "http" and not self.is_local


def address(url: str) -> Address:
    """Reads a base URL. Raises InputError for a bad one: also with a password, query, fragment or /embeddings at its end."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or any(not letter.isprintable() or letter.isspace() for letter in url):
        bare = url if re.fullmatch(r"[\w.-]+(?::\d+)?(?:/[\w/.-]*)?", url) else ""
        hint = f"--base-url http://{bare}" if bare else "--base-url https://HOST/v1"
        raise InputError("the base URL is not an http or https address", hint)
    if parts.path.rstrip("/").endswith("/embeddings"):
        above = url.rstrip("/").removesuffix("/embeddings")
        raise InputError("the base URL ends in /embeddings, which is added to it", f"--base-url {above}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            f"the base URL for {parts.hostname} carries a password, a query or a fragment",
            "give it as --base-url https://HOST/v1, and the key in the environment",
        )
    return Address(f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}")


class Connection:
    """Posts JSON documents to a vendor and returns its answers, whole. May be used from several threads.

    It retries nothing and follows no redirect, so that no key goes where it was not meant to. It uses the proxies that the
    environment names. Raises MissingExtra without httpx2.
    """

    def __init__(self, headers: Mapping[str, str], key: Key | None, deadline_s: float) -> None:
        try:
            import httpx2
        except ImportError:
            raise MissingExtra("httpx2", "hosted") from None
        self._httpx: Any = httpx2
        self.key, self._deadline_s = key, deadline_s
        self._client = httpx2.Client(headers=dict(headers), timeout=deadline_s, follow_redirects=False)

    def post(self, url: str, document: Mapping[str, Any], most_bytes: int) -> Reply:
        """Posts the document and returns the answer, whatever its status: whole, in time, and of at most `most_bytes` unpacked.

        Raises Transient where no such answer comes, EnvironmentFault where the request cannot be sent at all.
        """
        try:
            return self._in_time(url, document, most_bytes)
        except self._httpx.ConnectError as error:
            raise Transient(f"cannot be reached: {hidden(str(error), self.key)}", unreachable=True) from None
        except (self._httpx.TimeoutException, TimeoutError):
            raise Transient(f"did not answer within {self._deadline_s:g} s") from None
        except (self._httpx.TransportError, self._httpx.DecodingError) as error:
            raise Transient(f"broke off: {hidden(str(error) or type(error).__name__, self.key)}") from None
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            raise EnvironmentFault(f"cannot ask: {hidden(str(error), self.key)}") from None

    def close(self) -> None:
        self._client.close()

    def _in_time(self, url: str, document: Mapping[str, Any], most_bytes: int) -> Reply:
        """Waits for an exchange in a thread of its own, and gives it up when the deadline is over.

        A server that drips a byte a second never runs into a time-out between two reads, and its headers are read by the library.
        """
        reply: Future[Reply] = Future()

        def exchange() -> None:
            try:
                reply.set_result(self._whole(url, document, most_bytes))
            except BaseException as error:  # raised again where the answer is waited for
                reply.set_exception(error)

        threading.Thread(target=exchange, name="mrl-sweep exchange", daemon=True).start()
        return reply.result(self._deadline_s)

    def _whole(self, url: str, document: Mapping[str, Any], most_bytes: int) -> Reply:
        """Reads the answer piece by piece, unpacked, so that no more than the limit is ever held."""
        ends = time.monotonic() + self._deadline_s
        body = bytearray()
        with self._client.stream("POST", url, json=document) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > most_bytes:
                    raise Transient(f"broke off: the answer is larger than the {most_bytes:,} bytes that the vectors could take")
                if time.monotonic() > ends:  # nobody waits for it any more
                    raise TimeoutError
            return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body))
