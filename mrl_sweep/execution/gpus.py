"""GPUs that rank: whether they are faster than the processor here, which is measured, and several of them at once.

A GPU costs seconds before it counts anything: torch is imported, programs are compiled. So it is tried only where the processor
would be busy for much longer, by what a small part of the work takes; then both count the same few documents.
"""

from __future__ import annotations

import ctypes
import queue
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mrl_sweep.events import Note, OnEvent
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.counting import Executor
from mrl_sweep.ranking.exact import ONE_WORKER, RankOptions, open_kernel, rank
from mrl_sweep.ranking.pass_plan import Kernel, Tally, Targets
from mrl_sweep.ranking.task import Span, StreamKernel
from mrl_sweep.types import Float32Array, IntArray, Qrels, Similarity, Vectors

WORTH_S: Final = 20.0
"""Seconds of the processor from which a GPU is tried."""

LEAST_OPERATIONS: Final = 4e11
"""Multiplications and additions that no machine with a GPU takes so long for: below, nothing is tried."""

PROCESSOR_DOCS: Final = 4096
DEVICE_DOCS: Final = 65_536
"""Documents of a trial."""

TRIAL_QUERIES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be ranked, as far as it decides how long that takes."""

    vectors: Vectors
    n_queries: int
    n_sizes: int
    depth: int
    similarity: Similarity = Similarity.COSINE

    @property
    def pairs(self) -> float:
        """Pairs of a query and a document."""
        return float(self.n_queries) * len(self.vectors)


Rate = Callable[[Kernel, Executor, int], float]
"""Pairs of a query and a document a second, of a kernel over so many documents."""


class SeveralDevices:
    """`Kernel` of several devices: each worker has one to itself while it counts, and waits where none is free."""

    name = "triton"

    def __init__(self, kernels: Iterable[Any]) -> None:
        self.kernels = tuple(kernels)
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for kernel in self.kernels:
            self._free.put(kernel)

    def pair_scores(self, queries: Float32Array, docs: Float32Array, targets: Targets, query_rows: IntArray) -> Float32Array:
        with self._one() as kernel:
            scores: Float32Array = kernel.pair_scores(queries, docs, targets, query_rows)
            return scores

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        with self._one() as kernel:
            return int(kernel.tally(targets, tally, docs, first_row))

    def stream(
        self,
        targets: Targets,
        tally: Tally,
        read: Callable[[int, int], Float32Array],
        shards: Iterable[Span],
        on_counted: Callable[[Span], None],
    ) -> int:
        with self._one() as kernel:
            return int(kernel.stream(targets, tally, read, shards, on_counted))

    @contextmanager
    def _one(self) -> Iterator[Any]:
        kernel = self._free.get()
        try:
            yield kernel
        finally:
            self._free.put(kernel)


def n_workers(kernel: Kernel, n_threads: int) -> int:
    """Threads that count with a kernel: one a device, where it is of devices."""
    if isinstance(kernel, SeveralDevices):
        return len(kernel.kernels)
    return 1 if isinstance(kernel, StreamKernel) else n_threads


def open_devices(device: str, n_threads: int) -> Kernel:
    """The kernel of the device that is named, of all GPUs for `cuda`; that of the processor where they cannot be used."""
    n_devices = cuda_devices() if device == "cuda" else 1
    names = [f"cuda:{i}" for i in range(n_devices)] if n_devices > 1 else [device]
    kernels = [open_kernel(name, readers=max(1, n_threads // len(names))) for name in names]
    return kernels[0] if len(kernels) == 1 or not isinstance(kernels[0], StreamKernel) else SeveralDevices(kernels)


def faster(work: Work, processor: Kernel, n_threads: int, on_event: OnEvent, rate: Rate | None = None) -> Kernel:
    """The processor's kernel, or that of this machine's GPUs where they were measured to be done earlier."""
    if 2 * work.pairs * work.vectors.dim < LEAST_OPERATIONS:
        return processor
    rate = rate or SpeedTrial(work).rate
    processor_s = work.pairs / rate(processor, LocalThreads(n_threads), PROCESSOR_DOCS * n_threads)
    if processor_s < WORTH_S:
        return processor
    started = time.perf_counter()
    kernel = open_devices("cuda", n_threads)
    if not isinstance(kernel, StreamKernel):
        return processor
    rate(kernel, ONE_WORKER, DEVICE_DOCS)  # compiles what is launched
    start_s = time.perf_counter() - started
    device_s = work.pairs / rate(kernel, ONE_WORKER, DEVICE_DOCS) / n_workers(kernel, 1)
    won = device_s < processor_s
    name = "GPU" if won else "processor"
    on_event(
        Note(
            f"ranking on the {name}: tried for {start_s:.1f} s, the whole work takes the GPU {device_s:,.1f} s "
            f"and the processor {processor_s:,.1f} s"
        )
    )
    return kernel if won else processor


class SpeedTrial:
    """A part of the work to be timed: its first documents, some of which stand for the queries."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def rate(self, kernel: Kernel, executor: Executor, n_docs: int) -> float:
        """Pairs a second of a kernel. The first call of a kernel compiles it: call twice."""
        work, n_docs = self.work, min(n_docs, len(self.work.vectors))
        docs = np.array(work.vectors.read(0, n_docs))
        n_queries = min(work.n_queries, TRIAL_QUERIES, n_docs)
        judged = (np.arange(n_queries, dtype=np.int64) + 1) % n_docs
        qrels = Qrels(np.arange(n_queries + 1), judged, np.ones(n_queries, np.int64))
        dims = np.unique(np.linspace(1, work.vectors.dim, work.n_sizes + 1).astype(int)[1:]).tolist()
        options = RankOptions(similarity=work.similarity, depth=min(work.depth, n_docs), kernel=kernel, executor=executor)
        started = time.perf_counter()
        rank(Vectors((docs,)), docs[:n_queries].copy(), qrels, dims, options)
        return n_queries * n_docs / (time.perf_counter() - started)


def cuda_devices() -> int:
    """The NVIDIA GPUs that this process may use (the driver heeds CUDA_VISIBLE_DEVICES); 0 where there is no driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
