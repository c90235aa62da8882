"""The counting kernel in machine code, compiled by numba: its tables for a pass, and the arrays its loop writes to.

Scores come from a matrix product and only filter: whatever lies within its rounding error of a threshold is judged again by
`prefix_score`, a float64 inner product rounded to float32. So the counts are those of the judge alone: the same integers for
any blocks, threads or kernel. The product is added up in float32; where so many thresholds lie so close that the judge would cost
more than the product, it is `fine`: added up in float64, a few columns at a time, which leaves a fifth as much to be judged.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.block import FINE_BAND, FINE_COLUMNS, tally_rows
from mrl_sweep.ranking.compiled import AMONG, LANES
from mrl_sweep.ranking.pass_plan import HALF, LEAST_NORM, Tally, Targets, steps_of
from mrl_sweep.ranking.placing import AT_ONCE, COMPARED, Buckets, make_buckets, score_pairs
from mrl_sweep.ranking.tiles import TILE_QUERIES, pack
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS: Final = 1280
"""Documents of a block: so many that the work once per query, size and block is little beside the block itself."""

BLOCK_QUERIES: Final = 48
"""Queries of a block: so few that the second-level cache holds their sums for a block of documents."""

STEP_COLUMNS: Final = 64
"""Columns of a step: those of a tile's documents stay in the first-level cache while all queries of the block pass by."""

MANY: Final = 64
"""From so many judged pairs on, a document is placed by a table of where the thresholds of each bucket of scores begin: some
2 ns a document, where a run of vector compares takes .07 ns a document and threshold."""

WIDER: Final = 2
"""Where there are such tables, a block holds so many times the documents: some 40 KB of tables and thresholds are then loaded
for 2,560 documents and not for 1,280."""

JUDGED_COLUMN: Final = 16
"""A column that is judged costs so many times what a column of the product does: it is read alone, from memory."""

FINE_COLUMN: Final = 0.4
FINE_SIZE: Final = 8
"""A fine product costs more than the plain one: this part of a column for each column, so many columns for each size."""

NORM_MARGIN: Final = 1.25
"""Under the dot product a band is as wide as the longest document of its block asks: tables are good for blocks whose documents
are up to so much longer than those of the first."""

PADDING: Final = 16
"""Floats between two rows of scores: rows a power of two apart would contend for the same lines of the cache."""


def largest_norms(docs: Float32Array, edges: IntArray) -> FloatArray:
    """Returns (n_sizes,) float64, the largest norm among the documents at each size."""
    squares = np.stack([np.einsum("ij,ij->i", part, part) for part in np.split(docs, edges[1:-1], axis=1)]).astype(np.float64)
    norms: FloatArray = np.sqrt(np.cumsum(squares, axis=0).max(axis=1, initial=LEAST_NORM**2))
    return norms


