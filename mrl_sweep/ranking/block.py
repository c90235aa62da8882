"""One block of documents against a block of queries, as machine code: scores at every size, counted against thresholds.

Most of what follows is run once per query, size and block: with steps of eight columns, for every 150 nanoseconds of the
product. That is why functions take rows instead of tables, and why each score is read as few times as can be:

* `_mark_near`: one compare a document for all pairs and the list of the best; nearly every block of a real task ends here;
* `place_near`: where few documents are near, each is placed among the thresholds;
* `_count_runs`: where many are, they are counted by runs of vector compares, several thresholds to a run;
* `count_by_buckets`: where many are and the query has many pairs, a table says which thresholds a score beats.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.compiled import LANES, above_bits, accumulate_scores, count_bits, inlined, jit, lowest_bit
from mrl_sweep.ranking.pass_plan import LEAST_NORM, Tally, Targets
from mrl_sweep.ranking.placing import (
    INFINITE,
    ONE,
    ONE_BIT,
    ZERO,
    add_above,
    count_by_buckets,
    first_bar,
    judge_pairs,
    limit,
    place_near,
)

FEW: Final = 16
"""So many documents are placed one by one sooner than they are counted by runs; half a document more for each judged pair."""

SEVERAL: Final = 96
"""Where fewer are left above a threshold, it is seen first whether only few reach the next."""

FINE_BAND: Final = 8 * 2.0**-24
"""The error of a score by dgemm for unit vectors: product, inverse norm, their product and the threshold are each rounded."""

FINE_SUM: Final = np.float32(2.0**-40)
FINE_PART: Final = np.float32(8 * 2.0**-24)
"""The same error told apart: dgemm's sum for unit vectors, and what is rounded to float32, each time by a part of the score."""

FINE_COLUMNS: Final = 128
"""Columns at a time that are copied for dgemm."""


