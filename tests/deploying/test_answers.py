"""Lists of returned documents become ranks of the judged ones."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.deploying.indexes.answers import Answers, Search, agree, collect_answers, judged_ranks
from mrl_sweep.types import NOT_RETRIEVED, Float32Array, IntArray, Qrels


def qrels_of(*judged: list[int]) -> Qrels:
    offsets = np.cumsum([0, *map(len, judged)])
    rows = np.array([row for rows in judged for row in rows], np.int64)
    return Qrels(offsets, rows, np.ones_like(rows))


def searching(scores: Float32Array) -> Search:
    """An exhaustive search over fixed scores, ties by insertion order, as FAISS does."""

    def search(queries: Float32Array, k: int) -> tuple[IntArray, Float32Array]:
        mine = scores[queries[:, 0].astype(int)]
        order = np.argsort(-mine, axis=1, kind="stable")[:, :k]
        return order.astype(np.int64), np.take_along_axis(mine, order, axis=1)

    return search


def numbered(n: int) -> Float32Array:
    return np.arange(n, dtype=np.float32)[:, None]


def test_ranks_count_returned_documents_above_and_tied() -> None:
    answers = Answers(np.array([[7, 3, 5, 9]]), np.array([[0.9, 0.5, 0.5, 0.1]], np.float32))
    above, tied = judged_ranks(answers, qrels_of([7, 3, 5, 9, 4]))
    assert above.tolist() == [0, 1, 1, 3, NOT_RETRIEVED]
    assert tied.tolist() == [0, 1, 1, 0, 0]


def test_minus_one_is_no_document() -> None:
    """FAISS pads with -1; a judged document missing from the corpus is -1 too; neither is the last document."""
    answers = Answers(np.array([[2, -1, -1]]), np.array([[0.4, -np.inf, -np.inf]], np.float32))
    above, tied = judged_ranks(answers, qrels_of([-1, 2, 9]))
    assert above.tolist() == [NOT_RETRIEVED, 0, NOT_RETRIEVED]
    assert tied.tolist() == [0, 0, 0]


def test_own_document_is_dropped_and_the_rest_moves_up() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4]], np.float32)
    answers = collect_answers(searching(scores), numbered(2), 2, own_rows=np.array([0, -1]), n_documents=4)
    assert answers.rows.tolist() == [[1, 2], [3, 2]]
    np.testing.assert_array_equal(answers.scores, np.array([[0.8, 0.7], [0.4, 0.3]], np.float32))


def test_fewer_documents_than_asked_for_leave_gaps() -> None:
    answers = collect_answers(searching(np.array([[0.2, 0.1]], np.float32)), numbered(1), 5, own_rows=None, n_documents=2)
    assert answers.rows.tolist() == [[0, 1, -1, -1, -1]]
    assert answers.scores[0, 2:].tolist() == [-np.inf] * 3


@pytest.mark.parametrize("own", [None, 0])
def test_a_tie_across_the_cutoff_is_followed_to_its_end(own: int | None) -> None:
    """100 documents tie; wherever the judged one stands among them, its rank is the same."""
    scores = np.full((1, 150), 0.5, np.float32)
    scores[0, :10], scores[0, 110:] = 0.9, 0.1
    own_rows = None if own is None else np.array([own])
    answers = collect_answers(searching(scores), numbered(1), 20, own_rows=own_rows, n_documents=150)
    above, tied = judged_ranks(answers, qrels_of([12, 109, 5, 120]))
    high = 10 if own is None else 9
    assert above.tolist() == [high, high, 0, NOT_RETRIEVED]
    assert tied.tolist() == [99, 99, high - 1, 0]


def test_a_tie_that_ends_at_the_cutoff_is_not_widened() -> None:
    scores = np.array([[0.9, 0.5, 0.5, 0.1]], np.float32)
    answers = collect_answers(searching(scores), numbered(1), 3, own_rows=None, n_documents=4)
    assert answers.tails == {}
    above, tied = judged_ranks(answers, qrels_of([1, 3]))
    assert above.tolist() == [1, NOT_RETRIEVED]
    assert tied.tolist() == [1, 0]


def test_agreement_tolerates_the_order_of_equals_only() -> None:
    scores = np.array([[0.9, 0.5, 0.5 - 1e-7]], np.float32)
    expected = Answers(np.array([[1, 2, 3]]), scores)
    assert agree(Answers(np.array([[1, 3, 2]]), scores), expected)
    assert agree(Answers(np.array([[1, 2, 8]]), scores), expected)
    assert not agree(Answers(np.array([[8, 2, 3]]), scores), expected)
    assert not agree(Answers(np.array([[1, 2, 3]]), scores * np.float32(1.001)), expected)
    assert not agree(Answers(np.array([[1, 2, -1]]), scores), expected)
