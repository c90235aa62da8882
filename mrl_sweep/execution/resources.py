"""What this machine gives to a ranking: kernel, threads, memory, read-ahead, and a place for partial counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mrl_sweep.deploying.indexes.latency import anonymous_bytes
from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.checkpoint import FileCheckpoint
from mrl_sweep.execution.gpus import Work, cuda_devices, faster, n_workers, open_devices
from mrl_sweep.execution.places import ReadAhead
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.budget import PassSize, Room
from mrl_sweep.ranking.counting import Checkpoint
from mrl_sweep.ranking.exact import ROWS_TOGETHER, SHARD_BYTES, RankOptions, open_kernel
from mrl_sweep.ranking.pass_plan import Kernel
from mrl_sweep.ranking.portable import BLOCK_DOCS, PortableKernel
from mrl_sweep.settings.parsing import format_size
from mrl_sweep.types import IntArray, Qrels, Similarity, Vectors

PARTIAL_FOLDER: Final = "partial-ranks"
"""Below the store."""

SMALL: Final = 4000
"""Steps up to which the portable kernel is done before compiled code would be loaded; it gives the same integers."""

GPU_SHARD_BYTES: Final = 256 * 2**20

SHARD_WORK: Final = 1e10
"""Multiplications and additions in a shard: with many queries shards are smaller, so that an interrupt is obeyed soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the user allows: None leaves it to the machine. `device` as torch names it, `max_memory` in bytes of the process."""

    threads: int | None = None
    max_memory: int | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankInputs:
    """What is ranked, as far as it decides what the ranking takes, in the terms of `PassSize`."""

    vectors: Vectors
    qrels: Qrels
    n_sizes: int
    depth: int
    similarity: Similarity = Similarity.COSINE
    own_rows: IntArray | None = None
    n_kept: int = 0
    n_trained: int = 0
    n_rescored: int = 0


def open_checkpoint(store: Path, vectors: Vectors, on_event: OnEvent = ignore) -> FileCheckpoint:
    """Where partial counts over these vectors are kept; to be cleared when the run that needs them is written."""
    return FileCheckpoint(store / PARTIAL_FOLDER, vectors, on_event=on_event)


def prepare(
    inputs: RankInputs, limits: Limits = Limits(), *, checkpoint: Checkpoint | None = None, on_event: OnEvent = ignore
) -> RankOptions:
    """How to rank within these limits. Raises InputError where `max_memory` is too little for the counts alone."""
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
    """The kernel that is done first: a GPU's where it is asked for and can be used, or where it was measured to be faster."""
    n_threads = limits.threads or available_threads()
    if limits.device is None and python_steps(inputs) <= SMALL:
        return PortableKernel()
    if limits.device is not None and limits.device.startswith("cuda") and cuda_devices():
        kernel = open_devices(limits.device, n_threads)
        if kernel.name == "triton":
            return kernel
        on_event(Note(f"--device {limits.device}: torch and Triton cannot rank on it: the processor does, the same result"))
    processor = open_kernel(None, second_level_cache())
    if limits.device is not None or limits.max_memory is not None or not cuda_devices():
        return processor  # torch alone takes more memory than a limit leaves
    work = Work(
        vectors=inputs.vectors,
        n_queries=inputs.qrels.n_queries,
        n_sizes=inputs.n_sizes,
        depth=inputs.depth,
        similarity=inputs.similarity,
    )
    return faster(work, processor, n_threads, on_event)


def python_steps(inputs: RankInputs) -> int:
    """How many times the portable kernel's innermost loop, which is Python, would turn."""
    return max(inputs.n_sizes, inputs.n_kept) * inputs.qrels.n_queries * -(-len(inputs.vectors) // BLOCK_DOCS)


def second_level_cache(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Bytes of the second-level cache of a core, as Linux tells it; None where it does not."""
    for index in sorted(folder.glob("index*")):
        try:
            if (index / "level").read_text().strip() == "2":
                return int((index / "size").read_text().strip().removesuffix("K")) * 1024
        except (OSError, ValueError):
            return None
    return None


def make_room(inputs: RankInputs, limits: Limits, kernel: Kernel, on_event: OnEvent = ignore) -> Room:
    """Threads and shards within `max_memory`, of which the process holds a part already."""
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
