"""Placing a document among the thresholds of a query, in machine code: judging, counting, the list of the best.

`pairs` are a query's thresholds, rows, and the counts `placed` and `tied` of a tally; `judge` is its prefix, the block of
documents, the prefix's norm, how it is scored (`Targets.scoring`), the block's first corpus row, and an int64 that adds up the
columns of all products that were judged because they are close to a threshold.

Where a query has many judged pairs, its documents are placed by a table (`Buckets`) of where the thresholds of each bucket of
scores begin. A score falls into a bucket by one multiplication, and never into a lower one than a smaller score. The bucket says
which pairs a document beats for certain, and two compares whether it beats the next two: nothing is guessed, so that no guess of
the processor is wrong. A document of a bucket that more thresholds come near, or within the band of one, is listed, and placed
by itself.

numba caches a function by the file it stands in: after a change of code here, remove what is cached of `block`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.compiled import inlined, jit, prefetch, to_half
from mrl_sweep.ranking.pass_plan import HALF, ZERO_SQUARED_NORM, Targets
from mrl_sweep.types import Float32Array

STEPS: Final = 4
"""Thresholds that are tried in turn, from the lowest, before the rest is bisected."""

ZERO: Final = np.float32(0)
ONE: Final = np.float32(1)
ONE_BIT: Final = np.uint64(1)
INFINITE: Final = np.float32(np.inf)


@jit
def _half_score(query: Any, document: Any, query_norm: float) -> Any:
    """Judges in half precision: the prefix is renormalised and its numbers rounded before the float64 inner product."""
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
    """Returns the judge's float32 score of one pair of prefixes, rounded from a float64 inner product.

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


@jit
def score_pairs(t: Targets, docs: Any, doc_rows: Any, query_rows: Any, out: Any) -> None:
    """Writes to out[a, i] the judge's score of docs[doc_rows[i]] for query query_rows[i] at size a."""
    for i in range(doc_rows.shape[0]):
        q, document = query_rows[i], docs[doc_rows[i]]
        for a in range(t.edges.shape[0] - 1):
            dim = t.edges[a + 1]
            out[a, i] = prefix_score(t.queries[q, :dim], document[:dim], t.norms[a, q], t.scoring)


@jit
def judge_pairs(pairs: Any, judge: Any, j: int, first: int, last: int) -> int:
    """Judges document j against pairs first:last, whose thresholds are too close to tell; returns how many of all it beats."""
    query, docs, norm, scoring, first_row, judged = judge
    thresholds, rows, _, tied = pairs
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
    """Adds `count` to the documents above pair p, and leaves how many are above every other pair as it is."""
    placed[p] += count
    if p > 0:
        placed[p - 1] -= count


@jit
def place(pairs: Any, limits: Any, judge: Any, band: Any, j: int, score: Any, first: int) -> int:
    """Returns how many pairs document j beats, by their sorted `limits`; it must beat every pair before `first`.

    A judged document is always too close to its own threshold, which it neither beats nor ties with.
    """
    rows, n_pairs, first_row = pairs[1], pairs[2].shape[0], judge[4]
    end = min(first + STEPS, n_pairs)
    while first < end and limits[first] + band < score:
        first += 1
    if first == end:
        end = n_pairs
        while first < end:
            middle = (first + end) // 2
            if limits[middle] + band < score:
                first = middle + 1
            else:
                end = middle
    last = first
    while last < n_pairs and limits[last] - band < score:
        last += 1
    if last - first > 1 or (last > first and rows[first] != first_row + j):
        first = judge_pairs(pairs, judge, j, first, last)
    return first


@jit
def insert_top(scores: Any, rows: Any, score: Any, row: int) -> None:
    """Inserts into a list sorted by descending score, ties by ascending row, if it is good enough."""
    i = scores.shape[0]
    while i > 0 and (score > scores[i - 1] or (score == scores[i - 1] and (rows[i - 1] < 0 or row < rows[i - 1]))):
        i -= 1
        if i + 1 < scores.shape[0]:
            scores[i + 1], rows[i + 1] = scores[i], rows[i]
        scores[i], rows[i] = score, row


@jit
def offer(best: Any, judge: Any, scale: float, band: Any, j: int, bar: Any) -> Any:
    """Judges document j and inserts it into the query's best; returns the bar that a score must now exceed to matter."""
    query, docs, norm, scoring, first_row, _ = judge
    scores, rows, floor, q = best
    insert_top(scores, rows, prefix_score(query, docs[j, : query.shape[0]], norm, scoring), first_row + j)
    floor[q] = max(floor[q], scores[scores.shape[0] - 1])  # threads share it: where one undoes another, more is judged
    return max(bar, np.float32(floor[q] * scale) - band)


