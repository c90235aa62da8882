"""The queries that lose most, with what left their top and what came in."""

from __future__ import annotations

import numpy as np

from mrl_sweep.decision.losers import LosingQuery, biggest_losers
from mrl_sweep.types import Basis, Configuration, Measure, Ranks, Scores, TopDocuments

FULL, SMALL = Configuration(Basis.PREFIX, 256), Configuration(Basis.PREFIX, 64)
NDCG = Measure("nDCG", 3)


def scores() -> Scores:
    values = np.array([[[1.0, 0.5, 0.8, 0.9, 0.2]], [[0.4, 0.5, 0.2, 0.0, 0.6]]])
    return Scores((FULL, SMALL), (NDCG,), values, np.array([[True, True, True, False, True]]))


def test_largest_loss_first_gains_and_uncounted_queries_left_out() -> None:
    losers = biggest_losers(scores(), SMALL, measure=NDCG)
    assert [(q.query, q.before, q.after) for q in losers] == [(0, 1.0, 0.4), (2, 0.8, 0.2)]
    assert [q.query for q in biggest_losers(scores(), SMALL, measure=NDCG, n=1)] == [0]
    assert biggest_losers(scores(), FULL, measure=NDCG) == ()


def test_documents_that_left_and_came_in_best_first() -> None:
    rows = np.full((2, 5, 4), -1)
    rows[0, 0] = [7, 3, 9, 1]
    rows[1, 0] = [4, 9, 2, 7]
    rows[0, 2, :2] = [5, 6]
    rows[1, 2, :2] = [6, 5]
    ranks = Ranks(
        (FULL, SMALL), 10, np.zeros((2, 0), int), np.zeros((2, 0), int), TopDocuments(rows, np.zeros(rows.shape, np.float32))
    )
    first, second = biggest_losers(scores(), SMALL, measure=NDCG, ranks=ranks)
    assert first == LosingQuery(0, 1.0, 0.4, left=(7, 3), came=(4, 2))
    assert first.loss == 0.6
    assert (second.left, second.came) == ((), ())
