"""Exact ranks of all judged documents: one pass ranks every float32 prefix; a code takes one for all sizes, or one for each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.ranking.codes.precision import code_of
from mrl_sweep.ranking.counting import Checkpoint, Executor, InOrder, Spreading, count_pass
from mrl_sweep.ranking.pass_plan import Kernel, Spread, Tally, TargetOrder, alone, as_ranks, make_plan
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import RankedSpace, coded, prefixes
from mrl_sweep.ranking.task import CountTask
from mrl_sweep.record import record
from mrl_sweep.types import (
    FLOAT32,
    SEED,
    Basis,
    Configuration,
    Float32Array,
    IntArray,
    Qrels,
    Ranks,
    Similarity,
    TopDocuments,
    Vectors,
)

SHARD_BYTES: Final = 16 * 2**20

ROWS_TOGETHER: Final = 640
"""Larger shards have a multiple of so many rows, half of the compiled kernel's block: so its last block is not nearly empty."""

TRAINING_ROWS: Final = 20_000
"""Documents that train the codes, at most: enough for ranges, means and centroids, which is all that these codes learn."""

ONE_WORKER: Final = InOrder()


@record(kw_only=True)
class RankOptions:
    """How a pass ranks and runs: `similarity`, `depth` and `own_rows` decide the result, the others only time and memory.

    `depth` best documents are kept per query and size (0: none); `own_rows` (n_queries,) excludes a query's own document;
    `shard_bytes` of float32 are read at once; `checkpoint` keeps the counts of a long pass, which goes on from them.
    """

    similarity: Similarity = Similarity.COSINE
    depth: int = 10
    own_rows: IntArray | None = None
    kernel: Kernel | None = None
    executor: Executor = ONE_WORKER
    shard_bytes: int = SHARD_BYTES
    checkpoint: Checkpoint | None = None


@record(kw_only=True)
class Pass:
    """A pass that is ready to be counted: its task, and how a tally becomes ranks."""

    task: CountTask
    plan: TargetOrder
    kernel: Kernel
    qrels: Qrels
    configurations: tuple[Configuration, ...]
    spread: Spread

    def ranks(self, tally: Tally) -> Ranks:
        """Returns the ranks that follow from the tally of all documents."""
        return as_ranks(self.plan, tally, self.qrels, self.configurations, len(self.task.vectors), self.spread)


def rank(
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    dims: Sequence[int],
    options: RankOptions = RankOptions(),
    *,
    on_event: OnEvent = ignore,
) -> Ranks:
    """Ranks all judged documents at each of `dims` (ascending) in one pass over `vectors`.

    vectors (n_documents, dim), queries (n_queries, dim) float32. Gives one candidate a size, in the same order. Costs about
    one matrix product at the largest size. Raises InputError where a vector holds NaN or infinity. `on_event` is called from one
    thread at a time.
    """
    return rank_in(prefixes(dims, options.similarity), vectors, queries, qrels, options, on_event=on_event)


def rank_in(
    space: RankedSpace,
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    options: RankOptions = RankOptions(),
    *,
    on_event: OnEvent = ignore,
) -> Ranks:
    """Ranks all judged documents at each configuration of `space` in one pass; otherwise as `rank`."""
    one = prepare_space(space, vectors, queries, qrels, options)
    return one.ranks(count(one, options, on_event))


def prepare_space(
    space: RankedSpace, vectors: Vectors, queries: Float32Array, qrels: Qrels, options: RankOptions = RankOptions()
) -> Pass:
    """Prepares the pass that `rank_in` counts, with the judged pairs scored. Raises InputError where a query is not finite."""
    kernel = options.kernel or open_kernel()
    refuse_unfit_queries(queries)
    queries = space.queries(queries)
    refuse_unfit_queries(queries)
    own_rows = options.own_rows if options.own_rows is not None else np.full(len(queries), -1, np.int64)
    spread: Spread = options.executor.spread if isinstance(options.executor, Spreading) else alone
    plan = make_plan(
        vectors,
        queries,
        qrels,
        space.columns,
        scoring=space.scoring,
        own_rows=own_rows,
        kernel=kernel,
        turn=space.documents,
        spread=spread,
    )
    return Pass(
        task=CountTask(
            vectors=vectors, rows=((0, len(vectors)),), targets=plan.targets, depth=options.depth, turns=space.document_turns
        ),
        plan=plan,
        kernel=kernel,
        qrels=qrels,
        configurations=space.candidates,
        spread=spread,
    )


