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

from threading import Lock
from typing import Any, Final, NamedTuple

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

MANY: Final = 256
"""From so many judged pairs on, a document is placed by a table of where the thresholds of each bucket of scores begin: some
15 ns a document, where a run of vector compares takes .07 ns a document and threshold."""

BUCKETS_A_PAIR: Final = 2

WIDER: Final = 8
"""Where there are such tables, a block holds so many times the documents and so many times fewer queries: a table of some
40 KB is then loaded for 5,000 documents and not for 640."""

AHEAD: Final = 4
"""So many thresholds from the beginning of a bucket on are compared at once; tables end on as many that nothing beats."""

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
def _judge(pairs: Any, judge: Any, j: int, first: int, last: int) -> int:
    """Judge document j against the pairs first:last, whose thresholds it is too close to; returns how many pairs it beats."""
    query, docs, norm, cosine, first_row = judge
    thresholds, rows, _, tied = pairs
    score = prefix_score(query, docs[j, : query.shape[0]], norm, cosine)
    beaten = first
    for p in range(first, last):
        if score > thresholds[p]:
            beaten = p + 1
        elif score == thresholds[p] and rows[p] != first_row + j:
            tied[p] += 1
    return beaten


@inlined
def _add_above(placed: Any, p: int, count: Any) -> None:
    """Count documents above pair p alone, whatever they are to the pairs before it."""
    placed[p] += count
    if p > 0:
        placed[p - 1] -= count


