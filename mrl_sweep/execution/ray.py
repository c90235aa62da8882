"""Counting on a Ray cluster: a pass as plain tasks over stretches of rows, their tallies merged on the cluster as they come.

Ray core and no more: the targets are put once, tasks are idempotent and retried where a worker or a node dies, and an error of
ours is raised at once. Nothing of the book-keeping travels.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from typing import Any, Final

import numpy as np

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.cluster import alive, ask_nodes, cluster, our_error
from mrl_sweep.execution.places import VectorPlaces, places_of, unreadable
from mrl_sweep.execution.threads import available_threads
from mrl_sweep.ranking.counting import CountContext, pass_key
from mrl_sweep.ranking.pass_plan import Kernel, Tally, Targets, merge
from mrl_sweep.ranking.task import CountTask, Partial, Span, Turn, count_shards, cut_spans, join_spans, n_rows_of
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array
from mrl_sweep.words import first_offenders, plural

TASK_S: Final = 10.0
"""Seconds of work in a task: long beside what starting one costs, short beside what is lost with a node."""

DRIVEN: Final = 1000
"""Workers that the driver feeds with tasks of that length: a task costs it some 6 ms. More workers get longer tasks."""

FIRST_TASK_OPERATIONS: Final = 2e10
"""Multiplications and additions of the first tasks, about a second of a core: these tell how fast a core is."""

IN_FLIGHT: Final = 2
"""Tasks per worker: one at work, one waiting."""

LEAST_SHARE: Final = 0.25
"""Share of a full task that the last tasks still hold, where workers are many."""

FEW: Final = 50
"""Workers that the driver feeds as soon as one is free: no task waits, since Ray lets later ones overtake it to the very end."""

LEAST_S: Final = 0.5
"""Seconds of work in the last tasks of few workers."""

RETRIES: Final = 5
"""Times that a task is run again where its worker or node dies."""

FAN_IN: Final = 8
"""Tallies that are merged into one, on the cluster."""

FLOOR_EVERY_S: Final = 1.0
"""How often tasks are told of a higher floor."""

ENDING_S: Final = 0.2
"""Tasks that end within this time are not cancelled."""

Ref = Any
"""ray.ObjectRef, which is not imported here."""


@record
class ShippedTask:
    """A `CountTask` without its rows, as it travels: the vectors by place, everything else by value."""

    key: str
    vectors: VectorPlaces
    targets: Targets
    depth: int
    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, task: CountTask) -> ShippedTask:
        return cls(pass_key(task), places_of(task.vectors), task.targets, task.depth, task.turns)

    def own_targets(self) -> Targets:
        """Copies the targets: compiled code takes arrays that are shared, and so read-only, for another type."""
        arrays: dict[str, Any] = {
            name: np.array(value) for name, value in self.targets._asdict().items() if isinstance(value, np.ndarray)
        }
        return self.targets._replace(**arrays)

    def task(self, rows: tuple[Span, ...], targets: Targets) -> CountTask:
        """Returns the task over some rows, with the files that hold them mapped on this machine."""
        vectors = self.vectors.open(rows)
        return CountTask(vectors=vectors, rows=rows, targets=targets, depth=self.depth, turns=self.turns)


@record
class Done:
    """A finished task as the driver needs it: its rows, how long it took, the floor (n_sizes, n_queries) that it reached."""

    rows: tuple[Span, ...]
    elapsed_s: float
    floor: Float32Array


_prepared: dict[tuple[str, str | None], tuple[Targets, Kernel]] = {}
"""Targets and kernel of the pass that this worker counts, by pass and device. A worker takes one task at a time."""


def count_on_worker(
    shipped: ShippedTask, rows: tuple[Span, ...], floor: Float32Array, rows_each: int, device: str | None
) -> tuple[Done, Tally]:
    """Counts some rows on a worker, by the kernel of its `device`, else the fastest of its processor."""
    from threadpoolctl import threadpool_limits

    started, key = time.perf_counter(), (shipped.key, device)
    if key not in _prepared:
        from mrl_sweep.ranking.exact import open_kernel

        _prepared.clear()
        _prepared[key] = shipped.own_targets(), open_kernel(device)
    targets, kernel = _prepared[key]
    task = shipped.task(rows, targets)
    tally = task.empty_tally(np.array(floor))
    with threadpool_limits(1, "blas"):
        count_shards(task, kernel, tally, cut_spans(rows, rows_each), lambda _: None)
    return Done(rows, time.perf_counter() - started, tally.floor), tally


def merge_on_worker(*tallies: Tally) -> Tally:
    """Returns the sum of some tallies, on a worker."""
    return merge(tallies)


@record(eq=False)
class Lane:
    """Workers of one kind: how Ray is asked for one, how many there are, and the device their kernel runs on."""

    name: str
    resources: Mapping[str, Any]
    n_workers: int
    device: str | None = None


@record
class RayExecutor:
    """Counts on the Ray cluster that this process has joined (`joined`)."""

    ray: Any
    lanes: tuple[Lane, ...]
    device: str | None = None
    task_s: float = TASK_S
    retries: int = RETRIES

    def __str__(self) -> str:
        kinds = (plural(lane.n_workers, lane.name, lane.name + "s") for lane in self.lanes)
        return f"{plural(len(alive(self.ray)), 'node', 'nodes')}, {', '.join(kinds)}"

    def count(self, task: CountTask, context: CountContext) -> Iterator[Partial]:
        shipped = ShippedTask.of(task)
        refuse_unreadable(self.ray, shipped.vectors)
        flights = _Flights(self, task, self.ray.put(shipped), context)
        try:
            while flights.launch():
                flights.land()
                if flights.finished and context.due():
                    yield flights.collect()
            if flights.finished:
                yield flights.collect()
        except KeyboardInterrupt:
            flights.cancel()
            if flights.finished:
                yield flights.collect()
            raise
        except self.ray.exceptions.RayError as error:
            flights.cancel()
            raise our_error(error) from error
        finally:
            flights.cancel()


@record(frozen=False)
class _Flights:
    """The tasks of a pass that are under way, and the tallies of those that have come back."""

    executor: RayExecutor
    task: CountTask
    shipped: Ref
    context: CountContext
    finished: list[Span] = field(default_factory=list)
    _left: list[Span] = field(init=False)
    _under_way: dict[Ref, tuple[Ref, Lane]] = field(default_factory=dict)
    _tallies: list[list[Ref]] = field(default_factory=list)
    _rates: dict[Lane, float] = field(default_factory=dict)
    _floor: Float32Array = field(init=False)
    _floor_ref: Ref = None
    _floor_at: float = 0.0

    def __post_init__(self) -> None:
        self._left = list(reversed(self.task.rows))
        self._floor = self.context.floor.copy()
        self._put_floor()

    def launch(self) -> bool:
        """Submits tasks until each worker has one at work and, of many workers, one waiting; tells whether any is under way."""
        for lane in self.executor.lanes:
            flying = sum(one is lane for _, one in self._under_way.values())
            for _ in range((1 if self._few else IN_FLIGHT) * lane.n_workers - flying):
                if self._left:
                    self._submit(lane)
        return bool(self._under_way)

    def land(self) -> None:
        """Waits for a task, and takes all that have finished. Raises RayError where one has failed for good."""
        ray = self.executor.ray
        some, _ = ray.wait(list(self._under_way), num_returns=1, timeout=None)
        done, _ = ray.wait(list(self._under_way), num_returns=len(self._under_way), timeout=0)
        for ref in {*some, *done}:
            facts: Done = ray.get(ref)
            tally, lane = self._under_way.pop(ref)
            self._add(tally)
            self.finished.extend(facts.rows)
            self._rates[lane] = n_rows_of(facts.rows) / max(facts.elapsed_s, 1e-9)
            np.maximum(self._floor, facts.floor, out=self._floor)
            self.context.on_rows(n_rows_of(facts.rows))
        if time.monotonic() - self._floor_at >= FLOOR_EVERY_S:
            self._put_floor()

    def collect(self) -> Partial:
        """Returns the counts of all tasks that have come back since the last call."""
        refs = [ref for level in self._tallies for ref in level]
        partial = Partial(join_spans(self.finished), merge(self.executor.ray.get(refs)))
        self.finished, self._tallies = [], []
        return partial

    def cancel(self) -> None:
        """Stops all tasks under way.

        Tasks about to end are let end: Ray aborts the process where a task ends while it is cancelled (ray-project/ray#54527).
        """
        running = list(self._under_way)
        if running:
            with suppress(Exception):  # the cluster may be gone already
                running = self.executor.ray.wait(running, num_returns=len(running), timeout=ENDING_S, fetch_local=False)[1]
        for ref in running:
            with suppress(Exception):
                self.executor.ray.cancel(ref, force=True)
        self._under_way.clear()

    @property
    def _n_workers(self) -> int:
        return sum(lane.n_workers for lane in self.executor.lanes)

    @property
    def _few(self) -> bool:
        return self._n_workers <= FEW

    def _submit(self, lane: Lane) -> None:
        ray, rows = self.executor.ray, self._take(self._rows_of_a_task(lane))
        remote = ray.remote(count_on_worker).options(num_returns=2, max_retries=self.executor.retries, **lane.resources)
        done, tally = remote.remote(self.shipped, rows, self._floor_ref, self.context.rows_each, lane.device)
        self._under_way[done] = tally, lane

    def _rows_of_a_task(self, lane: Lane) -> int:
        """Returns how many rows are about `task_s` of work; less where little is left, so that all workers end together."""
        rate, n_workers = self._rates.get(lane), self._n_workers
        n_queries, dim = self.task.targets.queries.shape
        share, each = n_rows_of(self._left) / (IN_FLIGHT * n_workers), self.context.rows_each
        if rate:
            full = rate * self.executor.task_s * max(1.0, n_workers / DRIVEN)
            rows = min(full, max(share, rate * LEAST_S if self._few else full * LEAST_SHARE))
        else:
            rows = min(share, FIRST_TASK_OPERATIONS / (2 * max(1, n_queries) * dim))
        return max(each, int(rows) // each * each)

    def _take(self, n: int) -> tuple[Span, ...]:
        """Takes the next n of the rows that are left."""
        taken: list[Span] = []
        while n and self._left:
            start, stop = self._left.pop()
            if stop - start > n:
                self._left.append((start + n, stop))
                stop = start + n
            taken.append((start, stop))
            n -= stop - start
        return tuple(taken)

    def _add(self, tally: Ref, level: int = 0) -> None:
        """Adds a tally to the tree: `FAN_IN` of a level are merged into one of the next, where the cluster holds them."""
        if level == len(self._tallies):
            self._tallies.append([])
        self._tallies[level].append(tally)
        if len(self._tallies[level]) == FAN_IN:
            merged = (
                self.executor.ray.remote(merge_on_worker)
                .options(num_cpus=0, max_retries=self.executor.retries)
                .remote(*self._tallies[level])
            )
            self._tallies[level] = []
            self._add(merged, level + 1)

    def _put_floor(self) -> None:
        self._floor_ref, self._floor_at = self.executor.ray.put(self._floor.copy()), time.monotonic()


@contextmanager
def joined(
    address: str | None = None,
    *,
    n_threads: int | None = None,
    device: str | None = None,
    on_event: OnEvent = ignore,
) -> Iterator[RayExecutor]:
    """Yields the executor on the cluster at `address` or RAY_ADDRESS, else on this machine's cores; raises what `cluster` raises.

    Where `device` is a GPU, those of the cluster count too.
    """
    with cluster(address, n_threads or available_threads(), on_event) as ray:
        executor = RayExecutor(ray, lanes_of(ray.cluster_resources(), device), device)
        on_event(Note(f"counting on Ray: {executor}"))
        yield executor


def lanes_of(resources: Mapping[str, float], device: str | None = None) -> tuple[Lane, ...]:
    """Returns the lane of a cluster's cores, and for a GPU as `device` that of its GPUs, whose workers take no core."""
    cores = Lane("core", {"num_cpus": 1}, max(1, int(resources.get("CPU", 1))))
    n_gpus = int(resources.get("GPU", 0)) if (device or "").startswith("cuda") else 0
    # An environment of their own: else Ray gives a GPU to one worker after the other, and each keeps memory there.
    apart = {"num_cpus": 0, "num_gpus": 1, "runtime_env": {"env_vars": {"MRL_SWEEP_LANE": "GPU"}}}
    return (cores, Lane("GPU", apart, n_gpus, "cuda")) if n_gpus else (cores,)


def refuse_unreadable(ray: Any, vectors: VectorPlaces) -> None:
    """Raises EnvironmentFault where a node cannot read a file of the vectors."""
    if not vectors.files:
        return
    files = sorted(vectors.files.items())
    bad = [(name, paths) for name, paths in ask_nodes(ray, unreadable, files) if paths]
    if bad:
        name, paths = bad[0]
        raise EnvironmentFault(
            f"{len(bad)} of {len(alive(ray))} nodes cannot read the vectors: {name} has no {first_offenders(paths, limit=1)}",
            "put the store (--store) or the vectors where every node can read them: a shared folder or an object store",
        )
