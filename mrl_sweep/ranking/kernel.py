"""The hot loop as machine code: scores of one block of documents at every prefix, counted against thresholds.

Scores come from sgemm in float32 and only filter: whatever lies within the rounding error of a threshold is judged again by
`prefix_score`, a float64 inner product rounded to float32. So the counts are those of the judge alone: the same integers for
any blocks, threads, BLAS or kernel.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.blas import accumulate_scores, jit, sgemm_address
from mrl_sweep.ranking.prefix import ZERO_SQUARED_NORM
from mrl_sweep.ranking.targets import LARGEST_NORM2, LEAST_NORM, Tally, Targets
from mrl_sweep.types import Float32Array, IntArray

CHUNK: Final = 128
"""Documents tested by one run of vector compares before any is looked at singly."""

BLOCK_DOCS: Final = 512
BLOCK_QUERIES: Final = 512
"""A block of scores and the slices it comes from stay in the second-level cache."""


@jit
def prefix_score(query: Any, document: Any, dim: int, query_norm: float, cosine: bool) -> Any:
    """The judge: the float32 score of one pair at one prefix, rounded from a float64 inner product.

    `query_norm` is the query's float64 norm at that prefix. Rounding once at the end is what makes ties an equivalence,
    as in trec_eval, which holds scores as float32.
    """
    dot, norm2 = 0.0, 0.0
    for i in range(dim):
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
        norm2 = np.float32(0.0)
        for a in range(n_sizes):
            for i in range(edges[a], edges[a + 1]):
                norm2 += docs[j, i] * docs[j, i]
            norm = np.sqrt(norm2)
            zeros[a] += norm2 < ZERO_SQUARED_NORM
            largest[a] = max(largest[a], norm)
            if cosine:
                out[a, j] = np.float32(1.0) / norm if norm2 >= ZERO_SQUARED_NORM else np.float32(0.0)
            else:
                out[a, j] = np.float32(1.0)
        if not norm2 < np.float32(LARGEST_NORM2) and bad < 0:
            bad = j
    return bad


@jit
def _count_between(scores: Any, i: int, inverse: Any, a: int, n: int, low: Any, high: Any) -> Any:
    """How many of the first n scores of query i lie above `low`, and how many above `high`."""
    above_low, above_high = np.int32(0), np.int32(0)
    for j in range(n):
        score = scores[i, j] * inverse[a, j]
        above_low += np.int32(score > low)
        above_high += np.int32(score > high)
    return above_low, above_high


@jit
def _count_above(row: Any, inverse: Any, low: Any) -> Any:
    """How many scores lie above `low`. Loops that start at 0 are the ones that become vector code."""
    count = np.int32(0)
    for j in range(row.shape[0]):
        count += np.int32(row[j] * inverse[j] > low)
    return count


@jit
def _judge(t: Targets, tally: Tally, docs: Any, first_row: int, a: int, q: int, j: int, first: int, last: int) -> None:
    """Settle document j against the pairs first:last of query q, whose thresholds it is too close to."""
    score = prefix_score(t.queries[q], docs[j], t.edges[a + 1], t.norms[a, q], t.cosine)
    for p in range(first, last):
        if t.rows[a, p] != first_row + j:
            if score > t.thresholds[a, p]:
                tally.above[a, p] += 1
            elif score == t.thresholds[a, p]:
                tally.tied[a, p] += 1


@jit
def _judge_between(
    t: Targets, tally: Tally, docs: Any, first_row: int, a: int, q: int, p: int, view: Any, low: Any, high: Any
) -> None:
    """Settle every document of the block whose score lies between low and high against pair p."""
    scores, i, inverse = view
    for j in range(docs.shape[0]):
        score = scores[i, j] * inverse[a, j]
        if score > low and not score > high:
            _judge(t, tally, docs, first_row, a, q, j, p, p + 1)


@jit
def _place_each(t: Targets, tally: Tally, docs: Any, first_row: int, a: int, q: int, view: Any, lowest: Any, band: Any) -> None:
    """Place each document above `lowest` among the sorted thresholds of query q by bisection."""
    scores, i, inverse = view
    begin, end, scale = t.offsets[q], t.offsets[q + 1], t.scales[a, q]
    for j in range(docs.shape[0]):
        score = scores[i, j] * inverse[a, j]
        if score > lowest:
            first, last = begin, end
            while first < last:
                middle = (first + last) // 2
                if np.float32(t.thresholds[a, middle] * scale) + band < score:
                    first = middle + 1
                else:
                    last = middle
            for p in range(begin, first):
                tally.above[a, p] += 1
            while last < end and np.float32(t.thresholds[a, last] * scale) - band < score:
                last += 1
            if last > first:
                _judge(t, tally, docs, first_row, a, q, j, first, last)


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
def _kth_largest(scores: Any, i: int, inverse: Any, a: int, n: int, k: int) -> Any:
    """The k-th largest filter score of query i in the block."""
    best, rows = np.full(k, -np.inf, np.float32), np.full(k, -1, np.int64)
    for j in range(n):
        score = scores[i, j] * inverse[a, j]
        if score > best[k - 1]:
            insert_top(best, rows, score, j)
    return best[k - 1]


@jit
def _keep_top(t: Targets, tally: Tally, docs: Any, first_row: int, a: int, q: int, view: Any, band: Any) -> None:
    """Let the documents of a block into the query's best, chunk by chunk, because the bar rises as they enter."""
    scores, i, inverse = view
    best, rows = tally.top_scores[a, q], tally.top_rows[a, q]
    scale, depth, n = t.scales[a, q], best.shape[0], docs.shape[0]
    low = np.float32(best[depth - 1] * scale) - band
    if rows[depth - 1] < 0 and n > depth:  # an empty list would let a whole chunk in
        low = _kth_largest(scores, i, inverse, a, n, depth) - 2 * band
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        if _count_above(scores[i, start:stop], inverse[a, start:stop], low) == 0:
            continue
        for j in range(start, stop):
            if scores[i, j] * inverse[a, j] > low:
                score = prefix_score(t.queries[q], docs[j], t.edges[a + 1], t.norms[a, q], t.cosine)
                insert_top(best, rows, score, first_row + j)
                low = max(low, np.float32(best[depth - 1] * scale) - band)


