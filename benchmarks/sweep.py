"""All sizes in one pass, against the matrix product underneath it and against what people run today, size by size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Final

import faiss
import numpy as np
import torch

from benchmarks.harness import Bar, Table, main, medians, seconds
from benchmarks.synthetic import Workload, documents, several, single
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Ranks

DOCS: Final = 200_000
DIM: Final = 768
QUERIES: Final = 1000
SWEEPS: Final = {5: (64, 128, 256, 512, 768), 24: tuple(range(32, DIM + 1, 32)), 96: tuple(range(8, DIM + 1, 8))}
DEPTH: Final = 100
LIMITS: Final = (
    "The full workload costs more than the base one because the deepest of ten judged documents usually lies within reach of "
    "every block. Where the time of full at 96 sizes goes, sampled by perf on one thread of an AMD EPYC, without lists: the "
    "product of eight columns at a time 41%, judging in float64 what lies too near to a threshold 13%, counting crowds four "
    "thresholds to a run 12%, marks between runs 9%, comparing the few near documents 7%; lists of the first ten add a seventh, "
    "and to the first documents more. The evaluator is timed without its import; one product at full size shared by 24 sizes is "
    "already only about 37 times faster than it, so that 100 times is out of reach at 24 sizes."
)
EVALUATED_QUERIES: Final = 1000


def sweep(work: Workload, dims: Sequence[int], *, depth: int, n_threads: int | None = None) -> Ranks:
    """The one pass, as the command runs it."""
    options = RankOptions(depth=depth, executor=LocalThreads(n_threads or available_threads()))
    return rank(work.vectors, work.queries, work.qrels, dims, options)


def product(work: Workload) -> None:
    """One matrix product of the same operands: the limit."""
    out = np.empty((len(work.queries), 20_000), np.float32)
    for start in range(0, len(work.docs), 20_000):
        block = work.docs[start : start + 20_000]
        np.matmul(work.queries, block.T, out=out[:, : len(block)])


def unit(rows: np.ndarray[Any, np.dtype[np.float32]], dim: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    cut = np.ascontiguousarray(rows[:, :dim])
    cut /= np.linalg.norm(cut, axis=1, keepdims=True)
    return cut


def flat_search(work: Workload, dims: Sequence[int]) -> list[Any]:
    """A FAISS Flat index per size: cut, renormalise, add, search."""
    lists = []
    for dim in dims:
        index = faiss.IndexFlatIP(dim)
        index.add(unit(work.docs, dim))
        lists.append(index.search(unit(work.queries, dim), DEPTH)[1])
    return lists


def torch_topk(work: Workload, dims: Sequence[int]) -> None:
    """torch's product and top-k per size, documents in blocks."""
    for dim in dims:
        queries, docs = torch.from_numpy(unit(work.queries, dim)), torch.from_numpy(unit(work.docs, dim))
        for start in range(0, len(docs), 50_000):
            torch.topk(queries @ docs[start : start + 50_000].T, DEPTH, dim=1)


def usearch_search(work: Workload, dim: int) -> Any:
    """USearch's exact search at one size: cut, renormalise, search."""
    from usearch.compiled import MetricKind  # `usearch.index` does not export it
    from usearch.index import search

    return search(unit(work.docs, dim), unit(work.queries, dim), DEPTH, MetricKind.IP, exact=True, threads=available_threads())


def numkong_search(work: Workload, dim: int) -> None:
    """NumKong's packed products at one size, the first of each block by numpy: documents in blocks, a thread each."""
    import numkong

    queries, docs = unit(work.queries, dim), unit(work.docs, dim)

    def first(start: int) -> None:
        products = np.asarray(numkong.dots_packed(queries, numkong.dots_pack(docs[start : start + 20_000])))
        np.argpartition(-products, DEPTH, axis=1)

    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(first, range(0, len(docs), 20_000)))


PEERS: Final[dict[str, tuple[str, Callable[[Workload, int], object]]]] = {
    "usearch": ("one USearch exact search", usearch_search),
    "numkong": ("NumKong's products and numpy's argpartition", numkong_search),
}
"""Of the bench group; those that are not installed are left out, and the note says so."""


class Precomputed:
    """Stands in for a model whose vectors are known, so that the evaluator's own work is all that is timed."""

    similarity_fn_name = "cosine"
    similarity_fn_names = ("cosine",)
    model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *_, **__: None)

    def __init__(self, work: Workload) -> None:
        from sentence_transformers.util import cos_sim

        self.rows = {"q": work.queries, "d": work.docs}
        self.similarity = cos_sim

    def encode(self, sentences: Sequence[str], truncate_dim: int | None = None, **_: Any) -> Any:
        side = self.rows[sentences[0][0]]
        rows = [int(text[1:]) for text in sentences]
        return torch.from_numpy(side[rows][:, :truncate_dim])

    encode_query = encode_document = encode


