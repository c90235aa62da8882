"""Slices of queries: which keep less than the other queries, with false discoveries held down; and the queries that lose most."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import log, sqrt
from typing import Any, Final

import numpy as np

from mrl_sweep.decision.bounds import UNCHANGED, paired_bounds, shortfall_p
from mrl_sweep.decision.judging import Question, or_none
from mrl_sweep.decision.policy import Policy, reaches
from mrl_sweep.decision.student import t_tail
from mrl_sweep.decision.units import check_fields, cluster_means
from mrl_sweep.record import record
from mrl_sweep.types import (
    BoolArray,
    Configuration,
    FloatArray,
    IntArray,
    Measure,
    Outcome,
    Ranks,
    Scores,
    SliceRow,
    distinct,
    exact_prefixes,
    full_size,
)
from mrl_sweep.words import plural

MOST_VALUES: Final = 12
"""A numeric field with more different values than this is cut into terciles."""

MOST_SLICES: Final = 100
"""A field with more different values than this has those of fewer than `SMALLEST_SLICE` queries put together."""

SMALLEST_SLICE: Final = 10
"""A slice with fewer units of evidence than this is not tested; with fewer outside it, not compared with those."""


@record(eq=False)
class Slice:
    """The queries (`members`, (n_queries,)) whose `field` is `value`; `declared` by the user rather than found by the tool."""

    field: str
    value: str
    members: BoolArray
    declared: bool = False

    def __str__(self) -> str:
        return f"{self.field}={self.value}"


def declared_slices(metadata: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> tuple[Slice, ...]:
    """Returns one slice per value of each field, values sorted; a query without the field is in none of its slices.

    A field that holds a list puts the query into each of its values' slices. Numbers with many different values become
    terciles. Raises `InputError` for a field that no query has: a margin on a name that does not exist protects nothing.
    """
    check_fields(metadata, fields, "--slice")
    return tuple(s for f in dict.fromkeys(fields) for s in _of_field(metadata, f))


def length_slices(texts: Sequence[str]) -> tuple[Slice, ...]:
    """Cuts the queries into terciles of the number of words: short, middling and long ones."""
    return _terciles("length", np.array([len(text.split()) for text in texts], np.int64), "words")


def relevant_slices(n_relevant: IntArray) -> tuple[Slice, ...]:
    """Cuts the queries into terciles of `n_relevant` (n_queries,), the number of relevant documents of each."""
    return _terciles("relevant", n_relevant, "documents")


def topic_slices(labels: IntArray, texts: Sequence[str]) -> tuple[Slice, ...]:
    """Returns one slice per label >= 0 of `labels` (n_queries,), named by the words that tell it from the other queries."""
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
    """Puts the values that only a few queries have into one slice, for a field with very many values (an id, a date)."""
    small = [value for value, of_value in rows.items() if len(of_value) < SMALLEST_SLICE]
    kept = {value: of_value for value, of_value in rows.items() if len(of_value) >= SMALLEST_SLICE}
    together = sorted({row for value in small for row in rows[value]})
    return kept | ({f"other ({plural(len(small), 'value')})": together} if small else {})


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
    thirds = np.ceil(np.array([1 / 3, 2 / 3]) * len(finite) - 1).astype(np.int64)
    edges = distinct(np.sort(finite)[np.maximum(thirds, 0)])
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
_MOST_WORDS: Final = 3


def telling_words(texts: Sequence[str], labels: IntArray) -> dict[int, str]:
    """Names each label >= 0, in ascending order, by its most telling words: `enzyme, kinase, binding`.

    A word tells when many of the group's queries have it and few others do: the log-odds ratio of queries with the word, in
    the group against the rest, over its standard deviation (Monroe, Colaresi & Quinn 2008). A group without any such word is
    called by its number, and a name that two groups share gets the number appended.
    """
    words = [set(_WORD.findall(text.casefold())) for text in texts]
    everywhere = Counter(word for own in words for word in own)
    names: dict[int, str] = {}
    for label in sorted({int(i) for i in labels if i >= 0}):
        members = [own for own, of in zip(words, labels, strict=True) if of == label]
        inside = Counter(word for own in members for word in own)
        scored = {w: _telling(n, len(members), everywhere[w] - n, len(texts) - len(members)) for w, n in inside.items()}
        best = sorted((w for w, z in scored.items() if z > 0), key=lambda w: (-scored[w], w))[:_MOST_WORDS]
        names[label] = ", ".join(best) or f"topic {label}"
    shared = {name for name, again in pairwise(sorted(names.values())) if name == again}
    return {label: f"{name} ({label})" if name in shared else name for label, name in names.items()}


def _telling(inside: int, n_inside: int, outside: int, n_outside: int) -> float:
    """The z of the log-odds ratio of having the word, with half a query added to every count."""
    counts = [c + _PRIOR for c in (inside, n_inside - inside, outside, n_outside - outside)]
    odds = log(counts[0] / counts[1]) - log(counts[2] / counts[3])
    return odds / sqrt(sum(1 / c for c in counts))


def search_slices(
    question: Question, slices: Sequence[Slice], candidates: Sequence[Configuration] | None = None
) -> tuple[SliceRow, ...]:
    """Compares every slice with the other queries at every candidate (default: all sizes below full, the largest first).

    The question is which slices lose more than the others, not which lie below the margin: at a size that loses 10% everywhere
    every slice lies below it, and naming them all would tell nothing. `q_value` <= 0.05 marks findings of which at most 5% are
    expected to be chance, counted over all slices of a size: each size is a search of its own. Slices without a counted query
    are left out.
    """
    scores = question.scores
    full, *sizes = exact_prefixes(scores.candidates) if candidates is None else (question.baseline, *candidates)
    m = scores.measures.index(question.required[0])
    counted = scores.counted[m]
    values = scores.values[[scores.candidates.index(c) for c in (full, *sizes)], m][:, counted]
    labels = None if question.clusters is None else question.clusters[counted]
    by_slice = [rows for s in slices if (rows := _rows(s, s.members[counted], values, labels, sizes, question.policy))]
    searched: list[SliceRow] = []
    for own in zip(*by_slice, strict=True):
        q_values = benjamini_hochberg([row.p_value for row in own])
        searched += [replace(row, q_value=q) for row, q in zip(own, q_values, strict=True)]
    return tuple(searched)


def judge_slices(rows: Sequence[SliceRow], *, alpha: float) -> tuple[SliceRow, ...]:
    """Gives each declared slice its `verdict` on the share that the search asked of it (`Policy.retain`).

    FAIL only on proof: the shortfall is significant after Benjamini-Hochberg over the declared rows, so that many slices which
    all keep their share do not turn a gate red by chance. PASS where the lower limit reaches the share, else INCONCLUSIVE. Rows
    of other slices stay as they are.
    """
    q_below = iter(benjamini_hochberg([row.p_below for row in rows if row.declared]))

    def outcome(row: SliceRow) -> Outcome:
        q = next(q_below)
        if q is not None and q <= alpha:
            return Outcome.FAIL
        held = row.queries >= SMALLEST_SLICE and row.retain is not None and reaches(row.at_least, row.retain)
        return Outcome.PASS if held else Outcome.INCONCLUSIVE

    return tuple(replace(row, verdict=str(outcome(row))) if row.declared else row for row in rows)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Returns the q-value of each p-value (Benjamini & Hochberg 1995, step-up); None stays None and is not counted."""
    tested = [i for i, p in enumerate(p_values) if p is not None]
    p = np.array([p_values[i] for i in tested], np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.minimum.accumulate(scaled[::-1])[::-1]
    result: list[float | None] = [None] * len(p_values)
    for position, value in zip(order, q, strict=True):
        result[tested[position]] = float(value)
    return result


def _rows(
    own: Slice, members: BoolArray, values: FloatArray, labels: IntArray | None, sizes: Sequence[Configuration], policy: Policy
) -> list[SliceRow]:
    """This slice at each size, `values` (1 + n_sizes, n_queries) with the baseline first; no q-values yet."""
    if not members.any() or not sizes:
        return []
    inside, outside = (_units(values, part, labels) for part in (members, ~members))
    bounds = paired_bounds(inside[1:], inside[0], retain=policy.retain, alpha=policy.alpha)
    testable = min(inside.shape[1], outside.shape[1]) >= SMALLEST_SLICE
    p_values = _p_less(inside, outside) if testable else np.full(len(sizes), np.nan)
    below = shortfall_p(inside[1:], inside[0], retain=policy.retain) if inside.shape[1] >= SMALLEST_SLICE else p_values * np.nan
    others = outside[1:].mean(axis=1) / outside[0].mean() if outside.size and outside[0].any() else np.full(len(sizes), np.nan)
    return [
        SliceRow(
            field=own.field,
            value=own.value,
            declared=own.declared,
            dim=size.dim,
            retain=policy.retain,
            queries=inside.shape[1],
            kept=or_none(bounds.kept[i]),
            kept_by_others=or_none(others[i]),
            at_least=or_none(bounds.at_least[i]),
            at_most=or_none(bounds.at_most[i]),
            p_value=or_none(p_values[i]),
            p_below=or_none(below[i]),
        )
        for i, size in enumerate(sizes)
    ]


def _units(values: FloatArray, part: BoolArray, labels: IntArray | None) -> FloatArray:
    return values[:, part] if labels is None else cluster_means(values[:, part], labels[part])


def _p_less(inside: FloatArray, outside: FloatArray) -> FloatArray:
    """(n_sizes,) p-values of "the slice keeps no less than the other queries" against "it keeps less".

    With s the share that all keep together, D = x - s y has mean 0 over all; the slice's mean of D is compared with the
    others'. The standard error is the larger of Welch's, which sees the slice's own spread, and the pooled one, which sees
    what the slice happened not to contain (a slice without any of the rare gains has hardly a spread); the degrees of
    freedom are those of the smaller part. Both choices err towards no finding.
    """
    together = np.hstack([inside, outside])
    total = together[0].sum()
    share = together[1:].sum(axis=1, keepdims=True) / (total if total > 0 else 1.0)
    d_in, d_out = (part[1:] - share * part[0] for part in (inside, outside))
    n_in, n_out = inside.shape[1], outside.shape[1]
    pooled = np.hstack([d_in, d_out]).var(axis=1, ddof=1) * (1 / n_in + 1 / n_out)
    welch = d_in.var(axis=1, ddof=1) / n_in + d_out.var(axis=1, ddof=1) / n_out
    error = np.sqrt(np.maximum(pooled, welch))
    gap = d_out.mean(axis=1) - d_in.mean(axis=1)
    changed = error > 1e-12
    t = np.divide(gap, error, out=np.zeros_like(gap), where=changed)
    return np.where(changed, t_tail(t, min(n_in, n_out) - 1), 1.0)


@record
class LosingQuery:
    """Query row `query` fell from `before` at the baseline to `after`; `left` and `came` are document rows, best first."""

    query: int
    before: float
    after: float
    left: tuple[int, ...] = ()
    came: tuple[int, ...] = ()


def biggest_losers(
    scores: Scores,
    candidate: Configuration,
    *,
    measure: Measure,
    n: int = 10,
    ranks: Ranks | None = None,
) -> tuple[LosingQuery, ...]:
    """Returns up to `n` counted queries that lose, the largest loss first (ties in query order); none where nothing is lost.

    With `ranks` that hold top documents for both candidates, each says which documents left and which entered the first k, k
    being the measure's cut-off or, where that is larger or missing, the depth that was kept.
    """
    full = full_size(scores.candidates)
    m = scores.measures.index(measure)
    before, after = (scores.values[scores.candidates.index(c), m] for c in (full, candidate))
    loss = np.where(scores.counted[m], before - after, 0.0)
    order = np.argsort(-np.round(loss, 12), kind="stable")[:n]
    losing = [int(q) for q in order if loss[q] > UNCHANGED]
    moves = {q: _moved(ranks, full, candidate, q, measure.cutoff) for q in losing}
    return tuple(LosingQuery(q, float(before[q]), float(after[q]), *moves[q]) for q in losing)


def _moved(
    ranks: Ranks | None, full: Configuration, candidate: Configuration, query: int, cutoff: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if ranks is None or ranks.top is None or full not in ranks.candidates or candidate not in ranks.candidates:
        return (), ()
    k = min(cutoff or ranks.top.depth, ranks.top.depth)
    was, now = (_documents(ranks.top.rows[ranks.candidates.index(c), query, :k]) for c in (full, candidate))
    return tuple(d for d in was if d not in now), tuple(d for d in now if d not in was)


def _documents(rows: IntArray) -> list[int]:
    return [int(row) for row in rows if row >= 0]
