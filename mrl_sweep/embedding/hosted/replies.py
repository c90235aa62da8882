"""What an HTTP answer means: vectors, try again, another batch, or stop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from mrl_sweep.embedding.hosted.access import Key, hidden
from mrl_sweep.embedding.hosted.wire import Refused, Reply, Transient
from mrl_sweep.errors import EnvironmentFault, InputError

_AGAIN: Final = frozenset({408, 409, 423, 425, 429})
_DEPTH: Final = 6
_KEY: Final = re.compile(r"api[ _-]?key|authenticat|credential|unauthori[sz]ed", re.I)
_MODEL: Final = re.compile(
    r"model\b.{0,80}?\b(?:not (?:found|exist|support|available)|unknown|invalid|unsupported|is not|no longer)"
    r"|(?:unknown|invalid|unsupported|no such) model|does ?n.?t exist",
    re.I | re.S,
)
_LENGTH: Final = re.compile(
    r"too (?:long|large|many tokens|big)"
    r"|maximum (?:context|input|sequence|allowed|number)"
    r"|max(?:imum)?[ _](?:context|tokens?|length|allowed)"
    r"|context[ _](?:length|window|size)"
    r"|token limit|tokens?\b.{0,40}\b(?:exceed|limit)"
    r"|exceed\w*\b.{0,60}\b(?:token|length|size|limit)"
    r"|must (?:be|have) (?:less|fewer|at most)|(?:longer|larger|more) than",
    re.I | re.S,
)
_QUOTA: Final = re.compile(r"insufficient[_ ]quota|exceeded your current quota|billing|credit balance", re.I)


def judge(reply: Reply, title: str, url: str, key: Key | None, now_s: float) -> None:
    """Returns for an answer that holds vectors. `title` is what a person calls the model, `now_s` seconds since 1970.

    Raises Transient, Refused, InputError (key, model, redirect) or EnvironmentFault (no more quota).
    """
    status = reply.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise _redirected(reply, title, url, key)
    words = _words(reply)
    said = hidden(words, [key])
    answer = f"{title} answered {status}{f': {said}' if said else ''}"
    if status in (401, 403) or (status == 400 and _KEY.search(words)):
        raise InputError(f"{title} does not accept the key (HTTP {status})", "set a valid key in the environment and run again")
    if status == 402 or (status == 429 and _QUOTA.search(words) and retry_after_s(reply, now_s) is None):
        raise EnvironmentFault(
            answer, "the account has nothing left; what was embedded is kept, run the same command again later"
        )
    if status in _AGAIN or status >= 500:
        raise Transient(f"answered {status}{f': {said}' if said else ''}", retry_after_s=retry_after_s(reply, now_s))
    if status == 404 or (status in (400, 422) and _MODEL.search(words) and not _LENGTH.search(words)):
        raise InputError(answer, f"is the model's name right, and the address {url}? (--model, --base-url)")
    if status in (400, 413, 422):
        raise Refused(f"HTTP {status}{f': {said}' if said else ''}", too_long=status == 413 or bool(_LENGTH.search(words)))
    raise EnvironmentFault(answer, "what was embedded is kept; run the same command again to go on")


def retry_after_s(reply: Reply, now_s: float) -> float | None:
    """How long the vendor asks to wait, in seconds: `Retry-After` as seconds or as a date, `retry-after-ms`, or Google's
    `retryDelay` in the body; None where it does not say.
    """
    try:
        if (milliseconds := reply.headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
    except ValueError:
        pass
    header = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        pass
    delay = re.search(rb'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"', reply.body[:100_000])
    return float(delay[1]) if delay else None


def _redirected(reply: Reply, title: str, url: str, key: Key | None) -> InputError:
    """Followed nowhere: whoever is there would get the texts, and perhaps the key."""
    target = urlsplit(urljoin(url, reply.headers.get("location", "")))
    to = hidden(f"{target.scheme}://{target.hostname or '?'}{target.path}", [key])
    return InputError(
        f"{title}: {url} redirects to {to}, which was not followed: key and texts were not sent there",
        "if that is the right address, give it with --base-url",
    )


def _words(reply: Reply) -> str:
    """What the vendor says went wrong; nothing where it sent a page."""
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        text = reply.body[:2_000].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text
    return "; ".join(dict.fromkeys(_sayings(document, 0)))


def _sayings(document: Any, depth: int) -> Iterator[str]:
    """The strings under the names that vendors use for words; `code` and `type` where they say more than a number."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, list) and depth < _DEPTH:
        for entry in document[:5]:
            yield from _sayings(entry, depth + 1)
    elif isinstance(document, dict) and depth < _DEPTH:
        for name in ("error", "message", "detail", "msg", "error_type", "type", "code"):
            if name in document and (name not in ("type", "code") or isinstance(document[name], str)):
                yield from _sayings(document[name], depth + 1)
