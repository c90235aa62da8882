"""The queries that lose most at a size, with the documents that left their top and those that came in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrl_sweep.decision.bounds import UNCHANGED
from mrl_sweep.types import Configuration, IntArray, Measure, Ranks, Scores, full_size


@dataclass(frozen=True, slots=True)
class LosingQuery:
    """Query row `query` fell from `before` at the baseline to `after`; `left` and `came` are document rows, best first."""

    query: int
    before: float
    after: float
    left: tuple[int, ...] = ()
    came: tuple[int, ...] = ()

    @property
    def loss(self) -> float:
        return self.before - self.after


def biggest_losers(
    scores: Scores,
    candidate: Configuration,
    *,
    measure: Measure,
    n: int = 10,
    baseline: Configuration | None = None,
    ranks: Ranks | None = None,
) -> tuple[LosingQuery, ...]:
    """Up to `n` counted queries that lose, the largest loss first (ties in query order); none where nothing is lost.

    With `ranks` that hold top documents for both candidates: what left and what entered the first k, k being the measure's
    cut-off or, where that is larger or missing, the depth that was kept.
    """
    full = baseline or full_size(scores.candidates)
    m = scores.measures.index(measure)
    before, after = (scores.values[scores.candidates.index(c), m] for c in (full, candidate))
    loss = np.where(scores.counted[m], before - after, 0.0)
    order = np.argsort(-np.round(loss, 12), kind="stable")[:n]
    losing = [int(q) for q in order if loss[q] > UNCHANGED]
    moves = {q: _moved(ranks, full, candidate, q, measure.cutoff) for q in losing}
    return tuple(LosingQuery(q, float(before[q]), float(after[q]), *moves[q]) for q in losing)


def _moved(
    ranks: Ranks | None, full: Configuration, candidate: Configuration, query: int, cutoff: int | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if ranks is None or ranks.top is None or full not in ranks.candidates or candidate not in ranks.candidates:
        return (), ()
    k = min(cutoff or ranks.top.depth, ranks.top.depth)
    was, now = (_documents(ranks.top.rows[ranks.candidates.index(c), query, :k]) for c in (full, candidate))
    return tuple(d for d in was if d not in now), tuple(d for d in now if d not in was)


def _documents(rows: IntArray) -> list[int]:
    return [int(row) for row in rows if row >= 0]
