"""Ray against threads on one machine, over a store of millions of vectors: the same integers, what Ray costs, what a task costs.

The load is named, and processor seconds of all processes are counted beside those of the clock: on a busy machine only they say
what a pass costs. `benchmarks.cluster` takes the costs that are fitted here (docs/scale.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.cluster import Cluster, Costs, Job, simulate
from benchmarks.harness import Bar, Table, main, seconds
from benchmarks.synthetic import documents
from mrl_sweep.embedding import Store
from mrl_sweep.events import Event
from mrl_sweep.execution.ray import RayExecutor, joined
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.store.shard import Rows
from mrl_sweep.store.space import Space, Writer
from mrl_sweep.types import Float32Array, ModelFacts, Qrels, Ranks, Vectors

MILLIONS: Final = tuple(map(int, os.environ.get("BENCH_MACHINES_MILLIONS", "1,2,5").split(",")))
QUERIES: Final = int(os.environ.get("BENCH_MACHINES_QUERIES", "1_500"))
DIM: Final = 256
DIMS: Final = (32, 64, 96, 128, 160, 192, 224, 256)
DEPTH: Final = 10
MILLION: Final = 1_000_000
TILE: Final = 250_000
SHORT_TASK_S: Final = 0.05
FIT_QUERIES: Final = 300
IDENTITY: Final = {"provider": "benchmark", "model": "normal", "role": "document"}
RATIO: Final = 1.15
MOST_GIB: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a pass took: seconds of the clock, processor seconds of this process, of Ray's workers and of Ray's own processes."""

    clock: float
    driver: float
    workers: float
    daemons: float
    n_tasks: int
    ranks: Ranks

    @property
    def processor(self) -> float:
        return self.driver + self.workers + self.daemons


def spent(vectors: Vectors, queries: Float32Array, qrels: Qrels, executor: Executor) -> Spent:
    """A pass, as the command runs it."""
    events: list[Event] = []
    before, started = processor_seconds(), time.perf_counter()
    with watched():
        ranks = rank(vectors, queries, qrels, DIMS, RankOptions(depth=DEPTH, executor=executor), on_event=events.append)
    clock, after = time.perf_counter() - started, processor_seconds()
    driver, workers, daemons = (one - other for one, other in zip(after, before, strict=True))
    return Spent(clock=clock, driver=driver, workers=workers, daemons=daemons, n_tasks=len(events), ranks=ranks)


_seen: dict[int, tuple[str, float]] = {}
"""Kind and processor seconds of each process that was met: those of one that has ended count on."""


