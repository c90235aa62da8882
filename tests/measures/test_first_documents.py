"""Judged share and agreement with full size against counts by hand and a naive loop."""

import numpy as np
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.measures.score import agreement, judged_share, score
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Measure, Qrels, Ranks, TopDocuments

FULL, HALF = Configuration("prefix", 8), Configuration("prefix", 4)
QRELS = Qrels(np.array([0, 2, 3]), np.array([5, 6, -1]), np.array([1, 0, 1]))


def with_top(rows: list[list[list[int]]], n_documents: int = 1000) -> Ranks:
    array = np.array(rows, np.int64)
    empty = np.zeros((len(rows), 0), np.int64)
    names = tuple(Configuration("prefix", 2 ** (5 - c)) for c in range(len(rows)))
    return Ranks(names, n_documents, empty, empty, TopDocuments(array, np.zeros(array.shape, np.float32)))


def test_judged_share_counts_every_grade_and_half_of_a_tie_across_the_cutoff() -> None:
    above = np.array([[0, 1, NOT_RETRIEVED], [1, 4, NOT_RETRIEVED]])
    tied = np.array([[0, 0, 0], [1, 3, 0]])
    ranks = Ranks((FULL, HALF), 100, above, tied)
    assert judged_share(ranks, QRELS, 2).tolist() == [2 / 4, 0.5 / 4]
    assert judged_share(ranks, QRELS, 6).tolist() == [2 / 12, (1 + 2 / 4) / 12]


def test_judged_share_of_a_corpus_smaller_than_k_is_of_the_whole_corpus() -> None:
    ranks = Ranks((FULL,), 2, np.array([[0, 1, NOT_RETRIEVED]]), np.zeros((1, 3), np.int64))
    assert judged_share(ranks, QRELS, 10).tolist() == [0.5]


def test_judged_share_without_queries_is_zero() -> None:
    none = np.zeros((1, 0), np.int64)
    assert judged_share(Ranks((FULL,), 5, none, none), Qrels(np.zeros(1, np.int64), none[0], none[0]), 10).tolist() == [0.0]


def test_agreement_is_the_share_of_the_full_size_list_in_any_order() -> None:
    ranks = with_top([[[1, 2, 3, 4], [9, 8, 7, 6]], [[4, 3, 9, 1], [1, 2, 3, 4]]])
    assert agreement(ranks, 4).tolist() == [[1, 1], [0.75, 0]]
    assert agreement(ranks, 2).tolist() == [[1, 1], [0, 0]]


def test_padding_never_agrees_and_a_small_corpus_is_compared_whole() -> None:
    ranks = with_top([[[0, 1, -1], [2, -1, -1], [-1, -1, -1]], [[1, -1, -1], [0, -1, -1], [-1, -1, -1]]], n_documents=3)
    assert agreement(ranks, 3).tolist() == [[1, 1, 1], [0.5, 0, 1]]
    assert agreement(ranks, 50).tolist() == [[1, 1, 1], [0.5, 0, 1]]


def test_agreement_equals_a_loop_over_sets() -> None:
    generator = np.random.default_rng(1)
    rows = np.stack([[generator.permutation(60)[:40] for _ in range(30)] for _ in range(4)])
    ranks = with_top(rows.tolist())
    for k in (1, 10, 40):
        expected = [[len(set(rows[0, q, :k]) & set(rows[c, q, :k])) / k for q in range(30)] for c in range(4)]
        assert agreement(ranks, k).tolist() == expected


def test_agreement_deeper_than_the_lists_kept_is_refused() -> None:
    ranks = with_top([[[1, 2, 3, 4]]])
    with pytest.raises(InputError, match="needs the first 5 documents"):
        agreement(ranks, 5)
    with pytest.raises(InputError, match="needs the first 5 documents"):
        agreement(Ranks(ranks.candidates, 9, ranks.above, ranks.tied), 5)


def test_agreement_is_the_share_of_the_full_size_s_first_documents_and_counts_every_query() -> None:
    full, half = Configuration("prefix", 8), Configuration("prefix", 4)
    top = np.array([[[1, 2, 3], [4, 5, 6]], [[3, 2, 9], [6, 7, 8]]])
    none = np.zeros((2, 0), np.int64)
    ranks = Ranks((half, full), 100, none, none, TopDocuments(top[::-1], np.zeros(top.shape, np.float32)))
    unjudged = Qrels(np.zeros(3, np.int64), none[0], none[0])
    scores = score(ranks, unjudged, [Measure("Agreement", 3), Measure("Agreement", 1)])
    assert scores.of(full, Measure("Agreement", 3)).tolist() == [1, 1]
    assert scores.of(half, Measure("Agreement", 3)).tolist() == [2 / 3, 1 / 3]
    assert scores.of(half, Measure("Agreement", 1)).tolist() == [0, 0]
    with pytest.raises(InputError, match="Agreement@4 needs the first 4 documents of every ranking; 3 were kept"):
        score(ranks, unjudged, [Measure("Agreement", 4)])
