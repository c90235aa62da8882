"""Every precision's figures again, by another way: FAISS scores its own codes, pytrec_eval and a plain expectation their order.

`python -m benchmarks.confirm_codes RUN COLLECTION VECTORS`, as `benchmarks.confirm`: each exact row of the model's own axes, any
size and precision, without rescoring. nDCG@10 and R@100 of every query are compared with those of scores.parquet, and the bytes
of a vector with what `serialize_index` writes. Nothing of mrl_sweep is used.

FAISS adds up in float32: where it orders two documents otherwise whose scores are within `CLOSE`, the query is named and counted.
Anything else that differs by more than `EXACT` makes the exit code 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytrec_eval

from benchmarks.confirm import judgments, lines

Array = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
MEASURES: Final = ("nDCG@10", "R@100")
FACTORIES: Final = {"float32": "Flat", "float16": "SQfp16", "int8": "SQ8", "int4": "SQ4", "rabitq": "RaBitQ"}
SIGNS: Final = ("binary", "LSH")
DEPTH: Final = 100
EXACT: Final = 1e-6
CLOSE: Final = 4e-6
"""Of the largest score of the query: two sums of some hundred float32 products may be off by so much."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The judged queries in order, their judged documents as (rows, gains), and their own documents' rows (-1: none)."""

    names: Sequence[str]
    documents: Sequence[str]
    rows: Sequence[npt.NDArray[np.int64]]
    gains: Sequence[Values]
    own: Sequence[int]
    qrels: Mapping[str, Mapping[str, int]]


def judged_queries(collection: Path, *, own_left_out: bool) -> tuple[Judged, list[int]]:
    """The queries with a relevant document, and their rows in the file."""
    qrels = judgments(collection)
    documents = [record["_id"] for record in lines(collection / "corpus.jsonl")]
    place = {name: row for row, name in enumerate(documents)}
    every = [record["_id"] for record in lines(collection / "queries.jsonl")]
    keep = [row for row, name in enumerate(every) if name in qrels]
    names = [every[row] for row in keep]
    pairs = [{place[d]: float(max(grade, 0)) for d, grade in qrels[name].items() if d in place} for name in names]
    rows = [np.array([*one], np.int64) for one in pairs]
    own = [place.get(name, -1) if own_left_out else -1 for name in names]
    return Judged(names, documents, rows, [np.array([*one.values()]) for one in pairs], own, qrels), keep


