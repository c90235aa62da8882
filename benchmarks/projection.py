"""Each size's quality in a whole corpus, predicted from random tenths of it, beside reusing the tenth's own figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.harness import Bar, Table, main
from mrl_sweep.demo.corpus import corpus
from mrl_sweep.demo.entries import known_items
from mrl_sweep.embedding import ModelOptions, Role
from mrl_sweep.embedding.local.sentence_transformers import open_wordllama
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.projection.growth import Demand, project
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Float32Array, FloatArray, IntArray, Measure, Qrels, Ranks, Vectors

DIMS: Final = (32, 64, 128, 192, 256)
MEASURES: Final = tuple(parse_measure(text) for text in ("R@10", "nDCG@10", "R@100"))
N_QUERIES: Final = 6000
SHARE: Final = 10
DRAWS: Final = 10


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole corpus with known-item queries, and where their documents stand in it."""

    documents: Float32Array
    queries: Float32Array
    qrels: Qrels
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class Repetition:
    """One tenth: (n_measures, n_dims) truth in the whole, prediction, band and the tenth's own figure."""

    n_queries: int
    truth: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    naive: FloatArray


def known_item_texts() -> tuple[list[str], list[str], Qrels]:
    """What all installed packages say of themselves, and queries: a summary sentence asks for the object it was taken from."""
    entries = corpus(installed=True).entries
    items, bodies, _ = known_items(list(entries), kept_whole=frozenset(), limit=N_QUERIES)
    texts = [f"{e.name} {e.signature}\n{bodies.get(row, e.doc)}".strip() for row, e in enumerate(entries)]
    offsets = np.cumsum([0, *(len(item.rows) for item in items)])
    rows = np.array([row for item in items for row in item.rows])
    return texts, [item.text for item in items], Qrels(offsets, rows, np.ones(len(rows), np.int64))


def embedded(documents: list[str], queries: list[str]) -> tuple[Float32Array, Float32Array]:
    """The WordLlama vectors of both."""
    model = open_wordllama(ModelOptions())
    return model.encode(documents, Role.DOCUMENT).vectors, model.encode(queries, Role.QUERY).vectors


def whole_corpus() -> Whole:
    """All of them, ranked exactly at every size."""
    texts, asking, qrels = known_item_texts()
    documents, queries = embedded(texts, asking)
    return Whole(documents, queries, qrels, rank(Vectors((documents,)), queries, qrels, DIMS, RankOptions(depth=0)))


def repetition(whole: Whole, generator: np.random.Generator) -> Repetition:
    """One random tenth, judged by the queries whose documents are all in it."""
    n = len(whole.documents)
    sample = np.sort(generator.choice(n, math.ceil(n / SHARE), replace=False))
    row_there = np.full(n, -1)
    row_there[sample] = np.arange(len(sample))
    inside = np.logical_and.reduceat(row_there[whole.qrels.rows] >= 0, whole.qrels.offsets[:-1])
    chosen = np.flatnonzero(inside)
    qrels, columns = only(whole.qrels, chosen)
    there = Qrels(qrels.offsets, row_there[qrels.rows], qrels.grades)
    ranks = rank(Vectors((whole.documents[sample],)), whole.queries[chosen], there, DIMS, RankOptions(depth=0))
    truth = Ranks(whole.ranks.candidates, n, whole.ranks.above[:, columns], whole.ranks.tied[:, columns])
    growths = [project(ranks, there, Demand(measure=measure), [n]) for measure in MEASURES]
    forecasts = [growth.at[0].forecasts for growth in growths]
    return Repetition(
        n_queries=len(chosen),
        truth=means_of(truth, qrels, MEASURES),
        predicted=np.array([[f.mean for f in each] for each in forecasts]),
        low=np.array([[f.low for f in each] for each in forecasts]),
        high=np.array([[f.high for f in each] for each in forecasts]),
        naive=means_of(ranks, there, MEASURES),
    )


def only(qrels: Qrels, queries: IntArray) -> tuple[Qrels, IntArray]:
    """The judgments of some queries, and their places among all."""
    counts = np.diff(qrels.offsets)[queries]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(offsets[-1]) + np.repeat(qrels.offsets[queries] - offsets[:-1], counts)
    return Qrels(offsets, qrels.rows[columns], qrels.grades[columns]), columns


def means_of(ranks: Ranks, qrels: Qrels, measures: Sequence[Measure]) -> FloatArray:
    means: FloatArray = score(ranks, qrels, measures).values.mean(axis=2).T
    return means


def run() -> Table:
    """Ten tenths; each row is one measure at one size, averaged over them."""
    whole = whole_corpus()
    repetitions = [repetition(whole, np.random.default_rng(seed)) for seed in range(DRAWS)]
    truth, predicted, naive = (np.stack([getattr(r, name) for r in repetitions]) for name in ("truth", "predicted", "naive"))
    inside = np.stack([(r.low <= r.truth) & (r.truth <= r.high) for r in repetitions])
    error, reused = np.abs(predicted - truth), np.abs(naive - truth)
    rows = [
        (
            str(measure),
            str(dim),
            f"{truth[:, m, d].mean():.3f}",
            f"{predicted[:, m, d].mean():.3f}",
            f"{naive[:, m, d].mean():.3f}",
            f"{error[:, m, d].mean():.4f}",
            f"{reused[:, m, d].mean():.4f}",
            f"{inside[:, m, d].mean():.0%}",
        )
        for m, measure in enumerate(MEASURES)
        for d, dim in enumerate(DIMS)
    ]
    n, judged = len(whole.documents), round(float(np.mean([r.n_queries for r in repetitions])))
    bars = (
        Bar("projection x10: R@10 off by", "at most 0.02", f"{error[:, 0].mean():.4f}", bool(error[:, 0].mean() <= 0.02)),
        Bar(
            "projection x10: R@10 within the band", "at least 80%", f"{inside[:, 0].mean():.0%}", bool(inside[:, 0].mean() >= 0.8)
        ),
    )
    note = (
        f"{n:,} docstrings of the installed packages, WordLlama, exact cosine; {DRAWS} random samples of one document in {SHARE},"
        f" each judged by the known-item queries whose documents are in it (about {judged:,}). Truth: the same queries in the"
        " whole corpus. Reused: the sample's own figure. An error is the mean absolute difference over the samples, in the bars"
        " over the sizes too."
    )
    columns = ("measure", "dim", "whole corpus", "predicted", "reused", "error, predicted", "error, reused", "in the band")
    return Table("A larger corpus, predicted from a sample", note, columns, tuple(rows), bars)


if __name__ == "__main__":
    main(run)
