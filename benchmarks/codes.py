"""Dimensions x precisions: the exact ranks of the grid against its matrix products, and against FAISS cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import faiss
import numpy as np
import torch

from benchmarks.harness import Bar, Table, main, medians, seconds
from benchmarks.sweep import DEPTH, unit
from benchmarks.synthetic import Workload, documents, single
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.codes.precision import ALL, code_of
from mrl_sweep.ranking.exact import RankOptions, rank_grid, training_rows
from mrl_sweep.ranking.prefix import unit_prefix
from mrl_sweep.ranking.space import prefixes
from mrl_sweep.types import FLOAT32, Configuration, Ranks, Similarity

DOCS: Final = 200_000
DIM: Final = 768
QUERIES: Final = 1000
DIMS: Final = (64, 128, 256, 384, 512, 768)
OF_EACH_SIZE: Final = ("int8", "int4", "rabitq")
FACTORIES: Final = {"float32": "Flat", "float16": "SQfp16", "int8": "SQ8", "int4": "SQ4", "rabitq": "RaBitQ"}


def grid(work: Workload, precisions: Sequence[str]) -> Ranks:
    """The grid as the command ranks it; float32 is always among it."""
    options = RankOptions(depth=0, executor=LocalThreads(available_threads()))
    return rank_grid([prefixes(DIMS, Similarity.COSINE)], precisions, work.vectors, work.queries, work.qrels, options)


def products(work: Workload, dims: Sequence[int]) -> None:
    """One matrix product of each size: what cells with a product of their own cannot do without."""
    for dim in dims:
        queries, docs = work.queries[:, :dim], work.docs[:, :dim]
        out = np.empty((len(queries), 20_000), np.float32)
        for start in range(0, len(docs), 20_000):
            block = docs[start : start + 20_000]
            np.matmul(queries, block.T, out=out[:, : len(block)])


def faiss_cells(work: Workload) -> None:
    """Every cell as FAISS has it: train, add, search; one bit as signs against the query, which FAISS only has as RaBitQ."""
    for dim in DIMS:
        docs, queries = unit(work.docs, dim), unit(work.queries, dim)
        for precision in ALL:
            index = faiss.index_factory(dim, FACTORIES.get(precision, "RaBitQ"), faiss.METRIC_INNER_PRODUCT)
            index.train(docs)
            index.add(docs)
            index.search(queries, DEPTH)


def decoded_cells(work: Workload) -> None:
    """Every cell as CoRECT has it: the documents coded and decoded as a whole, then torch's product and top-k over blocks."""
    sample = training_rows(len(work.docs))
    for dim in DIMS:
        docs, queries = unit(work.docs, dim), unit(work.queries, dim)
        for precision in ALL:
            coder = None if precision == FLOAT32 else code_of(precision).fit(docs[sample])
            rows, coded_queries = (docs, queries) if coder is None else (coder.documents(docs), coder.queries(queries))
            for start in range(0, len(rows), 50_000):
                torch.topk(torch.from_numpy(coded_queries) @ torch.from_numpy(rows[start : start + 50_000]).T, DEPTH, dim=1)


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
    """One judged document a query."""
    generator = np.random.default_rng(0)
    work = single(documents(n_docs, DIM, generator), n_queries, generator)
    check(work, grid(work, ("float32", "int8")))
    quick: dict[str, Callable[[], object]] = {
        "product": partial(products, work, (DIM,)),
        "products": partial(products, work, DIMS),
        "float32": partial(grid, work, ("float32",)),
        "grid": partial(grid, work, ALL),
        **{name: partial(grid, work, ("float32", name)) for name in ALL[1:]},
    }
    took = medians(quick, rounds=rounds)
    took |= medians({"faiss": partial(faiss_cells, work), "decoded": partial(decoded_cells, work)}, rounds=1, warmups=0)
    return table(took, n_docs, n_queries)


def table(took: dict[str, float], n_docs: int, n_queries: int) -> Table:
    alone = {name: took[name] - took["float32"] for name in ALL[1:]}
    of_each = sum(alone[name] for name in OF_EACH_SIZE)
    rows = [
        ("one sgemm at full size", seconds(took["product"])),
        (f"an sgemm at each of {len(DIMS)} sizes", seconds(took["products"])),
        ("float32, all sizes in one pass", seconds(took["float32"])),
        *((f"{name}, all sizes, besides float32", seconds(alone[name])) for name in ALL[1:]),
        (f"the whole grid, {len(DIMS)} x {len(ALL)}", seconds(took["grid"])),
        (f"FAISS: train, add and search each cell, k={DEPTH}", seconds(took["faiss"])),
        (f"as CoRECT does: code and decode all, torch's top-k of each cell, k={DEPTH}", seconds(took["decoded"])),
    ]
    ratios = {
        "cells of their own product against it": (of_each / (len(OF_EACH_SIZE) * took["products"]), 1.5),
        "float32, all sizes, against one sgemm": (took["float32"] / took["product"], 1.3),
        "float16, all sizes, against one sgemm": (alone["float16"] / took["product"], 1.3),
        "one bit, all sizes, against one sgemm": (alone["binary"] / took["product"], 1.3),
    }
    bars = [Bar(what, f"at most {bar:g}x", f"{ratio:.2f}x", ratio <= bar) for what, (ratio, bar) in ratios.items()]
    faster = took["faiss"] / took["grid"]
    bars.append(Bar("the whole grid against FAISS cell by cell", "at least 5x faster", f"{faster:.1f}x", faster >= 5))
    note = (
        f"{n_docs:,} x {DIM} float32 documents, {n_queries:,} queries, sizes {', '.join(map(str, DIMS))}, one judged document a "
        f"query, {available_threads()} threads throughout. Training and coding are counted. All prefixes of float32, of float16 "
        "and of one bit come out of one pass each; the scale of the other codes is that of the renormalised prefix, so that each "
        "size takes a product of its own. A precision by itself is the time with float32 less that of float32 alone."
    )
    return Table("codes: dimensions x precisions", note, ("what", "time"), tuple(rows), tuple(bars))


if __name__ == "__main__":
    main(run)
