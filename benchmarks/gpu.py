"""One pass on a GPU, against one float32 product of the same operands on it and against the processor's pass."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main, medians, seconds
from benchmarks.sweep import DIM, DOCS, QUERIES, SWEEPS
from benchmarks.sweep import sweep as on_processor
from benchmarks.synthetic import Workload, documents, several, single
from mrl_sweep.execution.resources import GPU_SHARD_BYTES
from mrl_sweep.ranking.exact import RankOptions, open_kernel, rank
from mrl_sweep.ranking.pass_plan import Kernel
from mrl_sweep.types import Ranks

TITLE: Final = "gpu: the pass on a GPU"
COLUMNS: Final = ("what", "time", "ratio")


def on_gpu(kernel: Kernel, work: Workload, dims: tuple[int, ...], depth: int) -> Ranks:
    """The pass as `--device cuda` runs it, from host memory."""
    options = RankOptions(depth=depth, kernel=kernel, shard_bytes=GPU_SHARD_BYTES)
    return rank(work.vectors, work.queries, work.qrels, dims, options)


def product(torch: Any, queries: Any, docs: Any) -> None:
    """One float32 product of operands that are on the GPU."""
    for start in range(0, len(docs), 131_072):
        queries @ docs[start : start + 131_072].T
    torch.cuda.synchronize()


def run() -> Table:
    """Base and full workloads at every number of sizes; the integers are compared before anything is timed."""
    kernel = open_kernel("cuda")
    if kernel.name != "triton":
        return Table(TITLE, "Skipped: torch and Triton see no GPU that they can use on this machine.", COLUMNS, ())
    import torch

    generator = np.random.default_rng(0)
    docs = documents(DOCS, DIM, generator)
    loads = {"full": (several(docs, QUERIES, 10, generator), 10), "base": (single(docs, QUERIES, generator), 0)}
    work = loads["base"][0]
    operands = torch.from_numpy(work.queries).cuda(), torch.from_numpy(docs).cuda()
    contenders: dict[str, Any] = {"one product, resident": partial(product, torch, *operands)}
    for name, (load, depth) in loads.items():
        for n_sizes, dims in SWEEPS.items():
            gpu, processor = on_gpu(kernel, load, dims, depth), on_processor(load, dims, depth=depth)
            np.testing.assert_array_equal(gpu.above, processor.above)
            np.testing.assert_array_equal(gpu.tied, processor.tied)
            contenders[f"{name}, {n_sizes} sizes, GPU"] = partial(on_gpu, kernel, load, dims, depth)
            contenders[f"{name}, {n_sizes} sizes, processor"] = partial(on_processor, load, dims, depth=depth)
    took = medians(contenders, rounds=3)
    limit = took["one product, resident"]
    faster = min(took[name.replace("GPU", "processor")] / took[name] for name in took if name.endswith("GPU"))
    return Table(
        TITLE,
        f"{torch.cuda.get_device_name()}. {DOCS:,} x {DIM} documents in host memory, {QUERIES:,} queries. Ratios are to one "
        "float32 product of operands that are on the GPU already; the passes copy theirs. The processor's pass uses all cores.",
        COLUMNS,
        tuple((name, seconds(time), f"{time / limit:.2f}") for name, time in took.items()),
        (Bar("the GPU's pass against the processor's", "faster everywhere", f"{faster:.2f}x", faster > 1),),
    )


if __name__ == "__main__":
    main(run)