@jit
def _judge_between(pairs: Any, judge: Any, row: Any, inverse: Any, n: int, p: int, low: Any, high: Any) -> None:
    """Settle every document of the block whose score lies between low and high against pair p."""
    for word in range((n + LANES - 1) // LANES):
        start = word * LANES
        bits = above_bits(row, inverse, start, low) & ~above_bits(row, inverse, start, high)
        while bits:
            j = start + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if j < n and _judge(pairs, judge, j, p, p + 1) > p:
                _add_above(pairs[2], p, 1)


@inlined
def _place(pairs: Any, judge: Any, scale: float, band: Any, j: int, score: Any, first: int, end: int) -> Any:
    """Place document j among the sorted thresholds: step by step from `first`, then by bisection up to `end`.

    It must beat every pair before `first` and none from `end` on. Returns 1 where it beats any, else 0.
    """
    thresholds, _, placed, _ = pairs
    n_pairs = thresholds.shape[0]
    last = min(first + STEPS, end)
    while first < last and _limit(thresholds, first, scale) + band < score:
        first += 1
    if first == last:
        last = end
        while first < last:
            middle = (first + last) // 2
            if _limit(thresholds, middle, scale) + band < score:
                first = middle + 1
            else:
                last = middle
    last = first
    while last < n_pairs and _limit(thresholds, last, scale) - band < score:
        last += 1
    if last > first:
        first = _judge(pairs, judge, j, first, last)
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
def _offer(best: Any, judge: Any, scale: float, band: Any, j: int, bar: Any) -> Any:
    """Let document j into the query's best; returns what a score must now exceed to matter."""
    query, docs, norm, cosine, first_row = judge
    scores, rows, floor, q = best
    insert_top(scores, rows, prefix_score(query, docs[j, : query.shape[0]], norm, cosine), first_row + j)
    floor[q] = max(floor[q], scores[scores.shape[0] - 1])
    return max(bar, np.float32(floor[q] * scale) - band)


@inlined
def _place_near(pairs: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, near: Any, bar: Any) -> Any:
    """Take each document whose bit is set by itself; returns how many beat any pair."""
    n_pairs, n_placed = pairs[0].shape[0], 0
    for word in range(near.shape[0]):
        bits = near[word]
        while bits:
            j = word * LANES + lowest_bit(bits)
            bits &= bits - ONE_BIT
            score = row[j] * inverse[j]
            n_placed += _place(pairs, judge, scale, band, j, score, 0, n_pairs)
            if score > bar:
                bar = _offer(best, judge, scale, band, j, bar)
    return n_placed


@jit
def _place_all(
    pairs: Any, buckets: Any, best: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, n: int, bar: Any
) -> None:
    """Take every document of the block by itself, placed among many thresholds by a look-up of where its bucket begins.

    The next thresholds are compared without a branch, for which way each goes cannot be foreseen.
    """
    placed, (limits, low, rate, table) = pairs[2], buckets
    n_pairs, last_bucket = placed.shape[0], np.float32(table.shape[0] - 1)
    lowest, slack = limits[0] - band, band + band
    for j in range(n):
        score = row[j] * inverse[j]
        if score > lowest:
            lower = score - band
            start = np.int64(table[np.int64(min(max((score - slack - low) * rate, ZERO), last_bucket))])
            first = start
            for ahead in range(AHEAD):
                first += np.int64(limits[start + ahead] < lower)
            while first == start + AHEAD and limits[first] < lower:
                start = first
                for ahead in range(AHEAD):
                    first += np.int64(limits[start + ahead] < lower)
            if limits[first] - band < score:
                last = first + 1
                while limits[last] - band < score:
                    last += 1
                first = _judge(pairs, judge, j, first, min(last, n_pairs))
            if first > 0:
                placed[first - 1] += 1
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
    thresholds, rows, placed, tied = pairs
    part, inverse_part = row[:n], inverse[:n]
    two = (_limit(thresholds, 0, scale), _limit(thresholds, 1, scale))
    n_bar, lows, highs = _count_two(part, inverse_part, bar, two[0] - band, two[0] + band, two[1] - band, two[1] + band)
    for p in range(2):
        if lows[p] == ZERO:
            return n_bar
        _add_above(placed, p, np.int64(highs[p]))
        if lows[p] != highs[p]:
            _judge_between(pairs, judge, row, inverse, n, p, two[p] - band, two[p] + band)
    n_left = lows[1]
    for start in range(2, thresholds.shape[0], 4):
        lowest = _limit(thresholds, start, scale)
        if n_left < SEVERAL:
            n_near = _mark_near(row, inverse, n, lowest - band, near)
            if n_near <= FEW:
                rest = (thresholds[start:], rows[start:], placed[start:], tied[start:])
                placed[start - 1] -= _place_near(rest, best, judge, scale, band, row, inverse, near, INFINITE)
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
            _add_above(placed, start + x, np.int64(highs4[x]))
            if lows4[x] != highs4[x]:
                _judge_between(pairs, judge, row, inverse, n, start + x, four[x] - band, four[x] + band)
        n_left = lows4[3]
    return n_bar


@jit
def _one_block(
    sgemm: int, t: Targets, buckets: Any, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any
) -> None:
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
            judge = (queries[i, :dim], docs, norm, t.cosine, first_row)
            best = (top_scores[q], top_rows[q], floor, q)
            if bar == -np.inf and n > depth:
                bar = _first_bar(row, inverse, n, band, spare[0], spare[1])
            pairs = (thresholds[begin:end], rows[begin:end], placed[begin:end], tied[begin:end])
            first, stop = buckets.offsets[q], buckets.offsets[q + 1]
            if n_near > FEW and stop > first:
                limits = buckets.limits[a, begin + AHEAD * q : end + AHEAD * (q + 1)]
                of_query = (limits, buckets.lows[a, q], buckets.rates[a, q], buckets.tables[a, first:stop])
                _place_all(pairs, of_query, best, judge, scale, band, row, inverse, n, bar)
                continue
            if n_near > FEW + (end - begin) // 2:
                n_best = _count_runs(pairs, best, judge, scale, band, row, inverse, n, near, bar)
                if n_best == ZERO:
                    continue
                _mark_near(row, inverse, n, bar, near)
                pairs = (thresholds[end:end], rows[end:end], placed[end:end], tied[end:end])
            _place_near(pairs, best, judge, scale, band, row, inverse, near, bar)


@jit
def tally_rows(sgemm: int, t: Targets, buckets: Any, tally: Tally, docs: Any, first_row: int, block_docs: int, work: Any) -> Any:
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
            _one_block(sgemm, t, buckets, tally, block, first_row + start, q0, min(q0 + block_queries, n_queries), work)
    return -1


@jit
def _pair_scores(queries: Any, docs: Any, query_rows: Any, edges: Any, norms: Any, cosine: bool, out: Any) -> None:
    for i in range(docs.shape[0]):
        q = query_rows[i]
        for a in range(edges.shape[0] - 1):
            dim = edges[a + 1]
            out[a, i] = prefix_score(queries[q, :dim], docs[i, :dim], norms[a, q], cosine)


class Buckets(NamedTuple):
    """Where the sorted thresholds of a query begin in equal buckets of scores, for queries of `MANY` pairs and more.

    `tables` (n_sizes, n) int32 hold, from offsets[q] (n_queries + 1,) int64 on, the first pair of each bucket or a later one.
    Bucket 0 begins at `lows`, and a score is worth `rates` buckets (both (n_sizes, n_queries) float32). `limits` float32 are
    the thresholds in the filter's scale, each query's followed by `AHEAD` infinite ones.
    """

    offsets: Any
    lows: Any
    rates: Any
    tables: Any
    limits: Any


def make_buckets(targets: Targets, many_pairs: int = MANY) -> Buckets:
    """The tables of all queries with so many pairs and more; empty ones for the others."""
    n_pairs = np.diff(targets.offsets)
    n_sizes, many = len(targets.edges) - 1, np.flatnonzero(n_pairs >= many_pairs)
    lengths = np.zeros(len(n_pairs), np.int64)
    lengths[many] = BUCKETS_A_PAIR * n_pairs[many] + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lows, rates = np.zeros((2, n_sizes, len(n_pairs)), np.float32)
    tables = np.zeros((n_sizes, offsets[-1]), np.int32)
    if not len(many):
        return Buckets(offsets, lows, rates, tables, np.zeros((n_sizes, 0), np.float32))
    query_of = np.repeat(np.arange(len(n_pairs)), n_pairs)
    limits = np.full((n_sizes, len(query_of) + AHEAD * len(n_pairs)), np.inf, np.float32)
    place = np.arange(len(query_of)) + AHEAD * query_of
    of_many = np.flatnonzero(lengths[query_of])
    begins, ends = place[targets.offsets[many]], place[targets.offsets[many + 1] - 1]
    for a in range(n_sizes):
        limits[a, place] = targets.thresholds[a] * targets.scales[a, query_of]
        lows[a, many], width = limits[a, begins], limits[a, ends] - limits[a, begins]
        rates[a, many] = np.divide(lengths[many] - 1, width, out=np.zeros(len(many)), where=width > 1e-30)
        at = ((limits[a, place[of_many]] - lows[a, query_of[of_many]]) * rates[a, query_of[of_many]]).astype(np.int64)
        at = offsets[query_of[of_many]] + np.minimum(at, lengths[query_of[of_many]] - 1)
        before = np.cumsum(np.bincount(at, minlength=int(offsets[-1])))
        before = np.concatenate([[0], before[:-1]])
        tables[a] = before - np.repeat(before[offsets[many]], lengths[many])
    return Buckets(offsets, lows, rates, tables, limits)


def queries_of_a_block(cache_bytes: int, block_docs: int = BLOCK_DOCS) -> int:
    """As many queries as keep the scores of a block of documents about within a second-level cache of this size."""
    return min(max(int(SCORES_PER_CACHE * cache_bytes) // (4 * block_docs), FEWEST_QUERIES), MOST_QUERIES)


class MachineKernel:
    """`Kernel` in machine code. RuntimeError or ImportError where it cannot be had."""

    name = "numba"

    def __init__(self, block_docs: int = BLOCK_DOCS, block_queries: int = MOST_QUERIES, *, many_pairs: int = MANY) -> None:
        self.sgemm = sgemm_address()
        self.block_docs = block_docs
        self.block_queries = block_queries
        self.many_pairs = many_pairs
        self._lock = Lock()
        self._prepared: tuple[Targets, Buckets] | None = None

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.edges) - 1, len(docs)), np.float32)
        _pair_scores(queries, docs, query_rows, targets.edges, targets.norms, targets.cosine, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        buckets = self._buckets(targets)
        times = WIDER if len(buckets.limits[0]) else 1
        block_docs, block_queries = times * self.block_docs, max(self.block_queries // times, 1)
        room = _room(tally, block_docs, block_queries)
        return int(tally_rows(self.sgemm, targets, buckets, tally, docs, first_row, block_docs, room))

    def _buckets(self, targets: Targets) -> Buckets:
        """The tables of these targets, made once a pass."""
        with self._lock:
            if self._prepared is None or self._prepared[0] is not targets:
                self._prepared = (targets, make_buckets(targets, self.many_pairs))
            return self._prepared[1]


def _room(tally: Tally, block_docs: int, block_queries: int) -> tuple[object, ...]:
    """What the loop writes to: compiled code allocates nothing. Rows end on a whole word of `LANES` documents."""
    n_sizes, _, depth = tally.top_scores.shape
    n_words = -(-block_docs // LANES)
    return (
        np.zeros((block_queries, n_words * LANES + PADDING), np.float32),
        np.zeros((n_sizes, n_words * LANES), np.float32),
        np.empty(n_sizes, np.float32),
        np.empty(n_words, np.uint64),
        (np.empty(depth, np.float32), np.empty(depth, np.int64)),
        (np.empty(6, np.int32), np.empty(2, np.float32), np.frombuffer(bytearray(b"TN"), np.uint8)),
    )