@jit
def _count_pairs(t: Targets, tally: Tally, docs: Any, first_row: int, a: int, q: int, view: Any, band: Any) -> None:
    """Count a block against the pairs of query q, from the lowest threshold up, until no document reaches one.

    Each threshold costs a run of vector compares. Where thresholds are many and documents above the lowest are few, each
    such document is placed by bisection instead; the constants are the two ways' measured costs in ns.
    """
    scores, i, inverse = view
    n, begin, end, scale = docs.shape[0], t.offsets[q], t.offsets[q + 1], t.scales[a, q]
    for p in range(begin, end):
        threshold = np.float32(t.thresholds[a, p] * scale)
        low, high = threshold - band, threshold + band
        above_low, above_high = _count_between(scores, i, inverse, a, n, low, high)
        if above_low == 0:
            return
        if p == begin and above_low * 25 + 300 < (end - begin) * 30:
            _place_each(t, tally, docs, first_row, a, q, view, low, band)
            return
        tally.above[a, p] += above_high
        if above_low != above_high:
            _judge_between(t, tally, docs, first_row, a, q, p, view, low, high)


@jit
def _one_block(sgemm: int, t: Targets, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any) -> None:
    """One block of documents against the queries q0:q1 at every size."""
    scores, inverse, largest, arguments = work
    n, depth, queries = docs.shape[0], tally.top_scores.shape[2], t.queries[q0:q1]
    norms, offsets, own_rows, thresholds, scales = t.norms, t.offsets, t.own_rows, t.thresholds, t.scales
    above, best = tally.above, tally.top_scores
    for a in range(t.edges.shape[0] - 1):
        accumulate_scores(sgemm, docs, queries, t.edges[a], t.edges[a + 1], scores, arguments)
        if a == 0:
            for q in range(q0, q1):
                if first_row <= own_rows[q] < first_row + n:
                    scores[q - q0, own_rows[q] - first_row] = -np.inf
        unit_band = t.bands[a] * (1.0 if t.cosine else max(largest[a], LEAST_NORM))
        for q in range(q0, q1):
            if norms[a, q] == 0.0:
                continue
            i, p, scale = q - q0, offsets[q], scales[a, q]
            n_pairs, band = offsets[q + 1] - p, np.float32(unit_band * norms[a, q])
            lowest_pair = np.float32(thresholds[a, p] * scale) - band if n_pairs > 0 else np.float32(np.inf)
            lowest_top = np.float32(best[a, q, depth - 1] * scale) - band if depth > 0 else np.float32(np.inf)
            # nearly every block ends here: one compare a document for all pairs and the whole list
            if _count_above(scores[i, :n], inverse[a, :n], min(lowest_pair, lowest_top)) == 0:
                continue
            if n_pairs == 1:
                high = np.float32(thresholds[a, p] * scale) + band
                above_low, above_high = _count_between(scores, i, inverse, a, n, lowest_pair, high)
                above[a, p] += above_high
                if above_low != above_high:
                    _judge_between(t, tally, docs, first_row, a, q, p, (scores, i, inverse), lowest_pair, high)
            elif n_pairs > 1:
                _count_pairs(t, tally, docs, first_row, a, q, (scores, i, inverse), band)
            if depth > 0 and _count_above(scores[i, :n], inverse[a, :n], lowest_top) > 0:
                _keep_top(t, tally, docs, first_row, a, q, (scores, i, inverse), band)


