"""A run's shares and bounds again, by another way: numpy and FAISS rank, pytrec_eval scores, scipy solves the bound.

`python -m benchmarks.confirm RUN COLLECTION VECTORS` takes a run over `vectors:VECTORS` (docs.npy and queries.npy, in the order
of the BEIR folder COLLECTION) and compares each judged row of the model's own axes: sizes, FAISS scalar codes, indexes, and
shortlists that are ordered again. Nothing of mrl_sweep is used. What it does not know how to repeat is counted, not passed over.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt
import pytrec_eval
from scipy import optimize, stats

Array = npt.NDArray[np.float32]
DEPTH: Final = 100
SCALAR: Final = {"float16": "SQfp16", "int8": "SQ8", "int4": "SQ4"}
EFFORT: Final = re.compile(r"(.*),(efSearch|nprobe)=(\d+)")
TIED: Final = 1e-6
ORDERS: Final = 40
"""A tie counts as the expectation over its orders: so many random ones are averaged."""
BLOCK_BYTES: Final = 32 * 2**20
"""Documents are added to an index in blocks of so many bytes at full size."""
CLOSE: Final = 5e-4
"""Float32 sums in another order swap near ties: a share may differ by so much and still be the same."""


def lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON Lines file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def judgments(folder: Path) -> dict[str, dict[str, int]]:
    """The test split, as pytrec_eval takes it: queries with a relevant document."""
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")[:3]
        grades.setdefault(query, {})[document] = int(grade)
    return {query: own for query, own in grades.items() if max(own.values()) > 0}


def unit(vectors: Array) -> Array:
    """Rows of length 1; FAISS normalises in place."""
    copy = np.ascontiguousarray(vectors, np.float32)
    norms = np.linalg.norm(copy, axis=1, keepdims=True)
    return np.asarray(copy / np.maximum(norms, 1e-30), np.float32)


def ranked(row: Mapping[str, Any], documents: Array, queries: Array) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """(scores, rows) of the first documents at this configuration; None where it cannot be repeated here."""
    dim, index, precision, rescore = row["dim"], row["index"], row["precision"], row["rescore"]
    own, cut_queries = unit(documents[:, :dim]), unit(queries[:, :dim])
    name = "Flat" if index == "exact" and precision == "float32" else SCALAR.get(precision) if index == "exact" else index
    if name is None or row["basis"] != "prefix" or (index != "exact" and precision != "float32"):
        return None
    if rescore and ("@" not in rescore or not rescore.split("@")[1].isdecimal()):
        return None
    searched = EFFORT.fullmatch(name)
    name, parameter, effort = searched.groups() if searched else (name, "", "")
    built = faiss.index_factory(dim, name, faiss.METRIC_L2 if name == "LSH" else faiss.METRIC_INNER_PRODUCT)
    if effort:
        faiss.ParameterSpace().set_index_parameter(built, parameter, float(effort))
    built.train(own)
    step = BLOCK_BYTES // (4 * documents.shape[1])
    for start in range(0, len(own), step):  # an HNSW graph depends on which documents come together
        built.add(own[start : start + step])
    length, large = (int(part) for part in rescore.split("@")) if rescore else (min(DEPTH, len(own)), 0)
    scores, rows = built.search(cut_queries, length)
    if rescore:
        again, against = unit(queries[:, :large]), unit(documents[:, :large])
        scores = np.einsum("qd,qkd->qk", again, against[rows])
    return (-scores if name == "LSH" else scores), rows


def values(
    row: Mapping[str, Any],
    vectors: tuple[Array, Array],
    ids: tuple[Sequence[str], Sequence[str]],
    qrels: Mapping[str, Any],
    own: bool,
) -> npt.NDArray[np.float64] | None:
    """(n_orders, n_queries) nDCG@10 of each judged query, tied documents in so many orders; its own is left out where `own`."""
    answers = ranked(row, *vectors)
    if answers is None:
        return None
    draw, levels = np.random.default_rng(0), np.sort(np.round(answers[0] / TIED), axis=1)
    tied = np.flatnonzero((np.diff(levels, axis=1) == 0).any(axis=1))
    orders = np.tile(_one_order(*answers, ids, qrels, own, draw), (ORDERS, 1))
    some = (ids[0], [ids[1][i] for i in tied.tolist()])
    for order in orders if len(tied) else ():
        order[tied] = _one_order(answers[0][tied], answers[1][tied], some, qrels, own, draw)
    return orders


def _one_order(
    scores: Array,
    rows: npt.NDArray[np.int64],
    ids: tuple[Sequence[str], Sequence[str]],
    qrels: Mapping[str, Any],
    own: bool,
    draw: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """The values where tied documents come in a random order; scores are told apart as far as float32 sums can be."""
    run = {}
    for query, of_query, found in zip(ids[1], scores, rows, strict=True):
        kept = [
            (s, r) for s, r in zip(of_query.tolist(), found.tolist(), strict=True) if r >= 0 and not (own and ids[0][r] == query)
        ]
        levels = np.round(np.array([s for s, _ in kept]) / TIED)
        order = np.lexsort((draw.random(len(kept)), -levels))
        run[query] = {ids[0][kept[at][1]]: float(-place) for place, at in enumerate(order)}
    judged = pytrec_eval.RelevanceEvaluator(dict(qrels), {"ndcg_cut_10"}).evaluate(run)
    return np.array([judged[query]["ndcg_cut_10"] if query in judged else 0.0 for query in ids[1]])


def at_least(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], alpha: float) -> float:
    """The lower limit of the share as docs/deciding.md gives it: one unseen loser, and Hall's cubic against skewness."""
    x, y = np.append(x, 0.0), np.append(y, max(y.mean(), 0.43 * (y**2).sum() / y.sum()))
    n, wanted = len(x), stats.t.ppf(1 - alpha, len(x) - 1)

    def excess(share: float) -> float:
        d = x - share * y
        t = d.mean() / d.std(ddof=1) * math.sqrt(n)
        a = min(1.5 * stats.skew(d) / math.sqrt(n), 0.0)
        a = max(a, -2 / t) if t > 0 else a
        return float(t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 - wanted)

    return float(optimize.brentq(excess, 0.0, x.mean() / y.mean(), xtol=1e-12))


