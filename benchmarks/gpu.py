"""One pass on a GPU, against one float32 product of the same operands, a bare copy, and torch's top-k size by size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, from_json, main, medians, seconds
from benchmarks.synthetic import Workload, several, single, spectrum
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.exact import RankOptions, open_kernel, rank
from mrl_sweep.types import Float32Array, IntArray, Ranks, Vectors

TITLE: Final = "gpu: the pass on a GPU"
COLUMNS: Final = ("what", "time", "ratio")
DOCS: Final = 1_000_000
DIM: Final = 768
QUERIES: Final = 1000
SWEEPS: Final = {5: (64, 128, 256, 512, 768), 24: tuple(range(32, DIM + 1, 32)), 96: tuple(range(8, DIM + 1, 8))}
LARGEST: Final = {"base": {5: 1.2, 24: 1.6, 96: 4.0}, "full": {5: 4.0, 24: 8.0}}
"""Times of the product that a resident pass may take."""

BLOCK: Final = 131_072
DEPTH: Final = 10
MEASURED: Final = Path(__file__).with_name("gpu_h100.json")
"""What `--json` printed on a machine with a GPU, the last time that there was one."""

NEVER_MIND: Final = 2**40
"""Bytes of a shard: one is all."""


class Resident(Vectors):
    """Vectors that lie on the GPU."""

    def __init__(self, docs: Any) -> None:
        object.__setattr__(self, "parts", (docs,))
        object.__setattr__(self, "order", None)

    def read(self, start: int, stop: int) -> Any:
        return self.parts[0][start:stop]

    def take(self, rows: Any) -> Any:
        import torch

        wanted: IntArray = np.asarray(rows, np.int64)
        return self.parts[0][torch.from_numpy(wanted).to(self.parts[0].device)]


def on_gpu(kernel: Any, vectors: Vectors, work: Workload, dims: tuple[int, ...], depth: int) -> Ranks:
    """The pass, as the command runs it."""
    options = RankOptions(depth=depth, kernel=kernel, shard_bytes=NEVER_MIND)
    return rank(vectors, work.queries, work.qrels, dims, options)


def on_processor(work: Workload, dims: tuple[int, ...], depth: int) -> Ranks:
    options = RankOptions(depth=depth, executor=LocalThreads(available_threads()))
    return rank(work.vectors, work.queries, work.qrels, dims, options)


def documents(torch: Any) -> Float32Array:
    """`benchmarks.synthetic.documents` in pinned memory, drawn on the GPU."""
    pinned = torch.empty((DOCS, DIM), pin_memory=True)
    generator = torch.Generator("cuda").manual_seed(0)
    pinned.copy_(torch.randn((DOCS, DIM), device="cuda", generator=generator) * torch.from_numpy(spectrum(DIM)).cuda())
    docs: Float32Array = pinned.numpy()
    return docs


def synchronized(torch: Any, work: Callable[[], object]) -> None:
    work()
    torch.cuda.synchronize()


def product(queries: Any, docs: Any) -> None:
    """One float32 product of operands that are on the GPU."""
    for start in range(0, len(docs), BLOCK):
        queries @ docs[start : start + BLOCK].T


def copy(pinned: Any, out: Any) -> None:
    """All documents from pinned memory, and nothing else."""
    for start in range(0, len(pinned), BLOCK):
        out[: len(pinned[start : start + BLOCK])].copy_(pinned[start : start + BLOCK], non_blocking=True)


def top_k(torch: Any, queries: Any, docs: Any, dims: tuple[int, ...]) -> None:
    """The best of every size as torch finds them: cut, renormalise, multiply, select."""
    for dim in dims:
        best = []
        for start in range(0, len(docs), BLOCK):
            cut = docs[start : start + BLOCK, :dim]
            scores = queries[:, :dim] @ (cut / cut.norm(dim=1, keepdim=True)).T
            best.append(scores.topk(DEPTH).values)
        torch.cat(best, 1).topk(DEPTH)


def run() -> Table:
    """Base and full workloads at every number of sizes; at 24 the integers are compared with the processor's first."""
    kernel = open_kernel("cuda", readers=available_threads())
    if kernel.name != "triton":
        seen = from_json(MEASURED.read_text(encoding="utf-8"))
        return replace(seen, note=f"Skipped here: torch and Triton see no GPU that they can use. Seen elsewhere: {seen.note}")
    import torch

    docs, generator = documents(torch), np.random.default_rng(0)
    loads = {"full": (several(docs, QUERIES, 10, generator), DEPTH), "base": (single(docs, QUERIES, generator), 0)}
    resident, pageable = torch.from_numpy(docs).cuda(), np.array(docs)
    queries = torch.from_numpy(loads["base"][0].queries).cuda()
    places: dict[str, Vectors] = {"resident": Resident(resident), "pinned": Vectors((docs,)), "pageable": Vectors((pageable,))}
    room = torch.empty((BLOCK, DIM), device="cuda")
    contenders: dict[str, Callable[[], object]] = {
        "one float32 product, the limit": partial(product, queries, resident),
        "a bare copy from pinned memory": partial(copy, torch.from_numpy(docs), room),
        "torch top-k per size, 24 sizes": partial(top_k, torch, queries, resident, SWEEPS[24]),
    }
    for name, (load, depth) in loads.items():
        for n_sizes, dims in SWEEPS.items():
            if n_sizes == 24:
                gpu, processor = on_gpu(kernel, places["resident"], load, dims, depth), on_processor(load, dims, depth)
                np.testing.assert_array_equal(gpu.above, processor.above)
                np.testing.assert_array_equal(gpu.tied, processor.tied)
                contenders[f"{name}, 24 sizes, processor"] = partial(on_processor, load, dims, depth)
            for place in places if n_sizes == 24 else ("resident",):
                contenders[f"{name}, {n_sizes} sizes, {place}"] = partial(on_gpu, kernel, places[place], load, dims, depth)
    timed = {name: partial(synchronized, torch, contender) for name, contender in contenders.items()}
    took = medians(timed, rounds=3)
    limit = took["one float32 product, the limit"]
    note = (
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {available_threads()} cores. {DOCS:,} x {DIM} documents, "
        f"{QUERIES:,} queries; base: one judged document a query, no lists; full: ten, some very deep, and lists of ten. Whole "
        "`rank` calls, medians of three. Ratios are to one float32 product of operands that are on the GPU."
    )
    rows = tuple((name, seconds(time), f"{time / limit:.2f}") for name, time in took.items())
    return Table(TITLE, note, COLUMNS, rows, tuple(bars(took)))


