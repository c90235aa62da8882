"""Reads a vendor's HTTP errors: wait, too long, a bad key or model; by status and codes first and by words last."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from mrl_sweep.embedding.hosted.connection import Key, hidden
from mrl_sweep.embedding.hosted.patience import Transient
from mrl_sweep.embedding.hosted.wire import Reply, retry_after_s
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.record import record

_DEPTH: Final = 6
_READ_BYTES: Final = 1 << 20


class Meaning(StrEnum):
    """A meaning says why an answer holds no vectors, and so what follows from it."""

    WAIT = "wait"
    TOO_LONG = "too long"
    EMPTY = "account empty"
    KEY = "key"
    ACCESS = "access"
    MODEL = "model"
    OPTION = "option"
    MEMORY = "memory"
    REFUSED = "refused"
    ADDRESS = "address"


class Refused(Exception):
    """Says that the vendor does not take this batch as it is. `option` is the option of the request that it does not know, in
    OpenAI's spelling; "" for any other meaning.
    """

    def __init__(self, message: str, meaning: Meaning, option: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.meaning = meaning
        self.option = option


@record
class Complaint:
    """A complaint is a fault as an answer tells it: `codes` for machines, `options` of the request, `words` for a person.

    `status` is that of HTTP, or of the body where a gateway answers 200 with an error inside. `page`: a web page answered, whose
    title the words are.
    """

    status: int
    codes: tuple[frozenset[str], ...] = ()
    options: tuple[str, ...] = ()
    words: str = ""
    page: bool = False


_NAMES_OF_CODES: Final = ("code", "type", "status", "reason", "error_type", "errorcode", "error_code", "__type", "name")
_NAMES_OF_WORDS: Final = (
    *("message", "msg", "detail", "details", "error", "errors"),
    *("error_description", "title", "description", "raw", "originalmessage"),
)
_MEASURE: Final = (
    "token tokens length context string input inputs text texts prompt sequence payload batch request content entity body array "
    "size chunk document characters window tokenizer items"
)
_EXCESS: Final = "long large big exceed exceeds exceeded above max maximum over many limit"
_CODE_MEANINGS: Final = tuple(
    (meaning, [frozenset(words.split()) for words in sets])
    for meaning, *sets in (
        (Meaning.EMPTY, "insufficient", "quota credit credits balance funds"),
        (Meaning.EMPTY, "credit credits balance spend budget", "exhausted exceeded limit low"),
        (Meaning.EMPTY, "billing", "limit active inactive hard"),
        (Meaning.EMPTY, "arrearage arrears"),
        (Meaning.WAIT, "rate resource too quota requests", "limit exhausted requests exceeded"),
        (Meaning.WAIT, "overloaded unavailable throttling throttled throttlingexception busy loading"),
        (Meaning.KEY, "key authentication unauthenticated credentials auth"),
        (Meaning.MODEL, "model", "not invalid unknown no unsupported missing"),
        (Meaning.TOO_LONG, _MEASURE, _EXCESS),
        (Meaning.TOO_LONG, "too", "long large big"),
        (Meaning.ACCESS, "permission forbidden access"),
    )
)
"""Meanings by the words of a machine-readable code: the first whose every set has one of them. `context_length_exceeded`,
`string_too_long`, `exceed_context_size_error` and `max_tokens_per_request` all say how much, and that it is beyond a bound."""

_AGAIN: Final = frozenset({408, 409, 423, 425, 429, 499})
_LONG: Final = frozenset({413, 414, 431})
_NEVER: Final = frozenset({405, 407, 421, 426, 501, 505, 510})
_OPTION_WORDS: Final = {
    "dimensions": re.compile(r"\b(?:output_?)?dimension(?:s|ality)?\b|matryoshka|outputDimensionality", re.I),
    "encoding_format": re.compile(r"encoding_?format", re.I),
}
_KEY_WORDS: Final = re.compile(r"api[ _-]?key|authenticat|credential|unauthori[sz]ed", re.I)
_NEGATED: Final = r"not (?:found|exist|support|available|loaded|work|allowed)"
_MODEL_WORDS: Final = re.compile(
    rf"model\b.{{0,80}}?\b(?:{_NEGATED}|unknown|invalid|unsupported|unloaded|is not|no longer|does not)"
    rf"|{_NEGATED}\w*\b.{{0,60}}?\bmodel\b"
    r"|(?:unknown|unexpected|invalid|unsupported|no such|not a (?:valid|known|supported)|load(?:ing)?|specify (?:a|the)) model"
    r"|does ?n.?t exist|not support(?:ed)? embeddings?|no models? (?:is |are )?loaded|\bunimplemented\b",
    re.I | re.S,
)
_AMOUNT: Final = (
    r"(?:tokens?|length|context(?! (?:deadline|cancel))|input|prompt|sequence|batch|size|texts?|characters?|window"
    r"|content|payload)"
)
_BEYOND: Final = (
    r"(?:too (?:long|large|many|big)|exceed\w*|over the|above|longer than|larger than|greater than|more than|(?:at )?most"
    r"|max(?:imum)?|(?:less|fewer) than|no more than|up to \d|overflow\w*|limit(?:ed)?(?: of| to| is)?|<=? ?\d|>= n_ctx)"
)
_LONG_WORDS: Final = re.compile(rf"\b{_AMOUNT}\b.{{0,120}}?{_BEYOND}|{_BEYOND}.{{0,60}}?\b{_AMOUNT}\b", re.I | re.S)
_MEMORY_WORDS: Final = re.compile(
    r"out[ _]of[ _]memory|(?:insufficient|not enough|(?:requires?|needs?) more) (?:\w+ ){0,2}(?:memory|resources)"
    r"|unable to allocate|cudaMalloc failed",
    re.I,
)
_PLACE_WORDS: Final = re.compile(r"\b(?:location|country|region)\b.{0,40}\bnot (?:supported|allowed|available)", re.I | re.S)
_SPENT_WORDS: Final = re.compile(r"limit exceeded|quota|credits?\b|balance", re.I)
_OWED_WORDS: Final = re.compile(
    r"spending limit|invoice|insufficient (?:\w+ )?(?:balance|credits?|funds?)|budget .{0,20}exceeded|(?:exceed\w+|over) budget",
    re.I,
)
_BAD_KEY_WORDS: Final = re.compile(
    r"\bauthenticate\b|\bkey\b.{0,40}\b(?:leaked|invalid|not valid|expired|revoked|disabled)", re.I | re.S
)
_FLAGGED_WORDS: Final = re.compile(r"\bflagged\b|\bmoderation\b|content (?:policy|filter)", re.I)
_BROKEN_WORDS: Final = re.compile(
    r"\bcrashed\b|unexpectedly (?:stopped|closed)|(?:not |un)healthy|\bis (?:currently )?loading\b", re.I
)
_NO_NUMBER_WORDS: Final = re.compile(r"\bNaN\b|(?i:JSON compliant|non-?finite)")
"""Words of a server that cannot write a vector with NaN as JSON: the same text gives the same vector again."""

_ROUTE_WORDS: Final = re.compile(r"\bno route\b|\b(?:unknown|unexpected|invalid) (?:endpoint|route|path|url)\b", re.I)
_ASKED_AND_ALLOWED: Final = re.compile(r"limit\D{0,12}([\d,]+)\D{0,40}requested\D{0,12}([\d,]+)", re.I)


def judge(reply: Reply, title: str, url: str, key: Key | None, now_s: float) -> None:
    """Lets an answer without an error pass and raises what any other means; `now_s` are seconds since 1970.

    Raises Transient, Refused, InputError (key, access, model, address, redirect) or EnvironmentFault (no more quota).
    """
    if 300 <= reply.status < 400:
        raise _redirected(reply, title, url, key)
    complaint = complaint_of(reply)
    if complaint is None:
        return
    wait_s = retry_after_s(reply, now_s)
    meaning = meaning_of(complaint, reply.status, waits=wait_s is not None)
    words = hidden(complaint.words, key)
    said = f"{complaint.status}: {words}" if words else f"{complaint.status}"
    if meaning is Meaning.WAIT:
        raise Transient(f"answered {said}", retry_after_s=wait_s)
    if meaning in (Meaning.TOO_LONG, Meaning.OPTION, Meaning.MEMORY, Meaning.REFUSED):
        raise Refused(f"HTTP {said}", meaning, complaint.options[0] if meaning is Meaning.OPTION else "")
    if meaning is Meaning.EMPTY:
        raise EnvironmentFault(f"{title} answered {said}", _HINTS[meaning])
    if meaning is Meaning.KEY:
        because = f": {words}" if words else ""
        raise InputError(f"{title} does not accept the key (HTTP {complaint.status}){because}", _HINTS[meaning])
    raise InputError(f"{title} answered {said}", _HINTS[meaning].format(url=url))


_HINTS: Final = {
    Meaning.EMPTY: "the account has nothing left; what was embedded is kept, run the same command again later",
    Meaning.KEY: "set a valid key in the environment and run again",
    Meaning.ACCESS: "does this key's project have access to the model? (--model); the key itself was read",
    Meaning.MODEL: "is the model's name right, and the address {url}? (--model, --base-url)",
    Meaning.ADDRESS: "is the address {url} right? many servers want /v1 at its end (--base-url, --model)",
}


def complaint_of(reply: Reply) -> Complaint | None:
    """Reads the error out of an answer; None where it is a success without an error in it."""
    succeeded = 200 <= reply.status < 300
    try:
        document = json.loads(reply.body if succeeded else reply.body[:_READ_BYTES])
    except (ValueError, RecursionError):
        if succeeded:
            return None  # no JSON at all: `wire.parsed` raises Garbled for it
        text = reply.body[:2_000].decode("utf-8", "replace").strip()
        page = text.startswith("<")
        title = re.search(r"<title>([^<]*)", text, re.I)
        words = (title[1] if title else "") if page else text
        return Complaint(reply.status, options=_options(None, words), words=words, page=page)
    if succeeded:
        error = _error_in(document)
        if error is None:
            return None
        document = error
    status = _status_in(document) if succeeded else None
    words = "; ".join(dict.fromkeys(_sayings(document)))
    return Complaint(status or reply.status, tuple(_codes(document, words)), _options(document, words), words)


def meaning_of(complaint: Complaint, http_status: int, *, waits: bool = False) -> Meaning:
    """Decides what follows from a complaint: by its codes, status and words. `waits`: the answer says when to ask again."""
    status, words = complaint.status, complaint.words
    if (status == 429 or http_status == 429) and (pair := _ASKED_AND_ALLOWED.search(words)):
        allowed, wanted = (int(number.replace(",", "") or 0) for number in pair.groups())
        if wanted > allowed:
            return Meaning.TOO_LONG  # this one call is more than a whole minute's allowance
    coded = [meaning for meaning in map(_meaning_of_code, complaint.codes) if meaning is not None]
    if not waits and (status == 402 or Meaning.EMPTY in coded):
        return Meaning.EMPTY
    if status in _AGAIN or (status == 402 and waits):
        return Meaning.WAIT
    if status in _LONG:
        return Meaning.TOO_LONG
    if status == 401 or (Meaning.KEY in coded and not _OWED_WORDS.search(words)):
        return Meaning.KEY
    if status == 403:
        return _of_forbidden(complaint, coded)
    return _of_request(complaint, coded, in_success=200 <= status < 300)


def _of_forbidden(complaint: Complaint, coded: list[Meaning]) -> Meaning:
    """Decides what follows from 403, which alone says no more than that access is refused."""
    words = complaint.words
    named = next((meaning for meaning in (Meaning.MODEL, Meaning.ACCESS) if meaning in coded), None)
    if not words:
        return named or Meaning.KEY
    if _SPENT_WORDS.search(words) or _OWED_WORDS.search(words):
        return Meaning.EMPTY
    if named is Meaning.MODEL or _MODEL_WORDS.search(words):
        return Meaning.MODEL
    if _BAD_KEY_WORDS.search(words):
        return Meaning.KEY
    if named is None and _LONG_WORDS.search(words):
        return Meaning.TOO_LONG
    return Meaning.REFUSED if _FLAGGED_WORDS.search(words) else Meaning.ACCESS


def _of_request(complaint: Complaint, coded: list[Meaning], *, in_success: bool) -> Meaning:
    """Decides what follows from any other complaint: about an option, a model, a length, or the whole request."""
    status, words = complaint.status, complaint.words
    if _MEMORY_WORDS.search(words):
        return Meaning.MEMORY
    if Meaning.TOO_LONG in coded or (not complaint.options and _LONG_WORDS.search(words) and status != 404):
        return Meaning.TOO_LONG
    if complaint.options:
        return Meaning.OPTION
    if _OWED_WORDS.search(words):
        return Meaning.EMPTY
    if _BROKEN_WORDS.search(words):
        return Meaning.WAIT
    if Meaning.MODEL in coded or (status != 503 and _MODEL_WORDS.search(words)) or status in (404, 410):
        return Meaning.MODEL
    if status == 451 or (status == 400 and _PLACE_WORDS.search(words)):
        return Meaning.ACCESS
    if _KEY_WORDS.search(words) and status == 400:
        return Meaning.KEY
    if Meaning.WAIT in coded:
        return Meaning.WAIT
    if status in _NEVER or in_success or _ROUTE_WORDS.search(words) or (complaint.page and status < 500):
        return Meaning.ADDRESS
    return Meaning.WAIT if status >= 500 and not _NO_NUMBER_WORDS.search(words) else Meaning.REFUSED


def _redirected(reply: Reply, title: str, url: str, key: Key | None) -> InputError:
    """Makes the error of a redirect, which is not followed: another host would get the texts, and perhaps the key."""
    try:
        target = urlsplit(urljoin(url, reply.headers.get("location", "")))
        to = hidden(f"{target.scheme}://{target.hostname or '?'}{target.path}", key)
    except ValueError:
        to = "an address that is not valid"
    return InputError(
        f"{title}: {url} redirects to {to}, which was not followed: key and texts were not sent there",
        "if that is the right address, give it with --base-url",
    )


def _error_in(document: Any) -> Any:
    """Returns the error that a successful answer holds in place of vectors; None where it holds none."""
    if not isinstance(document, dict) or any(document.get(name) for name in ("data", "embeddings", "embedding")):
        return None
    for name in ("error", "errors", "detail", "message"):
        if document.get(name):
            return {name: document[name]}
    if document.get("object") == "error" or document.get("success") is False:
        return document
    return None


def _status_in(document: Any) -> int | None:
    """Returns the HTTP status that a gateway puts into its error: `{"error": {"code": 429}}`."""
    error = document.get("error", document) if isinstance(document, dict) else None
    for name in ("code", "status", "status_code"):
        value = error.get(name) if isinstance(error, dict) else None
        if isinstance(value, int | str) and re.fullmatch(r"[45]\d\d", str(value)):
            return int(value)
    return None


def _members(document: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yields every named value of an answer, down to `_DEPTH` levels."""
    if depth >= _DEPTH:
        return
    if isinstance(document, list):
        for entry in document[:20]:
            yield from _members(entry, depth + 1)
    elif isinstance(document, dict):
        for name, value in list(document.items())[:50]:
            yield str(name), value
            yield from _members(value, depth + 1)


