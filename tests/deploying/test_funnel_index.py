"""The real two-stage index against a shortlist and rerank done by hand, and against the bounds from the ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.funnels import Funnel, bound_ranks
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement
from mrl_sweep.deploying.indexes.measuring import measure_funnel
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.types import NOT_RETRIEVED, Qrels, Ranks, Similarity

QUICK = IndexBudget(latency_s=0.01, throughput_s=0.005, share_of_build=0, threads=1)


def measured(corpus: Any, funnel: Funnel, **options: Any) -> IndexMeasurement:
    changes = {name: options.pop(name) for name in ("similarity", "qrels", "own_rows", "depth") if name in options}
    return measure_funnel(corpus.trial(**changes), funnel, **{"budget": QUICK, **options})


def by_hand(corpus: Any, funnel: Funnel, depth: int, own_rows: np.ndarray | None = None) -> np.ndarray:
    documents = corpus.vectors.read(0, len(corpus.vectors))
    scores = []
    for dim in (funnel.small, funnel.large):
        x = documents[:, :dim] / np.linalg.norm(documents[:, :dim], axis=1, keepdims=True)
        scores.append(corpus.queries[:, :dim] @ x.T)
    if own_rows is not None:
        for q in np.flatnonzero(own_rows >= 0):
            scores[0][q, own_rows[q]] = -np.inf
    shortlist = np.argsort(-scores[0], axis=1)[:, : funnel.shortlist]
    reranked = np.argsort(-np.take_along_axis(scores[1], shortlist, axis=1), axis=1)[:, :depth]
    return np.take_along_axis(shortlist, reranked, axis=1)


@pytest.mark.parametrize("funnel", [Funnel(4, 50, 32), Funnel(8, 11, 16), Funnel(8, 10, 32), Funnel(8, 1999, 32)])
def test_two_stages_equal_a_shortlist_and_rerank_by_hand(funnel: Funnel, corpus: Any) -> None:
    one = measured(corpus, funnel)
    assert one.candidate == funnel.configuration
    np.testing.assert_array_equal(one.top_rows, by_hand(corpus, funnel, 10))


def test_a_shortlist_shorter_than_the_list_leaves_the_rest_empty(corpus: Any) -> None:
    one = measured(corpus, Funnel(8, 4, 32))
    np.testing.assert_array_equal(one.top_rows[:, :4], by_hand(corpus, Funnel(8, 4, 32), 4))
    assert (one.top_rows[:, 4:] == -1).all()


def test_own_documents_take_no_place_on_the_shortlist(corpus: Any) -> None:
    """Half of the queries are documents themselves, the other half are not in the corpus."""
    own = np.where(np.arange(60) % 2, np.arange(60), -1)
    queries = np.where((own >= 0)[:, None], corpus.vectors.take(np.maximum(own, 0)), corpus.queries)
    corpus = replace(corpus, queries=queries)
    one = measured(corpus, Funnel(8, 5, 32), own_rows=own)
    np.testing.assert_array_equal(one.top_rows[:, :5], by_hand(corpus, Funnel(8, 5, 32), 5, own))
    assert (one.top_rows[:, 5:] == -1).all()


@pytest.mark.parametrize("shortlist", [5, 20, 200])
@pytest.mark.parametrize("measure", ["nDCG@10", "R@5", "RR@10", "AP@10"])
def test_measured_quality_lies_between_the_bounds(shortlist: int, measure: str, corpus: Any, exact_ranks: Any) -> None:
    exact, funnel = exact_ranks(corpus, (4, 32), depth=10), Funnel(4, shortlist, 32)
    one, asked = measured(corpus, funnel), parse_measure(measure)
    real = Ranks((one.candidate,), 2000, one.above[None], one.tied[None])
    worst, best, pairs = bound_ranks(exact, corpus.qrels, [funnel], asked)
    value = score(real, corpus.qrels, [asked]).values[0, 0]
    low, high = (score(ranks, corpus.qrels, [asked], pairs=pairs).values[0, 0] for ranks in (worst, best))
    assert (low <= value + 1e-12).all()
    assert (value <= high + 1e-12).all()


def test_both_stages_are_weighed(corpus: Any) -> None:
    one = measured(corpus, Funnel(8, 50, 32))
    assert one.cost.index_bytes == pytest.approx(2000 * (8 + 32) * 4, rel=0.01)


def test_dot_products_are_reranked_unnormalised(corpus: Any) -> None:
    one = measured(corpus, Funnel(8, 2000, 32), similarity=Similarity.DOT)
    scores = corpus.queries @ corpus.vectors.read(0, 2000).T
    np.testing.assert_array_equal(one.top_rows[:, 0], scores.argmax(axis=1))


def test_a_zero_prefix_is_found_last_not_refused(corpus: Any) -> None:
    documents = corpus.vectors.read(0, 2000).copy()
    documents[7, :8] = 0
    qrels = Qrels(np.arange(61), np.full(60, 7), np.ones(60, np.int64))
    one = measured(replace(corpus, vectors=replace(corpus.vectors, parts=(documents,)), qrels=qrels), Funnel(8, 20, 32))
    assert (one.above == NOT_RETRIEVED).all()


def test_a_size_above_the_models_is_refused(corpus: Any) -> None:
    with pytest.raises(InputError, match="the model's vectors have 32 dimensions"):
        measured(corpus, Funnel(8, 20, 64))