def processor_seconds() -> tuple[float, float, float]:
    """Of this process, of Ray's workers, and of whatever else it has started, as Linux counts them."""
    parents, times = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            kind = "worker" if (entry / "cmdline").read_text().startswith("ray::") else "daemon"
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = kind, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_ours(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    _seen.update({pid: times[pid] for pid in times if is_ours(pid)})
    totals = {kind: sum(s for one, s in _seen.values() if one == kind) for kind in ("worker", "daemon")}
    return time.process_time(), totals["worker"], totals["daemon"]


@contextmanager
def watched() -> Iterator[None]:
    """Looks at the processes twice a second, so that what one has spent is known when it ends."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            processor_seconds()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def tiles(n: int, generator: np.random.Generator) -> Iterator[Float32Array]:
    """Normal vectors, some at a time: the same numbers with other signs on other axes, which costs less than to draw them."""
    base = documents(TILE, DIM, generator)
    for start in range(0, n, TILE):
        signs = generator.choice(np.array([-1, 1], np.float32), DIM)
        yield np.roll(base, start // TILE, axis=1) * signs


def filled(folder: Path, n: int, generator: np.random.Generator) -> float:
    """Seconds that a store of so many vectors takes to fill, beside what makes the vectors."""
    space, took = Store(folder).space(IDENTITY), 0.0
    space.begin(ModelFacts(dim=DIM))
    writer = Writer(space, flush_s=0.0)
    for number, vectors in enumerate(tiles(n, generator)):
        rows = np.arange(number * TILE, number * TILE + len(vectors), dtype=np.uint64)
        started = time.perf_counter()
        none = np.zeros(len(rows))
        writer.add(Rows(vectors, digests_of(rows), none.astype(np.uint32), none.astype(np.uint8)))
        took += time.perf_counter() - started
    return took


def digests_of(rows: Any) -> Any:
    """Stand-ins for digests of texts: any two numbers."""
    return np.column_stack([rows * np.uint64(0x9E3779B97F4A7C15), rows])


def opened(space: Space, n: int) -> Vectors:
    """The first vectors of the store, as a run gets them: looked up, compared with their checksums, mapped."""
    locations = space.find(digests_of(np.arange(n, dtype=np.uint64)))
    assert space.secure(locations)
    return space.vectors(locations)


MEMORY = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from benchmarks.machines import IDENTITY, opened, asked
from mrl_sweep.embedding import Store
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.exact import RankOptions, rank

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.01):
        peak[0] = max(peak[0], anonymous())

done, peak = threading.Event(), [0]
threading.Thread(target=watch, daemon=True).start()
vectors = opened(Store(Path(sys.argv[1])).space(IDENTITY), int(sys.argv[2]))
queries, qrels = asked(vectors, 200)
rank(vectors, queries, qrels, (64, 256), RankOptions(depth=10, executor=LocalThreads(available_threads())))
done.set()
print(json.dumps(peak[0] / 2**20))
"""


def asked(vectors: Vectors, n_queries: int) -> tuple[Float32Array, Qrels]:
    """Queries near some of the documents, two judged documents each."""
    generator = np.random.default_rng(1)
    rows = generator.choice(min(len(vectors), TILE), (n_queries, 2), replace=False)
    queries = vectors.take(rows[:, 0]) + 0.9 * documents(n_queries, DIM, generator)
    return queries.astype(np.float32), Qrels(np.arange(n_queries + 1) * 2, rows.ravel(), np.ones(rows.size, np.int64))


def same(one: Ranks, other: Ranks) -> None:
    assert np.array_equal(one.above, other.above)
    assert np.array_equal(one.tied, other.tied)
    assert one.top is not None
    assert other.top is not None
    assert np.array_equal(one.top.rows, other.top.rows)


def run() -> Table:
    """One store; threads and Ray over all of it, then Ray with one and two workers over parts of it, for the fit."""
    n_cores, most = available_threads(), MILLIONS[-1] * MILLION
    with tempfile.TemporaryDirectory() as place:
        fill_s = filled(Path(place) / "store", most, np.random.default_rng(0))
        started = time.perf_counter()
        space = Store(Path(place) / "store").space(IDENTITY)
        vectors = opened(space, most)
        warm_s = time.perf_counter() - started
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(Path(place) / "store"), str(min(5 * MILLION, most))],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        queries, qrels = asked(vectors, QUERIES)
        few = Vectors((vectors.read(0, TILE),))
        spent(few, queries, qrels, LocalThreads(n_cores))  # compiles
        threads = spent(vectors, queries, qrels, LocalThreads(n_cores))
        started = time.perf_counter()
        with joined(n_threads=n_cores) as executor:
            start_s = time.perf_counter() - started
            spent(few, queries, qrels, executor)
            ray = spent(vectors, queries, qrels, executor)
            same(ray.ranks, threads.ranks)
            fitted, driver_s = fit(vectors, executor)
    load = f"{os.getloadavg()[0]:.0f}"
    return table(Figures(n_cores, load, fill_s, warm_s, float(json.loads(done.stdout)), start_s, threads, ray, fitted, driver_s))


