"""Each size's quality and share in a whole corpus, predicted from random tenths of it, beside the tenth's own figures.

`python -m benchmarks.projection` takes the docstrings of the installed packages; with two folders, those of a BEIR collection
(COLLECTION) and of its vectors in the same order (VECTORS: docs.npy and queries.npy).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, kept, main
from benchmarks.pydocs.entries import known_items
from benchmarks.pydocs.harvest import harvest_installed
from mrl_sweep.embedding import ModelOptions, Role
from mrl_sweep.embedding.local.sentence_transformers import open_wordllama
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.projection.growth import Demand, project
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Float32Array, FloatArray, IntArray, Measure, Qrels, Ranks, Vectors

MEASURES: Final = tuple(parse_measure(text) for text in ("R@10", "nDCG@10", "R@100"))
N_QUERIES: Final = 6000
SHARE: Final = 10
DRAWS: Final = 10
DRAWS_OF_FEW: Final = 40
"""Where a tenth holds fewer than a hundred queries, one tenth tells little."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The whole corpus with its queries, and where their documents stand in it; `name` says what it is."""

    name: str
    documents: Float32Array
    queries: Float32Array
    qrels: Qrels
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class Repetition:
    """One tenth: (n_measures, n_dims) truth in the whole, prediction, band, the share's limits and the tenth's own figure."""

    n_queries: int
    truth: FloatArray
    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    at_least: FloatArray
    at_most: FloatArray
    naive: FloatArray


def docstrings() -> tuple[Float32Array, Float32Array, Qrels]:
    """Vectors of what all installed packages say of themselves, and of queries: a summary sentence asks for its own object."""
    data = kept("docstrings", _docstrings)
    return data["documents"], data["queries"], Qrels(data["offsets"], data["rows"], np.ones(len(data["rows"]), np.int64))


def _docstrings() -> dict[str, Any]:
    entries = harvest_installed()
    items, bodies, _ = known_items(entries, kept_whole=frozenset(), limit=N_QUERIES)
    texts = [f"{e.name} {e.signature}\n{bodies.get(row, e.doc)}".strip() for row, e in enumerate(entries)]
    offsets = np.cumsum([0, *(len(item.rows) for item in items)])
    model = open_wordllama(ModelOptions())
    return {
        "documents": model.encode(texts, Role.DOCUMENT).vectors,
        "queries": model.encode([item.text for item in items], Role.QUERY).vectors,
        "offsets": offsets,
        "rows": np.array([row for item in items for row in item.rows]),
    }


def whole_corpus() -> Whole:
    """All of them, ranked exactly at every size."""
    documents, queries, qrels = docstrings()
    return ranked(f"{len(documents):,} docstrings of the installed packages, WordLlama", documents, queries, qrels)