def count(one: Pass, options: RankOptions, on_event: OnEvent = ignore) -> Tally:
    """Counts a pass with the executor of the options. Raises InputError where a vector holds NaN or infinity."""
    rows_each = max(1, options.shard_bytes // (4 * one.task.vectors.dim))
    rows_each -= rows_each % ROWS_TOGETHER if rows_each > ROWS_TOGETHER else 0
    return count_pass(one.task, options.executor, one.kernel, rows_each, checkpoint=options.checkpoint, on_event=on_event)


def open_kernel(device: str | None = None, *, readers: int = 0) -> Kernel:
    """Opens the kernel of the CUDA device that is named, else machine code, else numpy.

    Only a `cuda` device imports torch; where torch or Triton cannot use it, the processor does the work. `readers`:
    threads that read for a device, by default a few.
    """
    if device is not None and device.startswith("cuda"):
        try:
            from mrl_sweep.ranking.device import READERS, DeviceKernel

            return DeviceKernel(device, readers=readers or READERS)
        except (ImportError, RuntimeError):
            pass
    try:
        from mrl_sweep.ranking.kernel import MachineKernel

        return MachineKernel()
    except (ImportError, RuntimeError):
        return PortableKernel()


def refuse_unfit_queries(queries: Float32Array) -> None:
    """Raises InputError where a query vector is not finite."""
    bad = np.flatnonzero(~np.isfinite(queries).all(axis=1))
    if len(bad):
        raise InputError(f"the vector of query row {bad[0]} is not finite ({len(bad)} in all)", "embed the queries again")


def training_rows(n_documents: int) -> IntArray:
    """Returns the rows that train the codes, ascending: all, or `TRAINING_ROWS` at random, the same in every run."""
    if n_documents <= TRAINING_ROWS:
        return np.arange(n_documents)
    return np.sort(np.random.default_rng(SEED).choice(n_documents, TRAINING_ROWS, replace=False))


def coded_spaces(
    spaces: Sequence[RankedSpace], precisions: Sequence[str], vectors: Vectors, *, symmetric: bool = False
) -> Iterator[RankedSpace]:
    """Yields the spaces of every precision but float32, trained on `training_rows`; each is made when it is wanted.

    `symmetric` as in `code_of`.
    """
    others = [precision for precision in precisions if precision != FLOAT32]
    if not others:
        return
    sample = functools.cache(lambda: vectors.take(training_rows(len(vectors))))  # not read for codes that learn nothing
    for space in spaces:
        for precision in others:
            yield from coded(space, precision, code_of(precision, symmetric=symmetric), sample)


def join(parts: Sequence[Ranks]) -> Ranks:
    """Joins the ranks of several passes over the same documents, queries and judgments, which keep lists of one depth."""
    tops = [part.top for part in parts if part.top is not None]
    top = TopDocuments(np.concatenate([t.rows for t in tops]), np.concatenate([t.scores for t in tops])) if tops else None
    return Ranks(
        tuple(candidate for part in parts for candidate in part.candidates),
        parts[0].n_documents,
        np.concatenate([part.above for part in parts]),
        np.concatenate([part.tied for part in parts]),
        top,
        np.concatenate([part.zero_prefixes for part in parts if part.zero_prefixes is not None]),
    )


def zeros_of_float32(ranks: Ranks) -> Ranks:
    """Returns the ranks with the zero prefixes of each code counted before coding: a code may hide that a prefix was zero."""
    if ranks.zero_prefixes is None:
        return ranks
    counts = dict(zip(ranks.candidates, ranks.zero_prefixes.tolist(), strict=True))

    def uncoded(candidate: Configuration) -> int:
        twin = replace(candidate, precision=FLOAT32)
        return int(counts.get(twin, counts.get(replace(twin, basis=str(Basis.PREFIX)), counts[candidate])))

    return replace(ranks, zero_prefixes=np.array([uncoded(candidate) for candidate in ranks.candidates], np.int64))