def fit(vectors: Vectors, executor: RayExecutor) -> tuple[tuple[float, float], float]:
    """Operations a second and seconds a task of the workers and of Ray on their node, by least squares; those of the driver."""
    queries, qrels = asked(vectors, FIT_QUERIES)
    points: list[tuple[float, Spent]] = []
    for n_workers in (1, 2):
        for n in MILLIONS:
            for task_s in (executor.task_s, SHORT_TASK_S) if n < MILLIONS[-1] else (executor.task_s,):
                lanes = (replace(executor.lanes[0], n_workers=n_workers),)
                part = Vectors(tuple(vectors.parts[: n * MILLION // TILE]))
                one = spent(part, queries, qrels, replace(executor, lanes=lanes, task_s=task_s))
                points.append((2.0 * len(part) * DIM * FIT_QUERIES, one))
    tasks = np.array([one.n_tasks for _, one in points])
    work = np.column_stack([[operations for operations, _ in points], tasks])
    (by_work, by_task), *_ = np.linalg.lstsq(work, np.array([one.workers + one.daemons for _, one in points]), rcond=None)
    driver = np.array([one.driver for _, one in points])
    (_, by_driven), *_ = np.linalg.lstsq(np.column_stack([np.ones(len(tasks)), tasks]), driver, rcond=None)
    return (1.0 / float(by_work), max(0.0, float(by_task))), max(0.0, float(by_driven))


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    n_cores: int
    load: str
    fill_s: float
    warm_s: float
    gib: float
    start_s: float
    threads: Spent
    ray: Spent
    fitted: tuple[float, float]
    driver_s: float


def table(found: Figures) -> Table:
    rate, task_s = found.fitted
    plan = simulate(Job(), Cluster(), Costs(operations_per_core_s=rate, task_start_s=task_s, driver_task_s=found.driver_s))
    clock, processor = found.ray.clock / found.threads.clock, found.ray.processor / found.threads.processor
    n, gib = MILLIONS[-1], MILLIONS[-1] * MILLION * DIM * 4 / 2**30
    rows = (
        (f"filling a local store, {n}M vectors, {gib:.1f} GiB", seconds(found.fill_s), f"{gib / found.fill_s:.2f} GiB/s"),
        ("opening it: looked up, checksums, mapped", seconds(found.warm_s), f"{gib / found.warm_s:.2f} GiB/s"),
        (f"threads, {found.n_cores} cores, {n}M", seconds(found.threads.clock), f"{found.threads.processor:.1f} s of processor"),
        (
            f"Ray, {found.n_cores} workers, {n}M, once it runs",
            seconds(found.ray.clock),
            f"{found.ray.processor:.1f} s of processor",
        ),
        ("starting Ray here", seconds(found.start_s), ""),
        ("a core's multiplications and additions a second, fitted", "", f"{rate / 1e9:.1f}e9"),
        ("a task, of a worker and Ray on its node, fitted", seconds(task_s), "of processor"),
        ("a task, of the driver, fitted", seconds(found.driver_s), "of processor"),
        ("1B x 1,024 on 100 nodes of 32 cores, simulated", seconds(plan.elapsed_s), ""),
    )
    note = (
        f"A local store of {n}M x {DIM} float32 in shards of {TILE:,}, {QUERIES:,} queries with two judged documents each, "
        f"{len(DIMS)} sizes, agreement at {DEPTH}. Threads and Ray give the same integers. Fitted: Ray with one and two workers "
        f"over {', '.join(f'{one}M' for one in MILLIONS)} vectors, {FIT_QUERIES} queries, tasks of 10 s and of {SHORT_TASK_S} s. "
        "Memory: the peak of RssAnon of a process that ranks up to 5M of them. Load average at the end: "
        f"{found.load} on {found.n_cores} cores. Where it is above the number of cores, only seconds of processor count (all "
        "processes together), and the ratio by the clock says how the system shared its cores."
    )
    bars = (
        Bar(
            "Ray against threads, processor seconds, without its start",
            f"at most {RATIO:g}x",
            f"{processor:.2f}x",
            processor <= RATIO,
        ),
        Bar(f"Ray against threads, clock, load {found.load}", f"at most {RATIO:g}x", f"{clock:.2f}x", clock <= RATIO),
        Bar("peak memory, 5M x 256 from a local store", f"under {MOST_GIB:g} GiB", f"{found.gib:.2f} GiB", found.gib < MOST_GIB),
    )
    return Table("machines: a store of millions, Ray against threads", note, ("what", "time", "rate"), rows, bars)


if __name__ == "__main__":
    main(run)
