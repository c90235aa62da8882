"""Dimensions x precisions: the exact ranks of the grid against its matrix products, and against FAISS cell by cell.

Everything runs on one thread and is timed in the processor's seconds: what else the machine does hardly matters then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any, Final

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.harness import Bar, Table, main, seconds
from benchmarks.sweep import DEPTH, unit
from benchmarks.synthetic import Workload, documents, rank_grid, single
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.codes.precision import ALL, code_of
from mrl_sweep.ranking.exact import RankOptions, coded_spaces, rank_in, training_rows
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.types import FLOAT32, Configuration, Ranks, Similarity

DOCS: Final = 200_000
DIM: Final = 768
QUERIES: Final = 1000
DIMS: Final = (64, 128, 256, 384, 512, 768)
SHARED: Final = ("float16", "binary")
OF_EACH_SIZE: Final = ("int8", "int4", "rabitq")
FACTORIES: Final = {"float32": "Flat", "float16": "SQfp16", "int8": "SQ8", "int4": "SQ4", "rabitq": "RaBitQ"}
ONE_IN: Final = 10
"""The others search for one query in so many, and the time of their searches is multiplied: it grows with the queries alone."""

SPACE: Final = prefixes(DIMS, Similarity.COSINE)
OPTIONS: Final = RankOptions(depth=0, executor=LocalThreads(1))


def grid(work: Workload, precisions: Sequence[str]) -> Ranks:
    """The grid as the command ranks it; float32 is always among it."""
    return rank_grid([SPACE], precisions, work.vectors, work.queries, work.qrels, OPTIONS)


def cells(work: Workload, precision: str) -> None:
    """All sizes at one precision other than float32: trained, coded and ranked."""
    for space in coded_spaces([SPACE], [precision], work.vectors):
        rank_in(space, work.vectors, work.queries, work.qrels, OPTIONS)


def products(work: Workload, dims: Sequence[int]) -> None:
    """One matrix product of each size: what cells with a product of their own cannot do without."""
    for dim in dims:
        queries, docs = work.queries[:, :dim], work.docs[:, :dim]
        out = np.empty((len(queries), 20_000), np.float32)
        for start in range(0, len(docs), 20_000):
            block = docs[start : start + 20_000]
            np.matmul(queries, block.T, out=out[:, : len(block)])


def faiss_cells(work: Workload) -> float:
    """Seconds of every cell as FAISS has it: train, add, search; one bit against the query FAISS only has as RaBitQ."""
    taken = 0.0
    for dim in DIMS:
        docs, queries = unit(work.docs, dim), unit(work.queries[::ONE_IN], dim)
        for precision in ALL:
            index = faiss.index_factory(dim, FACTORIES.get(precision, "RaBitQ"), faiss.METRIC_INNER_PRODUCT)
            taken += took(partial(index.train, docs)) + took(partial(index.add, docs))
            taken += ONE_IN * took(partial(index.search, queries, DEPTH))
    return taken


def decoded_cells(work: Workload) -> float:
    """Seconds of every cell as CoRECT has it: documents coded and decoded as a whole, torch's product and top-k over blocks."""
    sample, taken = training_rows(len(work.docs)), 0.0

    def search(asked: Any, rows: Any) -> None:
        for start in range(0, len(rows), 50_000):
            torch.topk(torch.from_numpy(asked) @ torch.from_numpy(rows[start : start + 50_000]).T, DEPTH, dim=1)

    for dim in DIMS:
        rows, asked = unit(work.docs, dim), unit(work.queries[::ONE_IN], dim)
        taken += ONE_IN * took(partial(search, asked, rows))
        for precision in ALL[1:]:
            started = time.process_time()
            coder = code_of(precision).fit(rows[sample])
            decoded = coder.documents(rows)
            taken += time.process_time() - started
            taken += ONE_IN * took(partial(search, coder.queries(asked), decoded))
    return taken


