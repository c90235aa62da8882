"""Counting on one machine: threads that share the work, each with a single-threaded BLAS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Condition, Event, Lock
from typing import Any, Final, TypeVar

from mrl_sweep.ranking.counting import CountContext, count_in_rounds
from mrl_sweep.ranking.task import CountTask, Partial
from mrl_sweep.record import record

S = TypeVar("S")
T = TypeVar("T")

LISTEN_S: Final = 0.2
"""Seconds between the main thread's breaks from waiting: some systems deliver an interrupt only then."""


def available_threads() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nothing(_shard: Any) -> None:
    pass


@record
class LocalThreads:
    """Counts with threads of this process; `on_draw` is told of each shard as it is drawn, by one thread at a time."""

    n_threads: int
    on_draw: Callable[[Any], None] = _nothing

    def count(self, task: CountTask, context: CountContext) -> Iterator[Partial]:
        return count_in_rounds(task, context, self.share)

    def spread(self, work: Callable[[Iterator[S]], T], pieces: Iterable[S]) -> list[T]:
        """Runs `work` as `share` does, over pieces that are no shards, so that `on_draw` is not told."""
        return replace(self, on_draw=_nothing).share(work, pieces)

    def share(self, work: Callable[[Iterator[S]], T], shards: Iterable[S]) -> list[T]:
        """Runs one `work` a thread; all draw from the same shards, in order, so that a slow one holds nothing up.

        An interrupt or an error stops the drawing: shards in hand are finished, then it is raised.
        """
        from threadpoolctl import threadpool_limits

        stop, lock, source, busy = Event(), Lock(), iter(shards), _Busy()

        def draw() -> Iterator[S]:
            while True:
                with lock:
                    if stop.is_set() or (shard := next(source, None)) is None:
                        return
                    self.on_draw(shard)
                yield shard

        def work_once() -> T:
            with busy:
                return work(draw())

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self.n_threads, "mrl-sweep") as pool:
            futures: list[Future[T]] = []
            try:
                futures.extend(pool.submit(work_once) for _ in range(self.n_threads))
                _wait_for(futures)
            finally:
                stop.set()
                busy.wait()
        return [future.result() for future in futures]


class _Busy:
    """Counts the threads at work. The pool does not know a thread that was being started when an interrupt came."""

    def __init__(self) -> None:
        self._count, self._condition = 0, Condition()

    def __enter__(self) -> None:
        with self._condition:
            self._count += 1

    def __exit__(self, *_error: object) -> None:
        with self._condition:
            self._count -= 1
            self._condition.notify_all()

    def wait(self) -> None:
        """Returns when nobody is at work."""
        with self._condition:
            while self._count:
                self._condition.wait(LISTEN_S)


def _wait_for(futures: list[Future[Any]]) -> None:
    """Returns when all futures are done, or one has failed; can be interrupted on every system."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, LISTEN_S, return_when="FIRST_EXCEPTION")
        if any(future.exception() for future in done):
            return
