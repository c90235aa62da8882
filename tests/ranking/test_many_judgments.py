"""Thousands of judgments a query cost little more than ten: the product and the judgments, not both multiplied (FAULTS 68)."""

from __future__ import annotations

from threading import Barrier, current_thread
from time import process_time
from typing import Any

import numpy as np

from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.counting import InOrder
from mrl_sweep.ranking.exact import RankOptions, prepare_space, rank
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.types import Qrels, Similarity, Vectors

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


def test_judged_pairs_are_scored_and_sorted_alike_on_any_threads_and_their_order_is_stable() -> None:
    docs, queries, qrels = case(300)
    docs[::3] = docs[0]  # a third of the thresholds of a query are equal: their order is that of the judgments
    alone, spread = (
        prepare_space(prefixes(DIMS, Similarity.COSINE), Vectors((docs,)), queries, qrels, RankOptions(executor=executor)).plan
        for executor in (InOrder(), LocalThreads(3))
    )
    np.testing.assert_array_equal(alone.order, spread.order)
    np.testing.assert_array_equal(alone.targets.rows, spread.targets.rows)
    np.testing.assert_array_equal(alone.targets.thresholds, spread.targets.thresholds)
    for a in range(len(DIMS)):
        scores = np.empty(len(qrels.rows), np.float32)
        scores[alone.order[a]] = alone.targets.thresholds[a]
        np.testing.assert_array_equal(alone.order[a], np.lexsort((scores, qrels.queries)))


def test_judged_pairs_are_scored_on_every_thread() -> None:
    docs, queries, qrels = case(100)
    seen, met = set(), Barrier(2)

    class Seen(PortableKernel):
        def pair_scores(self, *inputs: Any) -> Any:
            if current_thread() not in seen:
                seen.add(current_thread())
                met.wait(60)  # both threads are here before either goes on
            return super().pair_scores(*inputs)

    options = RankOptions(kernel=Seen(), executor=LocalThreads(2))
    prepare_space(prefixes(DIMS, Similarity.COSINE), Vectors((docs,)), queries, qrels, options)
    assert len(seen) == 2
