"""Resources of this machine for a ranking: kernel, threads, memory, read-ahead; GPUs where they were measured to be faster.

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
from functools import partial
from typing import Any, Final

import numpy as np

from mrl_sweep.deploying.indexes.measurement import anonymous_bytes
from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.places import ReadAhead
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.counting import Checkpoint, Executor, PassSize, Room
from mrl_sweep.ranking.exact import ONE_WORKER, ROWS_TOGETHER, SHARD_BYTES, RankOptions, open_kernel, rank
from mrl_sweep.ranking.pass_plan import Kernel, Tally, Targets
from mrl_sweep.ranking.portable import BLOCK_DOCS, PortableKernel
from mrl_sweep.ranking.task import Span, StreamKernel
from mrl_sweep.record import record
from mrl_sweep.settings.parsing import format_size
from mrl_sweep.types import Float32Array, IntArray, Qrels, Similarity, Vectors

SMALL: Final = 4000
"""Steps up to which the portable kernel is done before compiled code would be loaded; it gives the same integers."""

GPU_SHARD_BYTES: Final = 256 * 2**20

SHARD_WORK: Final = 1e10
"""Multiplications and additions in a shard: with many queries shards are smaller, so that an interrupt is obeyed soon."""


@record(kw_only=True)
class Limits:
    """What the user allows: None leaves it to the machine. `device` as torch names it, `max_memory` in bytes of the process."""

    threads: int | None = None
    max_memory: int | None = None
    device: str | None = None


@record(kw_only=True)
class RankInputs:
    """The inputs that decide which memory and time a ranking takes, in the terms of `PassSize`."""

    vectors: Vectors
    qrels: Qrels
    n_sizes: int
    depth: int
    similarity: Similarity = Similarity.COSINE
    own_rows: IntArray | None = None
    n_kept: int = 0
    n_trained: int = 0
    n_rescored: int = 0

    @property
    def n_scores(self) -> float:
        """Pairs of a query and a document."""
        return float(self.qrels.n_queries) * len(self.vectors)


def prepare(
    inputs: RankInputs, limits: Limits = Limits(), *, checkpoint: Checkpoint | None = None, on_event: OnEvent = ignore
) -> RankOptions:
    """Returns options to rank within these limits. Raises InputError where `max_memory` is too little for the counts alone."""
    vectors = inputs.vectors
    kernel = choose_kernel(inputs, limits, on_event)
    if kernel.name == "numpy" and python_steps(inputs) > SMALL:
        on_event(Note("ranking without compiled code: slower, the same result"))
    room = make_room(inputs, limits, kernel, on_event)
    return RankOptions(
        similarity=inputs.similarity,
        depth=inputs.depth,
        own_rows=inputs.own_rows,
        kernel=kernel,
        executor=LocalThreads(n_workers(kernel, room.n_threads), ReadAhead(vectors)),
        shard_bytes=room.shard_bytes,
        checkpoint=checkpoint,
    )


def choose_kernel(inputs: RankInputs, limits: Limits, on_event: OnEvent = ignore) -> Kernel:
    """Chooses the kernel that is done first: a GPU's where it is asked for and usable, or was measured to be faster."""
    n_threads = limits.threads or available_threads()
    if limits.device is None and python_steps(inputs) <= SMALL:
        return PortableKernel()
    if limits.device is not None and limits.device.startswith("cuda") and cuda_devices():
        kernel = open_devices(limits.device, n_threads)
        if kernel.name == "triton":
            return kernel
        on_event(Note(f"--device {limits.device}: torch and Triton cannot rank on it: the processor does, the same result"))
    processor = open_kernel()
    if limits.device is not None or limits.max_memory is not None or not cuda_devices():
        return processor  # torch alone takes more memory than a limit leaves
    return faster(inputs, processor, n_threads, on_event)


