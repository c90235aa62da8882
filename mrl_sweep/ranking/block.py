"""Counting a block of documents against a block of queries, in machine code: scores at every size, compared with thresholds.

Most of what follows is run once per query, size and block: with sizes eight columns apart, for every 250 nanoseconds of the
product. That is why each score is read as few times as can be:

* the product itself says which documents are near: above the lowest threshold, or among the best so far. Nearly every block of
  a task with few judgments ends here;
* `_place_among`: where few are near, each is compared with fifteen thresholds at once;
* `_count_run`: where more are, the lowest thresholds are counted by vector compares of all documents, until few are left;
* `count_by_buckets`: where many are and the query has many pairs, a table says which thresholds a score beats.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.compiled import AMONG, LANES, above_bits, count_among, count_bits, inlined, jit, lowest_bit
from mrl_sweep.ranking.pass_plan import LARGEST_NORM2, LEAST_NORM, ZERO_SQUARED_NORM, Tally, Targets
from mrl_sweep.ranking.placing import INFINITE, ONE, ONE_BIT, ZERO, add_above, count_by_buckets, first_bar, judge_pairs, offer
from mrl_sweep.ranking.tiles import ROUNDINGS, TILE_DOCS, TILE_QUERIES, add_step, pack

FEW: Final = 16
"""Up to so many documents near, comparing each with the thresholds is faster than going through a table of them."""

CROWD: Final = 192
"""Where more documents are near, the lowest thresholds are counted by vector compares of the whole block."""

FINE_COLUMNS: Final = 16
"""Columns that are added up in float32 before float64 goes on."""

FINE_SUM: Final = np.float32(ROUNDINGS * FINE_COLUMNS * 2.0**-24 + 2.0**-40)
FINE_PART: Final = np.float32(8 * 2.0**-24)
"""The error of a fine score for unit vectors, told apart: of its sum, and of what is rounded to float32, by a part of the score.

No partial sum of a step exceeds the product of its two norms, which over all steps add up to at most 1: so the sum is off by at
most the roundings of one step. What float64 adds is far below 2^-40. Threshold, inverse norm and their products are each rounded.
"""

FINE_BAND: Final = float(FINE_SUM + FINE_PART)
"""The sum of both: the error of the largest score, 1."""


@inlined
def _mark_near(row: Any, inverse: Any, low: Any, near: Any) -> Any:
    """Sets the bits of `near` for the documents whose score lies above `low`; returns how many."""
    count = np.int64(0)
    for word in range(near.shape[0]):
        near[word] = above_bits(row, inverse, word * LANES, low)
        count += count_bits(near[word])
    return count


@inlined
def _judge_between(pairs: Any, judge: Any, row: Any, inverse: Any, near: Any, p: int, low: Any, high: Any) -> None:
    """Judges against pair p every document near whose score lies between low and high, and counts it."""
    for word in range(near.shape[0]):
        start = word * LANES
        if near[word] == 0:
            continue
        bits = near[word] & above_bits(row, inverse, start, low) & ~above_bits(row, inverse, start, high)
        while bits:
            j = start + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if judge_pairs(pairs, judge, j, p, p + 1) > p:
                add_above(pairs[2], p, 1)


@jit
def _count_two(row: Any, inverse: Any, t0: Any, t1: Any, band: Any) -> Any:
    """Counts the scores above the lower and above the upper edge of the band around each of two thresholds.

    Loops that start at 0 are the ones that become vector code, and float32 counters keep sixteen lanes where integers, which
    numba widens to 64 bits, keep eight.
    """
    low0, low1, high0, high1 = t0 - band, t1 - band, t0 + band, t1 + band
    a0, a1, b0, b1 = ZERO, ZERO, ZERO, ZERO
    for j in range(row.shape[0]):
        score = row[j] * inverse[j]
        a0 += ONE if score > low0 else ZERO
        a1 += ONE if score > low1 else ZERO
        b0 += ONE if score > high0 else ZERO
        b1 += ONE if score > high1 else ZERO
    return (a0, a1), (b0, b1)


@jit
def _count_four(row: Any, inverse: Any, t0: Any, t1: Any, t2: Any, t3: Any, band: Any) -> Any:
    """Counts as `_count_two` does for four thresholds: each score is read once."""
    low0, low1, low2, low3 = t0 - band, t1 - band, t2 - band, t3 - band
    high0, high1, high2, high3 = t0 + band, t1 + band, t2 + band, t3 + band
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


@inlined
def _settle_run(pairs: Any, filtered: Any, judge: Any, band: Any, first: int, lows: Any, highs: Any) -> None:
    """Adds the counts `lows` and `highs` of the pairs from `first` on, and judges the documents between, within the bands."""
    limits, row, inverse, near = filtered
    for x in range(len(lows)):
        if lows[x] == ZERO:
            return
        add_above(pairs[2], first + x, np.int64(highs[x]))
        if lows[x] != highs[x]:
            _judge_between(pairs, judge, row, inverse, near, first + x, limits[first + x] - band, limits[first + x] + band)


@inlined
def _count_run(pairs: Any, filtered: Any, judge: Any, band: Any, first: int, n: int) -> int:
    """Counts the first n documents against two or four pairs from `first` on; returns the first pair that is left."""
    limits, row, inverse = filtered[0], filtered[1][:n], filtered[2][:n]
    left = pairs[0].shape[0] - first
    t0, t1 = limits[first], limits[first + 1] if left > 1 else INFINITE
    if left <= 2:
        lows, highs = _count_two(row, inverse, t0, t1, band)
        _settle_run(pairs, filtered, judge, band, first, lows, highs)
        return first + 2
    t2, t3 = limits[first + 2], limits[first + 3] if left > 3 else INFINITE
    four_lows, four_highs = _count_four(row, inverse, t0, t1, t2, t3, band)
    _settle_run(pairs, filtered, judge, band, first, four_lows, four_highs)
    return first + 4


@inlined
def _place_among(pairs: Any, filtered: Any, judge: Any, band: Any, first: int, bar: Any, counts: Any) -> Any:
    """Places the documents near among the pairs from `first` on; returns how many of them lie above `bar`."""
    limits, row, inverse, near = filtered
    end, n_best = pairs[0].shape[0], ZERO
    while True:
        count_among(near, near.shape[0], row, inverse, limits, first, band, bar, counts)
        n_best = counts[0, AMONG]
        for x in range(min(AMONG, end - first)):
            if counts[0, x] == ZERO:
                return n_best
            add_above(pairs[2], first + x, np.int64(counts[1, x]))
            if counts[0, x] != counts[1, x]:
                low, high = limits[first + x] - band, limits[first + x] + band
                _judge_between(pairs, judge, row, inverse, near, first + x, low, high)
        first += AMONG
        if first >= end:
            return n_best


@inlined
def _offer_near(best: Any, filtered: Any, judge: Any, scale: float, band: Any, bar: Any) -> None:
    """Offers the documents near that exceed `bar` to the query's best."""
    _, row, inverse, near = filtered
    for word in range(near.shape[0]):
        bits = near[word] & above_bits(row, inverse, word * LANES, bar)
        while bits:
            j = word * LANES + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if row[j] * inverse[j] > bar:  # which may have risen since the bits were taken
                bar = offer(best, judge, scale, band, j, bar)