def beir(collection: Path, vectors: Path) -> Whole:
    """The test split of a BEIR folder, with vectors that exist already."""
    ids = [json.loads(line)["_id"] for line in (collection / "corpus.jsonl").read_text("utf-8").splitlines()]
    row = {document: i for i, document in enumerate(ids)}
    judged: dict[str, dict[int, int]] = {}
    for line in (collection / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")[:3]
        if int(grade) > 0 and document in row:
            judged.setdefault(query, {})[row[document]] = int(grade)
    names = [json.loads(line)["_id"] for line in (collection / "queries.jsonl").read_text("utf-8").splitlines()]
    kept = [i for i, name in enumerate(names) if name in judged]
    pairs = [sorted(judged[names[i]].items()) for i in kept]
    offsets = np.cumsum([0, *map(len, pairs)])
    rows, grades = (np.array([pair[part] for own in pairs for pair in own], np.int64) for part in (0, 1))
    documents = np.load(vectors / "docs.npy").astype(np.float32)
    queries = np.load(vectors / "queries.npy").astype(np.float32)[kept]
    name = f"{len(documents):,} documents of {collection.name}, vectors of {documents.shape[1]}"
    return ranked(name, documents, queries, Qrels(offsets, rows, grades))


def dims_of(full: int) -> tuple[int, ...]:
    """An eighth, a quarter, a half and three quarters of full size, and full size."""
    return full // 8, full // 4, full // 2, 3 * full // 4, full


def ranked(name: str, documents: Float32Array, queries: Float32Array, qrels: Qrels) -> Whole:
    """Where the relevant documents stand in the whole."""
    sizes = dims_of(documents.shape[1])
    return Whole(name, documents, queries, qrels, rank(Vectors((documents,)), queries, qrels, sizes, RankOptions(depth=0)))


def repetition(whole: Whole, generator: np.random.Generator) -> Repetition:
    """One random tenth, judged by the queries whose documents are all in it."""
    n, sizes = len(whole.documents), dims_of(whole.documents.shape[1])
    sample = np.sort(generator.choice(n, math.ceil(n / SHARE), replace=False))
    row_there = np.full(n, -1)
    row_there[sample] = np.arange(len(sample))
    inside = np.logical_and.reduceat(row_there[whole.qrels.rows] >= 0, whole.qrels.offsets[:-1])
    chosen = np.flatnonzero(inside)
    qrels, columns = only(whole.qrels, chosen)
    there = Qrels(qrels.offsets, row_there[qrels.rows], qrels.grades)
    ranks = rank(Vectors((whole.documents[sample],)), whole.queries[chosen], there, sizes, RankOptions(depth=0))
    truth = Ranks(whole.ranks.candidates, n, whole.ranks.above[:, columns], whole.ranks.tied[:, columns])
    growths = [project(ranks, there, Demand(measure=measure), [n]) for measure in MEASURES]
    forecasts = [growth.at[0].forecasts for growth in growths]
    return Repetition(
        n_queries=len(chosen),
        truth=means_of(truth, qrels, MEASURES),
        predicted=np.array([[f.mean for f in each] for each in forecasts]),
        low=np.array([[f.low for f in each] for each in forecasts]),
        high=np.array([[f.high for f in each] for each in forecasts]),
        at_least=np.array([[f.at_least for f in each] for each in forecasts], np.float64),
        at_most=np.array([[f.at_most for f in each] for each in forecasts], np.float64),
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


def run(whole: Whole | None = None) -> Table:
    """Ten tenths, forty of a small collection; each row is one measure at one size, averaged over them."""
    whole = whole or whole_corpus()
    draws = DRAWS if whole.qrels.n_queries >= 100 * SHARE else DRAWS_OF_FEW
    repetitions = [repetition(whole, np.random.default_rng(seed)) for seed in range(draws)]
    truth, predicted, naive = (np.stack([getattr(r, name) for r in repetitions]) for name in ("truth", "predicted", "naive"))
    inside = np.stack([(r.low <= r.truth) & (r.truth <= r.high) for r in repetitions])
    error, reused = np.abs(predicted - truth), np.abs(naive - truth)
    full = [c.dim for c in whole.ranks.candidates].index(whole.documents.shape[1])
    kept, kept_predicted = (100 * each / each[:, :, [full]] for each in (truth, predicted))
    off = kept_predicted - kept
    too_kind = np.stack([r.at_least for r in repetitions]) * 100 > kept + 1e-6
    too_strict = np.stack([r.at_most for r in repetitions]) * 100 < kept - 1e-6
    rows = [
        (
            str(measure),
            str(candidate.dim),
            f"{truth[:, m, d].mean():.3f}",
            f"{predicted[:, m, d].mean():.3f}",
            f"{naive[:, m, d].mean():.3f}",
            f"{error[:, m, d].mean():.4f}",
            f"{reused[:, m, d].mean():.4f}",
            f"{inside[:, m, d].mean():.0%}",
            f"{kept[:, m, d].mean():.1f}%",
            f"{kept_predicted[:, m, d].mean():.1f}%",
            f"{off[:, m, d].mean():+.1f} ±{off[:, m, d].std(ddof=1) / math.sqrt(draws):.1f}",
            f"{too_kind[:, m, d].mean():.1%}",
            f"{too_strict[:, m, d].mean():.1%}",
        )
        for m, measure in enumerate(MEASURES)
        for d, candidate in enumerate(whole.ranks.candidates)
    ]
    judged = round(float(np.mean([r.n_queries for r in repetitions])))
    smaller = [d for d in range(off.shape[2]) if d != full]
    bias, wrong = float(off[:, :, smaller].mean()), float(too_kind[:, :, smaller].mean())
    bars = (
        Bar("projection x10: R@10 off by", "at most 0.02", f"{error[:, 0].mean():.4f}", bool(error[:, 0].mean() <= 0.02)),
        Bar(
            "projection x10: R@10 within the band", "at least 80%", f"{inside[:, 0].mean():.0%}", bool(inside[:, 0].mean() >= 0.8)
        ),
        Bar("projection x10: share too kind by", "at most 1 point", f"{bias:+.1f} points", bias <= 1),
        Bar("projection x10: share below its lower limit", "at most 5%", f"{wrong:.1%}", wrong <= 0.05),
    )
    note = (
        f"{whole.name}, exact cosine; {draws} random samples of one document in {SHARE}, each judged by the queries whose"
        f" documents are all in it (about {judged:,}). Truth: the same queries in the whole corpus. Reused: the sample's own"
        " figure. An error is the mean absolute difference over the samples, in the bars over the sizes too; the last columns are"
        " how far the predicted share is from the true one, with its standard error, and how often the true one lies beyond"
        " its limits."
    )
    columns: tuple[str, ...] = (
        "measure",
        "dim",
        "whole corpus",
        "predicted",
        "reused",
        "error, predicted",
        "error, reused",
        "in the band",
    )
    columns += ("kept", "kept, predicted", "share off by", "below its limit", "above it")
    return Table("A larger corpus, predicted from a sample", note, columns, tuple(rows), bars)


if __name__ == "__main__":
    folders = [Path(text) for text in sys.argv[1:] if not text.startswith("--")]
    sys.argv[1:] = [text for text in sys.argv[1:] if text.startswith("--")]
    main((lambda: run(beir(*folders))) if folders else run)
