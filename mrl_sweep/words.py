"""Formats shares, counts, sizes, times, lists and suggestions as text: each is written and rounded in one place."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from mrl_sweep.types import Measure

DASH: Final = "-"
"""Stands in tables for a number that was not measured."""

UNKNOWN: Final = "an unknown share"
"""Stands in sentences for a share that was not measured."""

LAST_BITS: Final = 1e-12
"""A share this little below a limit is at the limit, in print as in judgement: it is the last bits of a sum."""

_TENTH: Final = 1
_MOST_DIGITS: Final = 14


# --- Shares -----------------------------------------------------------------------------------------------------------


def percent(share: float | None, *, limit: float | None = None, unknown: str = DASH) -> str:
    """Writes `0.9903` as `99.0%`, with as many more digits as it takes to stand on its own side of `limit`.

    0.97996 against 0.98 is `97.996%`: rounded further, it would read as met. None and NaN become the text `unknown`.
    """
    if share is None or math.isnan(share):
        return unknown
    exact = _exact_percent(share)
    if limit is None:
        return f"{_rounded(exact, _TENTH)}%"
    bar, met = _exact_percent(limit), share >= limit - LAST_BITS
    exact = max(exact, bar) if met else exact
    for digits in range(_TENTH, _MOST_DIGITS):
        shown = _rounded(exact, digits)
        if (shown >= bar) == met:
            return f"{shown}%"
    return f"{exact:f}%"


def asked_share(share: float) -> str:
    """Writes a share that a person typed as that person would say it: `98%`, `99.5%`; 1 - 0.02 is `98%` too."""
    return f"{_exact_percent(round(share, 12)).normalize():f}%"


def points(share: float) -> str:
    """Writes a difference of two shares in percentage points, with its sign: `+4.5`, `-0.3`."""
    return f"{_rounded(_exact_percent(share), _TENTH):+}"


def share_of(part: int, whole: int) -> str:
    """Writes a part of a count in percent, never rounded to none or to all: `3.2%`, `0.0017%`, `99.998%`; `-` of a whole of 0."""
    if not whole:
        return DASH
    share = part / whole
    if 0 < share < 0.0005:
        return f"{100 * share:.2g}%"
    return percent(share, limit=1.0)


def _exact_percent(share: float) -> Decimal:
    """Returns a hundred times the shortest decimal that is this float: 0.9545 is 95.45, whatever its last bits are."""
    return Decimal(repr(float(share))) * 100


def _rounded(value: Decimal, digits: int) -> Decimal:
    room = Context(prec=max(28, value.adjusted() + digits + 2))  # an edited report may hold 1e300
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN, context=room) + 0  # + 0: no minus before a zero


# --- Numbers ----------------------------------------------------------------------------------------------------------


def score(value: float | None) -> str:
    """Writes a measure's mean with four decimals: `0.3412`."""
    return DASH if value is None or math.isnan(value) else f"{value:.4f}"


def difference(value: float) -> str:
    """Writes a difference of two means with four decimals and its sign: `+0.0412`."""
    return f"{value:+.4f}"


def count(number: float | None) -> str:
    """Writes a number, rounded to a whole one, with commas between thousands: `57,638`."""
    return DASH if number is None else f"{number:,.0f}"


def about(number: int) -> str:
    """Writes an estimated number of queries, rounded up to two digits: 253 is `260`, 1,234 is `1,300`, 47 is `47`."""
    return count(round_up(number))