def python_steps(inputs: RankInputs) -> int:
    """Returns how many times the portable kernel's innermost loop, which is Python, would turn."""
    return max(inputs.n_sizes, inputs.n_kept) * inputs.qrels.n_queries * -(-len(inputs.vectors) // BLOCK_DOCS)


def make_room(inputs: RankInputs, limits: Limits, kernel: Kernel, on_event: OnEvent = ignore) -> Room:
    """Fits threads and shards into `max_memory`, of which the process holds a part already. Raises InputError where it cannot."""
    n_threads = limits.threads or available_threads()
    rows = max(ROWS_TOGETHER, int(SHARD_WORK / (2 * inputs.vectors.dim * max(1, inputs.qrels.n_queries))))
    shard_bytes = GPU_SHARD_BYTES if kernel.name == "triton" else min(SHARD_BYTES, 4 * inputs.vectors.dim * rows)
    if limits.max_memory is None:
        return Room(n_threads, shard_bytes)
    size = PassSize(
        n_queries=inputs.qrels.n_queries,
        n_pairs=len(inputs.qrels.rows),
        n_sizes=inputs.n_sizes,
        dim=inputs.vectors.dim,
        depth=inputs.depth,
        n_kept=inputs.n_kept,
        n_trained=inputs.n_trained,
        n_rescored=inputs.n_rescored,
    )
    in_use = anonymous_bytes() or 0
    room = size.room(limits.max_memory - in_use, n_threads, shard_bytes)
    if room is None:
        needed = size.needed_bytes()
        raise InputError(
            f"ranking {size.n_queries:,} queries with {size.n_pairs:,} judgments at {size.n_sizes:,} sizes takes "
            f"{format_size(needed)} of memory besides {format_size(in_use)} in use; {format_size(limits.max_memory)} are allowed",
            f"--max-memory {format_size(1.05 * (needed + in_use))} at least, or fewer sizes with --dims",
        )
    if room.n_threads < n_threads:
        on_event(Note(f"--max-memory {format_size(limits.max_memory)} leaves room for {room.n_threads} of {n_threads} threads"))
    return room


WORTH_S: Final = 20.0
"""Seconds of the processor from which a GPU is tried."""

LEAST_OPERATIONS: Final = 4e11
"""Multiplications and additions that take no machine with a GPU `WORTH_S`: below, nothing is tried."""

PROCESSOR_DOCS: Final = 4096
DEVICE_DOCS: Final = 65_536
"""Documents of a trial: per thread of the processor, and of a GPU."""

TRIAL_QUERIES: Final = 1024


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

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        with self._one() as kernel:
            scores: Float32Array = kernel.pair_scores(targets, docs, doc_rows, query_rows)
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
    """Returns how many threads count with a kernel: one for each device of a kernel of devices, else `n_threads`."""
    if isinstance(kernel, SeveralDevices):
        return len(kernel.kernels)
    return 1 if isinstance(kernel, StreamKernel) else n_threads


def open_devices(device: str, n_threads: int) -> Kernel:
    """Opens the kernel of the device that is named, of all GPUs for `cuda`; the processor's where they cannot be used."""
    n_devices = cuda_devices() if device == "cuda" else 1
    names = [f"cuda:{i}" for i in range(n_devices)] if n_devices > 1 else [device]
    kernels = [open_kernel(name, readers=max(1, n_threads // len(names))) for name in names]
    return kernels[0] if len(kernels) == 1 or not isinstance(kernels[0], StreamKernel) else SeveralDevices(kernels)


def faster(
    work: RankInputs,
    processor: Kernel,
    n_threads: int,
    on_event: OnEvent,
    rate: Rate | None = None,
    least_operations: float = LEAST_OPERATIONS,
) -> Kernel:
    """Chooses the processor's kernel, or that of this machine's GPUs where they were measured to be done earlier."""
    if 2 * work.n_scores * work.vectors.dim < least_operations:
        return processor
    rate = rate or partial(scores_a_second, work)
    processor_s = work.n_scores / rate(processor, LocalThreads(n_threads), PROCESSOR_DOCS * n_threads)
    if processor_s < WORTH_S:
        return processor
    started = time.perf_counter()
    kernel = open_devices("cuda", n_threads)
    if not isinstance(kernel, StreamKernel):
        return processor
    rate(kernel, ONE_WORKER, DEVICE_DOCS)  # compiles what is launched
    start_s = time.perf_counter() - started
    device_s = work.n_scores / rate(kernel, ONE_WORKER, DEVICE_DOCS) / n_workers(kernel, 1)
    won = device_s < processor_s
    name = "GPU" if won else "processor"
    on_event(
        Note(
            f"ranking on the {name}: tried for {start_s:.1f} s, the whole work takes the GPU {device_s:,.1f} s "
            f"and the processor {processor_s:,.1f} s"
        )
    )
    return kernel if won else processor


def scores_a_second(work: RankInputs, kernel: Kernel, executor: Executor, n_docs: int) -> float:
    """Measures a kernel over the first documents, some of which stand for the queries. The first call compiles: call twice."""
    n_docs = min(n_docs, len(work.vectors))
    docs = np.array(work.vectors.read(0, n_docs))
    n_queries = min(work.qrels.n_queries, TRIAL_QUERIES, n_docs)
    judged = (np.arange(n_queries, dtype=np.int64) + 1) % n_docs
    qrels = Qrels(np.arange(n_queries + 1), judged, np.ones(n_queries, np.int64))
    dims = np.unique(np.linspace(1, work.vectors.dim, work.n_sizes + 1).astype(int)[1:]).tolist()
    options = RankOptions(similarity=work.similarity, depth=min(work.depth, n_docs), kernel=kernel, executor=executor)
    started = time.perf_counter()
    rank(Vectors((docs,)), docs[:n_queries].copy(), qrels, dims, options)
    return n_queries * n_docs / (time.perf_counter() - started)


def cuda_devices() -> int:
    """Counts the NVIDIA GPUs that this process may use (the driver heeds CUDA_VISIBLE_DEVICES); 0 where there is no driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
