"""The kernel of the processor, in machine code: what a pass is prepared for, and how a block of documents is counted.

Scores come from a matrix product and only filter: whatever lies within its rounding error of a threshold is judged again by
`prefix_score`, a float64 inner product rounded to float32. So the counts are those of the judge alone: the same integers for
any blocks, threads or kernel. The product is added up in float32; where so many scores lie so close to a threshold that the judge
would cost more than the product, it is `fine`: added up in float64, a few columns at a time, which leaves a fifth as much to be
judged.

What follows the product is run once per query, size and block: with steps of eight columns, for every 250 nanoseconds of it. The
product itself says which documents are near: above the lowest threshold, or among the best so far. Nearly every block of a task
with few judgments ends here. The scores of those that are near are written to a list, which is compared with fifteen thresholds
at a time, or, where many are near and the query has many pairs, looked up in a table of thresholds (`placing`).
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.compiled import AMONG, LANES, above_bits, count_among, count_bits, inlined, jit, lowest_bit
from mrl_sweep.ranking.pass_plan import HALF, LEAST_NORM, Tally, Targets, steps_of
from mrl_sweep.ranking.placing import (
    AT_ONCE,
    COMPARED,
    INFINITE,
    ONE_BIT,
    ZERO,
    Buckets,
    add_above,
    count_by_buckets,
    first_bar,
    judge_pairs,
    make_buckets,
    offer,
    score_pairs,
)
from mrl_sweep.ranking.tiles import ROUNDINGS, TILE_DOCS, TILE_QUERIES, add_step, inverse_norms, pack
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS: Final = 1280
"""Enough that what is done once per query, size and block is little beside the block itself."""

BLOCK_QUERIES: Final = 48
"""Few enough for the second-level cache to hold their sums for a block of documents."""

STEP_COLUMNS: Final = 64
"""At once: those of a tile's documents stay in the first-level cache while all queries of the block pass by."""

FEW: Final = 16
"""So many documents are compared sooner than a table of thresholds is gone through."""

MANY: Final = 64
"""From so many judged pairs on, a document is placed by a table of where the thresholds of each bucket of scores begin."""

WIDER: Final = 2
"""Where there are such tables, a block holds so many times the documents: some 40 KB of tables and thresholds are then loaded
for 2,500 documents and not for 640."""

FINE_COLUMNS: Final = 16
"""Columns that are added up in float32 before float64 goes on."""

FINE_SHARE: Final = 0.02
"""The product is fine where more of its scores would have to be judged: it costs a third more than a plain one, and the judge
reads each document alone, from memory."""

SAMPLED_DOCS: Final = 256
SAMPLED_QUERIES: Final = 64
"""Documents and queries that say how much would have to be judged."""

FINE_SUM: Final = np.float32(ROUNDINGS * FINE_COLUMNS * 2.0**-24 + 2.0**-40)
FINE_PART: Final = np.float32(8 * 2.0**-24)
"""The error of a fine score for unit vectors, told apart: of its sum, and of what is rounded to float32, by a part of the score.

No partial sum of a step exceeds the product of its two norms, which over all steps add up to at most 1: so the sum is off by at
most the roundings of one step. What float64 adds is far below 2^-40. Threshold, inverse norm and their products are each rounded.
"""

FINE_BAND: Final = float(FINE_SUM + FINE_PART)
"""Both for the largest score."""

NORM_MARGIN: Final = 1.25
"""Under the dot product a band is as wide as the longest document of its block asks: tables are good for blocks whose documents
are up to so much longer than those of the first."""

PADDING: Final = 16
"""Floats between two rows of scores: rows a power of two apart would contend for the same lines of the cache."""


