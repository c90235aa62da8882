"""Shortlists that are ordered again in a larger corpus: predicted from a part of it, and what they must be at the edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, norm

from benchmarks.synthetic import rank_grid
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.projection.growth import Demand, GrowthModel, project
from mrl_sweep.projection.population import Link, Population
from mrl_sweep.projection.shortlists import FreePlaces, Relation, TwoCounts, _coarse
from mrl_sweep.ranking.exact import RankOptions
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.rescore import Rescore, rescored, shortlist_length
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Float32Array, FloatArray, IntArray, Qrels, Ranks, Similarity, Vectors

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


# --- What they are made of, against scipy ---------------------------------------------------------------------------------

N = 2000


def relation(link: Link, mu: float, tau: float) -> Relation:
    """Codes that rank a little worse than the vectors, at a correlation of tanh(0.9)."""
    return Relation(Population(link, mu, tau, np.eye(2)), Population(link, 0.9 * mu, 1.1 * tau, np.eye(2)), 0.9)


RELATIONS = [relation(Link.PROBIT, 2.5, 0.8), relation(Link.LOGIT, 5.0, 2.0)]


FINE = np.linspace(-4.0, 16.0, 4_001)


def likelihood(link: Link, y: FloatArray, count: int) -> FloatArray:
    return np.asarray(binom.pmf(count, N, np.exp(link.logs(y)[0])))


def integral(one: Relation, x: float, count: int, room: int | None = None, extra: int = 0) -> float:
    """Of the chance of this count by the codes over what x says of them, and of `room` for all of `extra` that come ahead."""
    link, r = one.vectors.link, np.tanh(one.bond)
    mean = one.codes.mu + r * one.codes.tau * (x - one.vectors.mu) / one.vectors.tau
    chance = norm.pdf(FINE, mean, one.codes.tau * np.sqrt(1 - r * r)) * likelihood(link, FINE, count)
    fits = 1.0 if room is None else binom.cdf(room, extra, np.exp(link.logs(FINE)[0]))
    return float((chance * fits).sum() * (FINE[1] - FINE[0]))


@pytest.mark.parametrize("one", RELATIONS)
def test_the_chance_of_a_count_by_the_codes_agrees_with_a_fine_sum(one: Relation) -> None:
    x, counts = one.vectors.mu + one.vectors.tau * np.array([-1.0, 0.0, 1.0]), np.array([0, 3, 40])
    logs = one.log_chances(x, counts, N)
    expected = np.log([[integral(one, value, count) for value in x.tolist()] for count in counts.tolist()])
    np.testing.assert_allclose(logs - logs[:, :1], expected - expected[:, :1], rtol=0, atol=6e-3)


@pytest.mark.parametrize("one", RELATIONS)
def test_the_chance_to_stay_on_a_list_agrees_with_a_fine_sum(one: Relation) -> None:
    x, counts, rooms, extra = np.array([one.vectors.mu]), np.array([0, 3, 40]), np.array([5, 30, 60]), 3000
    stays = one.stays(x, counts, N, FreePlaces.of(one.vectors.link, rooms, extra))[:, 0]
    expected = [
        integral(one, float(x[0]), count, room, extra) / integral(one, float(x[0]), count)
        for count, room in zip(counts.tolist(), rooms.tolist(), strict=True)
    ]
    assert stays.tolist() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("link", list(Link))
def test_the_places_that_are_free_are_those_of_the_binomial_distribution(link: Link) -> None:
    rooms, extra = np.array([0, 3, 50, 500]), 500
    p = np.array([1e-6, 1e-4, 1e-3, 0.006, 0.02, 0.1, 0.3, 0.9])
    chances = FreePlaces.of(link, rooms, extra).chances(np.tile(link.of(p), (4, 1)))
    np.testing.assert_allclose(chances, binom.cdf(rooms[:, None], extra, p), rtol=0, atol=4e-3)


def test_counts_above_thirty_one_are_rounded_up_to_an_eighth_of_an_octave() -> None:
    counts = np.array([0, 31, 32, 33, 64, 65, 128, 1000])
    assert _coarse(counts).tolist() == [0, 31, 32, 35, 64, 70, 128, 1024]


def test_each_of_five_parameters_is_moved_by_a_twentieth_of_a_deviation() -> None:
    one = relation(Link.PROBIT, 2.0, 0.5)
    before = np.array([2.0, 0.5, 1.8, 0.55, 0.9])
    for i, step in enumerate((0.05 * 0.5, 0.5 * np.expm1(0.05), 0.05 * 0.55, 0.55 * np.expm1(0.05), 0.05)):
        there = one.moved(i)
        now = [there.vectors.mu, there.vectors.tau, there.codes.mu, there.codes.tau, there.bond]
        assert (now - before).tolist() == pytest.approx(np.where(np.arange(5) == i, step, 0.0).tolist(), abs=1e-12)


@pytest.mark.parametrize("one", RELATIONS)
def test_what_two_counts_say_of_each_other_agrees_with_a_fine_sum(one: Relation) -> None:
    """The chance of the codes' count given the vectors', up to the ways to choose the documents ahead."""
    x = np.linspace(one.vectors.mu - 5 * one.vectors.tau, one.vectors.mu + 5 * one.vectors.tau, 80)
    two = TwoCounts(np.array([[2, 2, 30], [7, 90, 7]]), np.ones(3), np.arange(3))
    logs = two.log_chances(one, x, N)
    expected = []
    for vector, code in two.counts.T.tolist():
        weights = likelihood(one.vectors.link, x, vector) * norm.pdf(x, one.vectors.mu, one.vectors.tau)
        chance = np.average([integral(one, value, code) for value in x.tolist()], weights=weights)
        expected.append(np.log(chance) - binom.logpmf(code, N, 0.5))
    assert (logs - logs[0]).tolist() == pytest.approx((np.array(expected) - expected[0]).tolist(), abs=0.01)
