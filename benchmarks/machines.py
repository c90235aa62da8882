"""A pass on Ray against threads of the same machine: the same integers, and what Ray costs beyond its start."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.cluster import Cluster, Costs, Job, simulate
from benchmarks.harness import Bar, Table, main, medians, seconds
from benchmarks.synthetic import documents, several
from mrl_sweep.execution.ray import joined
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Float32Array, Qrels, Ranks, Vectors

DOCS: Final = int(os.environ.get("BENCH_MACHINES_DOCS", "1_000_000"))
DIM: Final = 256
QUERIES: Final = int(os.environ.get("BENCH_MACHINES_QUERIES", "5_000"))
DIMS: Final = (32, 64, 96, 128, 160, 192, 224, 256)
JUDGED: Final = 2
DEPTH: Final = 10
ROUNDS: Final = 1
BAR: Final = 1.15


def counted(vectors: Vectors, queries: Float32Array, qrels: Qrels, executor: Executor) -> Ranks:
    """The pass, as the command runs it."""
    return rank(vectors, queries, qrels, DIMS, RankOptions(depth=DEPTH, executor=executor))


def check(one: Ranks, other: Ranks) -> None:
    assert np.array_equal(one.above, other.above)
    assert np.array_equal(one.tied, other.tied)
    assert one.top is not None
    assert other.top is not None
    assert np.array_equal(one.top.rows, other.top.rows)


def run() -> Table:
    """Documents in a file that is mapped; threads and Ray take turns."""
    generator, n_cores = np.random.default_rng(0), available_threads()
    with tempfile.TemporaryDirectory() as folder:
        work = several(documents(DOCS, DIM, generator), QUERIES, JUDGED, generator)
        np.save(Path(folder) / "docs.npy", work.docs)
        vectors = Vectors((np.load(Path(folder) / "docs.npy", mmap_mode="r"),))
        queries, qrels = work.queries, work.qrels
        del work
        os.environ.update(RAY_worker_niceness="0")  # Ray's workers give way to others unless told not to, threads do not
        started = time.perf_counter()
        with joined(n_threads=n_cores) as executor:
            started_in = time.perf_counter() - started
            check(counted(vectors, queries, qrels, executor), counted(vectors, queries, qrels, LocalThreads(n_cores)))
            contenders: dict[str, Callable[[], object]] = {
                "threads": partial(counted, vectors, queries, qrels, LocalThreads(n_cores)),
                "ray": partial(counted, vectors, queries, qrels, executor),
            }
            took = medians(contenders, rounds=ROUNDS, warmups=0)
    return table(took, started_in, n_cores)


def table(took: dict[str, float], started_in: float, n_cores: int) -> Table:
    ratio = took["ray"] / took["threads"]
    operations = 2.0 * DOCS * DIM * QUERIES / took["threads"] / n_cores
    plan = simulate(Job(), Cluster(), Costs(operations_per_core_s=operations))
    rows = (
        (f"threads, {n_cores} cores", seconds(took["threads"]), "1.00"),
        (f"Ray, {n_cores} workers, once it runs", seconds(took["ray"]), f"{ratio:.2f}"),
        ("starting Ray here", seconds(started_in), ""),
        ("multiplications and additions a second and core", f"{operations / 1e9:.1f}e9", ""),
        ("1B x 1,024 on 100 nodes of 32 cores, simulated", seconds(plan.elapsed_s), ""),
    )
    note = (
        f"{DOCS:,} x {DIM} float32 documents in a mapped file, {QUERIES:,} queries, {JUDGED} judged documents a query, "
        f"{len(DIMS)} sizes, agreement at {DEPTH}. Both give the same integers, which is checked before anything is timed. "
        "The simulation takes the rate measured here (docs/scale.md)."
    )
    bars = (Bar("a pass on Ray against threads, without its start", f"at most {BAR:g}x", f"{ratio:.2f}x", ratio <= BAR),)
    return Table("machines: Ray against threads", note, ("what", "time", "ratio"), rows, bars)


if __name__ == "__main__":
    main(run)