@jit
def _begin(t: Targets, first_row: int, n: int, q0: int, sums: Any) -> None:
    """Sets the sums of the queries from q0 on to 0; those of a query's own document to minus infinity, below any threshold."""
    sums[:] = 0.0
    for i in range(min(sums.shape[0], t.own_rows.shape[0] - q0)):
        own = t.own_rows[q0 + i] - first_row
        if 0 <= own < n:
            sums[i, own] = -np.inf


@jit
def count_block(p: Any, t: Targets, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any) -> None:
    """Counts the documents `docs`, packed in `work`, against the queries q0:q1 at every size. `p` is a `Prepared`."""
    n, depth, offsets = docs.shape[0], tally.top_scores.shape[2], t.offsets
    n_rows = (q1 - q0 + TILE_QUERIES - 1) // TILE_QUERIES * TILE_QUERIES
    n_words = (n + LANES - 1) // LANES
    scores, lows = work.scores, work.lows
    _begin(t, first_row, n, q0, work.scores)
    _begin(t, first_row, n, q0, work.sums)
    fine = work.sums.size > 0
    for s in range(p.steps.shape[0]):
        a = p.steps[s, 2]
        inverse = work.inverses[a]
        unit_band = FINE_BAND if fine else t.bands[a]
        unit_band *= 1.0 if t.scoring else max(work.largest[a], LEAST_NORM)
        norms, scales, floor = t.norms[a], t.scales[a], tally.floor[a]
        if a >= 0:
            for i in range(q1 - q0):
                q = q0 + i
                low = min(p.lowest[a, q], np.float32(floor[q] * scales[q])) - np.float32(unit_band * norms[q])
                lows[i] = low if norms[q] > 0.0 else INFINITE
        step = (p.steps[s, 0], p.steps[s, 1], a)
        tests = (work.inverses, lows, work.near)
        add_step((p.queries, p.n_rows), work.packed, step, n_words * LANES, q0, n_rows, (scores, work.sums), tests)
        if a < 0:
            continue
        for i in range(q1 - q0):
            near, n_near = work.near[i, :n_words], np.int64(0)
            for word in range(n_words):
                n_near += count_bits(near[word])
            if n_near == 0:
                continue
            q, row = q0 + i, scores[i]
            norm, scale, band, begin, end = norms[q], scales[q], np.float32(unit_band * norms[q]), offsets[q], offsets[q + 1]
            limits = p.limits[a, begin:]
            filtered = (limits, row, inverse, near)
            judge = (t.queries[q, : t.edges[a + 1]], docs, norm, t.scoring, first_row, work.judged)
            best = (tally.top_scores[a, q], tally.top_rows[a, q], floor, q)
            lowest = p.lowest[a, q] - band
            bar = np.float32(floor[q] * scale) - band
            if bar == -np.inf and n > depth:
                bar = first_bar(row, inverse, n, band, work.best_scores, work.best_rows)
                n_near = _mark_near(row, inverse, min(lowest, bar), near)
            pairs = (t.thresholds[a, begin:end], t.rows[a, begin:end], tally.placed[a, begin:end], tally.tied[a, begin:end])
            first, stop = p.buckets.offsets[q], p.buckets.offsets[q + 1]
            if n_near > FEW and stop > first and 2.0 * unit_band <= p.buckets.bands[a]:
                of_query = (p.buckets.begins[a, first:stop], p.buckets.lows[a, q], p.buckets.rates[a, q])
                bands = (FINE_SUM * band / np.float32(FINE_BAND), FINE_PART) if fine else (band, ZERO)  # less for low scores
                count_by_buckets(pairs, limits, of_query, judge, bands, row, inverse, n, work.listing)
                if _mark_near(row, inverse, bar, near) > 0:
                    _offer_near(best, filtered, judge, scale, band, bar)
                continue
            first = 0
            while n_near > CROWD and first < end - begin:
                first = _count_run(pairs, filtered, judge, band, first, n)
                lowest = limits[first] - band if first < end - begin else INFINITE
                n_near = _mark_near(row, inverse, min(lowest, bar), near)
            if n_near > 0 and _place_among(pairs, filtered, judge, band, first, bar, work.counts) > ZERO:
                _offer_near(best, filtered, judge, scale, band, bar)