def unit(rows: Array) -> Array:
    """Rows of length 1, their lengths taken in float64; a zero row stays zero."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1)
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return np.ascontiguousarray(rows * inverse.astype(np.float32)[:, None])


def scored(precision: str, documents: Array, queries: Array) -> tuple[Array, float]:
    """(n_queries, n_documents) the score of every document, and the bytes that each adds to the serialised index."""
    if precision in SIGNS:
        signs = np.where(documents > 0, 1, -1).astype(np.float64)
        index: Any = faiss.IndexLSH(documents.shape[1], documents.shape[1], False, False)
        asked = np.where(queries > 0, 1, -1) if precision == "LSH" else queries.astype(np.float64)
        asked[~queries.any(axis=1)] = 0
        scores = (asked @ signs.T).astype(np.float32)
        return scores, grown(index, documents)
    index = faiss.index_factory(documents.shape[1], FACTORIES.get(precision, precision), faiss.METRIC_INNER_PRODUCT)
    index.train(documents)
    if "rabitq" in precision.lower():
        index.qb = 0
    size = grown(index, documents)
    values, rows = index.search(queries, len(documents))
    scores = np.empty_like(values)
    np.put_along_axis(scores, rows, values, axis=1)
    return scores, size


def grown(index: Any, documents: Array) -> float:
    """Adds the documents; returns the bytes that each added to the serialised index."""
    before = len(faiss.serialize_index(index))
    index.add(documents)
    return float(len(faiss.serialize_index(index)) - before) / len(documents)


def expected(scores: Array, rows: npt.NDArray[np.int64], gains: Values, n_relevant: int, ideal: Values) -> tuple[float, float]:
    """(nDCG@10, R@100) over all orders of tied documents: each place of a tie holds the mean gain of its documents."""
    order = np.argsort(-scores)
    gain = np.zeros(len(scores))
    gain[rows] = gains
    group = np.concatenate([[0], np.cumsum(np.diff(scores[order]) != 0)])
    size = np.bincount(group)
    at, found = ((np.bincount(group, weights[order]) / size)[group] for weights in (gain, (gain > 0).astype(float)))
    discount = 1 / np.log2(np.arange(2, 12))
    dcg, best = (float(one[:10] @ discount[: len(one[:10])]) for one in (at, ideal))
    return dcg / best, float(found[:DEPTH].sum()) / n_relevant


def by_trec_eval(judged: Judged, scores: Array, chosen: Sequence[int]) -> dict[int, tuple[float, float]]:
    """(nDCG@10, R@100) of the chosen queries, among whose first documents nothing may tie."""
    run = {}
    for i in chosen:
        first = np.argsort(-scores[i])[: DEPTH + 1]
        run[judged.names[i]] = {judged.documents[row]: float(scores[i, row]) for row in first if row != judged.own[i]}
    values = pytrec_eval.RelevanceEvaluator(dict(judged.qrels), {"ndcg_cut_10", "recall_100"}).evaluate(run)
    found = {i: values[judged.names[i]] for i in chosen}
    return {i: (one["ndcg_cut_10"], one["recall_100"]) for i, one in found.items()}


def in_doubt(scores: Array, rows: npt.NDArray[np.int64]) -> bool:
    """Whether another document's score lies so near a judged one's that sums in float32 may turn them round."""
    near = np.abs(scores[None, :] - scores[rows][:, None]) <= CLOSE * np.abs(scores[np.isfinite(scores)]).max()
    return bool((near.sum(axis=1) > 1).any())


def cell(judged: Judged, scores: Array, ours: Mapping[str, Values], *, rounded: bool) -> tuple[str, bool]:
    """A line on one configuration, and whether everything in it is as it should be; own documents are struck out of `scores`.

    `rounded`: the scores are sums in float32.
    """
    n = len(judged.names)
    for i, own in enumerate(judged.own):
        if own >= 0:
            scores[i, own] = -np.inf
    first = -np.sort(-scores, axis=1)[:, : DEPTH + 1]
    untied = [i for i in range(n) if (np.diff(first[i]) != 0).all()]
    grades = [np.array(sorted((float(g) for g in judged.qrels[name].values() if g > 0), reverse=True)) for name in judged.names]
    theirs = np.array([expected(scores[i], judged.rows[i], judged.gains[i], len(grades[i]), grades[i]) for i in range(n)])
    for i, values in by_trec_eval(judged, scores, untied).items():
        assert np.abs(theirs[i] - values).max() <= EXACT, f"the two oracles differ on {judged.names[i]}"
    off = np.stack([np.abs(ours[name] - theirs[:, m]) for m, name in enumerate(MEASURES)])
    differ = np.flatnonzero((off > EXACT).any(axis=0)).tolist()
    doubted = [i for i in differ if rounded and in_doubt(scores[i], judged.rows[i])]
    wrong = [judged.names[i] for i in differ if i not in doubted]
    worst = np.delete(off, doubted, axis=1).max(initial=0.0)
    text = f"off by at most {worst:.0e} in any of {n} queries ({len(untied)} by trec_eval too, {n - len(untied)} with ties)"
    if doubted:
        text += f", but for {len(doubted)} whose near ties float32 turns round: {', '.join(judged.names[i] for i in doubted)}"
    if wrong:
        text += f"; WRONG in {len(wrong)}: {', '.join(wrong[:5])}"
    return text, not wrong


def confirm(run: Path, collection: Path, folder: Path) -> int:
    """Print a line a configuration; 1 where anything differs that no sum explains."""
    report = json.loads((run / "report.json").read_text("utf-8"))
    judged, keep = judged_queries(collection, own_left_out=bool(report["manifest"]["identical_excluded"]))
    documents, queries = np.load(folder / "docs.npy").astype(np.float32), np.load(folder / "queries.npy").astype(np.float32)[keep]
    table: Any = pd.read_parquet(run / "scores.parquet")
    table = table[(table.basis == "prefix") & (table["index"] == "exact") & (table.rescore == "")]
    rows = (row for row in report["candidates"] if (row["basis"], row["index"], row["rescore"]) == ("prefix", "exact", ""))
    sizes = {(row["dim"], row["precision"]): row["bytes_per_vector"] for row in rows}
    faiss.omp_set_num_threads(1)
    fine = True
    for (dim, precision), part in sorted(table.groupby(["dim", "precision"]), key=lambda one: one[0]):
        wide = part.pivot(index="query_id", columns="measure", values="value").loc[judged.names]
        scores, size = scored(precision, unit(documents[:, :dim]), unit(queries[:, :dim]))
        text, good = cell(judged, scores, {name: wide[name].to_numpy() for name in MEASURES}, rounded=precision not in SIGNS)
        stated = sizes[dim, precision]
        fine &= good and stated == size
        print(f"{dim}:{precision} {size:g} bytes{'' if stated == size else f' and NOT {stated}'}, {text}", flush=True)
    return int(not fine)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "collection", "vectors"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    raise SystemExit(confirm(given.run, given.collection, given.vectors))
