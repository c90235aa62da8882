"""The hot loop as machine code: scores of one block of documents at every prefix, counted against thresholds.

Scores come from sgemm in float32 and only filter: whatever lies within the rounding error of a threshold is judged again by
`prefix_score`, a float64 inner product rounded to float32. So the counts are those of the judge alone: the same integers for
any blocks, threads, BLAS or kernel.

Most of what follows is run once per query, size and block: with steps of eight columns, for every 150 nanoseconds of the
product. That is why functions take rows instead of tables, and why each score is read as few times as can be:

* `_mark_near`: one compare a document for all pairs and the list of the best; nearly every block of a real task ends here;
* `_place_near`: where few documents are near, each is placed among the thresholds;
* `_count_runs`: where many are, they are counted by runs of vector compares, several thresholds to a run.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.compiled import LANES, above_bits, accumulate_scores, count_bits, inlined, jit, lowest_bit, sgemm_address
from mrl_sweep.ranking.pass_plan import LARGEST_NORM2, LEAST_NORM, Tally, Targets
from mrl_sweep.ranking.prefix import ZERO_SQUARED_NORM
from mrl_sweep.types import Float32Array, IntArray

BLOCK_DOCS: Final = 640
"""Enough that what is done once per query, size and block is little beside the block itself."""

FEWEST_QUERIES: Final = 128
MOST_QUERIES: Final = 512
"""Of a block: with fewer the product is slower, with more it is no faster."""

SCORES_PER_CACHE: Final = 1.25
"""A block of scores may be so many second-level caches large: as measured, from 0.4 to 1.3 is the same within the noise."""

FEW: Final = 16
"""So many documents are placed one by one sooner than they are counted by runs; half a document more for each judged pair."""

SEVERAL: Final = 96
"""Where fewer are left above a threshold, it is seen first whether only few reach the next."""

STEPS: Final = 4
"""So many thresholds are tried in turn, from the lowest, before the rest is bisected."""

PADDING: Final = 16
"""Floats between two rows of scores: rows a power of two apart would contend for the same lines of the cache."""

ZERO: Final = np.float32(0)
ONE: Final = np.float32(1)
ONE_BIT: Final = np.uint64(1)
INFINITE: Final = np.float32(np.inf)


@jit
def prefix_score(query: Any, document: Any, query_norm: float, cosine: bool) -> Any:
    """The judge: the float32 score of one pair of prefixes, rounded from a float64 inner product.

    `query_norm` is the query prefix's float64 norm. Rounding once at the end is what makes ties an equivalence, as in
    trec_eval, which holds scores as float32.
    """
    dot, norm2 = 0.0, 0.0
    for i in range(document.shape[0]):
        x = np.float64(document[i])
        dot += x * query[i]
        norm2 += x * x
    if cosine:
        dot = dot / (np.sqrt(norm2) * query_norm) if norm2 >= ZERO_SQUARED_NORM and query_norm > 0.0 else 0.0
    return np.float32(dot)


@jit
def inverse_norms(docs: Any, edges: Any, cosine: bool, out: Any, largest: Any, zeros: Any) -> int:
    """out[a, j] = 1 / |docs[j]| at prefix edges[a + 1], float32 (1 throughout for the dot product, 0 for a zero prefix).

    largest[a] becomes the largest norm of the block at that size, zeros[a] grows by its zero prefixes. Returns the first row
    that is not finite, or -1.
    """
    n, n_sizes = docs.shape[0], edges.shape[0] - 1
    bad = -1
    largest[:] = 0.0
    for j in range(n):
        norm2 = ZERO
        for a in range(n_sizes):
            part = docs[j, edges[a] : edges[a + 1]]
            for i in range(part.shape[0]):
                norm2 += part[i] * part[i]
            norm = np.sqrt(norm2)
            zeros[a] += norm2 < ZERO_SQUARED_NORM
            largest[a] = max(largest[a], norm)
            if cosine:
                out[a, j] = ONE / norm if norm2 >= ZERO_SQUARED_NORM else ZERO
            else:
                out[a, j] = ONE
        if not norm2 < np.float32(LARGEST_NORM2) and bad < 0:
            bad = j
    return bad


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


@inlined
def _limit(thresholds: Any, p: int, scale: float) -> Any:
    """The threshold of pair p as the filter's scores have it; infinite beyond the last pair."""
    return np.float32(thresholds[p] * scale) if p < thresholds.shape[0] else INFINITE


@jit
def _judge(pairs: Any, judge: Any, j: int, first: int, last: int) -> None:
    """Settle document j against the pairs first:last, whose thresholds it is too close to."""
    query, docs, norm, cosine, first_row = judge
    thresholds, rows, above, tied = pairs
    score = prefix_score(query, docs[j, : query.shape[0]], norm, cosine)
    for p in range(first, last):
        if rows[p] != first_row + j:
            if score > thresholds[p]:
                above[p] += 1
            elif score == thresholds[p]:
                tied[p] += 1


