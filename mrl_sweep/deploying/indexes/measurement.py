"""The measurement of an index, how it joins the exact ranks, and how searches are timed; none of this needs FAISS.

Single queries are timed one after the other, then batches, each within a time budget.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from mrl_sweep.deploying.findings import Cost
from mrl_sweep.record import record
from mrl_sweep.types import Advice, Configuration, Float32Array, IntArray, Ranks, TopDocuments


@record(kw_only=True)
class IndexBudget:
    """A budget is what measuring one candidate may cost beyond building and searching it once.

    `latency_s` and `throughput_s` are seconds per candidate, raised to `share_of_build` of the build time for indexes that
    take long anyway, at most to `most_latency_s` and `most_throughput_s`: a build of hours, or one that a laptop slept
    through, must not buy hours of searching. Over a small index, 2 ms give the rate that 40 ms give. `checked_queries` is the
    sample on which a Flat index is held against the exact search. `threads` None: as many as FAISS takes. `seed` draws the
    training sample.
    """

    latency_s: float = 0.15
    throughput_s: float = 0.002
    share_of_build: float = 0.2
    most_latency_s: float = 20.0
    most_throughput_s: float = 2.0
    checked_queries: int = 32
    threads: int | None = None
    seed: int = 0

    def seconds(self, build_s: float, n_points: int = 1) -> tuple[float, float]:
        """Returns how long single queries and batches are timed at each of the points that a build of `build_s` serves."""
        allowed_s = self.share_of_build * build_s / n_points
        return (
            max(self.latency_s, min(allowed_s, self.most_latency_s)),
            max(self.throughput_s, min(allowed_s / 2, self.most_throughput_s)),
        )


@record(kw_only=True)
class IndexMeasurement:
    """A measurement is what one index returned and cost.

    `above`, `tied` (n_pairs,) as in `Ranks`, within the returned list; `top_rows`, `top_scores` (n_queries, depth).
    """

    candidate: Configuration
    above: IntArray
    tied: IntArray
    top_rows: IntArray
    top_scores: Float32Array
    cost: Cost
    advice: tuple[Advice, ...] = ()


def merge_measurements(exact: Ranks, measured: Sequence[IndexMeasurement]) -> Ranks:
    """Puts the ranks of the indexes behind the exact ones, so that both go through one scorer and one decision."""
    if not measured:
        return exact
    candidates = (*exact.candidates, *(one.candidate for one in measured))
    above = np.vstack([exact.above, *(one.above for one in measured)])
    tied = np.vstack([exact.tied, *(one.tied for one in measured)])
    top = None
    if exact.top is not None:
        depth = exact.top.depth
        rows = np.concatenate([exact.top.rows, np.stack([at_depth(one.top_rows, depth, -1) for one in measured])])
        scores = np.concatenate([exact.top.scores, np.stack([at_depth(one.top_scores, depth, -np.inf) for one in measured])])
        top = TopDocuments(rows, scores)
    zero_prefixes = None
    if exact.zero_prefixes is not None:
        by_candidate = dict(zip(exact.candidates, exact.zero_prefixes, strict=True))
        twins = [by_candidate.get(one.candidate.exact, 0) for one in measured]
        zero_prefixes = np.concatenate([exact.zero_prefixes, np.array(twins, np.int64)])
    return Ranks(candidates, exact.n_documents, above, tied, top, zero_prefixes)


FEWEST_CALLS: Final = 20
"""Below this many timed calls a median says nothing."""

FEWEST_CALLS_FOR_P99: Final = 100
"""Below this many timed calls the 99th percentile is just the slowest call."""

MOST_CALLS: Final = FEWEST_CALLS_FOR_P99
"""At so many the 99th percentile is the second slowest call; a fast index needs no more of the budget."""

WARM_UP_CALLS: Final = 10
"""A fast index is warm after these; a slow one has a tenth of the budget for it."""

Clock = Callable[[], float]


@record
class Latency:
    """Latency holds percentiles of single-query search time in milliseconds; `p99_ms` is None below 100 calls."""

    p50_ms: float
    p99_ms: float | None

    @classmethod
    def of(cls, times_s: Sequence[float]) -> Self:
        """Takes the percentiles of calls that took `times_s`."""
        places = np.arange(len(times_s))
        p50, p99 = 1000 * np.interp([0.50 * places[-1], 0.99 * places[-1]], places, np.sort(times_s))
        return cls(float(p50), float(p99) if len(times_s) >= FEWEST_CALLS_FOR_P99 else None)


def at_depth(lists: npt.NDArray[Any], depth: int, fill: float) -> npt.NDArray[Any]:
    """Takes the first `depth` columns of (n, width) lists, with `fill` where there are fewer."""
    out = np.full((len(lists), depth), fill, lists.dtype)
    out[:, : lists.shape[1]] = lists[:, :depth]
    return out


def measure_latency(
    search_one: Callable[[int], object], n_queries: int, *, budget_s: float, clock: Clock = time.perf_counter
) -> Latency | None:
    """Times `search_one(q)` over the real queries in turn, until the budget (which the warm-up shares) or 100 calls.

    10 calls, at most a tenth of the budget but for the first three, warm up: caches, pages, threads. None without queries, and
    when the fastest call says that 20 would take over twice the budget. Else 20 are timed in any case: where others keep the
    processors busy, a search is as fast as ever and seldom gets its turn.
    """
    if n_queries == 0:
        return None
    start = now = clock()
    calls_s: list[float] = []

    def spent(most_s: float) -> bool:
        return now - start >= most_s

    def call() -> None:
        nonlocal now
        before = now
        search_one(len(calls_s) % n_queries)
        now = clock()
        calls_s.append(now - before)

    while len(calls_s) < min(n_queries, WARM_UP_CALLS) and not spent(budget_s if len(calls_s) < 3 else budget_s / 10):
        call()
    if min(calls_s) * FEWEST_CALLS > 2 * budget_s:
        return None
    n_warm = len(calls_s)
    while len(calls_s) < n_warm + FEWEST_CALLS or (len(calls_s) < n_warm + MOST_CALLS and not spent(budget_s)):
        call()
    return Latency.of(calls_s[n_warm:])


def measure_throughput(
    search_batch: Callable[[int, int], object],
    n_queries: int,
    *,
    budget_s: float,
    batch: int = 256,
    clock: Clock = time.perf_counter,
) -> float | None:
    """Counts queries per second of `search_batch(start, stop)` over the real queries, at least one batch, then to the budget.

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
    """Reads this process' resident memory without mapped files, in bytes; None where the system does not tell (not Linux).

    Freed memory is handed back first where the C library can do that: what an earlier index left would hide the next one.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
