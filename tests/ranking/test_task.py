"""Rows as spans: cut, joined, and what is left of them; partial counts refuse to count a document twice."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.ranking.counting import pass_key
from mrl_sweep.ranking.exact import prepare_space
from mrl_sweep.ranking.kernel import MachineKernel
from mrl_sweep.ranking.pass_plan import Tally
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.task import Partial, Rotation, count_shards, cut_spans, join_spans, n_rows_of, rows_left
from mrl_sweep.types import Qrels, Similarity, Vectors


def spans(rows: set[int]) -> tuple[tuple[int, int], ...]:
    return join_spans((row, row + 1) for row in rows)


def test_spans_by_hand() -> None:
    assert list(cut_spans([(0, 5), (7, 9)], 2)) == [(0, 2), (2, 4), (4, 5), (7, 9)]
    assert join_spans([(5, 9), (0, 3), (3, 5), (12, 12), (20, 21)]) == ((0, 9), (20, 21))
    assert rows_left([(0, 10), (20, 30)], [(2, 4), (8, 22), (29, 30)]) == ((0, 2), (4, 8), (22, 29))
    assert n_rows_of([(0, 10), (20, 30)]) == 20


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_what_is_left_is_the_difference_of_the_sets(rows: Any, counted: Any) -> None:
    assert rows_left(spans(rows), spans(counted)) == spans(rows - counted)


def task_over(docs: Any, **axes: Any) -> Any:
    queries = np.eye(4, dtype=np.float32)
    qrels = Qrels(np.arange(5), np.arange(4), np.ones(4, np.int64))
    return prepare_space(prefixes((2, 4), Similarity.COSINE, **axes), Vectors((docs,)), queries, qrels).task


def test_a_document_that_would_be_counted_twice_is_refused() -> None:
    tally = task_over(np.ones((9, 4), np.float32)).empty_tally()
    with pytest.raises(ValueError, match="rows 3 to 5 are counted twice"):
        Partial(((0, 5),), tally).plus(Partial(((3, 9),), tally))


def test_a_task_that_has_travelled_gives_the_same_tally() -> None:
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((4, 4)))[0].astype(np.float32)
    task = task_over(rng.standard_normal((90, 4), np.float32), rotation=turned).of([(10, 60)])
    tallies = []
    for one in (task, pickle.loads(pickle.dumps(task))):
        tally = one.empty_tally()
        count_shards(one, MachineKernel(), tally, cut_spans(one.rows, 7), lambda _: None)
        tallies.append(tally)
    for name in Tally._fields:
        np.testing.assert_array_equal(getattr(tallies[0], name), getattr(tallies[1], name))
    assert tallies[0].placed.sum() > 0


def test_turns_decide_the_key_also_where_nothing_is_judged() -> None:
    docs = np.ones((9, 4), np.float32)
    plain = task_over(docs)
    turned = [Rotation(np.eye(4, dtype=np.float32)[::step].copy()) for step in (1, -1)]
    assert len({pass_key(plain), *(pass_key(replace(plain, turns=(turn,))) for turn in turned)}) == 3


def test_equal_rows_turn_alike_wherever_they_stand() -> None:
    rng = np.random.default_rng(0)
    row = rng.standard_normal((1, 48), np.float32)
    for columns in (8, 48, 64):
        turned = Rotation(rng.standard_normal((48, columns), np.float32))(np.repeat(row, 300, axis=0))
        np.testing.assert_array_equal(turned, np.repeat(turned[:1], 300, axis=0))
