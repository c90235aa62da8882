"""One machine: threads that share the work, each with a single-threaded BLAS."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event, Lock
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def available_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class LocalThreads:
    """Runs one `work` a thread; all draw from the same shards, in order, so that a slow one holds nothing up.

    An interrupt or an error stops the drawing: shards in hand are finished, then it is raised.
    """

    n_threads: int

    def __call__(self, work: Callable[[Iterator[S]], T], shards: Iterable[S]) -> list[T]:
        from threadpoolctl import threadpool_limits

        stop, lock, source = Event(), Lock(), iter(shards)

        def draw() -> Iterator[S]:
            while not stop.is_set():
                with lock:
                    shard = next(source, None)
                if shard is None:
                    return
                yield shard

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self.n_threads, "mrl-sweep") as pool:
            futures = [pool.submit(work, draw()) for _ in range(self.n_threads)]
            try:
                wait(futures, return_when="FIRST_EXCEPTION")
            finally:
                stop.set()
            return [future.result() for future in futures]