def evaluate(work: Workload, dim: int) -> float:
    """sentence-transformers' evaluator at one size; its nDCG@10."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    queries: dict[str, Any] = {f"q{q}": f"q{q}" for q in range(EVALUATED_QUERIES)}
    corpus: dict[str, Any] = {f"d{row}": f"d{row}" for row in range(len(work.docs))}
    relevant = {f"q{q}": {f"d{work.qrels.rows[q]}"} for q in range(EVALUATED_QUERIES)}
    evaluator = InformationRetrievalEvaluator(queries, corpus, relevant, truncate_dim=dim, write_csv=False)
    model: Any = Precomputed(work)
    return float(next(value for key, value in evaluator(model).items() if key.endswith("ndcg@10")))


def check(work: Workload, dims: Sequence[int], ranks: Ranks, n_checked: int = 40) -> None:
    """The ranks of some queries against a float64 count over all documents."""
    chosen = np.linspace(0, len(work.queries) - 1, n_checked).astype(int)
    for a in (0, len(dims) // 2, len(dims) - 1):
        docs = work.docs[:, : dims[a]].astype(np.float64)
        norms = np.linalg.norm(docs, axis=1)
        for q in chosen:
            query = work.queries[q, : dims[a]].astype(np.float64)
            scores = (docs @ query / norms / np.linalg.norm(query)).astype(np.float32)
            for pair in range(work.qrels.offsets[q], work.qrels.offsets[q + 1]):
                own = scores[work.qrels.rows[pair]]
                assert ranks.above[a, pair] == (scores > own).sum(), f"size {dims[a]}, query {q}"
                assert ranks.tied[a, pair] == (scores == own).sum() - 1, f"size {dims[a]}, query {q}"


def run() -> Table:
    """Base: one judged document a query. Full: ten, and agreement at 10."""
    generator = np.random.default_rng(0)
    docs = documents(DOCS, DIM, generator)
    full = several(docs, QUERIES, 10, generator)
    base = single(docs, QUERIES, generator)
    for work, depth in ((base, 0), (full, 10)):
        check(work, SWEEPS[24], sweep(work, SWEEPS[24], depth=depth))
    depths = np.percentile(sweep(full, (DIM,), depth=0).above, (50, 90))
    ours: dict[str, Callable[[], object]] = {f"base {n}": partial(sweep, base, dims, depth=0) for n, dims in SWEEPS.items()}
    ours |= {f"full {n}": partial(sweep, full, dims, depth=10) for n, dims in SWEEPS.items()}
    quick: dict[str, Callable[[], object]] = {
        "product": partial(product, base),
        "flat full": partial(flat_search, base, (DIM,)),
        **ours,
        "one thread": partial(sweep, base, SWEEPS[24], depth=0, n_threads=1),
    }
    took = medians(quick, rounds=5)
    took |= medians({"flat each": partial(flat_search, base, SWEEPS[24])}, rounds=1, warmups=0)
    took |= medians({"torch each": partial(torch_topk, base, SWEEPS[5])}, rounds=1)
    installed = {name: partial(search, base, DIM) for name, (_, search) in PEERS.items() if find_spec(name)}
    took |= medians(installed, rounds=1, warmups=0)
    took |= medians({"evaluator": partial(evaluate, base, 256)}, rounds=3)
    return table(took, (float(depths[0]), float(depths[1])))


def table(took: dict[str, float], depths: tuple[float, float]) -> Table:
    limit, bars = took["product"], []
    rows = [("one sgemm at full size, the limit", seconds(limit), "1.00")]
    allowed = {"base": {5: 1.25, 24: 1.5, 96: 2.5}, "full": {5: 1.75, 24: 2.5, 96: 3.5}}
    for kind, by_sizes in allowed.items():
        for n, bar in by_sizes.items():
            ratio = took[f"{kind} {n}"] / limit
            rows.append((f"one pass, {n} sizes, {kind}", seconds(took[f"{kind} {n}"]), f"{ratio:.2f}"))
            bars.append(Bar(f"{kind}: {n} sizes against one sgemm", f"at most {bar:g}x", f"{ratio:.2f}x", ratio <= bar))
    rows += [
        (f"one FAISS Flat search, {DIM} dimensions, k={DEPTH}", seconds(took["flat full"]), f"{took['flat full'] / limit:.2f}"),
        (f"a FAISS Flat search per size, 24 sizes, k={DEPTH}", seconds(took["flat each"]), f"{took['flat each'] / limit:.2f}"),
        (f"torch top-k per size, 5 sizes, k={DEPTH}", seconds(took["torch each"]), f"{took['torch each'] / limit:.2f}"),
        *(
            (f"{what}, {DIM} dimensions, k={DEPTH}", seconds(took[name]), f"{took[name] / limit:.2f}")
            for name, (what, _) in PEERS.items()
            if name in took
        ),
        ("sentence-transformers' evaluator, one size", seconds(took["evaluator"]), f"{took['evaluator'] / limit:.2f}"),
    ]
    each, once = took["flat each"] / took["base 24"], took["flat full"] / took["base 24"]
    evaluator, threads = took["evaluator"] / (took["base 24"] / 24), took["one thread"] / took["base 24"]
    bars += [
        Bar("24 sizes against a FAISS Flat search per size", "at least 15x faster", f"{each:.1f}x", each >= 15),
        Bar("24 sizes against one FAISS Flat search", "faster", f"{once:.2f}x", once > 1),
        Bar("per size against the evaluator", "at least 100x faster", f"{evaluator:.0f}x", evaluator >= 100),
        Bar("two threads against one", "at least 1.8x", f"{threads:.2f}x", threads >= 1.8),
    ]
    absent = "".join(f"{name} is not installed. " for name in PEERS if name not in took)
    note = (
        f"{DOCS:,} x {DIM} float32 documents, {QUERIES:,} queries, {available_threads()} threads throughout. Base: one judged "
        f"document a query, ties counted. Full: ten judged documents a query (median depth {depths[0]:,.0f}, 90th percentile "
        f"{depths[1]:,.0f}) and agreement at 10. The peers cut and renormalise per size, as they must; the evaluator is given "
        "precomputed vectors and run at one size (256). Ranks of 40 queries at three sizes equal a float64 count over all "
        f"documents. Ratios are to the matrix product in the same rounds. {absent}{LIMITS}"
    )
    return Table("sweep: all sizes in one pass", note, ("what", "time", "ratio"), tuple(rows), tuple(bars))


if __name__ == "__main__":
    main(run)