def _codes(document: Any, words: str) -> Iterator[frozenset[str]]:
    """Yields the words of each machine-readable code, exceptions by name among them: `contextLengthExceeded` and
    `context_length_exceeded` alike."""
    named = (value for name, value in _members(document) if name.lower() in _NAMES_OF_CODES and isinstance(value, str))
    for code in (*named, *re.findall(r"\b[A-Z][A-Za-z]+(?:Error|Exception)\b", words)):
        if len(code) < 100:
            yield frozenset(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", code).lower()))


def _meaning_of_code(words: frozenset[str]) -> Meaning | None:
    return next((meaning for meaning, sets in _CODE_MEANINGS if all(words & one for one in sets)), None)


def _options(document: Any, words: str) -> tuple[str, ...]:
    """Returns the request's options that are named as the fault: by `param`, where a validator says it lies, or in the words."""
    values = [value for name, value in _members(document) if name in ("param", "loc", "field", "parameter")]
    places = [place for value in values for place in (value if isinstance(value, list) else [value]) if isinstance(place, str)]
    named = [option for place in places for option, pattern in _OPTION_WORDS.items() if pattern.fullmatch(place)]
    return tuple(dict.fromkeys([*named, *(option for option, pattern in _OPTION_WORDS.items() if pattern.search(words))]))


def _sayings(document: Any) -> Iterator[str]:
    """Yields the strings under the names that servers use for messages, then `code`; without messages, codes of every name."""
    sayings = list(_words_in(document))
    yield from sayings
    names = ("code",) if sayings else _NAMES_OF_CODES
    yield from (value for name, value in _members(document) if name.lower() in names and isinstance(value, str))


def _words_in(document: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(document, str):
        nested = _parsed(document)
        if nested is None:
            yield document
        else:  # a gateway that passes on another server's answer as text
            yield from _words_in(nested, depth + 1)
    elif isinstance(document, list) and depth < _DEPTH:
        for entry in document[:5]:
            yield from _words_in(entry, depth + 1)
    elif isinstance(document, dict) and depth < _DEPTH:
        named = {str(name).lower(): value for name, value in document.items()}
        for name in _NAMES_OF_WORDS:
            if name in named:
                yield from _words_in(named[name], depth + 1)
        if isinstance(document.get("metadata"), dict):
            yield from _words_in(document["metadata"], depth + 1)


def _parsed(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