def confirm(run: Path, collection: Path, folder: Path) -> int:
    """Print each row with both figures; the exit code is 1 where any differs by more than `CLOSE`."""
    report = json.loads((run / "report.json").read_text("utf-8"))
    qrels = judgments(collection)
    document_ids = [record["_id"] for record in lines(collection / "corpus.jsonl")]
    every = [record["_id"] for record in lines(collection / "queries.jsonl")]
    keep = [i for i, query in enumerate(every) if query in qrels]
    vectors = np.load(folder / "docs.npy").astype(np.float32), np.load(folder / "queries.npy").astype(np.float32)[keep]
    ids, own = (document_ids, [every[i] for i in keep]), bool(report["manifest"]["identical_excluded"])
    faiss.omp_set_num_threads(1)
    full, wrong, unknown, compared, worst = None, 0, 0, 0, 0.0
    for row in sorted(report["candidates"], key=lambda row: row["verdict"] != "baseline"):
        ours = row["measures"]["nDCG@10"]
        x = values(row, vectors, ids, qrels, own)
        if x is None:
            unknown += 1
            continue
        chance = 4 * float(x.mean(axis=1).std()) / math.sqrt(len(x))  # of the orders that were drawn
        x = x.mean(axis=0)
        full = x if full is None else full
        share, least = x.mean() / full.mean(), at_least(x, full, report["verdict"]["alpha"])
        if row["verdict"] == "baseline":
            continue
        off = max(abs(share - ours["kept"]), abs(least - ours["at_least"]))
        compared, worst, wrong = compared + 1, max(worst, off), wrong + (off > CLOSE + chance / full.mean())
        name = ":".join(str(row[key]) for key in ("dim", "precision", "index", "rescore") if row[key])
        print(f"{name:40s} kept {ours['kept']:.5f} {share:.5f}   at least {ours['at_least']:.5f} {least:.5f}   off by {off:.1e}")
    print(
        f"{compared} rows compared, the largest difference {worst:.1e}, {wrong} beyond {CLOSE} and the chance of ties;"
        f" {unknown} rows not repeated here"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "collection", "vectors"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    raise SystemExit(confirm(given.run, given.collection, given.vectors))
