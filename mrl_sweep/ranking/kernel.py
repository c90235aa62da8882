"""The hot loop as machine code: scores of one block of documents at every prefix, counted against thresholds.

Scores come from a matrix product and only filter: whatever lies within its rounding error of a threshold is judged again by
`prefix_score`, a float64 inner product rounded to float32. So the counts are those of the judge alone: the same integers for
any blocks, threads, BLAS or kernel. The product is sgemm; where so many thresholds lie so close that the judge would cost more
than the product, it is dgemm, which takes twice as long and leaves next to nothing to be judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mrl_sweep.ranking.block import FINE_BAND, FINE_COLUMNS, count_block
from mrl_sweep.ranking.compiled import LANES, gemm_address, gemm_arguments, jit
from mrl_sweep.ranking.pass_plan import HALF, LARGEST_NORM2, LEAST_NORM, ZERO_SQUARED_NORM, Tally, Targets
from mrl_sweep.ranking.placing import AT_ONCE, COMPARED, Buckets, make_buckets, prefix_score
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS: Final = 640
"""Enough that what is done once per query, size and block is little beside the block itself."""

FEWEST_QUERIES: Final = 128
MOST_QUERIES: Final = 512
"""Of a block: with fewer the product is slower, with more it is no faster."""

SCORES_PER_CACHE: Final = 1.25
"""A block of scores may be so many second-level caches large: as measured, from 0.4 to 1.3 is the same within the noise."""

MANY: Final = 64
"""From so many judged pairs on, a document is placed by a table of where the thresholds of each bucket of scores begin: some
2 ns a document, where a run of vector compares takes .07 ns a document and threshold."""

WIDER: Final = 4
"""Where there are such tables, a block holds so many times the documents and so many times fewer queries: some 40 KB of tables
and thresholds are then loaded for 2,500 documents and not for 640."""

JUDGED_COLUMN: Final = 16
"""So many times what a column of sgemm costs, for each column of a product that is judged: it is read alone, from memory."""

FINE_SIZE: Final = 40
"""Columns of sgemm that a size costs with dgemm beside its columns: its scores are written once more, in float32."""

NORM_MARGIN: Final = 1.25
"""Under the dot product a band is as wide as the longest document of its block asks: tables are good for blocks whose documents
are up to so much longer than those of the first."""

PADDING: Final = 16
"""Floats between two rows of scores: rows a power of two apart would contend for the same lines of the cache."""


@jit
def inverse_norms(docs: Any, edges: Any, scoring: int, out: Any, largest: Any, zeros: Any) -> int:
    """out[a, j] = 1 / |docs[j]| at prefix edges[a + 1], rounded to float32 (1 for the dot product, 0 for a zero prefix).

    largest[a] becomes the largest norm of the block at that size, zeros[a] grows by its zero prefixes. Returns the first row
    that is not finite, or -1.
    """
    n, n_sizes = docs.shape[0], edges.shape[0] - 1
    bad = -1
    largest[:] = 0.0
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
        if not norm2 < LARGEST_NORM2 and bad < 0:
            bad = j
    return bad


@jit
def tally_rows(gemms: Any, t: Targets, buckets: Any, tally: Tally, docs: Any, first_row: int, block_docs: int, work: Any) -> Any:
    """Add the documents `docs` (n, dim) float32, corpus rows first_row onwards, to the tally.

    `gemms` are the addresses of sgemm and dgemm, 0 for the latter where the former's scores are to be taken. Returns the first
    corpus row that holds a value that is not finite (nothing of its block is counted), or -1.
    """
    products, inverses, largest, _, _, _, _ = work
    block_queries, n_queries = products[0].shape[0], t.queries.shape[0]
    for start in range(0, docs.shape[0], block_docs):
        block = docs[start : start + block_docs]
        bad = inverse_norms(block, t.edges, t.scoring, inverses, largest, tally.zeros)
        if bad >= 0:
            return first_row + start + bad
        for q0 in range(0, n_queries, block_queries):
            count_block(gemms, t, buckets, tally, block, first_row + start, q0, min(q0 + block_queries, n_queries), work)
    return -1


@jit
def _pair_scores(queries: Any, docs: Any, query_rows: Any, edges: Any, norms: Any, scoring: int, out: Any) -> None:
    for i in range(docs.shape[0]):
        q = query_rows[i]
        for a in range(edges.shape[0] - 1):
            dim = edges[a + 1]
            out[a, i] = prefix_score(queries[q, :dim], docs[i, :dim], norms[a, q], scoring)


def largest_norms(docs: Float32Array, edges: IntArray) -> FloatArray:
    """(n_sizes,) the largest norm among the documents at each size."""
    squares = np.stack([np.einsum("ij,ij->i", part, part) for part in np.split(docs, edges[1:-1], axis=1)]).astype(np.float64)
    norms: FloatArray = np.sqrt(np.cumsum(squares, axis=0).max(axis=1, initial=LEAST_NORM**2))
    return norms


def queries_of_a_block(cache_bytes: int, block_docs: int = BLOCK_DOCS) -> int:
    """As many queries as keep the scores of a block of documents about within a second-level cache of this size."""
    return min(max(int(SCORES_PER_CACHE * cache_bytes) // (4 * block_docs), FEWEST_QUERIES), MOST_QUERIES)


class MachineKernel:
    """`Kernel` in machine code. RuntimeError or ImportError where it cannot be had.

    `fine`: whether products are dgemm's; None begins with sgemm, and changes where the judge turns out to cost more. Half
    precision is always filtered by sgemm: rounding makes the band as wide as it is, not the product.
    """

    name = "numba"

    def __init__(
        self,
        block_docs: int = BLOCK_DOCS,
        block_queries: int = MOST_QUERIES,
        *,
        many_pairs: int = MANY,
        fine: bool | None = None,
    ) -> None:
        self.sgemm, self.dgemm = gemm_address("sgemm"), gemm_address("dgemm")
        self.block_docs = block_docs
        self.block_queries = block_queries
        self.many_pairs = many_pairs
        self.fine = fine
        self._lock = Lock()
        self._prepared: _Prepared | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the products of the present pass are dgemm's."""
        return self._prepared is not None and self._prepared.fine

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.edges) - 1, len(docs)), np.float32)
        _pair_scores(queries, docs, query_rows, targets.edges, targets.norms, targets.scoring, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        n_first = self.block_docs if self._is_open(targets) else 0  # tells what the judge costs before a whole shard has paid it
        for start, stop in ((0, n_first), (n_first, len(docs))):
            bad = self._tally(targets, tally, docs[start:stop], first_row + start) if docs[start:stop].size else -1
            if bad >= 0:
                return bad
        return -1

    def _is_open(self, targets: Targets) -> bool:
        """Whether nothing is counted yet of a pass whose products may become fine."""
        new = self._prepared is None or self._prepared.targets is not targets
        return new and self.fine is None and targets.scoring != HALF

    def _tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        prepared = self._prepare(targets, docs)
        times = WIDER if prepared.buckets.longest else 1
        block_docs, block_queries = times * self.block_docs, max(self.block_queries // times, 1)
        fine = prepared.fine
        room = _Room.of(targets, tally, block_docs, block_queries, fine=fine)
        gemms = (self.sgemm, self.dgemm if fine else 0)
        bad = int(tally_rows(gemms, targets, prepared.buckets, tally, docs, first_row, block_docs, room))
        dearer = len(docs) * (targets.queries.size + FINE_SIZE * len(targets.queries) * (len(targets.edges) - 1))
        if self.fine is None and targets.scoring != HALF and JUDGED_COLUMN * int(room.judged[0]) > dearer and not fine:
            self._prepare(targets, docs, fine=True)
        return bad

    def _prepare(self, targets: Targets, docs: Float32Array, *, fine: bool = False) -> _Prepared:
        """What these targets are counted with, made once a pass, and once more where its products become `fine`."""
        with self._lock:
            same_pass = self._prepared is not None and self._prepared.targets is targets
            if self._prepared is None or not same_pass or (fine and not self._prepared.fine):
                fine = fine or (bool(self.fine) and targets.scoring != HALF)
                bands = np.full(len(targets.bands), FINE_BAND) if fine else targets.bands
                if not targets.scoring:
                    bands = bands * NORM_MARGIN * largest_norms(docs, targets.edges)
                self._prepared = _Prepared(targets, make_buckets(targets, self.many_pairs, bands), fine=fine)
            return self._prepared


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the targets of a pass are counted with."""

    targets: Targets
    buckets: Buckets
    fine: bool


class _Room(NamedTuple):
    """What the loop writes to: compiled code allocates nothing. Rows end on a whole word of `LANES` documents."""

    products: tuple[object, ...]
    inverses: Float32Array
    largest: Float32Array
    words: npt.NDArray[np.uint64]
    best: tuple[object, ...]
    listing: tuple[object, ...]
    judged: IntArray

    @classmethod
    def of(cls, targets: Targets, tally: Tally, block_docs: int, block_queries: int, *, fine: bool) -> _Room:
        n_sizes, _, depth = tally.top_scores.shape
        length, most_pairs = -(-block_docs // LANES) * LANES, int(np.diff(targets.offsets).max(initial=0))
        shapes = ((block_queries, length + PADDING), (block_docs, FINE_COLUMNS), (block_queries, FINE_COLUMNS))
        sums, wide_docs, wide_queries = (np.empty(shape if fine else (0, 0)) for shape in shapes)
        return cls(
            products=(
                np.zeros((block_queries, length + PADDING), np.float32),
                gemm_arguments(np.float32),
                (sums, wide_docs, wide_queries, gemm_arguments(np.float64)),
            ),
            inverses=np.zeros((n_sizes, length), np.float32),
            largest=np.empty(n_sizes, np.float32),
            words=np.empty(length // LANES, np.uint64),
            best=(np.empty(depth, np.float32), np.empty(depth, np.int64)),
            listing=(
                np.zeros(most_pairs + 1, np.uint32),
                *np.empty((2, most_pairs + COMPARED), np.float32),
                *np.empty((2, AT_ONCE), np.int32),
            ),
            judged=np.zeros(1, np.int64),
        )
