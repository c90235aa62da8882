"""Shortlists that are ordered again in a larger corpus: predicted from a part of it, and what they must be at the edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.projection.growth import Demand, GrowthModel, project
from mrl_sweep.ranking.exact import RankOptions, rank_grid
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.rescore import Rescore, rescored, shortlist_length
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Float32Array, IntArray, Qrels, Ranks, Similarity, Vectors

NDCG = parse_measure("nDCG@10")
DIMS = (16, 32, 64)
FULL, ONE_BIT = Configuration("prefix", 64), Configuration("prefix", 64, precision="binary")
LISTED = replace(ONE_BIT, rescore="4x")


def grid(documents: Float32Array, queries: Float32Array, rows: IntArray) -> tuple[Ranks, Qrels]:
    """One judged document a query, by one bit at three sizes, with short and with long lists that are ordered again."""
    qrels, vectors = Qrels(np.arange(len(rows) + 1), rows, np.ones(len(rows), np.int64)), Vectors((documents,))
    options = RankOptions(depth=40)
    exact = rank_grid([prefixes(DIMS, Similarity.COSINE)], ("float32", "binary"), vectors, queries, qrels, options)
    again = [Rescore.parse(text) for text in ("1x", "4x", "4x@32")]
    return rescored(exact, again, vectors, queries, qrels, options, cutoff=10), qrels


def shares(ranks: Ranks, qrels: Qrels) -> dict[Configuration, float]:
    means = score(ranks, qrels, [NDCG]).values[:, 0].mean(axis=1)
    return dict(zip(ranks.candidates, means / means[ranks.candidates.index(FULL)], strict=True))


def demand(ranks: Ranks) -> Demand:
    lists = {one: shortlist_length(one.rescore, 10) for one in ranks.candidates if one.rescore}
    return Demand(measure=NDCG, retain=0.95, lists=lists)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_a_tenth_says_of_shortlists_is_true_of_the_whole(seed: int) -> None:
    """Of 8,000 documents in clusters 800 are known; what the shortlists keep there falls by up to a quarter, as predicted."""
    generator = np.random.default_rng(seed)
    scale = np.linspace(1.6, 0.4, DIMS[-1])
    centres = generator.standard_normal((200, DIMS[-1]))
    documents = (centres[generator.integers(0, 200, 8000)] + generator.standard_normal((8000, DIMS[-1]))) * scale
    rows = generator.choice(8000, 400, replace=False)
    away = generator.uniform(0.4, 1.6, (400, 1)) * generator.standard_normal((400, DIMS[-1])) * scale
    vectors, queries = (each.astype(np.float32) for each in (documents, documents[rows] + away))
    sample = np.sort(np.concatenate([rows, generator.choice(np.setdiff1d(np.arange(8000), rows), 400, replace=False)]))
    whole, part = grid(vectors, queries, rows), grid(vectors[sample], queries, np.searchsorted(sample, rows))
    truth, here = shares(*whole), shares(*part)
    model = GrowthModel.of(*part, demand(part[0]))
    forecasts = {f.candidate: f for f in model.at(8000).forecasts if f.candidate.rescore}
    assert set(forecasts) == {one for one in truth if one.rescore}
    kept = {one: f.kept or 0.0 for one, f in forecasts.items()}
    assert max(abs(kept[one] - truth[one]) for one in kept) < 0.04
    assert max(here[one] - truth[one] for one in kept) > 0.2
    assert all((f.at_least or 0) <= truth[one] <= (f.at_most or 2) for one, f in forecasts.items())
    assert forecasts[LISTED].acceptable is True
    assert forecasts[replace(LISTED, dim=16)].acceptable is False


def made(vectors: IntArray, codes: IntArray, again: IntArray, *, n: int = 1000) -> tuple[Ranks, Qrels]:
    """One judged document a query, with so many above it by full vectors, by one bit, and behind a shortlist of it."""
    above = np.stack([vectors, codes, again])
    qrels = Qrels(np.arange(len(vectors) + 1), np.arange(len(vectors)), np.ones(len(vectors), np.int64))
    return Ranks((FULL, ONE_BIT, LISTED), n, above, np.zeros_like(above)), qrels


def test_at_the_size_of_the_sample_a_shortlist_is_what_was_measured() -> None:
    above = np.random.default_rng(3).geometric(0.2, 50) - 1
    ranks, qrels = made(above, above * 3, np.where(above * 3 < 40, above, NOT_RETRIEVED))
    growth = project(ranks, qrels, demand(ranks), [1000, 4000, 400])
    same, more, _ = growth.at
    assert {f.candidate: f.kept for f in same.forecasts} == pytest.approx(shares(ranks, qrels))
    assert [len(at.forecasts) for at in growth.at] == [3, 3, 2]  # a smaller corpus would list what this one misses
    listed = {at.n_documents: at.forecasts[-1].kept or 0.0 for at in (same, more)}
    assert listed[4000] < listed[1000]


def test_codes_that_rank_as_the_vectors_do_lose_nothing_as_the_corpus_grows() -> None:
    above = np.random.default_rng(4).geometric(0.3, 200) - 1
    ranks, qrels = made(above, above, np.where(above < 40, above, NOT_RETRIEVED))
    forecasts = {f.candidate: f for f in GrowthModel.of(ranks, qrels, demand(ranks)).at(10_000).forecasts}
    assert forecasts[LISTED].kept == pytest.approx(1, abs=0.005)
    assert forecasts[LISTED].mean <= forecasts[FULL].mean


def test_what_the_codes_miss_stays_missed_and_a_longer_list_keeps_more() -> None:
    generator = np.random.default_rng(5)
    above = generator.geometric(0.5, 300) - 1
    codes = above + generator.geometric(0.1, 300)
    ranks, qrels = made(above, codes, np.where(codes < 20, above, NOT_RETRIEVED))
    asked = demand(ranks)
    kept = [
        GrowthModel.of(ranks, qrels, replace(asked, lists={LISTED: length})).at(5000).forecasts[-1].kept or 0.0
        for length in (20, 40, 80, 100_000)
    ]
    assert kept == sorted(kept)
    assert kept[0] < kept[-1] - 0.1
    found = ranks.above[2] < NOT_RETRIEVED
    alone = made(above[found], codes[found], above[found])
    only = GrowthModel.of(*alone, replace(asked, lists={LISTED: 100_000})).at(5000).forecasts
    assert kept[-1] < found.mean() * 1.05 < 1.05 * (only[-1].kept or 0.0)


def test_ties_by_one_bit_count_as_every_place_that_they_leave_open() -> None:
    """A document that ties with 59 others by its code was listed in two of three orders: so it stays as likely at most."""
    above = np.zeros(100, np.int64)
    ranks, qrels = made(above, above, above)
    tied = ranks.tied.copy()
    tied[1] = 59
    loose = replace(ranks, tied=tied)
    clear, mixed = (GrowthModel.of(one, qrels, demand(one)).at(1500).forecasts[-1].kept or 0.0 for one in (ranks, loose))
    assert mixed < clear - 0.05


def test_a_list_whose_vectors_were_not_ranked_is_not_projected() -> None:
    above = np.arange(50) % 7
    ranks, qrels = made(above, above, above)
    other = replace(LISTED, rescore="4x@48")
    ranks = replace(ranks, candidates=(FULL, ONE_BIT, other))
    growth = project(ranks, qrels, replace(demand(ranks), lists={other: 40}), [5000], curve=False)
    assert [f.candidate for f in growth.at[0].forecasts] == [FULL, ONE_BIT]


@pytest.mark.parametrize(("text", "length"), [("4x", 40), ("4x@48", 40), ("200@64", 200)])
def test_the_length_of_a_list_is_a_multiple_of_what_is_asked_or_is_named(text: str, length: int) -> None:
    assert shortlist_length(text, 10) == length
