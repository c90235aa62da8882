"""A document among the thresholds of a query, in machine code: judged, placed, let into the list of the best.

`pairs` are a query's thresholds, rows, and the counts `placed` and `tied` of a tally; `judge` is its prefix, the block of
documents, the prefix's norm, how it is scored (`Targets.scoring`), the block's first corpus row, and an int64 that adds up the
columns of all products that were judged because they are close to a threshold.

Where a query has many judged pairs, its documents are placed by a table (`Buckets`) of where the thresholds of each bucket of
scores begin. A score falls into a bucket by one multiplication, and never into a lower one than a smaller score. The bucket says
which pairs a document beats for certain, and two compares whether it beats the next two: nothing is guessed, so that no guess of
the processor is wrong. A document of a bucket that more thresholds come near, or within the band of one, is listed, and placed
by itself.

numba caches a function by the file it stands in: after a change here, remove what is cached of `block` and `kernel`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.compiled import LANES, inlined, jit, lowest_bit, to_half
from mrl_sweep.ranking.pass_plan import HALF, ZERO_SQUARED_NORM, Targets
from mrl_sweep.types import Float32Array

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
def prefix_score(query: Any, document: Any, query_norm: float, scoring: int) -> Any:
    """The judge: the float32 score of one pair of prefixes, rounded from a float64 inner product.

    `query_norm` is the query prefix's float64 norm. Rounding once at the end is what makes ties an equivalence, as in
    trec_eval, which holds scores as float32.
    """
    if scoring == HALF:
        return _half_score(query, document, query_norm)
    dot, norm2 = 0.0, 0.0
    for i in range(document.shape[0]):
        x = np.float64(document[i])
        dot += x * query[i]
        norm2 += x * x
    if scoring:
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
    query, docs, norm, scoring, first_row, judged = judge
    thresholds, rows, _, tied = pairs
    if last - first == 1 and rows[first] == first_row + j:
        return first
    judged[0] += query.shape[0]
    score = prefix_score(query, docs[j, : query.shape[0]], norm, scoring)
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
    query, docs, norm, scoring, first_row, _ = judge
    scores, rows, floor, q = best
    insert_top(scores, rows, prefix_score(query, docs[j, : query.shape[0]], norm, scoring), first_row + j)
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


BUCKETS_A_PAIR: Final = 4
"""With more, fewer documents are listed, and the tables grow beyond the first-level cache."""

AT_ONCE: Final = 1024
"""Documents whose buckets are found before they are counted: few enough for the first-level cache."""

TOP_SHARE: Final = 128
STRETCHED: Final = np.float32(2)
"""Where the highest thresholds, one in so many, would make the buckets so many times wider, they lie in the last one with all
beyond it, and their documents are listed; elsewhere only as many lie there as are compared."""

MANY_NEAR: Final = np.uint16(1 << 15)
"""Set in the table for a bucket that more than `COMPARED` thresholds come near."""

COMPARED: Final = 2
"""Thresholds that a document is compared with, from the first that its bucket leaves open."""

MOST_PAIRS: Final = 2**15 - 1
"""Of a query with a table: what an entry can count. Those of longer ones are counted by runs."""

WIDTH_IN_BANDS: Final = 64.0
"""The buckets of a query reach at least so many bands: thresholds that lie closer together are told apart by the judge alone."""


class Buckets(NamedTuple):
    """Tables of the queries that have many judged pairs; those of the others are empty.

    `begins` (n_sizes, n) uint16 hold, from offsets[q] up to offsets[q + 1] (n_queries + 1,) int64, for each bucket of query q
    how many of its thresholds lie in lower buckets, with `MANY_NEAR` where more than `COMPARED` may lie in it. Bucket 1 begins
    below the lowest threshold, at `lows`, and a score is worth `rates` buckets (both (n_sizes, n_queries) float32). `bands`
    (n_sizes,) float64: how far around a threshold a bucket is near it, for unit vectors: good for blocks whose band is at most
    half as wide.
    """

    offsets: Any
    lows: Any
    rates: Any
    begins: Any
    bands: Any

    @property
    def longest(self) -> int:
        """The most entries that a query has; 0 where none has a table."""
        return int(np.diff(self.offsets).max(initial=0))


def make_buckets(targets: Targets, many_pairs: int, unit_bands: Any) -> Buckets:
    """The tables of all queries with at least `many_pairs` (from 1) judged pairs, for bands (n_sizes,) of unit queries."""
    n_sizes, n_pairs = len(targets.edges) - 1, np.diff(targets.offsets)
    many = np.flatnonzero((n_pairs >= many_pairs) & (n_pairs <= MOST_PAIRS))
    lengths = np.zeros(len(n_pairs), np.int64)
    lengths[many] = BUCKETS_A_PAIR * n_pairs[many] + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lows: Float32Array
    rates: Float32Array
    lows, rates = np.zeros((2, n_sizes, len(n_pairs)), np.float32)
    buckets = Buckets(offsets, lows, rates, np.empty((n_sizes, offsets[-1]), np.uint16), 2.0 * np.asarray(unit_bands, np.float64))
    if len(many):
        _fill(targets, buckets)
    return buckets


@jit
def _bucket(score: Any, low: Any, rate: Any, last: Any) -> Any:
    """The bucket of a score, as `count_by_buckets` finds it."""
    at = (score - low) * rate + ONE
    at = at if at > ZERO else ZERO
    return np.int64(at if at < last else last)


@jit
def _fill(t: Targets, buckets: Buckets) -> None:
    """Fill each table from its first entry on, along the sorted thresholds."""
    offsets, lows, rates, begins, bands = buckets
    for q in range(offsets.shape[0] - 1):
        begin, n_pairs, length = t.offsets[q], t.offsets[q + 1] - t.offsets[q], offsets[q + 1] - offsets[q]
        if length == 0:
            continue
        last = np.float32(length - 1)
        for a in range(begins.shape[0]):
            scale, thresholds = t.scales[a, q], t.thresholds[a, begin : begin + n_pairs]
            band = np.float32(bands[a] * t.norms[a, q])
            table = begins[a, offsets[q] : offsets[q + 1]]
            low = np.float32(thresholds[0] * scale) - band - band
            width = np.float32(thresholds[max(n_pairs - COMPARED, 0)] * scale) + band + band - low
            of_most = np.float32(thresholds[n_pairs - 1 - n_pairs // TOP_SHARE] * scale) + band + band - low
            if width > STRETCHED * of_most:
                width = of_most
            width = max(width, np.float32(WIDTH_IN_BANDS * band))
            rate = np.float32((length - 2) / width) if width > ZERO else ZERO
            lows[a, q], rates[a, q] = low, rate
            p = 0
            for bucket in range(length):
                while p < n_pairs and _bucket(np.float32(thresholds[p] * scale) + band, low, rate, last) < bucket:
                    p += 1
                entry = np.uint16(p)
                next_one = p + COMPARED
                if next_one < n_pairs and _bucket(np.float32(thresholds[next_one] * scale) - band, low, rate, last) <= bucket:
                    entry |= MANY_NEAR
                table[bucket] = entry


@jit
def _count_certain(
    scores: Any,
    inverses: Any,
    begins: Any,
    low: Any,
    rate: Any,
    lows: Any,
    highs: Any,
    counts: Any,
    ats: Any,
    listed: Any,
) -> Any:
    """Count documents by how many thresholds they beat; returns how many were `listed` instead."""
    last = np.float32(begins.shape[0] - 1)
    for j in range(scores.shape[0]):  # becomes vector code, which look-ups cannot
        at = (scores[j] * inverses[j] - low) * rate + ONE
        at = at if at > ZERO else ZERO
        ats[j] = np.int32(at if at < last else last)
    n_listed = np.uint64(0)  # unsigned numbers are indices as they are: numba looks at the sign of others
    for j in range(scores.shape[0]):
        score = scores[j] * inverses[j]
        entry = np.uint32(begins[np.uint32(ats[j])])
        first = entry & np.uint32(MOST_PAIRS)
        second = first + np.uint32(1)
        beaten = first + np.uint32(highs[first] < score) + np.uint32(highs[second] < score)
        reached = first + np.uint32(lows[first] < score) + np.uint32(lows[second] < score)
        is_open = (entry >> np.uint32(15)) | np.uint32(beaten != reached)
        counts[beaten] += np.uint32(1) - is_open
        listed[n_listed] = j
        n_listed += np.uint64(is_open)
    return n_listed


@jit
def count_by_buckets(
    pairs: Any, buckets: Any, judge: Any, scale: float, bands: Any, row: Any, inverse: Any, n: int, room: Any
) -> None:
    """Count the first n documents of a block against the pairs of a query.

    `buckets` are its entries of a `Buckets` at one size. `bands` are how far a score may be off: whatever it is, and in parts of
    itself. `room` is what is written to: `counts` uint32 zeros, one more than there are pairs; `lows` and `highs` float32,
    `COMPARED` more than there are pairs; `ats` and `listed` (AT_ONCE,) int32.
    """
    (begins, low, rate), (counts, lows, highs, ats, listed), (band, part) = buckets, room, bands
    thresholds, _, placed, _ = pairs
    n_pairs = placed.shape[0]
    for p in range(n_pairs):
        bar = np.float32(thresholds[p] * scale)
        off = band + part * np.abs(bar)
        lows[p], highs[p] = bar - off, bar + off
    lows[n_pairs : n_pairs + COMPARED], highs[n_pairs : n_pairs + COMPARED] = INFINITE, INFINITE
    for start in range(0, n, AT_ONCE):
        scores, inverses = row[start : min(start + AT_ONCE, n)], inverse[start:]
        n_listed = _count_certain(scores, inverses, begins, low, rate, lows, highs, counts, ats, listed)
        for i in range(n_listed):
            doc = np.int64(listed[i])
            first = np.int64(begins[ats[doc]] & np.uint16(MOST_PAIRS))
            place(
                pairs,
                judge,
                scale,
                band + part * np.abs(scores[doc] * inverses[doc]),
                start + doc,
                scores[doc] * inverses[doc],
                first,
                n_pairs,
            )
    counts[0] = 0  # those below every threshold
    for p in range(n_pairs):
        placed[p] += counts[p + 1]
        counts[p + 1] = 0
