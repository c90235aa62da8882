"""Ranks to Scores: 10,000 queries x 24 sizes x 8 measures, against pytrec_eval, ir_measures and ranx on the same runs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main, medians, seconds
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.types import NOT_RETRIEVED, Configuration, FloatArray, IntArray, Qrels, Ranks

N_QUERIES: Final = 10_000
N_SIZES: Final = 24
N_JUDGED: Final = 8
DEPTH: Final = 100
N_DOCUMENTS: Final = 1_000_003
STRIDE: Final = 7_919
"""Coprime with the number of documents: multiples of it give each query rows that never repeat."""

# ir_measures' name, trec_eval's name, ranx's name
MEASURES: Final = (
    ("nDCG@10", "ndcg_cut_10", "ndcg@10"),
    ("nDCG@100", "ndcg_cut_100", "ndcg@100"),
    ("R@10", "recall_10", "recall@10"),
    ("R@100", "recall_100", "recall@100"),
    ("RR", "recip_rank", "mrr"),
    ("AP@100", "map_cut_100", "map@100"),
    ("P@10", "P_10", "precision@10"),
    ("Success@1", "success_1", "hit_rate@1"),
)

Dicts = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Runs:
    """The same rankings twice: as ranks of all sizes, and as the dictionaries of one size, which the others read."""

    qrels: Qrels
    ranks: Ranks
    judged: Dicts
    run: Dicts


def make(generator: np.random.Generator) -> Runs:
    """Eight judgments a query, grades 0 to 2, each at a rank of its own or (one in three) not among the first 100."""
    start = generator.integers(0, N_DOCUMENTS, (N_QUERIES, 1))
    rows = (start + np.arange(N_JUDGED) * STRIDE) % N_DOCUMENTS
    grades = generator.integers(0, 3, (N_QUERIES, N_JUDGED))
    above = np.stack([_places(generator) for _ in range(N_SIZES)])
    run_rows = (start + np.arange(N_JUDGED, N_JUDGED + DEPTH) * STRIDE) % N_DOCUMENTS
    query, judgment = np.nonzero(above[0] < DEPTH)
    run_rows[query, above[0, query, judgment]] = rows[query, judgment]
    scores = (np.arange(DEPTH, 0, -1) / DEPTH).astype(np.float32).tolist()
    judged = {
        f"q{q}": {f"d{row}": grade for row, grade in zip(*pair, strict=True)}
        for q, pair in enumerate(zip(rows.tolist(), grades.tolist(), strict=True))
    }
    run = {f"q{q}": {f"d{row}": s for row, s in zip(line, scores, strict=True)} for q, line in enumerate(run_rows.tolist())}
    qrels = Qrels(np.arange(N_QUERIES + 1) * N_JUDGED, rows.ravel(), grades.ravel())
    above = np.where(above < DEPTH, above, NOT_RETRIEVED).reshape(N_SIZES, -1)
    names = tuple(Configuration("prefix", 32 * (N_SIZES - c)) for c in range(N_SIZES))
    return Runs(qrels, Ranks(names, N_DOCUMENTS, above, np.zeros_like(above)), judged, run)


def _places(generator: np.random.Generator) -> IntArray:
    """(n_queries, n_judged) different places from 0 to 149 in each row, the upper ones more often."""
    keys = generator.exponential(1.0 + np.arange(150) / 20, (N_QUERIES, 150))
    return np.argpartition(keys, N_JUDGED, axis=1)[:, :N_JUDGED]


def with_ties(ranks: Ranks, generator: np.random.Generator) -> Ranks:
    """The same ranks, one judged document in ten tied with one other that nobody judged."""
    retrieved = ranks.above < NOT_RETRIEVED
    return replace(ranks, tied=np.where(retrieved & (generator.random(ranks.above.shape) < 0.1), 1, 0))


def ours(ranks: Ranks, qrels: Qrels) -> FloatArray:
    """(n_sizes, n_measures, n_queries)."""
    return score(ranks, qrels, [parse_measure(name) for name, _, _ in MEASURES], no_relevant="zero").values


def with_pytrec_eval(runs: Runs) -> Callable[[], FloatArray]:
    import pytrec_eval

    evaluator = pytrec_eval.RelevanceEvaluator(runs.judged, {name for _, name, _ in MEASURES})

    def answer() -> FloatArray:
        result = evaluator.evaluate(runs.run)
        return np.array([[result[query][name] for query in runs.run] for _, name, _ in MEASURES])

    return answer


def with_ir_measures(runs: Runs) -> Callable[[], FloatArray]:
    import ir_measures

    parsed = [ir_measures.parse_measure(name) for name, _, _ in MEASURES]
    evaluator = ir_measures.evaluator(parsed, runs.judged)

    def answer() -> FloatArray:
        values = np.zeros((len(MEASURES), N_QUERIES))
        place = {measure: m for m, measure in enumerate(parsed)}
        for metric in evaluator.iter_calc(runs.run):
            values[place[metric.measure], int(metric.query_id[1:])] = metric.value
        return values

    return answer


def with_ranx(runs: Runs) -> Callable[[], FloatArray]:
    import ranx  # type: ignore[import-not-found, import-untyped, unused-ignore]

    relevant = {query: {row: grade for row, grade in pairs.items() if grade > 0} for query, pairs in runs.judged.items()}
    answered = [query for query, pairs in relevant.items() if pairs]
    qrels = ranx.Qrels({query: relevant[query] for query in answered})
    run = ranx.Run({query: runs.run[query] for query in answered})
    columns = [int(query[1:]) for query in qrels.qrels]

    def answer() -> FloatArray:
        result = ranx.evaluate(qrels, run, [name for _, _, name in MEASURES], return_mean=False)
        values = np.zeros((len(MEASURES), N_QUERIES))
        values[:, columns] = [result[name] for _, _, name in MEASURES]
        return values

    return answer


PEERS: Final = {"pytrec_eval": with_pytrec_eval, "ir_measures": with_ir_measures, "ranx": with_ranx}


def run() -> Table:
    """Ours on all sizes; each peer on one size, its time multiplied by their number."""
    generator = np.random.default_rng(0)
    runs = make(generator)
    tied = with_ties(runs.ranks, generator)
    expected = ours(runs.ranks, runs.qrels)[0]
    peers = {name: build(runs) for name, build in PEERS.items() if importlib.util.find_spec(name)}
    errors = {name: float(np.abs(answer() - expected).max()) for name, answer in peers.items()}
    own = {"mrl-sweep": lambda: ours(runs.ranks, runs.qrels), "mrl-sweep, 10% tied": lambda: ours(tied, runs.qrels)}
    taken = medians({**own, **peers})
    mine = taken["mrl-sweep"]
    rows = [(name, str(N_SIZES), seconds(taken[name]), seconds(taken[name]), f"{taken[name] / mine:.1f}", "-") for name in own]
    for name in PEERS:
        if name in peers:
            whole = taken[name] * N_SIZES
            rows.append((name, "1", seconds(taken[name]), seconds(whole), f"{whole / mine:,.0f}", f"{errors[name]:.1e}"))
        else:
            rows.append((name, "0", "not installed", "-", "-", "-"))
    ratio = taken["pytrec_eval"] * N_SIZES / mine
    bars = (
        Bar("scoring against pytrec_eval", "at least 20x faster", f"{ratio:,.0f}x", ratio >= 20),
        Bar("scores equal to pytrec_eval's", "1e-9", f"{errors['pytrec_eval']:.1e}", errors["pytrec_eval"] <= 1e-9),
    )
    note = (
        f"{N_QUERIES:,} queries, {N_JUDGED} judgments each, rankings {DEPTH} deep, {len(MEASURES)} measures"
        f" ({', '.join(name for name, _, _ in MEASURES)}) at {N_SIZES} sizes. The others read the dictionaries of one size,"
        " already built (ranx: already converted, compiled, on all cores), and their time is multiplied by the number of sizes;"
        " mrl-sweep starts from the ranks of all sizes, on one core. Difference: the largest of any query and measure."
    )
    columns = ("scorer", "sizes run", "measured", f"{N_SIZES} sizes", "times slower", "difference")
    return Table("Scoring", note, columns, tuple(rows), bars)


if __name__ == "__main__":
    main(run)