@inlined
def _gather(row: Any, inverse: Any, near: Any, n: int, n_near: int, scores: Any, documents: Any) -> int:
    """Write the scores of the documents whose bits are set in `near`, and where in the block they lie; returns how many.

    All n where most are near, which is vector code. Behind the last follow scores that are above nothing, up to a whole word.
    """
    count = 0
    if 2 * n_near > n:
        count = n
        for j in range(n):
            scores[j] = row[j] * inverse[j]
        for j in range(n):
            documents[j] = j
    else:
        for word in range(near.shape[0]):
            bits = near[word]
            while bits:
                j = word * LANES + lowest_bit(bits)
                bits &= bits - ONE_BIT
                scores[count], documents[count] = row[j] * inverse[j], j
                count += 1
    for i in range(count, (count + LANES - 1) // LANES * LANES):
        scores[i] = -INFINITE
    return count


@inlined
def _judge_between(pairs: Any, judge: Any, near: Any, n: int, p: int, low: Any, high: Any) -> None:
    """Settle every document near whose score lies between low and high against pair p."""
    scores, documents = near
    for start in range(0, n, LANES):
        bits = above_bits(scores, start, low) & ~above_bits(scores, start, high)
        while bits:
            j = np.int64(documents[start + lowest_bit(bits)])
            bits &= bits - ONE_BIT
            if judge_pairs(pairs, judge, j, p, p + 1) > p:
                add_above(pairs[2], p, 1)


@inlined
def _place_among(pairs: Any, limits: Any, judge: Any, near: Any, n: int, band: Any, bar: Any, counts: Any) -> Any:
    """Count the first n documents near against the pairs of a query; returns how many lie above `bar`."""
    n_pairs, n_best, first = pairs[0].shape[0], ZERO, 0
    while True:
        count_among(near[0], n, limits, first, band, bar, counts)
        n_best = counts[0, AMONG]
        for x in range(min(AMONG, n_pairs - first)):
            if counts[0, x] == ZERO:
                return n_best
            add_above(pairs[2], first + x, np.int64(counts[1, x]))
            if counts[0, x] != counts[1, x]:
                _judge_between(pairs, judge, near, n, first + x, limits[first + x] - band, limits[first + x] + band)
        first += AMONG
        if first >= n_pairs:
            return n_best


@inlined
def _offer_near(best: Any, near: Any, n: int, judge: Any, scale: float, band: Any, bar: Any) -> None:
    """Let the documents near that exceed `bar` into the query's best."""
    scores, documents = near
    for start in range(0, n, LANES):
        bits = above_bits(scores, start, bar)
        while bits:
            i = start + lowest_bit(bits)
            bits &= bits - ONE_BIT
            if scores[i] > bar:
                bar = offer(best, judge, scale, band, np.int64(documents[i]), bar)


@jit
def _begin(t: Targets, first_row: int, n: int, q0: int, sums: Any) -> None:
    """Sums of nothing for the queries from q0 on; a query's own document scores less than any."""
    sums[:] = 0.0
    for i in range(min(sums.shape[0], t.own_rows.shape[0] - q0)):
        own = t.own_rows[q0 + i] - first_row
        if 0 <= own < n:
            sums[i, own] = -np.inf


@jit
def _count_query(p: Any, t: Targets, tally: Tally, a: int, q: int, block: Any, filtered: Any, work: Any) -> None:
    """Count the documents near of a block against a query at size a.

    `block` are its documents, the first row, the error of a score for unit vectors; `filtered` the query's row of scores, the
    bits of what is near, how many.
    """
    (docs, first_row, unit_band), (row, bits, n_near) = block, filtered
    n, depth, floor, inverse = docs.shape[0], tally.top_scores.shape[2], tally.floor[a], work.inverses[a]
    norm, scale, band = t.norms[a, q], t.scales[a, q], np.float32(unit_band * t.norms[a, q])
    begin, end = t.offsets[q], t.offsets[q + 1]
    limits = p.limits[a, begin:]
    pairs = (t.thresholds[a, begin:end], t.rows[a, begin:end], tally.placed[a, begin:end], tally.tied[a, begin:end])
    judge = (t.queries[q, : t.edges[a + 1]], docs, norm, t.scoring, first_row)
    near = (work.near_scores, work.near_documents)
    n_near = _gather(row, inverse, bits, n, n_near, near[0], near[1])
    bar = np.float32(floor[q] * scale) - band
    if bar == -np.inf and n > depth:
        bar = first_bar(near[0], n_near, band, work.best_scores, work.best_rows)
    first, stop = p.buckets.offsets[q], p.buckets.offsets[q + 1]
    if n_near > FEW and stop > first and 2.0 * unit_band <= p.buckets.bands[a]:
        of_query = (p.buckets.begins[a, first:stop], p.buckets.lows[a, q], p.buckets.rates[a, q])
        bands = (FINE_SUM * band / np.float32(FINE_BAND), FINE_PART) if p.fine else (band, ZERO)
        count_by_buckets(pairs, limits, of_query, judge, bands, near, n_near, work.listing)
    elif _place_among(pairs, limits, judge, near, n_near + n_near % 2, band, bar, work.counts) == ZERO:
        return
    if bar < np.inf:
        best = (tally.top_scores[a, q], tally.top_rows[a, q], floor, q)
        _offer_near(best, near, n_near, judge, scale, band, bar)


@jit
def _count_block(p: Any, t: Targets, tally: Tally, docs: Any, first_row: int, q0: int, q1: int, work: Any) -> None:
    """One block of documents, packed in `work`, against the queries q0:q1 at every size. `p` is a `Prepared`."""
    n_rows = (q1 - q0 + TILE_QUERIES - 1) // TILE_QUERIES * TILE_QUERIES
    n_words = (docs.shape[0] + LANES - 1) // LANES
    scores, lows = work.scores, work.lows
    _begin(t, first_row, docs.shape[0], q0, work.scores)
    _begin(t, first_row, docs.shape[0], q0, work.sums)
    for s in range(p.steps.shape[0]):
        a = p.steps[s, 2]
        norms, scales, floor = t.norms[a], t.scales[a], tally.floor[a]
        unit_band = FINE_BAND if p.fine else t.bands[a]
        unit_band *= 1.0 if t.scoring else max(work.largest[a], LEAST_NORM)
        if a >= 0:
            for i in range(q1 - q0):
                q = q0 + i
                low = min(p.lowest[a, q], np.float32(floor[q] * scales[q])) - np.float32(unit_band * norms[q])
                lows[i] = low if norms[q] > 0.0 else INFINITE
        step = (p.steps[s, 0], p.steps[s, 1], a)
        tests = (work.inverses, lows, work.near)
        add_step((p.queries, p.n_rows), work.packed, step, n_words * LANES, q0, n_rows, (scores, work.sums), tests)
        for i in range(q1 - q0 if a >= 0 else 0):
            bits, n_near = work.near[i, :n_words], np.int64(0)
            for word in range(n_words):
                n_near += count_bits(bits[word])
            if n_near > 0:
                _count_query(p, t, tally, a, q0 + i, (docs, first_row, unit_band), (scores[i], bits, n_near), work)


@jit
def _tally_rows(p: Any, t: Targets, tally: Tally, docs: Any, first_row: int, block_docs: int, work: Any) -> Any:
    """Add the documents `docs` (n, dim) float32, corpus rows first_row onwards, to the tally. `p` is a `Prepared`.

    Returns the first corpus row that holds a value that is not finite (nothing of its block is counted), or -1.
    """
    block_queries, n_queries = work.lows.shape[0], t.queries.shape[0]
    for start in range(0, docs.shape[0], block_docs):
        block = docs[start : start + block_docs]
        bad = inverse_norms(block, t.edges, t.scoring, work.inverses, work.largest, tally.zeros)
        if bad >= 0:
            return first_row + start + bad
        pack(block, p.steps, TILE_DOCS, (block.shape[0] + LANES - 1) // LANES * LANES, work.packed)
        for q0 in range(0, n_queries, block_queries):
            _count_block(p, t, tally, block, first_row + start, q0, min(q0 + block_queries, n_queries), work)
    return -1


class Prepared(NamedTuple):
    """What the targets of a pass are counted with.

    `queries` packed, `n_rows` of them with those that fill the last tile; `steps` (n, 3) int64: first column, how many, the size
    that ends there or -1. `limits` (n_sizes, n_pairs and more) float32: the thresholds as the filter's scores have them;
    `lowest` (n_sizes, n_queries) the first of each query, infinite where there is none. `fine`: sums are of float64.
    """

    queries: Float32Array
    n_rows: int
    steps: IntArray
    limits: Float32Array
    lowest: Float32Array
    buckets: Buckets
    fine: bool

    @classmethod
    def of(cls, t: Targets, docs: Float32Array, many_pairs: int, *, fine: bool) -> Prepared:
        """For blocks of documents that are hardly longer than these; tables from `many_pairs` a query."""
        n_queries, dim = t.queries.shape
        n_rows = -(-n_queries // TILE_QUERIES) * TILE_QUERIES
        steps = np.array(steps_of(t.edges.tolist(), FINE_COLUMNS if fine else STEP_COLUMNS), np.int64)
        packed = np.empty(n_rows * dim, np.float32)
        pack(t.queries, steps, TILE_QUERIES, n_rows, packed)
        n_own = np.diff(t.offsets)
        limits = np.full((len(t.bands), t.rows.shape[1] + AMONG + 1), np.inf, np.float32)
        limits[:, : t.rows.shape[1]] = t.thresholds * np.repeat(t.scales, n_own, axis=1)
        lowest = np.where(n_own > 0, limits[:, t.offsets[:-1]], np.float32(np.inf))
        bands = np.full(len(t.bands), FINE_BAND) if fine else t.bands
        if not t.scoring:
            bands = bands * NORM_MARGIN * largest_norms(docs, t.edges)
        return cls(packed, n_rows, steps, limits, lowest, make_buckets(t, limits, many_pairs, bands), fine)


def largest_norms(docs: Float32Array, edges: IntArray) -> FloatArray:
    """(n_sizes,) the largest norm among the documents at each size."""
    squares = np.stack([np.einsum("ij,ij->i", part, part) for part in np.split(docs, edges[1:-1], axis=1)]).astype(np.float64)
    norms: FloatArray = np.sqrt(np.cumsum(squares, axis=0).max(axis=1, initial=LEAST_NORM**2))
    return norms


def judged_share(t: Targets, docs: Float32Array) -> float:
    """The share of plain products at the largest size that lie so near to a threshold that they would have to be judged.

    Seen in some of the documents and queries, evenly spread.
    """
    docs = docs[:: -(-len(docs) // SAMPLED_DOCS)]
    queries = range(0, len(t.queries), -(-len(t.queries) // SAMPLED_QUERIES))
    n_near = 0
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused when it is counted
        lengths = np.maximum(np.linalg.norm(docs, axis=1), LEAST_NORM)
        for q in queries:
            limits = t.thresholds[-1, t.offsets[q] : t.offsets[q + 1]] * t.scales[-1, q]
            band = t.bands[-1] * t.norms[-1, q] * (1.0 if t.scoring else lengths.max())
            scores = docs @ t.queries[q] / (lengths if t.scoring else 1.0)
            n_near += int((np.searchsorted(limits - band, scores) > np.searchsorted(limits + band, scores)).sum())
    return n_near / (len(docs) * len(queries))


class MachineKernel:
    """`Kernel` in machine code. RuntimeError or ImportError where it cannot be had.

    `fine`: whether products are added up in float64; None where that costs less than what is judged otherwise. Half precision
    never is: rounding makes the band as wide as it is, not the product.
    """

    name = "numba"

    def __init__(
        self,
        block_docs: int = BLOCK_DOCS,
        block_queries: int = BLOCK_QUERIES,
        *,
        many_pairs: int = MANY,
        fine: bool | None = None,
    ) -> None:
        self.block_docs = block_docs
        self.block_queries = -(-block_queries // TILE_QUERIES) * TILE_QUERIES
        self.many_pairs = many_pairs
        self.fine = fine
        self._lock = Lock()
        self._prepared: tuple[Targets, Prepared] | None = None

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.bands), len(doc_rows)), np.float32)
        score_pairs(targets, docs, doc_rows, query_rows, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        if not len(docs):
            return -1
        prepared = self._prepare(targets, docs)
        block_docs = self.block_docs * (WIDER if prepared.buckets.longest else 1)
        room = _Room.of(targets, tally, block_docs, self.block_queries, fine=prepared.fine)
        return int(_tally_rows(prepared, targets, tally, docs, first_row, block_docs, room))

    def _prepare(self, targets: Targets, docs: Float32Array) -> Prepared:
        """What these targets are counted with: made once a pass, by the first worker that counts documents."""
        with self._lock:
            if self._prepared is None or self._prepared[0] is not targets:
                fine = judged_share(targets, docs) > FINE_SHARE if self.fine is None else self.fine
                fine = fine and targets.scoring != HALF
                self._prepared = targets, Prepared.of(targets, docs, self.many_pairs, fine=fine)
            return self._prepared[1]


class _Room(NamedTuple):
    """What the loop writes to: compiled code allocates nothing. Rows end on a whole word of `LANES` documents.

    `packed` a block of documents; `scores` and, where fine, `sums` of a block; `near` a bit a score, `lows` what it must exceed;
    `near_scores` and `near_documents` of `_gather`; `inverses` and `largest` of `inverse_norms`; `counts` of `count_among`,
    `listing` of `count_by_buckets`, the best of `first_bar`.
    """

    packed: Any
    scores: Any
    sums: Any
    near: Any
    lows: Any
    near_scores: Any
    near_documents: Any
    inverses: Any
    largest: Any
    counts: Any
    listing: Any
    best_scores: Any
    best_rows: Any

    @classmethod
    def of(cls, targets: Targets, tally: Tally, block_docs: int, block_queries: int, *, fine: bool) -> _Room:
        n_sizes, _, depth = tally.top_scores.shape
        length, most_pairs = -(-block_docs // LANES) * LANES, int(np.diff(targets.offsets).max(initial=0))
        shape = (block_queries, length + PADDING)
        return cls(
            packed=np.empty(length * targets.queries.shape[1], np.float32),
            scores=np.zeros(shape, np.float32),
            sums=np.zeros(shape if fine else (0, 0)),
            near=np.zeros((block_queries, length // LANES), np.uint64),
            lows=np.empty(block_queries, np.float32),
            near_scores=np.empty(length, np.float32),
            near_documents=np.empty(length, np.int32),
            inverses=np.zeros((n_sizes, length), np.float32),
            largest=np.empty(n_sizes, np.float32),
            counts=np.empty((2, AMONG + 1), np.float32),
            listing=(
                np.zeros(most_pairs + 1, np.uint32),
                *np.empty((2, most_pairs + COMPARED + 1), np.float32),
                *np.empty((2, AT_ONCE), np.int32),
            ),
            best_scores=np.empty(depth, np.float32),
            best_rows=np.empty(depth, np.int64),
        )