def bars(took: dict[str, float]) -> list[Bar]:
    """What was asked of the pass on an H100."""
    limit, copied = took["one float32 product, the limit"], took["a bare copy from pinned memory"]
    made = []
    for name, by_sizes in LARGEST.items():
        for n_sizes, most in by_sizes.items():
            ratio = took[f"{name}, {n_sizes} sizes, resident"] / limit
            made.append(
                Bar(f"GPU, {name}: {n_sizes} sizes against one product", f"at most {most}x", f"{ratio:.2f}x", ratio <= most)
            )
        longer = max(copied, took[f"{name}, 24 sizes, resident"])
        ratio = took[f"{name}, 24 sizes, pinned"] / longer
        made.append(
            Bar(f"GPU, {name}: from pinned memory against the longer part", "at most 1.2x", f"{ratio:.2f}x", ratio <= 1.2)
        )
    ratio = took["torch top-k per size, 24 sizes"] / took["base, 24 sizes, resident"]
    made.append(Bar("GPU, base: against torch top-k per size", "at least 10x faster", f"{ratio:.1f}x", ratio >= 10))
    ratio = min(took[f"{name}, 24 sizes, processor"] / took[f"{name}, 24 sizes, pageable"] for name in LARGEST)
    return [*made, Bar("GPU: against the processor, from ordinary memory", "faster", f"{ratio:.1f}x", ratio > 1)]


if __name__ == "__main__":
    main(run)
