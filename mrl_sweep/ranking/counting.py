"""Runs a counting pass: executors, checkpoints of partial counts, resuming after an interrupt, and the memory a pass needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np

from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.ranking.pass_plan import Kernel, Tally, merge
from mrl_sweep.ranking.task import (
    TURNED_AT_ONCE,
    CountTask,
    Partial,
    Span,
    count_shards,
    cut_spans,
    join_spans,
    n_rows_of,
    rows_left,
)
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array

RULES: Final = "3"
"""Raised whenever the same documents would be counted otherwise: counts of different rules must never be added."""

Work = Callable[[Iterator[Span]], None]
"""Counts the shards that it draws."""


@record(kw_only=True)
class CountContext:
    """The parts of a pass that an executor uses while it counts and that stay on this machine.

    `kernel` and `rows_each` (rows of a shard) serve threads of this process. `due` says when partial counts should be handed
    over; `on_rows` hears how many more documents are counted, from one thread at a time. `floor` (n_sizes, n_queries) float32
    holds scores below which no document is among the best (`Tally.floor`); threads of this process share it.
    """

    kernel: Kernel
    rows_each: int
    floor: Float32Array
    due: Callable[[], bool]
    on_rows: Callable[[int], None]


class Executor(Protocol):
    """Runs a task on one or more workers, in pieces of its own choice."""

    def count(self, task: CountTask, context: CountContext) -> Iterator[Partial]:
        """Yields partial counts, each document in exactly one of them: some whenever they are due, the rest at the end.

        Where KeyboardInterrupt comes out, no worker counts any more; what was wholly counted may be yielded before.
        """
        ...


@runtime_checkable
class Spreading(Protocol):
    """An executor with threads of this process, which also score the judged pairs."""

    def spread(self, work: Callable[[Iterator[Any]], None], pieces: Iterable[Any]) -> object:
        """Runs `work` on each thread; all draw from the same pieces."""
        ...


class Checkpoint(Protocol):
    """Where partial counts are kept between two runs of the same pass, and how often."""

    def load(self, key: str) -> Partial | None:
        """Returns the partial counts under this key, or None."""
        ...

    def due(self) -> bool:
        """Tells whether enough work has been done since the last `save` to be worth keeping."""
        ...

    def save(self, key: str, partial: Partial) -> None:
        """Keeps these partial counts instead of those under this key."""
        ...


class InOrder:
    """The executor of a single thread: the caller's."""

    def count(self, task: CountTask, context: CountContext) -> Iterator[Partial]:
        return count_in_rounds(task, context, lambda work, shards: work(shards))


def count_in_rounds(task: CountTask, context: CountContext, share: Callable[[Work, Iterator[Span]], object]) -> Iterator[Partial]:
    """Counts with workers of this process: `share` runs the work on each of them, over shards that they draw from.

    A round ends when partial counts are due. After an interrupt it is handed over only if no shard is half counted.
    """
    shards = cut_spans(task.rows, context.rows_each)
    while True:
        one = _Round(task, context, shards)
        try:
            share(one.work, one.draw())
        except KeyboardInterrupt:
            if one.is_whole:
                yield one.partial()
            raise
        if one.is_whole:
            yield one.partial()
        if not one.paused:
            return


class _Round:
    """The shards of one round, drawn until counts are due (`paused`), and the tallies of the workers that count them.

    Each worker has a tally of its own, and all share one floor, so that none judges documents that another has already surpassed.
    """

    def __init__(self, task: CountTask, context: CountContext, shards: Iterator[Span]) -> None:
        self.paused = False
        self._task, self._context, self._shards = task, context, shards
        self._drawn: list[Span] = []
        self._tallies: list[Tally] = []
        self._n_counted, self._lock = 0, Lock()

    def draw(self) -> Iterator[Span]:
        """Yields the shards in order, until partial counts are due."""
        for shard in self._shards:
            self._drawn.append(shard)
            yield shard
            if self._context.due():
                self.paused = True
                return

    def work(self, shards: Iterator[Span]) -> None:
        """Counts shards into a tally of its own; each worker runs this."""
        tally = self._task.empty_tally(self._context.floor)
        self._tallies.append(tally)
        count_shards(self._task, self._context.kernel, tally, shards, self._add)

    @property
    def is_whole(self) -> bool:
        """Whether shards were drawn, and all of them are counted."""
        return 0 < self._n_counted == n_rows_of(self._drawn)

    def partial(self) -> Partial:
        """Returns the counts of all workers, added up."""
        return Partial(join_spans(self._drawn), merge(self._tallies))

    def _add(self, shard: Span) -> None:
        """Notes that a worker has counted a shard; one thread at a time."""
        with self._lock:
            self._n_counted += shard[1] - shard[0]
            self._context.on_rows(shard[1] - shard[0])


