"""What each size at each precision keeps in a whole corpus, predicted from random tenths of it, beside the tenth's own share.

Codes by themselves, and with a shortlist of them ordered again by full vectors. Takes folders as `benchmarks.projection` does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.harness import Bar, Table, main
from benchmarks.projection import DRAWS_OF_FEW, SHARE, Whole, beir, means_of, only, whole_corpus
from benchmarks.synthetic import rank_grid
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.projection.growth import Demand, GrowthModel
from mrl_sweep.ranking.exact import RankOptions
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.rescore import Rescore, rescored
from mrl_sweep.types import Configuration, Float32Array, FloatArray, Qrels, Ranks, Similarity, Vectors, full_size

PRECISIONS: Final = ("float32", "int8", "int4", "rabitq", "binary")
MEASURE: Final = parse_measure("nDCG@10")
DRAWS: Final = 6
RESCORE: Final = Rescore.parse("4x")
CUTOFF: Final = 10
RETAIN: Final = 0.9

Row = Mapping[Configuration, tuple[float, float, float, float, float, bool]]
"""Of each configuration: the true share, the predicted one, its limits, the tenth's own, and whether it is proven there."""


def ranked(documents: Float32Array, queries: Float32Array, qrels: Qrels) -> Ranks:
    """The exact ranks of the grid and of shortlists from it; codes are trained on these documents."""
    full = documents.shape[1]
    vectors, options = Vectors((documents,)), RankOptions(depth=RESCORE.shortlist(CUTOFF))
    exact = rank_grid([prefixes((full // 4, full // 2, full), Similarity.COSINE)], PRECISIONS, vectors, queries, qrels, options)
    return rescored(exact, [RESCORE], vectors, queries, qrels, options, cutoff=CUTOFF)


def repetition(whole: Whole, truth: Ranks, generator: np.random.Generator) -> Row:
    """One random tenth, judged by the queries whose documents are all in it."""
    n = len(whole.documents)
    sample = np.sort(generator.choice(n, math.ceil(n / SHARE), replace=False))
    row_there = np.full(n, -1)
    row_there[sample] = np.arange(len(sample))
    chosen = np.flatnonzero(np.logical_and.reduceat(row_there[whole.qrels.rows] >= 0, whole.qrels.offsets[:-1]))
    qrels, columns = only(whole.qrels, chosen)
    there = Qrels(qrels.offsets, row_there[qrels.rows], qrels.grades)
    ranks = ranked(whole.documents[sample], whole.queries[chosen], there)
    cut = Ranks(truth.candidates, n, truth.above[:, columns], truth.tied[:, columns])
    lists = {c: RESCORE.shortlist(CUTOFF) for c in ranks.candidates if c.rescore}
    grown = GrowthModel.of(ranks, there, Demand(measure=MEASURE, retain=RETAIN, lists=lists)).at(n)  # one size, without a curve
    true, own = (shares(*one) for one in ((cut, qrels), (ranks, there)))
    return {
        f.candidate: (true[f.candidate], f.kept or 0.0, f.at_least or 0.0, f.at_most or 0.0, own[f.candidate], bool(f.acceptable))
        for f in grown.forecasts
    }


def shares(ranks: Ranks, qrels: Qrels) -> dict[Configuration, float]:
    """What every configuration keeps of full size."""
    means: FloatArray = means_of(ranks, qrels, [MEASURE])[0]
    full = means[ranks.candidates.index(full_size(ranks.candidates))]
    return {candidate: float(mean / full) for candidate, mean in zip(ranks.candidates, means, strict=True)}


def run(whole: Whole | None = None) -> Table:
    """Each row is one configuration, averaged over the tenths: six, forty of a small collection."""
    whole = whole or whole_corpus()
    truth, draws = ranked(whole.documents, whole.queries, whole.qrels), DRAWS if len(whole.documents) > 10_000 else DRAWS_OF_FEW
    repetitions = [repetition(whole, truth, np.random.default_rng(seed)) for seed in range(draws)]
    full = full_size(truth.candidates)
    cells = [c for c in truth.candidates if c != full]
    data = np.array([[one[c] for one in repetitions] for c in cells], float)
    true, predicted, low, high, own, proven = np.moveaxis(data, 2, 0)
    inside = (low <= true) & (true <= high)
    rows = [
        (
            str(c),
            f"{true[i].mean():.1%}",
            f"{predicted[i].mean():.1%}",
            f"{own[i].mean():.1%}",
            f"{np.abs(predicted[i] - true[i]).mean():.1%}",
            f"{np.abs(own[i] - true[i]).mean():.1%}",
            f"{inside[i].sum()} of {draws}",
            f"{proven[i].sum():.0f} of {draws}",
        )
        for i, c in enumerate(cells)
    ]
    coded, again = (
        np.array([keep(c) for c in cells]) for keep in (lambda c: c.precision != "float32", lambda c: bool(c.rescore))
    )
    false = int((proven.astype(bool) & (true < RETAIN)).sum())
    low_of = int((~proven.astype(bool) & (high < RETAIN) & (true >= RETAIN)).sum())
    errors = {
        words: [float(np.abs(one - true)[rows].mean()) for one in (predicted, own)]
        for words, rows in (("codes", coded & ~again), ("shortlists", again))
    }
    what, share = "projection x10 of codes:", float(inside.mean())
    bars = (
        Bar(f"{what} the share within its limits", "at least 80%", f"{share:.0%}", share >= 0.8),
        Bar(f"{what} proven although truly below", "none", str(false), false == 0),
        Bar(f"{what} too low although truly above", "none", str(low_of), low_of == 0),
        *(
            Bar(f"projection x10 of {words}: off by", f"less than the sample's own, {reused:.3f}", f"{error:.3f}", error < reused)
            for words, (error, reused) in errors.items()
        ),
    )
    note = (
        f"{whole.name}; {draws} random samples of one document in "
        f"{SHARE}, as in the table before. Shares of {MEASURE} at {full.dim} dimensions in float32, predicted from each "
        f"configuration's own ranks in the sample; limits at 95% on either side. Proven: to keep {RETAIN:.0%} there. Shortlists"
        f" of {RESCORE.shortlist(CUTOFF)} are ordered again by float32 vectors."
    )
    columns = (
        "configuration",
        "whole corpus",
        "predicted",
        "sample's own",
        "error, predicted",
        "error, own",
        "in limits",
        "proven",
    )
    return Table("What codes keep in a larger corpus, predicted from a sample", note, columns, tuple(rows), bars)


if __name__ == "__main__":
    folders = [Path(text) for text in sys.argv[1:] if not text.startswith("--")]
    sys.argv[1:] = [text for text in sys.argv[1:] if text.startswith("--")]
    main((lambda: run(beir(*folders))) if folders else run)