@jit
def first_bar(row: Any, inverse: Any, n: int, band: Any, scores: Any, rows: Any) -> Any:
    """Returns what a score must exceed to be among the best of this block alone: an empty list would let in all of it.

    `scores` and `rows` (depth,) are overwritten.
    """
    depth = scores.shape[0]
    scores[:], rows[:] = -np.inf, -1
    for j in range(n):
        score = row[j] * inverse[j]
        if score > scores[depth - 1]:
            insert_top(scores, rows, score, j)
    return scores[depth - 1] - band - band  # both this score and the one that is compared may be off


BUCKETS_A_PAIR: Final = 8
BUCKETS_A_PAIR_OF_LONG: Final = 4
LONG: Final = 512
"""With more buckets fewer documents are compared; from `LONG` pairs on the tables outgrow the first-level cache."""

AT_ONCE: Final = 1024
"""Documents whose buckets are found before they are counted: few enough for the first-level cache."""

TOP_SHARE: Final = 128
STRETCHED: Final = np.float32(2)
"""Where the highest thresholds, one in so many, would make the buckets so many times wider, they lie in the last one with all
beyond it, and their documents are listed; elsewhere only as many lie there as are compared."""

NEAR: Final = np.uint16(1 << 15)
"""Set in the table for a bucket that a threshold comes near."""

COMPARED: Final = 2
"""Thresholds that a listed document is compared with, from the first that its bucket leaves open."""

CACHE_LINE: Final = 64

MOST_PAIRS: Final = 2**15 - 1
"""Pairs of a query with a table, at most: what an entry can count. Queries with more are counted by `_count_run`."""

WIDTH_IN_BANDS: Final = 64.0
"""The buckets of a query reach at least so many bands: thresholds that lie closer together are told apart by the judge alone."""


class Buckets(NamedTuple):
    """Tables of the queries that have many judged pairs; those of the others are empty.

    `begins` (n_sizes, n) uint16 hold, from offsets[q] up to offsets[q + 1] (n_queries + 1,) int64, for each bucket of query q
    how many of its thresholds lie in lower buckets, with `NEAR` where one may lie in it. Bucket 1 begins
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
        """The most entries that a query's table has; 0 where no query has one."""
        return int(np.diff(self.offsets).max(initial=0))


def make_buckets(targets: Targets, limits: Float32Array, many_pairs: int, unit_bands: Any) -> Buckets:
    """Makes the tables of all queries with at least `many_pairs` (from 1) judged pairs, for bands (n_sizes,) of unit queries.

    `limits` (n_sizes, n_pairs or more) float32 are the thresholds as the filter's scores have them.
    """
    n_sizes, n_pairs = len(targets.edges) - 1, np.diff(targets.offsets)
    many = np.flatnonzero((n_pairs >= many_pairs) & (n_pairs <= MOST_PAIRS))
    lengths = np.zeros(len(n_pairs), np.int64)
    lengths[many] = np.where(n_pairs[many] < LONG, BUCKETS_A_PAIR, BUCKETS_A_PAIR_OF_LONG) * n_pairs[many] + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lows: Float32Array
    rates: Float32Array
    lows, rates = np.zeros((2, n_sizes, len(n_pairs)), np.float32)
    buckets = Buckets(offsets, lows, rates, np.empty((n_sizes, offsets[-1]), np.uint16), 2.0 * np.asarray(unit_bands, np.float64))
    if len(many):
        _fill(targets, limits, buckets)
    return buckets


@jit
def _bucket(score: Any, low: Any, rate: Any, last: Any) -> Any:
    """Returns the bucket of a score, by the arithmetic of `_count_certain`."""
    at = (score - low) * rate + ONE
    at = at if at > ZERO else ZERO
    return np.int64(at if at < last else last)


