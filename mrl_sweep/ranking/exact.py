"""One pass over the documents: the exact ranks of all judged documents at every prefix, as additive counts over shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.targets import Kernel, Tally, Targets, as_ranks, empty_tally, make_plan, merge
from mrl_sweep.types import Basis, Candidate, Float32Array, IntArray, Qrels, Ranks, Similarity, Vectors

SHARD_BYTES: Final = 16 * 2**20

Shard = tuple[int, int]
"""Document rows from, to."""

Work = Callable[[Iterator[Shard]], Tally]


class Executor(Protocol):
    """Runs `work` on one or more workers that share `shards`, and returns a tally of each."""

    def __call__(self, work: Work, shards: Iterable[Shard]) -> list[Tally]: ...


def one_worker(work: Work, shards: Iterable[Shard]) -> list[Tally]:
    """The executor of a single thread: the caller's."""
    return [work(iter(shards))]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOptions:
    """How a pass is run; none of it changes the result.

    `depth` best documents are kept per query and size (0: none); `own_rows` (n_queries,) excludes a query's own document.
    """

    similarity: Similarity = Similarity.COSINE
    depth: int = 10
    own_rows: IntArray | None = None
    kernel: Kernel | None = None
    executor: Executor = one_worker
    shard_bytes: int = SHARD_BYTES


def rank(
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    dims: Sequence[int],
    options: RankOptions = RankOptions(),
    *,
    basis: str = Basis.PREFIX,
    rotation: Float32Array | None = None,
    on_event: OnEvent = ignore,
) -> Ranks:
    """The ranks of all judged documents at each of `dims` (ascending), from one pass over `vectors`.

    vectors (n_documents, dim), queries (n_queries, dim) float32; `rotation` (dim, dim) float32 is applied to both first.
    A candidate is made for each size, the same order. Costs about one matrix product at the largest size.
    Raises InputError where a vector holds NaN or infinity.
    """
    kernel = options.kernel or open_kernel()
    rotate = None if rotation is None else lambda rows: np.ascontiguousarray(rows @ rotation)
    queries = queries if rotate is None else rotate(queries)
    refuse_unfit_queries(queries)
    own_rows = options.own_rows if options.own_rows is not None else np.full(len(queries), -1, np.int64)
    cosine = options.similarity == Similarity.COSINE
    plan = make_plan(vectors, queries, qrels, dims, cosine=cosine, own_rows=own_rows, kernel=kernel, rotate=rotate)
    report = _Reporter(len(vectors), on_event)

    def work(shards: Iterator[Shard]) -> Tally:
        tally = empty_tally(plan.targets, options.depth)
        for start, stop in shards:
            docs = vectors.read(start, stop)
            _tally_shard(kernel, plan.targets, tally, docs if rotate is None else rotate(docs), start)
            report.add(stop - start)
        return tally

    rows_each = max(1, options.shard_bytes // (4 * vectors.dim))
    shards = ((start, min(start + rows_each, len(vectors))) for start in range(0, len(vectors), rows_each))
    tally = merge(options.executor(work, shards))
    candidates = tuple(Candidate(str(basis), int(dim)) for dim in dims)
    return as_ranks(plan, tally, qrels, candidates, len(vectors))


def open_kernel() -> Kernel:
    """The fastest kernel that works here."""
    try:
        from mrl_sweep.ranking.kernel import MachineKernel

        return MachineKernel()
    except (ImportError, RuntimeError):
        return PortableKernel()


def refuse_unfit_queries(queries: Float32Array) -> None:
    """InputError where a query vector is not finite."""
    bad = np.flatnonzero(~np.isfinite(queries).all(axis=1))
    if len(bad):
        raise InputError(f"the vector of query row {bad[0]} is not finite ({len(bad)} in all)", "embed the queries again")


def _tally_shard(kernel: Kernel, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> None:
    bad = kernel.tally(targets, tally, docs, first_row)
    if bad >= 0:
        raise InputError(f"the vector of document row {bad} is not finite, or too large for float32", "embed this document again")


class _Reporter:
    """Adds up what the workers have done and tells the listener, one at a time."""

    def __init__(self, total: int, on_event: OnEvent) -> None:
        self.total, self.done, self.on_event, self.lock = total, 0, on_event, Lock()

    def add(self, n: int) -> None:
        with self.lock:
            self.done += n
            self.on_event(Progress("rank", self.done, self.total, "documents"))