@jit
def inverse_norms(docs: Any, edges: Any, scoring: int, out: Any, largest: Any, zeros: Any) -> int:
    """Writes to out[a, j] 1 / |docs[j]| at prefix edges[a + 1], rounded to float32 (1 for the dot product, 0 for a zero prefix).

    Beyond the documents out is NaN, so that no score there is above anything. largest[a] becomes the largest norm of the block
    at that size, zeros[a] grows by its zero prefixes. Returns the first row of `docs` not finite or too large, or -1.
    """
    n, n_sizes = docs.shape[0], edges.shape[0] - 1
    bad = -1
    largest[:] = 0.0
    for a in range(n_sizes):
        for j in range(n, out.shape[1]):
            out[a, j] = np.nan
    for j in range(n):
        norm2 = 0.0
        for a in range(n_sizes):
            part = docs[j, edges[a] : edges[a + 1]]
            for i in range(part.shape[0]):
                x = np.float64(part[i])
                norm2 += x * x
            norm = np.sqrt(norm2)
            zeros[a] += norm2 < ZERO_SQUARED_NORM
            largest[a] = max(largest[a], norm)
            if scoring:
                out[a, j] = 1.0 / norm if norm2 >= ZERO_SQUARED_NORM else 0.0
            else:
                out[a, j] = 1.0
        if not norm2 < LARGEST_NORM2 and bad < 0:  # NaN is not less either
            bad = j
    return bad


@jit
def tally_rows(p: Any, t: Targets, tally: Tally, docs: Any, first_row: int, block_docs: int, work: Any) -> Any:
    """Adds the documents `docs` (n, dim) float32, corpus rows first_row onwards, to the tally. `p` is a `Prepared`.

    Returns the first corpus row not finite or too large, of whose block only zero prefixes are counted, or -1.
    """
    block_queries, n_queries = work.lows.shape[0], t.queries.shape[0]
    for start in range(0, docs.shape[0], block_docs):
        block = docs[start : start + block_docs]
        bad = inverse_norms(block, t.edges, t.scoring, work.inverses, work.largest, tally.zeros)
        if bad >= 0:
            return first_row + start + bad
        pack(block, p.steps, TILE_DOCS, (block.shape[0] + LANES - 1) // LANES * LANES, work.packed)
        for q0 in range(0, n_queries, block_queries):
            count_block(p, t, tally, block, first_row + start, q0, min(q0 + block_queries, n_queries), work)
    return -1
