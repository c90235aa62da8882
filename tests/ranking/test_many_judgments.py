"""Thousands of judgments a query cost little more than ten: the product and the judgments, not both multiplied (FAULTS 68)."""

from __future__ import annotations

from time import process_time

import numpy as np

from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Qrels, Vectors

DIMS = (64, 128)
DOCS, QUERIES = 20_000, 64


def case(judgments: int) -> tuple[np.ndarray, np.ndarray, Qrels]:
    chance = np.random.default_rng(7)
    docs = chance.standard_normal((DOCS, DIMS[-1])).astype(np.float32)
    queries = chance.standard_normal((QUERIES, DIMS[-1])).astype(np.float32)
    rows = np.concatenate([np.sort(chance.choice(DOCS, judgments, replace=False)) for _ in range(QUERIES)])
    return docs, queries, Qrels(np.arange(QUERIES + 1) * judgments, rows, np.ones(len(rows), np.int64))


def seconds(judgments: int) -> float:
    """Of the processor, the best of three."""
    docs, queries, qrels = case(judgments)
    taken = []
    for _ in range(3):
        began = process_time()
        rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(depth=0))
        taken.append(process_time() - began)
    return min(taken)


def seconds_of_both_multiplied(judgments: int) -> float:
    """Of the processor, for comparing every score with every threshold of its query, as a compiled loop does at best."""
    scores, thresholds = np.random.default_rng(7).standard_normal((2, DOCS)).astype(np.float32)
    began = process_time()
    for threshold in thresholds[: judgments // 10]:
        np.count_nonzero(scores > threshold)
    return (process_time() - began) * 10 * QUERIES * len(DIMS)


def test_row_68_two_thousand_judgments_a_query_cost_no_product_of_both() -> None:
    seconds(10)  # kernels are compiled
    many = seconds(2000)
    assert many < seconds_of_both_multiplied(2000)


def test_row_68_ranks_of_many_judgments_are_those_of_counting() -> None:
    docs, queries, qrels = case(2000)
    ranks = rank(Vectors((docs,)), queries[:2], Qrels(qrels.offsets[:3], qrels.rows[:4000], qrels.grades[:4000]), DIMS)
    unit = [rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True) for rows in (docs, queries)]
    for query in range(2):
        scores = unit[0] @ unit[1][query]
        judged = qrels.rows[qrels.offsets[query] : qrels.offsets[query + 1]]
        order = np.sort(scores)
        above = DOCS - np.searchsorted(order, scores[judged], side="right")
        got = ranks.above[-1, qrels.offsets[query] : qrels.offsets[query + 1]]
        assert np.abs(got - above).max() <= 1, "equal but for scores that float32 does not tell apart"
