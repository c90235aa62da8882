"""Why ids that should match do not: numbers against padded ones, Unicode forms, white space, letter case."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from mrl_sweep.errors import printable

_SAMPLE: Final = 1000
_SCANNED: Final = 1_000_000


def _whole(text: str) -> str:
    digits = text.strip().removesuffix(".0")
    return digits.lstrip("0") or "0" if digits.isascii() and digits.isdigit() else text


_CAUSES: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("white space around the id", str.strip),
    ("leading zeros or a decimal point", _whole),
    ("the Unicode form (NFC against NFD)", lambda text: unicodedata.normalize("NFC", text)),
    ("letter case", str.casefold),
    ("quotation marks around the id", lambda text: text.strip("\"'")),
    ("the folder or ending of a file name", lambda text: text.replace("\\", "/").rpartition("/")[2].partition(".")[0]),
)


def likely_cause(missing: Sequence[str], present: Iterable[str], missing_in: str, present_in: str) -> str:
    """The one difference that would explain at least half of the missing ids, with an example; "" where none does.

    Looks at the first 1,000 missing ids against the first million present ones.
    """
    sample = missing[:_SAMPLE]
    scanned = list(islice(present, _SCANNED))
    for name, normalise in _CAUSES:
        wanted = {normalise(text): text for text in sample}
        found = {wanted[key]: text for text in scanned if (key := normalise(text)) in wanted}
        if len(found) * 2 >= len(sample):
            ours, theirs = next(iter(found.items()))
            return f"the ids differ by {name}: {_quoted(ours)} in {missing_in}, {_quoted(theirs)} in {present_in}"
    return ""


def _quoted(text: str) -> str:
    """In quotes, every character that is not plain ASCII escaped, so that two forms of one letter look different."""
    return '"' + printable(text).encode("ascii", "backslashreplace").decode() + '"'
