"""One pass over the documents: the exact ranks of all judged documents at every prefix, as additive counts over shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.ranking.pass_plan import Kernel, Tally, Targets, as_ranks, make_plan
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.progress import Book, Checkpoint, Executor, Shard, Work, tally_all
from mrl_sweep.types import Basis, Configuration, Float32Array, IntArray, Qrels, Ranks, Similarity, Vectors

SHARD_BYTES: Final = 16 * 2**20

ROWS_TOGETHER: Final = 640
"""Larger shards are made of so many rows and multiples: a kernel's last block is then as full as the others."""


def one_worker(work: Work, shards: Iterator[Shard]) -> list[Tally]:
    """The executor of a single thread: the caller's."""
    return [work(shards)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOptions:
    """How a pass is run; none of it changes the result.

    `depth` best documents are kept per query and size (0: none); `own_rows` (n_queries,) excludes a query's own document;
    `checkpoint` keeps the counts of a long pass, which goes on from them after an interrupt.
    """

    similarity: Similarity = Similarity.COSINE
    depth: int = 10
    own_rows: IntArray | None = None
    kernel: Kernel | None = None
    executor: Executor = one_worker
    shard_bytes: int = SHARD_BYTES
    checkpoint: Checkpoint | None = None


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
    Raises InputError where a vector holds NaN or infinity. `on_event` is called from one thread at a time.
    """
    kernel = options.kernel or open_kernel()
    rotate = None if rotation is None else lambda rows: np.ascontiguousarray(rows @ rotation)
    queries = queries if rotate is None else rotate(queries)
    refuse_unfit_queries(queries)
    own_rows = options.own_rows if options.own_rows is not None else np.full(len(queries), -1, np.int64)
    cosine = options.similarity == Similarity.COSINE
    plan = make_plan(vectors, queries, qrels, dims, cosine=cosine, own_rows=own_rows, kernel=kernel, rotate=rotate)
    rows_each = max(1, options.shard_bytes // (4 * vectors.dim))
    rows_each -= rows_each % ROWS_TOGETHER if rows_each > ROWS_TOGETHER else 0
    book = Book(plan.targets, options.depth, len(vectors), on_event)

    def work(shards: Iterator[Shard]) -> Tally:
        tally = book.open_tally()
        for start, stop in shards:
            docs = vectors.read(start, stop)
            _tally_shard(kernel, plan.targets, tally, docs if rotate is None else rotate(docs), start)
            book.add(stop - start)
        return tally

    tally = tally_all(book, rows_each, work, options.executor, options.checkpoint)
    candidates = tuple(Configuration(str(basis), int(dim)) for dim in dims)
    return as_ranks(plan, tally, qrels, candidates, len(vectors))


def open_kernel(device: str | None = None, cache_bytes: int | None = None) -> Kernel:
    """The fastest kernel that works here: on the CUDA device that is named, else machine code, else numpy.

    `cache_bytes` is the size of the second-level cache, where it is known: blocks are made to fit. Only a device that is no
    `cpu` imports torch; where torch does not see it, the processor does the work.
    """
    if device is not None and device.startswith("cuda"):
        try:
            from mrl_sweep.ranking.device import DeviceKernel

            return DeviceKernel(device)
        except (ImportError, RuntimeError):
            pass
    try:
        from mrl_sweep.ranking.kernel import MachineKernel, queries_of_a_block

        return MachineKernel() if cache_bytes is None else MachineKernel(block_queries=queries_of_a_block(cache_bytes))
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
