"""Slices: groups of queries by a declared field, by length, by number of relevant documents, or by topic."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import Any, Final

import numpy as np

from mrl_sweep.decision.units import check_fields
from mrl_sweep.types import BoolArray, IntArray

MOST_VALUES: Final = 12
"""A numeric field with more different values than this is cut into terciles."""

MOST_SLICES: Final = 100
"""A field with more different values than this has those of fewer than `SMALLEST_SLICE` queries put together."""

SMALLEST_SLICE: Final = 10
"""A slice with fewer units of evidence than this, or with fewer outside it, is shown but not tested."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The queries (`members`, (n_queries,)) whose `field` is `value`; `declared` by the user rather than found by the tool."""

    field: str
    value: str
    members: BoolArray
    declared: bool = False

    def __str__(self) -> str:
        return f"{self.field}={self.value}"


def declared_slices(metadata: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> tuple[Slice, ...]:
    """One slice per value of each field, values sorted; a query without the field is in none of its slices.

    A field that holds a list puts the query into each of its values' slices. Numbers with many different values become
    terciles. Raises `InputError` for a field that no query has: a margin on a name that does not exist protects nothing.
    """
    check_fields(metadata, fields, "--slice")
    return tuple(s for f in dict.fromkeys(fields) for s in _of_field(metadata, f))


def length_slices(texts: Sequence[str]) -> tuple[Slice, ...]:
    """Terciles of the number of words: short, middling and long queries."""
    return _terciles("length", np.array([len(text.split()) for text in texts], np.int64), "words")


def relevant_slices(n_relevant: IntArray) -> tuple[Slice, ...]:
    """Terciles of the number of relevant documents per query, (n_queries,)."""
    return _terciles("relevant", n_relevant, "documents")


def topic_slices(labels: IntArray, texts: Sequence[str]) -> tuple[Slice, ...]:
    """One slice per cluster label >= 0, (n_queries,), named by the words that tell it from the other queries."""
    names = telling_words(texts, labels)
    return tuple(Slice("topic", name, labels == label) for label, name in names.items())


def _of_field(metadata: Sequence[Mapping[str, Any]], field: str) -> Iterable[Slice]:
    values = [entry.get(field) for entry in metadata]
    present = [v for v in values if v is not None]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in present)
    if numeric and len(set(present)) > MOST_VALUES:
        numbers = np.array([np.nan if v is None else v for v in values], np.float64)
        return _terciles(field, numbers, "", declared=True)
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        for text in _values(value):
            rows.setdefault(text, []).append(row)
    if len(rows) > MOST_SLICES:
        rows = _small_ones_together(rows)
    return [Slice(field, value, _members(rows[value], len(values)), declared=True) for value in sorted(rows)]


def _small_ones_together(rows: dict[str, list[int]]) -> dict[str, list[int]]:
    """A field with very many values (an id, a date): those that only a few queries have become one slice."""
    small = [value for value, found in rows.items() if len(found) < SMALLEST_SLICE]
    kept = {value: found for value, found in rows.items() if len(found) >= SMALLEST_SLICE}
    together = sorted({row for value in small for row in rows[value]})
    return kept | ({f"other ({len(small):,} values)": together} if small else {})


def _members(rows: Sequence[int], n: int) -> BoolArray:
    members = np.zeros(n, np.bool_)
    members[rows] = True
    return members


def _values(value: Any) -> frozenset[str]:
    """What a query's field says, as text; a list says several things, None says nothing."""
    if value is None:
        return frozenset()
    if isinstance(value, bool):
        return frozenset(["true" if value else "false"])
    if isinstance(value, list | tuple | set | frozenset):
        return frozenset(str(v) for v in value)
    return frozenset([str(value)])


def _terciles(field: str, numbers: np.ndarray[Any, np.dtype[Any]], unit: str, *, declared: bool = False) -> tuple[Slice, ...]:
    """Up to three slices of about equal size, cut between different values; none where all are alike."""
    finite = numbers[np.isfinite(numbers)]
    if len(finite) == 0 or finite.min() == finite.max():
        return ()
    edges = np.unique(np.quantile(finite, [1 / 3, 2 / 3], method="inverted_cdf"))
    edges = edges[edges < finite.max()]
    edges = edges if len(edges) else np.array([finite[finite < finite.max()].max()])
    part = np.searchsorted(edges, numbers, side="left")
    slices = []
    for i in range(len(edges) + 1):
        members = np.isfinite(numbers) & (part == i)
        low, high = (f"{v:.6g}" for v in (numbers[members].min(), numbers[members].max()))
        span = low if low == high else f"{low}-{high}"
        slices.append(Slice(field, f"{span} {unit.removesuffix('s') if span == '1' else unit}".strip(), members, declared))
    return tuple(slices)


_WORD: Final = re.compile(r"[^\W\d_][\w'-]+")
_PRIOR: Final = 0.5


def telling_words(texts: Sequence[str], labels: IntArray, *, n_words: int = 3) -> dict[int, str]:
    """A name for each label >= 0 in ascending order: its `n_words` most telling words, as `enzyme, kinase, binding`.

    A word tells when many of the group's queries have it and few others do: the log-odds ratio of queries with the word, in
    the group against the rest, over its standard deviation (Monroe, Colaresi & Quinn 2008). A group without any such word is
    called by its number, and a name that two groups share gets it appended.
    """
    words = [set(_WORD.findall(text.casefold())) for text in texts]
    everywhere = Counter(word for found in words for word in found)
    names: dict[int, str] = {}
    for label in sorted({int(i) for i in labels if i >= 0}):
        members = [found for found, own in zip(words, labels, strict=True) if own == label]
        inside = Counter(word for found in members for word in found)
        scored = {w: _telling(n, len(members), everywhere[w] - n, len(texts) - len(members)) for w, n in inside.items()}
        best = sorted((w for w, z in scored.items() if z > 0), key=lambda w: (-scored[w], w))[:n_words]
        names[label] = ", ".join(best) or f"topic {label}"
    shared = {name for name, again in pairwise(sorted(names.values())) if name == again}
    return {label: f"{name} ({label})" if name in shared else name for label, name in names.items()}


def _telling(inside: int, n_inside: int, outside: int, n_outside: int) -> float:
    """The z of the log-odds ratio of having the word, with half a query added to every count."""
    counts = [c + _PRIOR for c in (inside, n_inside - inside, outside, n_outside - outside)]
    odds = log(counts[0] / counts[1]) - log(counts[2] / counts[3])
    return odds / sqrt(sum(1 / c for c in counts))