class Prepared(NamedTuple):
    """The targets of a pass as the compiled loop reads them.

    `queries` packed, `n_rows` of them with those that fill the last tile; `steps` (n, 3) int64: first column, how many, the size
    that ends there or -1. `limits` (n_sizes, n_pairs and more) float32: the thresholds as the filter's scores have them;
    `lowest` (n_sizes, n_queries) the first of each query, infinite where there is none.
    """

    queries: Float32Array
    n_rows: int
    steps: IntArray
    limits: Float32Array
    lowest: Float32Array
    buckets: Buckets

    @classmethod
    def of(cls, t: Targets, many_pairs: int, bands: FloatArray, *, fine: bool) -> Prepared:
        """Packs queries, scales thresholds and makes the tables; `many_pairs` and `bands` as in `make_buckets`."""
        n_queries, dim = t.queries.shape
        n_rows = -(-n_queries // TILE_QUERIES) * TILE_QUERIES
        steps = np.array(steps_of(t.edges.tolist(), FINE_COLUMNS if fine else STEP_COLUMNS), np.int64)
        packed = np.empty(n_rows * dim, np.float32)
        pack(t.queries, steps, TILE_QUERIES, n_rows, packed)
        n_own = np.diff(t.offsets)
        limits = np.full((len(t.bands), t.rows.shape[1] + AMONG + 1), np.inf, np.float32)
        limits[:, : t.rows.shape[1]] = t.thresholds * np.repeat(t.scales, n_own, axis=1)
        lowest = np.where(n_own > 0, limits[:, t.offsets[:-1]], np.float32(np.inf))
        return cls(packed, n_rows, steps, limits, lowest, make_buckets(t, limits, many_pairs, bands))


class MachineKernel:
    """`Kernel` in machine code. Importing this module raises RuntimeError or ImportError where numba cannot compile.

    `fine`: whether products are added up in float64; None begins without, and changes where the judge turns out to cost more.
    Half precision never is fine: rounding makes the band as wide as it is, not the product.
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
        self._targets: Targets | None = None
        self._prepared: Prepared | None = None
        self.is_fine = False
        """Whether the products of the present pass are added up in float64."""

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        out = np.empty((len(targets.bands), len(doc_rows)), np.float32)
        score_pairs(targets, docs, doc_rows, query_rows, out)
        return out

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        new = self._targets is not targets and self.fine is None and targets.scoring != HALF
        n_first = self.block_docs if new else 0  # tells what the judge costs before a whole shard has paid it
        for start, stop in ((0, n_first), (n_first, len(docs))):
            bad = self._tally(targets, tally, docs[start:stop], first_row + start) if docs[start:stop].size else -1
            if bad >= 0:
                return bad
        return -1

    def _tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        prepared, fine = self._prepare(targets, docs)
        times = WIDER if prepared.buckets.longest else 1
        room = _Room.of(targets, tally, times * self.block_docs, self.block_queries, fine=fine)
        bad = int(tally_rows(prepared, targets, tally, docs, first_row, times * self.block_docs, room))
        n_queries, dim = targets.queries.shape
        dearer = len(docs) * n_queries * (FINE_COLUMN * dim + FINE_SIZE * (len(targets.edges) - 1))
        if self.fine is None and targets.scoring != HALF and not fine and JUDGED_COLUMN * int(room.judged[0]) > dearer:
            self._prepare(targets, docs, fine=True)
        return bad

    def _prepare(self, targets: Targets, docs: Float32Array, *, fine: bool = False) -> tuple[Prepared, bool]:
        """Returns the prepared targets and whether they are `fine`; prepares once a pass, and again where it becomes fine."""
        with self._lock:
            same_pass = self._targets is targets
            if self._prepared is None or not same_pass or (fine and not self.is_fine):
                fine = fine or (bool(self.fine) and targets.scoring != HALF)
                bands = np.full(len(targets.bands), FINE_BAND) if fine else targets.bands
                if not targets.scoring:
                    bands = bands * NORM_MARGIN * largest_norms(docs, targets.edges)
                self._prepared = Prepared.of(targets, self.many_pairs, bands, fine=fine)
                self._targets, self.is_fine = targets, fine
            return self._prepared, self.is_fine


class _Room(NamedTuple):
    """The arrays that the loop writes to: compiled code allocates nothing. Rows end on a whole word of `LANES` documents.

    `packed` a block of documents; `scores` and, where fine, `sums` of a block; `near` a bit a score, `lows` what it must exceed;
    `inverses` and `largest` of `inverse_norms`; `counts` of `count_among`, `listing` of `count_by_buckets`, the best of
    `first_bar`; `judged` adds up the columns of all products that were judged because they are close to a threshold.
    """

    packed: Any
    scores: Any
    sums: Any
    near: Any
    lows: Any
    inverses: Any
    largest: Any
    counts: Any
    listing: Any
    best_scores: Any
    best_rows: Any
    judged: Any

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
            judged=np.zeros(1, np.int64),
        )