def round_up(number: int) -> int:
    """Rounds an estimated number of queries up to two digits: 253 is 260, 1,234 is 1,300, 47 is 47."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step


def size(size_bytes: float | None) -> str:
    """Writes a size in the unit that fits, `168.9 MiB`, with one digit after the point; whole bytes below 1 KiB: `512 B`."""
    if size_bytes is None:
        return DASH
    value, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"


def milliseconds(value_ms: float | None) -> str:
    """Writes a time: two digits below 1 ms (`0.034 ms`), one decimal below 100 ms (`1.2 ms`), whole above (`140 ms`)."""
    if value_ms is None:
        return DASH
    if value_ms >= 100:
        return f"{value_ms:,.0f} ms"
    return f"{value_ms:.1f} ms" if value_ms >= 1 else f"{value_ms:.2g} ms"


def times(factor: float) -> str:
    """Writes a factor with one decimal: `3.0x`."""
    return f"{factor:,.1f}x"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Writes a count with its noun: `plural(12, "query", "queries")` is `12 queries`; without `nouns` an s is added."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def counted(number: int, reason: str) -> str:
    """Writes what was set aside, by a reason as reports count it: `1 query without text`, `2 repeated documents`."""
    many = reason.replace("_", " ")
    one = many.replace("queries", "query").replace("documents", "document").replace("judgments", "judgment")
    return plural(number, one, many)


# --- Measures ---------------------------------------------------------------------------------------------------------


def keeps(measure: Measure, share: str, *, plural: bool = False) -> str:
    """Writes `keeps 98% of nDCG@10`, or for agreement, which is no quality, `returns 98% of the full size's top 10`."""
    verb, what = ("return", f"the full size's top {measure.cutoff}") if measure.label_free else ("keep", str(measure))
    return f"{verb}{'' if plural else 's'} {share} of {what}"


def they(reason: str) -> str:
    """Turns a judgement's reason into the plural: `keeps at most 85%` becomes `they keep at most 85%`; other reasons stay."""
    verb, _, rest = reason.partition(" ")
    return f"they {verb.removesuffix('s')} {rest}" if verb in ("keeps", "returns") else reason


class _JudgedOrNot(Protocol):
    """A measure or a collection: each says whether it needs no judgments."""

    @property
    def label_free(self) -> bool: ...


def queries_of(judged_or_not: _JudgedOrNot, number: int | None = None, *, clustered: bool = False) -> str:
    """Writes `judged queries`, or `queries` for a measure or collection without judgments; `query` where `number` is 1.

    Units of evidence that are clusters say so: `clusters of judged queries`.
    """
    judged = "" if judged_or_not.label_free else "judged "
    if clustered:
        return f"{'cluster' if number == 1 else 'clusters'} of {judged}queries"
    return f"{judged}{'query' if number == 1 else 'queries'}"


# --- Names ------------------------------------------------------------------------------------------------------------


def nearest(word: str, names: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Finds at most `most` names spelt like the word, in any case, nearest first; none below the ratio `cutoff`, in [0, 1]."""
    folded = {name.lower(): name for name in names}
    return [folded[name] for name in difflib.get_close_matches(word.lower(), folded, n=most, cutoff=cutoff)]


def did_you_mean(word: str, names: Iterable[str], *, spelt: Callable[[str], str] = str, most: int = 1) -> str:
    """Writes `did you mean retain?`, or nothing where no name is near; `spelt` writes a name as it is to be typed or read."""
    names = nearest(word, names, most=most)
    return f"did you mean {' or '.join(map(spelt, names))}?" if names else ""


def all_of(number: int, nouns: str) -> str:
    """Writes `both collections` or `all 3 collections`."""
    return f"both {nouns}" if number == 2 else f"all {number} {nouns}"


def listed(texts: Sequence[str], last: str = "or") -> str:
    """Joins texts as a list in a sentence: `a`, `a or b`, `a, b or c`."""
    return f" {last} ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def first_offenders(offenders: Sequence[str], total: int | None = None, limit: int = 5) -> str:
    """Lists the first `limit` offenders and counts the rest of `total`: `a, b, c, d, e and 12 more`."""
    n = len(offenders) if total is None else total
    shown = ", ".join(offenders[:limit])
    return shown if n <= limit else f"{shown} and {n - limit:,} more"


def printable(text: str, limit: int = 120) -> str:
    """Makes an id or a piece of a user's file fit for a message: cut at `limit` characters, what is not printable escaped."""
    shown = text if len(text) <= limit else text[:limit] + "…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)