@inlined
def _mark_near(row: Any, inverse: Any, n: int, low: Any, near: Any) -> Any:
    """Set the bits of `near` for those of the first n documents whose score lies above `low`; returns how many."""
    count = np.int64(0)
    for word in range((n + LANES - 1) // LANES):
        bits = above_bits(row, inverse, word * LANES, low)
        left = n - word * LANES
        if left < LANES:
            bits &= (ONE_BIT << np.uint64(left)) - ONE_BIT
        near[word] = bits
        count += count_bits(bits)
    return count


@inlined
def _count_two(row: Any, inverse: Any, bar: Any, low0: Any, high0: Any, low1: Any, high1: Any) -> Any:
    """How many scores lie above each of five limits: each score is read once.

    Loops that start at 0 are the ones that become vector code, and float32 counters keep sixteen lanes where integers, which
    numba widens to 64 bits, keep eight.
    """
    n_bar, n_low0, n_high0, n_low1, n_high1 = ZERO, ZERO, ZERO, ZERO, ZERO
    for j in range(row.shape[0]):
        score = row[j] * inverse[j]
        n_bar += ONE if score > bar else ZERO
        n_low0 += ONE if score > low0 else ZERO
        n_high0 += ONE if score > high0 else ZERO
        n_low1 += ONE if score > low1 else ZERO
        n_high1 += ONE if score > high1 else ZERO
    return n_bar, (n_low0, n_low1), (n_high0, n_high1)


@jit
def _count_four(row: Any, inverse: Any, limits: Any, band: Any) -> Any:
    """How many scores lie above the lower and the upper edge of the band around each of four limits."""
    low0, low1, low2, low3 = limits[0] - band, limits[1] - band, limits[2] - band, limits[3] - band
    high0, high1, high2, high3 = limits[0] + band, limits[1] + band, limits[2] + band, limits[3] + band
    a0, a1, a2, a3, b0, b1, b2, b3 = ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for j in range(row.shape[0]):
        score = row[j] * inverse[j]
        a0 += ONE if score > low0 else ZERO
        a1 += ONE if score > low1 else ZERO
        a2 += ONE if score > low2 else ZERO
        a3 += ONE if score > low3 else ZERO
        b0 += ONE if score > high0 else ZERO
        b1 += ONE if score > high1 else ZERO
        b2 += ONE if score > high2 else ZERO
        b3 += ONE if score > high3 else ZERO
    return (a0, a1, a2, a3), (b0, b1, b2, b3)


@jit
def _judge_between(pairs: Any, judge: Any, row: Any, inverse: Any, n: int, p: int, low: Any, high: Any) -> None:
    """Settle every document of the block whose score lies between low and high against pair p."""
    for word in range((n + LANES - 1) // LANES):
        start = word * LANES
        bits = above_bits(row, inverse, start, low) & ~above_bits(row, inverse, start, high)
        while bits:
            j = start + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if j < n and judge_pairs(pairs, judge, j, p, p + 1) > p:
                add_above(pairs[2], p, 1)


@inlined
def _count_runs(
    pairs: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, n: int, near: Any, bar: Any
) -> Any:
    """Count the block against the pairs, from the lowest threshold up, until few documents are left: those are placed.

    Returns how many documents lie above `bar`.
    """
    thresholds, rows, placed, tied = pairs
    part, inverse_part = row[:n], inverse[:n]
    two = (limit(thresholds, 0, scale), limit(thresholds, 1, scale))
    n_bar, lows, highs = _count_two(part, inverse_part, bar, two[0] - band, two[0] + band, two[1] - band, two[1] + band)
    for p in range(2):
        if lows[p] == ZERO:
            return n_bar
        add_above(placed, p, np.int64(highs[p]))
        if lows[p] != highs[p]:
            _judge_between(pairs, judge, row, inverse, n, p, two[p] - band, two[p] + band)
    n_left = lows[1]
    for start in range(2, thresholds.shape[0], 4):
        lowest = limit(thresholds, start, scale)
        if n_left < SEVERAL:
            n_near = _mark_near(row, inverse, n, lowest - band, near)
            if n_near <= FEW:
                rest = (thresholds[start:], rows[start:], placed[start:], tied[start:])
                placed[start - 1] -= place_near(rest, best, judge, scale, band, row, inverse, near, INFINITE)
                return n_bar
        four = (
            lowest,
            limit(thresholds, start + 1, scale),
            limit(thresholds, start + 2, scale),
            limit(thresholds, start + 3, scale),
        )
        lows4, highs4 = _count_four(part, inverse_part, four, band)
        for x in range(4):
            if lows4[x] == ZERO:
                return n_bar
            add_above(placed, start + x, np.int64(highs4[x]))
            if lows4[x] != highs4[x]:
                _judge_between(pairs, judge, row, inverse, n, start + x, four[x] - band, four[x] + band)
        n_left = lows4[3]
    return n_bar


@inlined
def _widen(rows: Any, out: Any) -> None:
    """Write the rows in float64."""
    for j in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            out[j, i] = rows[j, i]


@jit
def _add_slice(gemms: Any, t: Targets, docs: Any, first_row: int, q0: int, q1: int, a: int, work: Any) -> None:
    """Add to the scores what the columns between size a - 1 and size a give; a query's own document scores less than any."""
    (sgemm, dgemm), (scores, arguments, fine) = gemms, work
    lo, hi, queries, n = t.edges[a], t.edges[a + 1], t.queries[q0:q1], docs.shape[0]
    if dgemm == 0:
        accumulate_scores(sgemm, docs[:, lo:hi], queries[:, lo:hi], scores, a == 0, arguments)
    else:
        sums, wide_docs, wide_queries, wide_arguments = fine
        for first in range(lo, hi, FINE_COLUMNS):
            last = min(first + FINE_COLUMNS, hi)
            part_docs, part_queries = wide_docs[:n, : last - first], wide_queries[: q1 - q0, : last - first]
            _widen(docs[:, first:last], part_docs)
            _widen(queries[:, first:last], part_queries)
            accumulate_scores(dgemm, part_docs, part_queries, sums, first == 0, wide_arguments)
        for i in range(q1 - q0):
            for j in range(n):
                scores[i, j] = sums[i, j]
    if a == 0 or dgemm != 0:
        for q in range(q0, q1):
            if first_row <= t.own_rows[q] < first_row + n:
                scores[q - q0, t.own_rows[q] - first_row] = -np.inf


@jit
def count_block(
    gemms: Any, t: Targets, buckets: Any, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any
) -> None:
    """One block of documents against the queries q0:q1 at every size."""
    products, inverses, largest, words, spare, listing, judged = work
    scores = products[0]
    n, depth, queries, offsets = docs.shape[0], tally.top_scores.shape[2], t.queries[q0:q1], t.offsets
    near = words[: (n + LANES - 1) // LANES]
    for a in range(t.edges.shape[0] - 1):
        _add_slice(gemms, t, docs, first_row, q0, q1, a, products)
        dim, unit_band = t.edges[a + 1], t.bands[a] if gemms[1] == 0 else FINE_BAND
        unit_band *= 1.0 if t.scoring else max(largest[a], LEAST_NORM)
        inverse, norms, scales, thresholds, rows = inverses[a], t.norms[a], t.scales[a], t.thresholds[a], t.rows[a]
        placed, tied, floor = tally.placed[a], tally.tied[a], tally.floor[a]
        top_scores, top_rows = tally.top_scores[a], tally.top_rows[a]
        for i in range(q1 - q0):
            q = q0 + i
            norm = norms[q]
            if norm == 0.0:
                continue
            row, scale, band, begin, end = scores[i], scales[q], np.float32(unit_band * norm), offsets[q], offsets[q + 1]
            bar = np.float32(floor[q] * scale) - band
            lowest = np.float32(thresholds[begin] * scale) - band if end > begin else INFINITE
            n_near = _mark_near(row, inverse, n, min(lowest, bar), near)
            if n_near == 0:
                continue
            judge = (queries[i, :dim], docs, norm, t.scoring, first_row, judged)
            best = (top_scores[q], top_rows[q], floor, q)
            if bar == -np.inf and n > depth:
                bar = first_bar(row, inverse, n, band, spare[0], spare[1])
            pairs = (thresholds[begin:end], rows[begin:end], placed[begin:end], tied[begin:end])
            first, stop = buckets.offsets[q], buckets.offsets[q + 1]
            n_best = ONE
            if n_near > FEW and stop > first and 2.0 * unit_band <= buckets.bands[a]:
                of_query = (buckets.begins[a, first:stop], buckets.lows[a, q], buckets.rates[a, q])
                bands = (band, ZERO) if gemms[1] == 0 else (FINE_SUM * band / np.float32(FINE_BAND), FINE_PART)
                count_by_buckets(pairs, of_query, judge, scale, bands, row, inverse, n, listing)
            elif n_near > FEW + (end - begin) // 2:
                n_best = _count_runs(pairs, best, judge, scale, band, row, inverse, n, near, bar)
            else:
                place_near(pairs, best, judge, scale, band, row, inverse, near, bar)
                continue
            if n_best > ZERO:
                _mark_near(row, inverse, n, bar, near)
                none = (thresholds[end:end], rows[end:end], placed[end:end], tied[end:end])
                place_near(none, best, judge, scale, band, row, inverse, near, bar)