def count_pass(
    task: CountTask,
    executor: Executor,
    kernel: Kernel,
    rows_each: int,
    *,
    checkpoint: Checkpoint | None = None,
    on_event: OnEvent = ignore,
) -> Tally:
    """Returns the tally of the task's documents, counting only what `checkpoint` lacks; an interrupt saves what is counted."""
    key = pass_key(task) if checkpoint else ""
    total = resumed(task, checkpoint, key)
    n_kept, n_done = total.n_rows, total.n_rows

    def on_rows(n: int) -> None:
        nonlocal n_done
        n_done += n
        on_event(Progress("rank", n_done, task.n_rows, "documents"))

    context = CountContext(
        kernel=kernel,
        rows_each=rows_each,
        floor=total.tally.floor.copy(),
        due=checkpoint.due if checkpoint else lambda: False,
        on_rows=on_rows,
    )
    try:
        if total.n_rows < task.n_rows:
            for part in executor.count(task.of(rows_left(task.rows, total.rows)), context):
                total = total.plus(part) if total.rows else part
                if checkpoint and (n_kept or total.n_rows < task.n_rows):
                    checkpoint.save(key, total)
                    n_kept = total.n_rows
    except KeyboardInterrupt:
        if checkpoint and total.n_rows > n_kept:
            checkpoint.save(key, total)
        raise
    return total.tally


def resumed(task: CountTask, checkpoint: Checkpoint | None, key: str) -> Partial:
    """Returns the counts that the checkpoint holds of this task, or a partial with nothing counted."""
    saved = checkpoint.load(key) if checkpoint else None
    return saved if saved is not None and saved.fits(task) else Partial((), task.empty_tally())


def pass_key(task: CountTask) -> str:
    """Returns a digest of what decides the counts, but the vectors: rows, turns, depth, queries, thresholds, sizes, scoring."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{RULES} {task.rows} {len(task.vectors)} {task.depth} {task.targets.scoring}".encode())
    for turn in task.turns:
        digest.update(type(turn).__qualname__.encode() + hashlib.blake2b(turn.key).digest())
    for field in task.targets[:-1]:
        array = np.ascontiguousarray(field)
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


SMALLEST_SHARD: Final = 2**20  # bytes
COPIES: Final = 3
"""Copies of a shard, at most: rows gathered or read from two files, as float32, turned. Of training rows: read, cut, turned."""

_WORK_BYTES: Final = 8 * 2**20
"""Bytes of a thread: a block of scores in float32 and float64, what the kernel derives from it."""

_BLOCK_DOCS: Final = 2560
"""Documents, at most, of a thread's own copy of a block, packed in the order in which they are multiplied."""

_PAIRS_AT_ONCE: Final = 4096

_TURNED_BYTES: Final = 40
"""Bytes of a number that is turned: itself, its square in float64, its code, what that stands for, and what becomes of them."""


class Room(NamedTuple):
    """How many threads fit in memory, and how many bytes the shard of each may have."""

    n_threads: int
    shard_bytes: int


@record(kw_only=True)
class PassSize:
    """The size of a pass: `n_pairs` judgments of `n_queries` queries at `n_sizes` sizes, the best `depth` documents kept.

    Of a grid `n_sizes` are those of its widest pass, and the ranks of all `n_kept` configurations are held; `n_trained` documents
    train codes or a rotation, and the lists of `n_rescored` codes are ordered again together (0: there are none).
    """

    n_queries: int
    n_pairs: int
    n_sizes: int
    dim: int
    depth: int
    n_kept: int = 0
    n_trained: int = 0
    n_rescored: int = 0

    @property
    def fixed_bytes(self) -> int:
        """Bytes that all threads share: queries, thresholds and their tables, counts and ranks, the training sample."""
        pairs, best = self.n_sizes * self.n_pairs, self.n_sizes * self.n_queries * self.depth
        plan = 16 * self.dim * min(self.n_pairs, _PAIRS_AT_ONCE) + 24 * self.dim * self.n_queries
        kept = self.n_kept * (40 * self.n_pairs + 30 * self.n_queries * self.depth)
        again = 100 * self.n_rescored * self.n_queries * self.depth
        return plan + 120 * pairs + 80 * best + kept + again + 4 * COPIES * self.dim * self.n_trained

    @property
    def thread_bytes(self) -> int:
        """Bytes of a thread, without its shard: its counts, its best documents twice while they are merged, its work arrays."""
        turned = _TURNED_BYTES * self.dim * min(self.n_trained, TURNED_AT_ONCE)
        counts = 24 * self.n_sizes * self.n_pairs + 48 * self.n_sizes * self.n_queries * self.depth
        return counts + turned + 4 * self.dim * _BLOCK_DOCS + _WORK_BYTES

    def needed_bytes(self, n_threads: int = 1, shard_bytes: int = SMALLEST_SHARD) -> int:
        """Returns the bytes of a pass with so many threads and shards of so many bytes."""
        return self.fixed_bytes + n_threads * (self.thread_bytes + COPIES * shard_bytes)

    def room(self, budget_bytes: int, n_threads: int, shard_bytes: int) -> Room | None:
        """Returns the most threads, then the largest shards, up to those given, that fit the budget; None: one does not."""
        smallest = min(SMALLEST_SHARD, shard_bytes)
        for threads in range(n_threads, 0, -1):
            if self.needed_bytes(threads, smallest) <= budget_bytes:
                left = budget_bytes - self.needed_bytes(threads, 0)
                return Room(threads, min(shard_bytes, left // (COPIES * threads)))
        return None