@jit
def _fill(t: Targets, all_limits: Any, buckets: Buckets) -> None:
    """Fills each table from its first entry on, along the sorted thresholds."""
    offsets, lows, rates, begins, bands = buckets
    for q in range(offsets.shape[0] - 1):
        begin, n_pairs, length = t.offsets[q], t.offsets[q + 1] - t.offsets[q], offsets[q + 1] - offsets[q]
        if length == 0:
            continue
        last = np.float32(length - 1)
        for a in range(begins.shape[0]):
            limits, band = all_limits[a, begin : begin + n_pairs], np.float32(bands[a] * t.norms[a, q])
            table = begins[a, offsets[q] : offsets[q + 1]]
            low = limits[0] - band - band
            width = limits[max(n_pairs - COMPARED, 0)] + band + band - low
            of_most = limits[n_pairs - 1 - n_pairs // TOP_SHARE] + band + band - low
            if width > STRETCHED * of_most:
                width = of_most
            width = max(width, np.float32(WIDTH_IN_BANDS * band))
            rate = np.float32((length - 2) / width) if width > ZERO else ZERO
            lows[a, q], rates[a, q] = low, rate
            bucket = 0
            for p in range(n_pairs):
                near, beyond = _bucket(limits[p] - band, low, rate, last), _bucket(limits[p] + band, low, rate, last) + 1
                while bucket < min(near, beyond):
                    table[bucket] = p
                    bucket += 1
                while bucket < beyond:
                    table[bucket] = np.uint16(p) | NEAR
                    bucket += 1
            while bucket < length:
                table[bucket] = n_pairs
                bucket += 1


@jit
def _count_certain(
    scores: Any, inverses: Any, begins: Any, low: Any, rate: Any, counts: Any, ats: Any, listed: Any
) -> Any:  # fmt: skip
    """Counts documents by how many thresholds they beat; returns how many are `listed` instead: those in buckets near one."""
    last = np.float32(begins.shape[0] - 1)
    for j in range(scores.shape[0]):  # becomes vector code, which look-ups cannot
        at = (scores[j] * inverses[j] - low) * rate + ONE
        at = at if at > ZERO else ZERO
        ats[j] = np.int32(at if at < last else last)
    n_listed = np.uint64(0)  # unsigned numbers are indices as they are: numba looks at the sign of others
    for j in range(scores.shape[0]):
        entry = np.uint32(begins[np.uint32(ats[j])])
        is_open = entry >> np.uint32(15)
        counts[entry & np.uint32(MOST_PAIRS)] += np.uint32(1) - is_open
        listed[n_listed] = j
        n_listed += np.uint64(is_open)
    return n_listed


@jit
def _count_listed(
    scores: Any, inverses: Any, begins: Any, lows: Any, highs: Any, counts: Any, ats: Any, listed: Any, n: Any
) -> Any:  # fmt: skip
    """Counts the first n listed documents by two compares; returns how many are still `listed`: those near a threshold."""
    n_listed = np.uint64(0)
    for i in range(n):
        j = np.uint32(listed[i])
        score = scores[j] * inverses[j]
        first = np.uint32(begins[np.uint32(ats[j])]) & np.uint32(MOST_PAIRS)
        second, third = first + np.uint32(1), first + np.uint32(2)
        beaten = first + np.uint32(highs[first] < score) + np.uint32(highs[second] < score)
        reached = first + np.uint32(lows[first] < score) + np.uint32(lows[second] < score) + np.uint32(lows[third] < score)
        is_open = np.uint32(beaten != reached)
        counts[beaten] += np.uint32(1) - is_open
        listed[n_listed] = listed[i]
        n_listed += np.uint64(is_open)
    return n_listed


@inlined
def _prefetch_document(judge: Any, j: int) -> None:
    """Fetches document j into the cache while another is judged: its own turn would wait for memory otherwise."""
    query, docs = judge[0], judge[1]
    for offset in range(0, 4 * query.shape[0], CACHE_LINE):
        prefetch(docs.ctypes.data + j * docs.strides[0] + offset)


@jit
def count_by_buckets(
    pairs: Any, limits: Any, buckets: Any, judge: Any, bands: Any, row: Any, inverse: Any, n: int, room: Any
) -> None:
    """Counts the first n documents of a block against the pairs of a query; `limits` are their thresholds in the filter's scale.

    `buckets` are the query's `begins`, `low` and `rate` at one size. `bands`: how far a score may be off, an absolute part and
    one relative to the score. `room` is written to: `counts` (n_pairs + 1,) uint32 zeros; `lows` and `highs` float32,
    (n_pairs + COMPARED + 1,); `ats` and `listed` (AT_ONCE,) int32.
    """
    (begins, low, rate), (counts, lows, highs, ats, listed), (band, part) = buckets, room, bands
    thresholds, rows, placed, _ = pairs
    n_pairs = placed.shape[0]
    for p in range(n_pairs):
        off = band + part * np.abs(limits[p])
        lows[p], highs[p] = limits[p] - off, limits[p] + off
    lows[n_pairs : n_pairs + COMPARED + 1], highs[n_pairs : n_pairs + COMPARED + 1] = INFINITE, INFINITE
    for start in range(0, n, AT_ONCE):
        scores, inverses = row[start : min(start + AT_ONCE, n)], inverse[start:]
        n_listed = _count_certain(scores, inverses, begins, low, rate, counts, ats, listed)
        n_listed = _count_listed(scores, inverses, begins, lows, highs, counts, ats, listed, n_listed)
        for i in range(n_listed):
            first = np.int64(begins[ats[listed[i]]] & np.uint16(MOST_PAIRS))
            prefetch(rows.ctypes.data + first * rows.itemsize)
            prefetch(thresholds.ctypes.data + first * thresholds.itemsize)
        for i in range(n_listed):
            if i + 1 < n_listed:
                _prefetch_document(judge, start + np.int64(listed[i + 1]))
            j = np.int64(listed[i])
            score = scores[j] * inverses[j]
            first = np.int64(begins[ats[j]] & np.uint16(MOST_PAIRS))
            counts[place(pairs, limits, judge, band + part * np.abs(score), start + j, score, first)] += 1
    counts[0] = 0  # those below every threshold
    for p in range(n_pairs):
        placed[p] += counts[p + 1]
        counts[p + 1] = 0
