"""One document by itself, in machine code: judged, placed among the thresholds of a query, let into the list of the best.

`pairs` are a query's thresholds, rows, and the counts `placed` and `tied` of a tally; `judge` is its prefix, the block of
documents, the prefix's norm, how it is scored (`Targets.cosine`), the block's first corpus row, and an int64 that adds up the
columns of all products that were judged.

numba caches a function by the file it stands in: after a change here, remove what is cached of `kernel` and `buckets`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.compiled import LANES, inlined, jit, lowest_bit, to_half
from mrl_sweep.ranking.pass_plan import HALF
from mrl_sweep.ranking.prefix import ZERO_SQUARED_NORM

STEPS: Final = 4
"""So many thresholds are tried in turn, from the lowest, before the rest is bisected."""

ZERO: Final = np.float32(0)
ONE: Final = np.float32(1)
ONE_BIT: Final = np.uint64(1)
INFINITE: Final = np.float32(np.inf)


@jit
def _half_score(query: Any, document: Any, query_norm: float) -> Any:
    """The judge of half precision: the prefix is renormalised and its numbers rounded before the float64 inner product."""
    dot, norm2 = 0.0, 0.0
    for i in range(document.shape[0]):
        x = np.float64(document[i])
        norm2 += x * x
    if norm2 < ZERO_SQUARED_NORM or query_norm == 0.0:
        return ZERO
    inverse = np.float32(1.0 / np.sqrt(norm2))
    for i in range(document.shape[0]):
        dot += np.float64(to_half(document[i] * inverse)) * query[i]
    return np.float32(dot / query_norm)


@jit
def prefix_score(query: Any, document: Any, query_norm: float, cosine: int) -> Any:
    """The judge: the float32 score of one pair of prefixes, rounded from a float64 inner product.

    `query_norm` is the query prefix's float64 norm. Rounding once at the end is what makes ties an equivalence, as in
    trec_eval, which holds scores as float32.
    """
    if cosine == HALF:
        return _half_score(query, document, query_norm)
    dot, norm2 = 0.0, 0.0
    for i in range(document.shape[0]):
        x = np.float64(document[i])
        dot += x * query[i]
        norm2 += x * x
    if cosine:
        dot = dot / (np.sqrt(norm2) * query_norm) if norm2 >= ZERO_SQUARED_NORM and query_norm > 0.0 else 0.0
    return np.float32(dot)


@inlined
def limit(thresholds: Any, p: int, scale: float) -> Any:
    """The threshold of pair p as the filter's scores have it; infinite beyond the last pair."""
    return np.float32(thresholds[p] * scale) if p < thresholds.shape[0] else INFINITE


@jit
def judge_pairs(pairs: Any, judge: Any, j: int, first: int, last: int) -> int:
    """Judge document j against the pairs first:last, whose thresholds it is too close to; returns how many pairs it beats.

    A judged document is always too close to its own threshold, which it neither beats nor ties with.
    """
    query, docs, norm, cosine, first_row, judged = judge
    thresholds, rows, _, tied = pairs
    if last - first == 1 and rows[first] == first_row + j:
        return first
    judged[0] += query.shape[0]
    score = prefix_score(query, docs[j, : query.shape[0]], norm, cosine)
    beaten = first
    for p in range(first, last):
        if score > thresholds[p]:
            beaten = p + 1
        elif score == thresholds[p] and rows[p] != first_row + j:
            tied[p] += 1
    return beaten


@inlined
def add_above(placed: Any, p: int, count: Any) -> None:
    """Count documents above pair p alone, whatever they are to the pairs before it."""
    placed[p] += count
    if p > 0:
        placed[p - 1] -= count


@inlined
def place(pairs: Any, judge: Any, scale: float, band: Any, j: int, score: Any, first: int, end: int) -> Any:
    """Place document j among the sorted thresholds: step by step from `first`, then by bisection up to `end`.

    It must beat every pair before `first` and none from `end` on. Returns 1 where it beats any, else 0.
    """
    thresholds, _, placed, _ = pairs
    n_pairs = thresholds.shape[0]
    last = min(first + STEPS, end)
    while first < last and limit(thresholds, first, scale) + band < score:
        first += 1
    if first == last:
        last = end
        while first < last:
            middle = (first + last) // 2
            if limit(thresholds, middle, scale) + band < score:
                first = middle + 1
            else:
                last = middle
    last = first
    while last < n_pairs and limit(thresholds, last, scale) - band < score:
        last += 1
    if last > first:
        first = judge_pairs(pairs, judge, j, first, last)
    if first == 0:
        return 0
    placed[first - 1] += 1
    return 1


@jit
def insert_top(scores: Any, rows: Any, score: Any, row: int) -> None:
    """Insert into a list sorted by descending score, ties by ascending row, if it is good enough."""
    i = scores.shape[0]
    while i > 0 and (score > scores[i - 1] or (score == scores[i - 1] and (rows[i - 1] < 0 or row < rows[i - 1]))):
        i -= 1
        if i + 1 < scores.shape[0]:
            scores[i + 1], rows[i + 1] = scores[i], rows[i]
        scores[i], rows[i] = score, row


@jit
def offer(best: Any, judge: Any, scale: float, band: Any, j: int, bar: Any) -> Any:
    """Let document j into the query's best; returns what a score must now exceed to matter."""
    query, docs, norm, cosine, first_row, judged = judge
    scores, rows, floor, q = best
    judged[0] += query.shape[0]
    insert_top(scores, rows, prefix_score(query, docs[j, : query.shape[0]], norm, cosine), first_row + j)
    floor[q] = max(floor[q], scores[scores.shape[0] - 1])
    return max(bar, np.float32(floor[q] * scale) - band)


@inlined
def place_near(pairs: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, near: Any, bar: Any) -> Any:
    """Take each document whose bit is set by itself; returns how many beat any pair."""
    n_pairs, n_placed = pairs[0].shape[0], 0
    for word in range(near.shape[0]):
        bits = near[word]
        while bits:
            j = word * LANES + lowest_bit(bits)
            bits &= bits - ONE_BIT
            score = row[j] * inverse[j]
            n_placed += place(pairs, judge, scale, band, j, score, 0, n_pairs)
            if score > bar:
                bar = offer(best, judge, scale, band, j, bar)
    return n_placed


@jit
def first_bar(row: Any, inverse: Any, n: int, band: Any, scores: Any, rows: Any) -> Any:
    """What a score must exceed to be among the best of this block alone: an empty list would let in all of it.

    `scores` and `rows` are room for the best.
    """
    depth = scores.shape[0]
    scores[:], rows[:] = -np.inf, -1
    for j in range(n):
        score = row[j] * inverse[j]
        if score > scores[depth - 1]:
            insert_top(scores, rows, score, j)
    return scores[depth - 1] - band - band
