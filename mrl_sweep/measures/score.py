"""Ranks to Scores: every measure of every query at every candidate, from the two integers per judged pair.

Agreement with full size is the one measure that needs no judgments: it comes from the first documents of every ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.measures import from_ranks
from mrl_sweep.measures.coverage import agreement
from mrl_sweep.measures.from_ranks import Standing
from mrl_sweep.measures.judgments import Relevant
from mrl_sweep.types import FloatArray, Measure, Qrels, Ranks, Scores, full_size

CELLS_AT_ONCE: Final = 2**18
"""Judged pairs times candidates held in one block: its arrays stay in the cache."""

_WHOLE: Final[dict[str, Callable[[Standing, int | None], FloatArray]]] = {
    "nDCG": from_ranks.ndcg,
    "RR": from_ranks.reciprocal_rank,
    "AP": from_ranks.average_precision,
}
_CUT: Final[dict[str, Callable[[Standing, int], FloatArray]]] = {
    "R": from_ranks.recall,
    "P": from_ranks.precision,
    "Success": from_ranks.success,
}


def score(
    ranks: Ranks, qrels: Qrels, measures: Sequence[Measure], *, no_relevant: Literal["exclude", "zero"] = "exclude"
) -> Scores:
    """Every measure as trec_eval defines it, the expectation where documents tie; see `from_ranks` for the formulas.

    Queries without a relevant judgment under a measure score 0 and are not counted; with `no_relevant="zero"` they are.
    Agreement counts every query; it raises InputError where the ranks do not hold that many first documents.
    """
    values = np.empty((len(ranks.candidates), len(measures), qrels.n_queries))
    counted = np.ones((len(measures), qrels.n_queries), np.bool_)
    for m, measure in enumerate(measures):
        if measure.label_free:
            values[:, m] = _agreed(ranks, measure.cutoff or 0)
    for rel in {_level(measure) for measure in measures if not measure.label_free}:
        relevant = Relevant.of(qrels, rel)
        chosen = [m for m, measure in enumerate(measures) if not measure.label_free and _level(measure) == rel]
        if no_relevant == "exclude":
            counted[chosen] = relevant.counts > 0
        step = max(1, CELLS_AT_ONCE // max(1, len(relevant.columns)))
        for start in range(0, len(ranks.candidates), step):
            block = slice(start, start + step)
            standing = Standing(relevant, relevant.of_columns(ranks.above[block]), relevant.of_columns(ranks.tied[block]))
            for m in chosen:
                values[block, m] = _measured(standing, measures[m])
    return Scores(ranks.candidates, tuple(measures), values, counted)


def _agreed(ranks: Ranks, k: int) -> FloatArray:
    """(n_candidates, n_queries) the share of the full size's first k documents among each candidate's first k."""
    depth = 0 if ranks.top is None else ranks.top.depth
    if depth < min(k, ranks.n_documents):
        raise InputError(
            f"Agreement@{k} needs the first {k} documents of every ranking; {depth} were kept",
            f"run again with --label-free --measure Agreement@{k}",
        )
    return agreement(ranks, full_size(ranks.candidates), k)


def _level(measure: Measure) -> int:
    """The lowest relevant grade; nDCG takes every grade above 0 at its own worth."""
    return 1 if measure.name == "nDCG" else measure.rel


def _measured(standing: Standing, measure: Measure) -> FloatArray:
    if measure.name in _WHOLE:
        return _WHOLE[measure.name](standing, measure.cutoff)
    if measure.cutoff is None:
        raise ValueError(f"{measure} needs a cut-off")
    return _CUT[measure.name](standing, measure.cutoff)