def took(work: Callable[[], object]) -> float:
    """The processor's seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


def check(work: Workload, ranks: Ranks, n_checked: int = 20) -> None:
    """The int8 ranks of some queries at one size against FAISS's own search over all documents, trained on the same sample."""
    dim = DIMS[1]
    docs, queries = unit_prefix(work.docs, dim), unit_prefix(work.queries[:n_checked], dim)
    index: Any = faiss.index_factory(dim, "SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(docs[training_rows(len(docs))])
    index.add(docs)
    distances, rows = index.search(queries, len(docs))
    scores = np.empty_like(distances)
    np.put_along_axis(scores, rows, distances, axis=1)
    above = (scores > scores[np.arange(n_checked), work.qrels.rows[:n_checked]][:, None]).sum(axis=1)
    a = ranks.candidates.index(Configuration("prefix", dim, precision="int8"))
    differences = np.abs(ranks.above[a, :n_checked] - above)
    assert differences.max() <= 1, "float32 sums may tell two documents apart otherwise, and no more"


def run(n_docs: int = DOCS, n_queries: int = QUERIES, rounds: int = 3) -> Table:
    """One judged document a query. What is short takes turns, `rounds` times; the rest is timed once."""
    with threadpool_limits(1):
        torch.set_num_threads(1)
        faiss.omp_set_num_threads(1)
        generator = np.random.default_rng(0)
        work = single(documents(n_docs, DIM, generator), n_queries, generator)
        check(work, grid(work, ("float32", "int8")))
        short: dict[str, Callable[[], object]] = {
            "product": partial(products, work, (DIM,)),
            "products": partial(products, work, DIMS),
            "float32": partial(grid, work, ("float32",)),
            **{name: partial(cells, work, name) for name in SHARED},
        }
        turns = [{name: said(name, took(contender)) for name, contender in short.items()} for _ in range(rounds)]
        seconds_of = {name: median(turn[name] for turn in turns) for name in short}
        seconds_of |= {name: said(name, took(partial(cells, work, name))) for name in OF_EACH_SIZE}
        seconds_of |= {"grid": said("grid", took(partial(grid, work, ALL)))}
        seconds_of |= {"faiss": said("faiss", faiss_cells(work)), "decoded": said("decoded", decoded_cells(work))}
    return table(seconds_of, n_docs, n_queries)


def said(name: str, value: float) -> float:
    """The seconds, which are also shown on stderr: all of it takes a while."""
    print(f"{name}: {seconds(value)}", file=sys.stderr, flush=True)
    return value


def table(taken: dict[str, float], n_docs: int, n_queries: int) -> Table:
    of_each = sum(taken[name] for name in OF_EACH_SIZE)
    rows = [
        ("one sgemm at full size", taken["product"]),
        (f"an sgemm at each of {len(DIMS)} sizes", taken["products"]),
        *((f"{name}, all sizes in one pass", taken[name]) for name in (FLOAT32, *SHARED)),
        *((f"{name}, all sizes, a product each", taken[name]) for name in OF_EACH_SIZE),
        (f"the whole grid, {len(DIMS)} x {len(ALL)}", taken["grid"]),
        (f"FAISS: train, add and search each cell, k={DEPTH}", taken["faiss"]),
        (f"as CoRECT does: code and decode all, torch's top-k of each cell, k={DEPTH}", taken["decoded"]),
    ]
    ratios = {
        "cells of their own product against it": (of_each / (len(OF_EACH_SIZE) * taken["products"]), 1.5),
        "float32, all sizes, against one sgemm": (taken["float32"] / taken["product"], 1.3),
        "float16, all sizes, against one sgemm": (taken["float16"] / taken["product"], 1.3),
        "one bit, all sizes, against one sgemm": (taken["binary"] / taken["product"], 1.3),
    }
    bars = [Bar(what, f"at most {bar:g}x", f"{ratio:.2f}x", ratio <= bar) for what, (ratio, bar) in ratios.items()]
    faster = taken["faiss"] / taken["grid"]
    bars.append(Bar("the whole grid against FAISS cell by cell", "at least 5x faster", f"{faster:.1f}x", faster >= 5))
    note = (
        f"{n_docs:,} x {DIM} float32 documents, {n_queries:,} queries, sizes {', '.join(map(str, DIMS))}, one judged document a "
        "query; one thread throughout, in the processor's seconds. Training and coding are counted. All prefixes of float32, of "
        "float16 and of one bit come out of one pass each; the scale of the other codes is that of the renormalised prefix, so "
        f"that each size takes a product of its own. FAISS and torch search for one query in {ONE_IN}, and the time of "
        "their searches is multiplied."
    )
    shown = tuple((what, seconds(value), f"{value / taken['product']:.2f}") for what, value in rows)
    return Table("codes: dimensions x precisions", note, ("what", "time", "ratio"), shown, tuple(bars))


if __name__ == "__main__":
    main(run)
