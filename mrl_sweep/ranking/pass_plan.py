"""The data of a counting pass: thresholds (`Targets`), counts (`Tally`), the `Kernel` protocol, and how counts become `Ranks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from mrl_sweep.types import (
    NOT_RETRIEVED,
    BoolArray,
    Configuration,
    Float32Array,
    FloatArray,
    IntArray,
    Qrels,
    Ranks,
    Similarity,
    TopDocuments,
    Vectors,
)

ZERO_SQUARED_NORM: Final = 1e-30
"""A prefix whose squared norm is below this is a zero vector: it has no direction, and scores 0 with everything."""

_CUT_AT_ONCE: Final = 256
"""Rows in float64 at once: they stay in the cache."""

LARGEST_NORM2: Final = 1e30
"""A squared norm beyond this, or one that is not a number, is refused: float32 scores would overflow."""

LEAST_NORM: Final = 1e-15
"""The largest norm of a block is taken to be at least this, so that the band around a threshold of 0 is not empty."""

PAIRS_AT_ONCE: Final = 4096
"""Pairs that are judged together; each thread of `make_plan` takes a quarter as many at a time."""

DOT, COSINE, HALF = 0, 1, 2
"""How a document is scored: by the inner product of prefixes; of renormalised ones; of renormalised ones whose numbers are then
rounded to float16, which only the judge does: the filter's band is so much wider."""

HALF_BAND: Final = 2.0**-11
"""Float16 moves a number by at most this part of it; below its normal range by at most 2^-25, which `SMALLEST_HALF` bounds."""

SMALLEST_HALF: Final = 2.0**-25


class Targets(NamedTuple):
    """The thresholds that documents are counted against, ascending for each query at each size, and the queries.

    `queries` (n_queries, dim) float32; `edges` (n_sizes + 1,) slice borders from 0; `norms` (n_sizes, n_queries) float64
    prefix norms of the queries; `scales` alike, the factor from a score to the filter's: the norm, or 1 for the dot product;
    `offsets` (n_queries + 1,) pairs by query; `thresholds` (n_sizes, n_pairs) float32 scores of the pairs; `rows`
    (n_sizes, n_pairs) their documents; `bands` (n_sizes,) float64 error bound of a filter score for unit vectors;
    `own_rows` (n_queries,) the document that is the query itself, or -1; `scoring` is `DOT`, `COSINE` or `HALF`.
    """

    queries: Any
    edges: Any
    norms: Any
    scales: Any
    offsets: Any
    thresholds: Any
    rows: Any
    bands: Any
    own_rows: Any
    scoring: int


class Tally(NamedTuple):
    """Counts so far. Tallies of disjoint documents add up (`merge`).

    `placed` (n_sizes, n_pairs) int64, in the order of the sorted thresholds: how many documents score above a pair and not
    above the next of its query, so that a document is placed once, however many judgments it beats (`above` sums them);
    `tied` alike, documents that score the same;
    `zeros` (n_sizes,) int64 documents whose prefix is zero; `top_scores` (n_sizes, n_queries, depth) float32 and `top_rows`
    int64: the best so far, best first, ties by row; `floor` (n_sizes, n_queries) float32: a document that scores below it is
    not among the best of all documents, by whichever worker counted (infinite where none are kept). Workers may share one
    floor; a worker that has not yet seen its latest value only judges more.
    """

    placed: Any
    tied: Any
    zeros: Any
    top_scores: Any
    top_rows: Any
    floor: Any


class Step(NamedTuple):
    """A slice of columns that is multiplied at once: `width` from `first`. `size` is the size that ends with it, or -1."""

    first: int
    width: int
    size: int


def steps_of(edges: Sequence[int], columns: int) -> list[Step]:
    """Returns the steps through all columns, at most `columns` each; each size ends with a step."""
    return [
        Step(start, min(columns, last - start), size if start + columns >= last else -1)
        for size, (first, last) in enumerate(pairwise(edges))
        for start in range(first, last, columns)
    ]


class Kernel(Protocol):
    """The arithmetic of a pass. Every kernel gives the same integers; they differ in speed."""

    name: str

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        """Returns (n_sizes, n_pairs) float32, the judge's scores of docs[doc_rows[i]] for query query_rows[i] at every size."""
        ...

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        """Adds documents, corpus rows first_row onwards; returns the first row that is not finite or too large, or -1."""
        ...


class TargetOrder(NamedTuple):
    """The targets in the kernel's order, and the way back to the order of the judgments.

    `pairs` are the judgments that can be found at all; `order` (n_sizes, n_pairs) sorts them by threshold within each query.
    """

    targets: Targets
    pairs: IntArray
    order: IntArray


Spread = Callable[[Callable[[Iterator[Any]], None], Iterable[Any]], object]
"""Runs the work on threads of this process, each with the pieces that it draws; returns when all are done."""


def alone(work: Callable[[Iterator[Any]], None], pieces: Iterable[Any]) -> None:
    """Runs the work on the caller's own thread: a `Spread`."""
    work(iter(pieces))