@jit
def _judge_between(pairs: Any, judge: Any, row: Any, inverse: Any, n: int, p: int, low: Any, high: Any) -> None:
    """Settle every document of the block whose score lies between low and high against pair p."""
    for word in range((n + LANES - 1) // LANES):
        start = word * LANES
        bits = above_bits(row, inverse, start, low) & ~above_bits(row, inverse, start, high)
        while bits:
            j = start + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if j < n:
                _judge(pairs, judge, j, p, p + 1)


@inlined
def _place(pairs: Any, judge: Any, scale: float, band: Any, j: int, score: Any) -> None:
    """Place document j among the sorted thresholds: step by step at first, because most lie low, then by bisection."""
    thresholds, _, above, _ = pairs
    n_pairs = thresholds.shape[0]
    first, last = 0, min(STEPS, n_pairs)
    while first < last and _limit(thresholds, first, scale) + band < score:
        above[first] += 1
        first += 1
    if first == STEPS:
        last = n_pairs
        while first < last:
            middle = (first + last) // 2
            if _limit(thresholds, middle, scale) + band < score:
                first = middle + 1
            else:
                last = middle
        for p in range(STEPS, first):
            above[p] += 1
    last = first
    while last < n_pairs and _limit(thresholds, last, scale) - band < score:
        last += 1
    if last > first:
        _judge(pairs, judge, j, first, last)


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
def _offer(best: Any, judge: Any, scale: float, band: Any, j: int, bar: Any) -> Any:
    """Let document j into the query's best; returns what a score must now exceed to matter."""
    query, docs, norm, cosine, first_row = judge
    scores, rows, floor, q = best
    insert_top(scores, rows, prefix_score(query, docs[j, : query.shape[0]], norm, cosine), first_row + j)
    floor[q] = max(floor[q], scores[scores.shape[0] - 1])
    return max(bar, np.float32(floor[q] * scale) - band)


@inlined
def _place_near(pairs: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, near: Any, bar: Any) -> None:
    """Take each document whose bit is set by itself."""
    for word in range(near.shape[0]):
        bits = near[word]
        while bits:
            j = word * LANES + lowest_bit(bits)
            bits &= bits - ONE_BIT
            score = row[j] * inverse[j]
            _place(pairs, judge, scale, band, j, score)
            if score > bar:
                bar = _offer(best, judge, scale, band, j, bar)


@jit
def _first_bar(row: Any, inverse: Any, n: int, band: Any, scores: Any, rows: Any) -> Any:
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


@inlined
def _count_runs(
    pairs: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, n: int, near: Any, bar: Any
) -> Any:
    """Count the block against the pairs, from the lowest threshold up, until few documents are left: those are placed.

    Returns how many documents lie above `bar`.
    """
    thresholds, rows, above, tied = pairs
    part, inverse_part = row[:n], inverse[:n]
    two = (_limit(thresholds, 0, scale), _limit(thresholds, 1, scale))
    n_bar, lows, highs = _count_two(part, inverse_part, bar, two[0] - band, two[0] + band, two[1] - band, two[1] + band)
    for p in range(2):
        if lows[p] == ZERO:
            return n_bar
        above[p] += np.int64(highs[p])
        if lows[p] != highs[p]:
            _judge_between(pairs, judge, row, inverse, n, p, two[p] - band, two[p] + band)
    n_left = lows[1]
    for start in range(2, thresholds.shape[0], 4):
        lowest = _limit(thresholds, start, scale)
        if n_left < SEVERAL:
            n_near = _mark_near(row, inverse, n, lowest - band, near)
            if n_near <= FEW:
                rest = (thresholds[start:], rows[start:], above[start:], tied[start:])
                _place_near(rest, best, judge, scale, band, row, inverse, near, INFINITE)
                return n_bar
        four = (
            lowest,
            _limit(thresholds, start + 1, scale),
            _limit(thresholds, start + 2, scale),
            _limit(thresholds, start + 3, scale),
        )
        lows4, highs4 = _count_four(part, inverse_part, four, band)
        for x in range(4):
            if lows4[x] == ZERO:
                return n_bar
            above[start + x] += np.int64(highs4[x])
            if lows4[x] != highs4[x]:
                _judge_between(pairs, judge, row, inverse, n, start + x, four[x] - band, four[x] + band)
        n_left = lows4[3]
    return n_bar


@jit
def _one_block(sgemm: int, t: Targets, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any) -> None:
    """One block of documents against the queries q0:q1 at every size."""
    scores, inverses, largest, words, spare, arguments = work
    n, depth, queries, offsets = docs.shape[0], tally.top_scores.shape[2], t.queries[q0:q1], t.offsets
    near = words[: (n + LANES - 1) // LANES]
    for a in range(t.edges.shape[0] - 1):
        accumulate_scores(sgemm, docs, queries, t.edges[a], t.edges[a + 1], scores, arguments)
        if a == 0:
            for q in range(q0, q1):
                if first_row <= t.own_rows[q] < first_row + n:
                    scores[q - q0, t.own_rows[q] - first_row] = -np.inf
        dim, unit_band = t.edges[a + 1], t.bands[a] * (1.0 if t.cosine else max(largest[a], LEAST_NORM))
        inverse, norms, scales, thresholds, rows = inverses[a], t.norms[a], t.scales[a], t.thresholds[a], t.rows[a]
        above, tied, floor = tally.above[a], tally.tied[a], tally.floor[a]
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
            judge = (queries[i, :dim], docs, norm, t.cosine, first_row)
            best = (top_scores[q], top_rows[q], floor, q)
            if bar == -np.inf and n > depth:
                bar = _first_bar(row, inverse, n, band, spare[0], spare[1])
            pairs = (thresholds[begin:end], rows[begin:end], above[begin:end], tied[begin:end])
            if n_near > FEW + (end - begin) // 2:
                n_best = _count_runs(pairs, best, judge, scale, band, row, inverse, n, near, bar)
                if n_best == ZERO:
                    continue
                _mark_near(row, inverse, n, bar, near)
                pairs = (thresholds[end:end], rows[end:end], above[end:end], tied[end:end])
            _place_near(pairs, best, judge, scale, band, row, inverse, near, bar)


@jit
def tally_rows(sgemm: int, t: Targets, tally: Tally, docs: Any, first_row: int, block_docs: int, work: Any) -> Any:
    """Add the documents `docs` (n, dim) float32, corpus rows first_row onwards, to the tally.

    Returns the first corpus row that holds a value that is not finite (nothing of its block is counted), or -1.
    """
    scores, inverses, largest, _, _, _ = work
    block_queries, n_queries = scores.shape[0], t.queries.shape[0]
    for start in range(0, docs.shape[0], block_docs):
        block = docs[start : start + block_docs]
        bad = inverse_norms(block, t.edges, t.cosine, inverses, largest, tally.zeros)
        if bad >= 0:
            return first_row + start + bad
        for q0 in range(0, n_queries, block_queries):
            _one_block(sgemm, t, tally, block, first_row + start, q0, min(q0 + block_queries, n_queries), work)
    return -1


@jit
def _pair_scores(queries: Any, docs: Any, query_rows: Any, edges: Any, norms: Any, cosine: bool, out: Any) -> None:
    for i in range(docs.shape[0]):
        q = query_rows[i]
        for a in range(edges.shape[0] - 1):
            dim = edges[a + 1]
            out[a, i] = prefix_score(queries[q, :dim], docs[i, :dim], norms[a, q], cosine)


def queries_of_a_block(cache_bytes: int, block_docs: int = BLOCK_DOCS) -> int:
    """As many queries as keep the scores of a block of documents about within a second-level cache of this size."""
    return min(max(int(SCORES_PER_CACHE * cache_bytes) // (4 * block_docs), FEWEST_QUERIES), MOST_QUERIES)


class MachineKernel:
    """`Kernel` in machine code. RuntimeError or ImportError where it cannot be had."""

    name = "numba"

    def __init__(self, block_docs: int = BLOCK_DOCS, block_queries: int = MOST_QUERIES) -> None:
        self.sgemm = sgemm_address()
        self.block_docs = block_docs
        self.block_queries = block_queries

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.edges) - 1, len(docs)), np.float32)
        _pair_scores(queries, docs, query_rows, targets.edges, targets.norms, targets.cosine, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        return int(tally_rows(self.sgemm, targets, tally, docs, first_row, self.block_docs, self._room(tally)))

    def _room(self, tally: Tally) -> tuple[object, ...]:
        """What the loop writes to: compiled code allocates nothing. Rows end on a whole word of `LANES` documents."""
        n_sizes, _, depth = tally.top_scores.shape
        n_words = -(-self.block_docs // LANES)
        return (
            np.zeros((self.block_queries, n_words * LANES + PADDING), np.float32),
            np.zeros((n_sizes, n_words * LANES), np.float32),
            np.empty(n_sizes, np.float32),
            np.empty(n_words, np.uint64),
            (np.empty(depth, np.float32), np.empty(depth, np.int64)),
            (np.empty(6, np.int32), np.empty(2, np.float32), np.frombuffer(bytearray(b"TN"), np.uint8)),
        )
