"""Scores ranks: measures per candidate and query, the share of judged documents, and agreement with full size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.measures import from_ranks
from mrl_sweep.measures.from_ranks import Relevant, Standing, chance_in_first
from mrl_sweep.types import BoolArray, FloatArray, IntArray, Measure, Qrels, Ranks, Scores, full_size

CELLS_AT_ONCE: Final = 2**18
"""Judged pairs times candidates held in one block: its arrays stay in the cache."""

SPARSE: Final = 2
"""Where fewer than one relevant pair in so many stands within the cut-offs, the others are left out of the sums."""

_FORMULAS: Final[dict[str, Callable[[Standing, Any], FloatArray]]] = {
    "nDCG": from_ranks.ndcg,
    "RR": from_ranks.reciprocal_rank,
    "AP": from_ranks.average_precision,
    "R": from_ranks.recall,
    "P": from_ranks.precision,
    "Success": from_ranks.success,
}
"""The formula of each measure, of a `Standing` and the cut-off: None where a measure is written without one."""


def score(
    ranks: Ranks,
    qrels: Qrels,
    measures: Sequence[Measure],
    *,
    no_relevant: Literal["exclude", "zero"] = "exclude",
    pairs: IntArray | None = None,
) -> Scores:
    """Computes every measure as trec_eval defines it, the expectation where documents tie; see `from_ranks` for the formulas.

    `pairs` are the judgments that the columns of `ranks` stand for, ascending; the others are not retrieved. None: all of them.
    Queries without a relevant judgment under a measure score 0 and are not counted; with `no_relevant="zero"` they are counted.
    Agreement counts every query; it raises InputError where the ranks do not hold that many first documents.
    """
    values = np.empty((len(ranks.candidates), len(measures), qrels.n_queries))
    counted = np.ones((len(measures), qrels.n_queries), np.bool_)
    for m, measure in enumerate(measures):
        if measure.label_free:
            values[:, m] = agreement(ranks, measure.cutoff or 0)
    for rel in {measure.lowest_grade for measure in measures if not measure.label_free}:
        relevant = Relevant.of(qrels, rel)
        chosen = [m for m, measure in enumerate(measures) if not measure.label_free and measure.lowest_grade == rel]
        if no_relevant == "exclude":
            counted[chosen] = relevant.counts > 0
        if pairs is not None:
            columns = np.flatnonzero(qrels.grades[pairs] >= rel)
            relevant = replace(relevant.among(np.searchsorted(relevant.columns, pairs[columns])), columns=columns)
        step = max(1, CELLS_AT_ONCE // max(1, len(relevant.columns)))
        for start in range(0, len(ranks.candidates), step):
            block = slice(start, start + step)
            standing = _standing(relevant, ranks.above[block], ranks.tied[block], [measures[m] for m in chosen])
            for m in chosen:
                values[block, m] = _FORMULAS[measures[m].name](standing, measures[m].cutoff)
    return Scores(ranks.candidates, tuple(measures), values, counted)


def _standing(relevant: Relevant, above: IntArray, tied: IntArray, measures: Sequence[Measure]) -> Standing:
    """Where the relevant documents stand, without those that stand too low everywhere for any of the measures."""
    above = relevant.of_columns(above)
    if all(measure.cutoff is not None for measure in measures):
        within: BoolArray = np.any(above < max(measure.cutoff or 0 for measure in measures), axis=0)
        if np.count_nonzero(within) * SPARSE < len(within):
            chosen = np.flatnonzero(within)
            few = relevant.among(chosen)
            return Standing(few, above[:, chosen], few.of_columns(tied))
    return Standing(relevant, above, relevant.of_columns(tied))


def judged_share(ranks: Ranks, qrels: Qrels, k: int) -> FloatArray:
    """Returns (n_candidates,), the expected share of the first k documents that have a judgment, of any grade, over all queries.

    In a corpus of fewer than k documents the share is of the whole corpus; 0 without queries. Where it falls from one
    size to the next, smaller sizes are scored down for returning documents that nobody judged.
    """
    slots = min(k, ranks.n_documents) * qrels.n_queries
    if slots == 0:
        return np.zeros(len(ranks.candidates))
    totals = [chance_in_first(above, tied, k).sum() for above, tied in zip(ranks.above, ranks.tied, strict=True)]
    return np.array(totals, np.float64) / slots


def agreement(ranks: Ranks, k: int) -> FloatArray:
    """Returns (n_candidates, n_queries), the share of full size's first k documents among a candidate's first k, in [0, 1].

    Rows of -1 (fewer documents than k) match nothing; a query for which full size returns nothing scores 1.
    Raises InputError where `ranks.top` is neither k deep nor as deep as the corpus.
    """
    top = ranks.top
    if top is None or top.depth < min(k, ranks.n_documents):
        raise InputError(
            f"Agreement@{k} needs the first {k} documents of every ranking; {0 if top is None else top.depth} were kept",
            f"run again with --label-free --measure Agreement@{k}",
        )
    full = top.rows[ranks.candidates.index(full_size(ranks.candidates)), :, :k]
    wanted = (full >= 0).sum(axis=1)
    out = np.ones((len(ranks.candidates), full.shape[0]))
    for c, rows in enumerate(top.rows[:, :, :k]):
        np.divide(_common(full, rows), wanted, out=out[c], where=wanted > 0)
    return out


def _common(some: IntArray, others: IntArray) -> IntArray:
    """(n_queries,) how many rows >= 0 both lists of a query hold; neither holds a row twice, so neighbours once sorted."""
    merged = np.sort(np.concatenate([some, others], axis=1), axis=1)
    twice: BoolArray = (merged[:, 1:] == merged[:, :-1]) & (merged[:, 1:] >= 0)
    shared: IntArray = np.count_nonzero(twice, axis=1)
    return shared
