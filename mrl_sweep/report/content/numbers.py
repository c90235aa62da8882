"""How the report writes numbers: shares that imply the verdict, sizes, times and counts; None is a dash."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from mrl_sweep.decision.queries_needed import round_up

DASH: Final = "-"
_MOST_DIGITS: Final = 14


def percent(share: float | None, *, limit: float | None = None) -> str:
    """`0.9903` as `99.0%`, with as many more digits as it takes to stand on its own side of `limit`.

    0.97996 against 0.98 is `97.996%`: rounded further, it would read as met.
    """
    if share is None or share != share:
        return DASH
    exact = Decimal(repr(float(share))) * 100
    if limit is None:
        return f"{_rounded(exact, 1)}%"
    bar = Decimal(repr(float(limit))) * 100
    for digits in range(1, _MOST_DIGITS):
        shown = _rounded(exact, digits)
        if (shown >= bar) == (exact >= bar):
            return f"{shown}%"
    return f"{exact}%"


def asked(share: float) -> str:
    """A share that a person typed, as they would say it: `98%`, `99.5%`."""
    exact = (Decimal(repr(float(share))) * 100).normalize()
    return f"{exact:f}%"


def score(value: float | None) -> str:
    """A measure's mean: `0.3412`."""
    return DASH if value is None or value != value else f"{value:.4f}"


def size(size_bytes: float | None) -> str:
    """`168.9 MiB`: one digit after the point, in the unit that fits."""
    if size_bytes is None:
        return DASH
    value, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"


def count(number: float | None) -> str:
    """`57,638`."""
    return DASH if number is None else f"{number:,.0f}"


def about(number: int) -> str:
    """An estimated number of queries to two digits, never rounded down: 253 is `260`, 1,234 is `1,300`, 47 is `47`."""
    return count(round_up(number))


def milliseconds(value_ms: float | None) -> str:
    """`0.034 ms`, `1.2 ms`, `140 ms`: two digits, no more than were measured."""
    if value_ms is None:
        return DASH
    if value_ms >= 100:
        return f"{value_ms:,.0f} ms"
    return f"{value_ms:.1f} ms" if value_ms >= 1 else f"{value_ms:.2g} ms"


def times(factor: float) -> str:
    """`3.0x`."""
    return f"{factor:,.1f}x"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 query`, `12 queries`: `plural(12, "query", "queries")`."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def _rounded(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN) + 0  # + 0: no minus before a zero
