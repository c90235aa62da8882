"""One pass over the documents: the exact ranks of all judged documents at every prefix, as additive counts over shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.ranking.counting import Checkpoint, Executor, InOrder, count_pass
from mrl_sweep.ranking.pass_plan import Kernel, Tally, TargetOrder, as_ranks, make_plan
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.space import Space, prefixes
from mrl_sweep.ranking.task import CountTask
from mrl_sweep.types import Basis, Configuration, Float32Array, IntArray, Qrels, Ranks, Similarity, Vectors

SHARD_BYTES: Final = 16 * 2**20

ROWS_TOGETHER: Final = 640
"""Larger shards are made of so many rows and multiples: a kernel's last block is then as full as the others."""

ONE_WORKER: Final = InOrder()


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
    executor: Executor = ONE_WORKER
    shard_bytes: int = SHARD_BYTES
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A pass that is ready to be counted: its task, and how a tally becomes ranks."""

    task: CountTask
    plan: TargetOrder
    kernel: Kernel
    qrels: Qrels
    configurations: tuple[Configuration, ...]

    def ranks(self, tally: Tally) -> Ranks:
        """The ranks that follow from the tally of all its documents."""
        return as_ranks(self.plan, tally, self.qrels, self.configurations, len(self.task.vectors))


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
    one = prepare_pass(vectors, queries, qrels, dims, options, basis=basis, rotation=rotation)
    return one.ranks(count(one, options, on_event))


def rank_in(
    space: Space,
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    options: RankOptions = RankOptions(),
    *,
    on_event: OnEvent = ignore,
) -> Ranks:
    """The ranks of all judged documents at each configuration of `space`, from one pass; otherwise as `rank`."""
    one = prepare_space(space, vectors, queries, qrels, options)
    return one.ranks(count(one, options, on_event))


def prepare_pass(
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    dims: Sequence[int],
    options: RankOptions = RankOptions(),
    *,
    basis: str = Basis.PREFIX,
    rotation: Float32Array | None = None,
) -> Pass:
    """The pass that `rank` counts, with the judged pairs scored; parameters and errors are those of `rank`."""
    space = prefixes(dims, options.similarity, basis=basis, rotation=rotation)
    return prepare_space(space, vectors, queries, qrels, options)


def prepare_space(
    space: Space, vectors: Vectors, queries: Float32Array, qrels: Qrels, options: RankOptions = RankOptions()
) -> Pass:
    """The pass that `rank_in` counts, with the judged pairs scored."""
    kernel = options.kernel or open_kernel()
    refuse_unfit_queries(queries)
    queries = space.queries(queries)
    refuse_unfit_queries(queries)
    own_rows = options.own_rows if options.own_rows is not None else np.full(len(queries), -1, np.int64)
    turns = space.document_turns
    plan = make_plan(
        vectors, queries, qrels, space.columns, cosine=space.scoring, own_rows=own_rows, kernel=kernel, turn=space.documents
    )
    return Pass(
        task=CountTask(vectors=vectors, rows=((0, len(vectors)),), targets=plan.targets, depth=options.depth, turns=turns),
        plan=plan,
        kernel=kernel,
        qrels=qrels,
        configurations=space.candidates,
    )


def count(one: Pass, options: RankOptions, on_event: OnEvent = ignore) -> Tally:
    """The tally of a pass, by the executor of the options. Raises InputError where a vector holds NaN or infinity."""
    rows_each = max(1, options.shard_bytes // (4 * one.task.vectors.dim))
    rows_each -= rows_each % ROWS_TOGETHER if rows_each > ROWS_TOGETHER else 0
    return count_pass(one.task, options.executor, one.kernel, rows_each, checkpoint=options.checkpoint, on_event=on_event)


def open_kernel(device: str | None = None, cache_bytes: int | None = None) -> Kernel:
    """The fastest kernel that works here: on the CUDA device that is named, else machine code, else numpy.

    `cache_bytes` is the size of the second-level cache, where it is known: blocks are made to fit. Only a device that is no
    `cpu` imports torch; where torch or Triton cannot use it, the processor does the work.
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
