"""Rescoring is what a search of the codes and a second one of its shortlist give, from the lists of the best alone."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from ranking_cases import DIMS, float32_scores, make_case

from benchmarks.synthetic import rank_grid
from mrl_sweep.errors import InputError
from mrl_sweep.ranking.exact import RankOptions
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.rescore import Rescore, rescored, shortlist_depth
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Qrels, Similarity, Vectors

CUTOFF = 5


def ranked(docs: Any, queries: Any, qrels: Any, own: Any, asked: Any, precisions: Any, depth: int | None = None) -> Any:
    options = RankOptions(own_rows=own, depth=depth or shortlist_depth(asked, CUTOFF))
    ranks = rank_grid([prefixes(DIMS, Similarity.COSINE)], precisions, Vectors((docs,)), queries, qrels, options)
    return rescored(ranks, asked, Vectors((docs,)), queries, qrels, options, cutoff=CUTOFF)


@pytest.mark.parametrize("text", ["4x", "2x@20", "1x@3"])
def test_ranks_are_those_of_a_shortlist_ordered_again(text: str) -> None:
    docs, queries, qrels, own = make_case(21)
    asked = Rescore.parse(text)
    ranks = ranked(docs, queries, qrels, own, [asked], ["binary", "int8"], depth=asked.shortlist(CUTOFF))
    scores = float32_scores(docs, queries, asked.dim or docs.shape[1], cosine=True)
    for a, candidate in enumerate(ranks.candidates):
        if not candidate.rescore:
            continue
        code = ranks.candidates.index(Configuration("prefix", candidate.dim, precision=candidate.precision))
        for p, (q, row) in enumerate(zip(qrels.queries, qrels.rows, strict=True)):
            shortlist = ranks.top.rows[code, q, : asked.shortlist(CUTOFF)]
            assert own[q] not in shortlist
            if row not in shortlist:
                assert (ranks.above[a, p], ranks.tied[a, p]) == (NOT_RETRIEVED, 0)
            else:
                assert ranks.above[a, p] == (scores[q, shortlist] > scores[q, row]).sum()
                assert ranks.tied[a, p] == (scores[q, shortlist] == scores[q, row]).sum() - 1
    assert any(candidate.rescore == text for candidate in ranks.candidates)


def test_a_database_that_stores_cut_vectors_orders_by_these() -> None:
    """Where no size is named, each size is ordered again by its own numbers, and says so."""
    docs, queries, qrels, own = make_case(21)
    options = RankOptions(own_rows=own, depth=4 * CUTOFF)
    ranks = rank_grid([prefixes(DIMS, Similarity.COSINE)], ["binary"], Vectors((docs,)), queries, qrels, options)

    def again(rescore: Rescore, at_own_size: bool) -> Any:
        return rescored(ranks, [rescore], Vectors((docs,)), queries, qrels, options, cutoff=CUTOFF, at_own_size=at_own_size)

    own_size = again(Rescore(4), True)
    assert {c.rescore for c in own_size.candidates if c.rescore} == {f"4x@{dim}" for dim in DIMS}
    for dim in DIMS:
        named = again(Rescore(4, dim), False)
        (a,), (b,) = (
            [i for i, c in enumerate(one.candidates) if (c.dim, c.rescore) == (dim, f"4x@{dim}")] for one in (own_size, named)
        )
        assert (own_size.above[a] == named.above[b]).all()
        assert (own_size.tied[a] == named.tied[b]).all()


@pytest.mark.parametrize("dim", [8, 20, 48])
def test_lists_are_those_of_a_refining_index(dim: int) -> None:
    rng = np.random.default_rng(3)
    docs, queries = (rng.standard_normal((n, 48)).astype(np.float32) for n in (800, 30))
    nothing = Qrels(np.zeros(31, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    ranks = ranked(docs, queries, nothing, np.full(30, -1), [Rescore(4)], ["int4"])
    codes = faiss.index_factory(dim, "SQ4", faiss.METRIC_INNER_PRODUCT)
    codes.train(unit_prefix(docs, dim))
    codes.add(unit_prefix(docs, dim))
    _, shortlist = codes.search(unit_prefix(queries, dim), 4 * CUTOFF)
    scores = np.take_along_axis(float32_scores(docs, queries, 48, cosine=True), shortlist, axis=1)
    theirs = np.take_along_axis(shortlist, np.argsort(-scores, axis=1), axis=1)[:, :CUTOFF]
    a = ranks.candidates.index(Configuration("prefix", dim, precision="int4", rescore="4x"))
    np.testing.assert_array_equal(ranks.top.rows[a, :, :CUTOFF], theirs)


def test_a_shortlist_of_the_whole_corpus_loses_nothing() -> None:
    docs, queries, qrels, own = make_case(22, n_docs=200)
    ranks = ranked(docs, queries, qrels, own, [Rescore(40)], ["binary"])
    full = ranks.above[ranks.candidates.index(Configuration("prefix", 48))]
    rescored_rows = [a for a, candidate in enumerate(ranks.candidates) if candidate.rescore]
    assert len(rescored_rows) == len(DIMS)
    for a in rescored_rows:
        np.testing.assert_array_equal(ranks.above[a], full)


def test_float32_is_not_rescored() -> None:
    docs, queries, qrels, own = make_case(23)
    ranks = ranked(docs, queries, qrels, own, [Rescore(2)], ["int8"])
    assert {candidate.precision for candidate in ranks.candidates if candidate.rescore} == {"int8"}


@pytest.mark.parametrize("text", ["4", "x4", "0x", "4x@", "4x@0", "-1x"])
def test_what_is_no_rescoring_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="no rescoring") as refused:
        Rescore.parse(text)
    assert "4x@768" in refused.value.hint


@pytest.mark.parametrize("text", ["4x", "4x@768", "12x"])
def test_text_and_value_are_inverse(text: str) -> None:
    assert str(Rescore.parse(text)) == text