@jit
def tally_rows(sgemm: int, t: Targets, tally: Tally, docs: Any, first_row: int, block_docs: int, block_queries: int) -> Any:
    """Add the documents `docs` (n, dim) float32, corpus rows first_row onwards, to the tally.

    Returns the first corpus row that holds a value that is not finite (nothing of its block is counted), or -1.
    """
    n_sizes, n_queries = t.edges.shape[0] - 1, t.queries.shape[0]
    scores = np.empty((block_queries, block_docs), np.float32)
    inverse, largest = np.empty((n_sizes, block_docs), np.float32), np.empty(n_sizes, np.float32)
    letters = np.empty(2, np.uint8)
    letters[0], letters[1] = 84, 78  # "T", "N": in Fortran's order the scores are docs @ queries.T
    work = (scores, inverse, largest, (np.empty(6, np.int32), np.empty(2, np.float32), letters))
    for start in range(0, docs.shape[0], block_docs):
        block = docs[start : min(start + block_docs, docs.shape[0])]
        bad = inverse_norms(block, t.edges, t.cosine, inverse, largest, tally.zeros)
        if bad >= 0:
            return first_row + start + bad
        for q0 in range(0, n_queries, block_queries):
            q1 = min(q0 + block_queries, n_queries)
            _one_block(sgemm, t, tally, block, first_row + start, q0, q1, work)
    return -1


@jit
def _pair_scores(queries: Any, docs: Any, query_rows: Any, edges: Any, norms: Any, cosine: bool, out: Any) -> None:
    for i in range(docs.shape[0]):
        q = query_rows[i]
        for a in range(edges.shape[0] - 1):
            out[a, i] = prefix_score(queries[q], docs[i], edges[a + 1], norms[a, q], cosine)


class MachineKernel:
    """`Kernel` in machine code. RuntimeError or ImportError where it cannot be had."""

    name = "numba"

    def __init__(self, block_docs: int = BLOCK_DOCS, block_queries: int = BLOCK_QUERIES) -> None:
        self.sgemm = sgemm_address()
        self.block_docs = block_docs
        self.block_queries = block_queries

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.edges) - 1, len(docs)), np.float32)
        _pair_scores(queries, docs, query_rows, targets.edges, targets.norms, targets.cosine, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        return int(tally_rows(self.sgemm, targets, tally, docs, first_row, self.block_docs, self.block_queries))
