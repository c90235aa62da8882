"""Requests to a vendor, its replies, and the strict reading of vectors out of them: by index, whole, of one size, finite."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.hosted.patience import Garbled
from mrl_sweep.embedding.protocol import Role
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array
from mrl_sweep.words import plural

WIRE_CODES: Final = {"int8": "int8", "binary": "ubinary"}
"""Precisions of which vendors have codes of their own, by the name that Voyage and Cohere give them: bits are packed in bytes."""

_LITTLE_ENDIAN: Final = np.dtype("<f4")


@record(kw_only=True)
class EmbedRequest:
    """A request asks for these texts, prompts applied, at `dim` dimensions; `dim` None leaves the size to the vendor.

    `plain` names no encoding, for servers that know no such option. `code`, one of `WIRE_CODES`, asks for the vendor's own codes
    in place of numbers.
    """

    texts: Sequence[str]
    role: Role
    dim: int | None = None
    plain: bool = False
    code: str | None = None


@record
class Reply:
    """A reply is an HTTP answer as it came; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


_ENVELOPE_BYTES: Final = 1 << 20
_BYTES_PER_NUMBER: Final = 32
"""A float64 in JSON with its comma takes at most 26 bytes."""


def most_bytes(n_texts: int, dim: int) -> int:
    """Bounds the bytes that so many vectors take, however they are written: a longer answer is refused."""
    return _ENVELOPE_BYTES + n_texts * dim * _BYTES_PER_NUMBER


def retry_after_s(reply: Reply, now_s: float) -> float | None:
    """Reads how long the vendor asks to wait, in seconds: `Retry-After` as seconds or as a date, `retry-after-ms`, or Google's
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


def parsed(reply: Reply) -> Any:
    """Parses the JSON document of an answer. Raises Garbled for anything else: a cut body, a proxy's page."""
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        start = reply.body[:200].lstrip().lower()
        what = "a web page" if start.startswith((b"<!doctype", b"<html")) else "something that is not whole JSON"
        raise Garbled(f"answered with {what} ({len(reply.body):,} bytes)") from None


def member(document: Any, *names: str) -> Any:
    """Returns the value under these names, one inside the other. Raises Garbled where there is none."""
    for name in names:
        if not isinstance(document, Mapping) or name not in document:
            raise Garbled(f"answered without {'.'.join(names)!r}")
        document = document[name]
    return document


def by_index(entries: Any, n: int) -> Float32Array:
    """Reads (n, dim) vectors from `[{"index": 0, "embedding": …}, …]` in any order. Raises Garbled unless each index comes once.

    A gateway that drops zero fields leaves out index 0: one index may be missing, and is then the one that no other has.
    """
    _check_one_each(entries, n)
    placed: dict[int, Any] = {}
    without = [place for place, entry in enumerate(entries) if isinstance(entry, Mapping) and "index" not in entry]
    if len(without) == 1 and not any(entry.get("index") == 0 for entry in entries if isinstance(entry, Mapping)):
        entries = [{"index": 0, **entry} if place in without else entry for place, entry in enumerate(entries)]
    for entry in entries:
        index = member(entry, "index")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < n or index in placed:
            raise Garbled(f"answered with a wrong or repeated index: {str(index)[:20]}")
        placed[index] = member(entry, "embedding")
    return in_order([placed[i] for i in range(n)], n)


def _check_one_each(answered: Any, n: int) -> None:
    if not isinstance(answered, list) or len(answered) != n:
        vectors = plural(len(answered), "vector") if isinstance(answered, list) else "no vectors"
        raise Garbled(f"answered with {vectors} for {plural(n, 'text')}")


def in_order(rows: Any, n: int) -> Float32Array:
    """Reads (n, dim) vectors from n lists of numbers, or base64 of little-endian float32. Raises Garbled for anything else."""
    _check_one_each(rows, n)
    vectors = [_vector(row) for row in rows]
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) != 1 or sizes[0] == 0:
        raise Garbled(f"answered with vectors of {' and '.join(map(str, sizes))} dimensions in one batch")
    out = np.stack(vectors)
    bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
    if len(bad):
        raise Garbled("returned NaN or infinite values", bad.tolist())
    return out


def decoded(rows: Float32Array, code: str) -> Float32Array:
    """Returns a vendor's codes as (n, dim) float32: whole numbers from -128 to 127, or -1 and 1 of bits packed highest first.

    Raises Garbled for numbers that are no such codes.
    """
    low, high = (0, 255) if code == "binary" else (-128, 127)
    if not ((rows == np.rint(rows)) & (rows >= low) & (rows <= high)).all():
        raise Garbled(f"answered with numbers that are no {WIRE_CODES[code]} codes")
    if code != "binary":
        return rows
    return np.unpackbits(rows.astype(np.uint8), axis=1).astype(np.float32) * 2 - 1


def _vector(row: Any) -> Float32Array:
    try:
        if isinstance(row, str):
            return np.frombuffer(base64.b64decode(row, validate=True), _LITTLE_ENDIAN).astype(np.float32)
        if isinstance(row, list):
            with np.errstate(over="ignore"):
                vector: Float32Array = np.asarray(row, np.float32)
            if vector.ndim == 1:
                return vector
    except (ValueError, TypeError, OverflowError, binascii.Error):
        pass
    raise Garbled("answered with a vector that is not a list of numbers")