def make_plan(
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    dims: Sequence[int],
    *,
    scoring: int,
    own_rows: IntArray,
    kernel: Kernel,
    turn: Callable[[Float32Array], Float32Array] = np.asarray,
    spread: Spread = alone,
) -> TargetOrder:
    """Scores, at every size, every judged pair that can be found, and sorts the thresholds of each query.

    `turn` turns stored documents into rows to count; `queries` are turned already. `spread` shares the work among threads.
    """
    query_of = qrels.queries
    pairs = np.flatnonzero((qrels.rows != Qrels.MISSING) & (qrels.rows != own_rows[query_of]))
    query_rows, rows = query_of[pairs], qrels.rows[pairs]
    norms, roots = prefix_norms(queries, dims), np.sqrt(np.asarray(dims, np.float64))
    rounding = HALF_BAND + SMALLEST_HALF * roots if scoring == HALF else 0.0
    targets = Targets(
        queries=queries,
        edges=np.array([0, *dims], np.int64),
        norms=norms,
        scales=norms if scoring else np.ones_like(norms),
        offsets=np.searchsorted(query_rows, np.arange(len(queries) + 1)),
        thresholds=np.empty((len(dims), len(pairs)), np.float32),
        rows=np.broadcast_to(rows, (len(dims), len(pairs))),
        bands=2.0**-24 * (8 + 4 * roots) + rounding,
        own_rows=own_rows,
        scoring=scoring,
    )
    order = np.empty((len(dims), len(pairs)), np.int64)
    sorted_targets = targets._replace(thresholds=np.empty_like(targets.thresholds), rows=np.empty(order.shape, rows.dtype))

    by_row = np.argsort(rows)  # so that a document is read and turned once, however many queries it is judged for

    def score(starts: Iterator[int]) -> None:
        for start in starts:
            part = by_row[start : start + firsts.step]
            documents, doc_rows = np.unique(rows[part], return_inverse=True)
            docs = turn(vectors.take(documents))
            targets.thresholds[:, part] = kernel.pair_scores(targets, docs, doc_rows, query_rows[part])

    def sort(sizes: Iterator[int]) -> None:
        for a in sizes:
            order[a] = _sorted_by_query(targets.thresholds[a], query_rows, targets.offsets)
            sorted_targets.thresholds[a], sorted_targets.rows[a] = targets.thresholds[a][order[a]], rows[order[a]]

    firsts = range(0, len(pairs), PAIRS_AT_ONCE // 4)
    for work, pieces in ((score, firsts), (sort, range(len(dims)))):
        (spread if len(firsts) > 1 else alone)(work, pieces)
    return TargetOrder(sorted_targets, pairs, order)


def _sorted_by_query(thresholds: Float32Array, query_rows: IntArray, offsets: IntArray) -> IntArray:
    """Returns the stable order by query and, within each, by threshold.

    Query, threshold and place within the query make one whole number: to sort those is several times faster than `argsort`.
    """
    bits = (thresholds + np.float32(0)).view(np.int32).astype(np.int64)  # + 0 makes -0 the 0 that it equals
    keys = (query_rows << 32) + np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    place_bits = int(np.diff(offsets).max(initial=1)).bit_length()
    if len(offsets).bit_length() + 32 + place_bits > 63:
        return np.argsort(keys, kind="stable")
    begins = offsets[query_rows]
    keys <<= place_bits
    keys += np.arange(len(keys)) - begins
    keys.sort()
    return begins + (keys & ((1 << place_bits) - 1))


def prefix_norms(vectors: Float32Array, dims: Sequence[int]) -> FloatArray:
    """Returns (n_sizes, n) float64, the norms of the prefixes; exactly 0 for a zero prefix."""
    edges = [0, *dims]
    slices = (vectors[:, first:last].astype(np.float64) for first, last in pairwise(edges))
    norm2 = np.stack([np.einsum("ij,ij->i", part, part) for part in slices]).cumsum(axis=0)
    return np.sqrt(np.where(norm2 >= ZERO_SQUARED_NORM, norm2, 0.0))


def empty_tally(targets: Targets, depth: int, floor: Float32Array | None = None) -> Tally:
    """Returns a tally without counts that keeps the `depth` best documents; workers that are given the same `floor` share it."""
    n_sizes, n_queries, n_pairs = len(targets.edges) - 1, len(targets.queries), targets.rows.shape[1]
    return Tally(
        placed=np.zeros((n_sizes, n_pairs), np.int64),
        tied=np.zeros((n_sizes, n_pairs), np.int64),
        zeros=np.zeros(n_sizes, np.int64),
        top_scores=np.full((n_sizes, n_queries, depth), -np.inf, np.float32),
        top_rows=np.full((n_sizes, n_queries, depth), -1, np.int64),
        floor=first_floor(targets, depth) if floor is None else floor,
    )


def first_floor(targets: Targets, depth: int) -> Float32Array:
    """Returns (n_sizes, n_queries) float32, `Tally.floor` before a document is counted: the depth-th best judged score.

    Minus infinity where fewer are judged than are kept; infinite where none are kept.
    """
    n_own = np.diff(targets.offsets)
    floor = np.full((len(targets.bands), len(n_own)), -np.inf if depth else np.inf, np.float32)
    if depth:
        enough = np.flatnonzero(n_own >= depth)
        floor[:, enough] = targets.thresholds[:, targets.offsets[1:][enough] - depth]
    return floor


def merge(tallies: Sequence[Tally]) -> Tally:
    """Adds tallies, which must be of disjoint documents; their order does not matter."""
    first = tallies[0]
    if len(tallies) == 1:
        return first
    scores = np.concatenate([t.top_scores for t in tallies], axis=2)
    rows = np.concatenate([t.top_rows for t in tallies], axis=2)
    depth = first.top_rows.shape[2]
    best = np.lexsort((np.where(rows < 0, np.iinfo(np.int64).max, rows), -scores), axis=-1)[..., :depth]
    return Tally(
        placed=_total([t.placed for t in tallies]),
        tied=_total([t.tied for t in tallies]),
        zeros=np.sum([t.zeros for t in tallies], axis=0),
        top_scores=np.take_along_axis(scores, best, axis=2),
        top_rows=np.take_along_axis(rows, best, axis=2),
        floor=np.max([t.floor for t in tallies], axis=0),
    )


def _total(counts: Sequence[IntArray]) -> IntArray:
    """Returns the sum of the arrays, added one by one: a stack of them would be large."""
    total = counts[0] + counts[1]
    for more in counts[2:]:
        total += more
    return total


def as_ranks(
    plan: TargetOrder,
    tally: Tally,
    qrels: Qrels,
    candidates: tuple[Configuration, ...],
    n_documents: int,
    spread: Spread = alone,
) -> Ranks:
    """Returns the counts as ranks, in the order of the judgments, `spread` by size; zero queries tie with every document."""
    t = plan.targets
    n_sizes = len(candidates)
    above = np.full((n_sizes, len(qrels.rows)), NOT_RETRIEVED, np.int64)
    tied = np.zeros((n_sizes, len(qrels.rows)), np.int64)
    query_rows = qrels.queries[plan.pairs]
    n_ranked = n_documents - (t.own_rows >= 0)

    def unsort(sizes: Iterator[int]) -> None:
        for a in sizes:
            zero = t.norms[a, query_rows] == 0
            columns = plan.pairs[plan.order[a]]
            above[a, columns] = np.where(zero, 0, sums_beyond(tally.placed[a], t.offsets))
            tied[a, columns] = np.where(zero, n_ranked[query_rows] - 1, tally.tied[a])

    (spread if len(plan.pairs) > PAIRS_AT_ONCE else alone)(unsort, range(n_sizes))
    top = _top_documents(t, tally, n_documents)
    return Ranks(candidates, n_documents, above, tied, top, tally.zeros)


def sums_beyond(placed: IntArray, offsets: IntArray) -> IntArray:
    """Returns (n_pairs,) int64, how many documents score above each pair: those placed at it and at later pairs of its query."""
    suffix = np.zeros(len(placed) + 1, np.int64)
    suffix[:-1] = placed[::-1].cumsum()[::-1]
    return suffix[:-1] - np.repeat(suffix[offsets[1:]], np.diff(offsets))


def _top_documents(t: Targets, tally: Tally, n_documents: int) -> TopDocuments | None:
    depth = tally.top_rows.shape[2]
    if not depth:
        return None
    rows, scores = tally.top_rows.copy(), tally.top_scores.copy()
    zero: BoolArray = t.norms == 0
    for q in np.flatnonzero(zero.any(axis=0)):
        first = np.array([row for row in range(min(depth + 1, n_documents)) if row != t.own_rows[q]][:depth], np.int64)
        rows[zero[:, q], q] = np.pad(first, (0, depth - len(first)), constant_values=-1)
        scores[zero[:, q], q] = np.where(np.arange(depth) < len(first), 0.0, -np.inf)
    return TopDocuments(rows, scores)


def unit_prefix(rows: Float32Array, dim: int, *, similarity: Similarity = Similarity.COSINE) -> Float32Array:
    """Returns the first `dim` columns of (n, full) rows, new C-contiguous (n, dim) float32, of unit length for cosine.

    Norms are taken in float64 after the cut, since a slice of a unit vector is not of unit length. Zero prefixes become 0.
    """
    cut = np.array(rows[:, :dim], dtype=np.float32, order="C")
    if similarity is not Similarity.COSINE:
        return cut
    squared = np.empty(len(cut))
    for start in range(0, len(cut), _CUT_AT_ONCE):
        wide = cut[start : start + _CUT_AT_ONCE].astype(np.float64)
        np.einsum("ij,ij->i", wide, wide, out=squared[start : start + _CUT_AT_ONCE])
    zero = squared < ZERO_SQUARED_NORM
    cut *= (1.0 / np.sqrt(np.where(zero, 1.0, squared))).astype(np.float32)[:, None]
    cut[zero] = 0.0
    return cut
