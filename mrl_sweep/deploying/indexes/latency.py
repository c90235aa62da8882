"""How long a search takes: single queries one after the other, and batches, each within a time budget."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

FEWEST_CALLS: Final = 20
"""Below this many timed calls a median says nothing."""

FEWEST_CALLS_FOR_P99: Final = 100
"""Below this many timed calls the 99th percentile is just the slowest call."""

MOST_CALLS: Final = 120
"""Enough for a 99th percentile that is not the slowest call; a fast index needs no more of the budget."""

WARM_UP_CALLS: Final = 20
"""A fast index is warm after these; a slow one has a tenth of the budget for it."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of single-query search time in milliseconds; `p99_ms` is None below 100 calls."""

    p50_ms: float
    p99_ms: float | None
    n_calls: int


def measure_latency(
    search_one: Callable[[int], object], n_queries: int, *, budget_s: float, clock: Clock = time.perf_counter
) -> Latency | None:
    """Times `search_one(q)` over the real queries in turn, until the budget (which the warm-up shares) or 120 calls.

    20 calls, at most a tenth of the budget, warm up: caches, pages, threads. None when fewer than 20 calls could be timed.
    """
    if n_queries == 0:
        return None
    start = clock()
    call = 0
    while call < min(n_queries, WARM_UP_CALLS) and (call == 0 or clock() - start < budget_s / 10):
        search_one(call % n_queries)
        call += 1
    if (clock() - start) / call * FEWEST_CALLS > 2 * budget_s:
        return None
    times_s: list[float] = []
    before = clock()
    while len(times_s) < MOST_CALLS and before - start < budget_s:
        search_one(call % n_queries)
        now = clock()
        times_s.append(now - before)
        before = now
        call += 1
    if len(times_s) < FEWEST_CALLS:
        return None
    p50, p99 = 1000 * np.percentile(times_s, [50, 99])
    return Latency(float(p50), float(p99) if len(times_s) >= FEWEST_CALLS_FOR_P99 else None, len(times_s))


def measure_throughput(
    search_batch: Callable[[int, int], object],
    n_queries: int,
    *,
    budget_s: float,
    batch: int = 256,
    clock: Clock = time.perf_counter,
) -> float | None:
    """Queries per second of `search_batch(start, stop)` over the real queries in batches, at least one batch, then to the budget.

    Batches begin small and double, so that a slow index overruns the budget by one small batch at most. The first one wakes the
    threads and counts only where it takes the whole budget. None without queries.
    """
    if n_queries == 0:
        return None
    size = min(8, n_queries)
    start = clock()
    search_batch(0, size)
    elapsed_s = clock() - start
    if elapsed_s >= budget_s:
        return size / elapsed_s
    done, position, elapsed_s = 0, size % n_queries, 0.0
    start = clock()
    while done == 0 or elapsed_s < budget_s:
        stop = min(position + size, n_queries)
        search_batch(position, stop)
        done += stop - position
        position = stop % n_queries
        size = min(2 * size, batch)
        elapsed_s = clock() - start
    return done / elapsed_s if elapsed_s > 0 else None


def anonymous_bytes() -> int | None:
    """Resident memory of this process without mapped files, in bytes; None where the system does not tell (not Linux).

    Freed memory is handed back first where the C library can do that: what an earlier index left would hide the next one.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
