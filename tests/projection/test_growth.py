"""Growth of the corpus against subsampling by brute force, planted populations, and the measures of the sample itself."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr
from scipy.stats import binom

from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import score
from mrl_sweep.projection.growers import Grower
from mrl_sweep.projection.growth import Demand, Forecast, Growth, project
from mrl_sweep.projection.population import Link, standing, wanted
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Measure, Outcome, Qrels, Ranks

FULL, HALF, QUARTER = Configuration("prefix", 8), Configuration("prefix", 4), Configuration("prefix", 2)
R10 = parse_measure("R@10")


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one_each(above: npt.NDArray[np.int64], n_documents: int) -> tuple[Ranks, Qrels]:
    """(n_candidates, n_queries) ranks of one relevant document a query."""
    n_queries = above.shape[1]
    names = tuple(Configuration("prefix", 2 ** (9 - c)) for c in range(len(above)))
    qrels = Qrels(np.arange(n_queries + 1), np.arange(n_queries), np.ones(n_queries, np.int64))
    return Ranks(names, n_documents, above, np.zeros_like(above)), qrels


def means(growth: Growth, at: int = 0) -> list[float]:
    return [forecast.mean for forecast in growth.at[at].forecasts]


def forecasts_of(ranks: Ranks, qrels: Qrels, measure: Measure, n_documents: int) -> tuple[Forecast, ...]:
    return project(ranks, qrels, Demand(measure=measure), [n_documents]).at[0].forecasts


def ranked(scores: npt.NDArray[np.float64], kept: list[int], qrels: Qrels) -> Ranks:
    """The ranks of one query's judged documents among the `kept` documents, by a naive count."""
    above = np.full((1, len(qrels.rows)), NOT_RETRIEVED, np.int64)
    tied = np.zeros_like(above)
    for pair, row in enumerate(qrels.rows):
        if row >= 0:
            above[0, pair] = (scores[kept] > scores[row]).sum()
            tied[0, pair] = (scores[kept] == scores[row]).sum() - 1
    return Ranks((FULL,), len(kept), above, tied)


# --- Exact at and below the sample ------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from(["R@1", "R@3", "R@100", "nDCG@1", "nDCG@5", "nDCG@100", "P@4", "R(rel=2)@3"]))
def test_at_the_size_of_the_sample_it_says_what_the_measures_say(seed: int, text: str) -> None:
    random = generator(seed)
    counts = random.integers(1, 6, 12)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    grades = random.integers(0, 4, offsets[-1])
    grades[offsets[:-1]] = 2
    above = np.stack([np.concatenate([random.permutation(30)[:n] for n in counts]) for _ in range(2)]) * 3
    tied = random.integers(0, 3, above.shape)
    above[:, random.random(offsets[-1]) < 0.1] = NOT_RETRIEVED
    tied[above == NOT_RETRIEVED] = 0
    above[:, 0], tied[:, 0] = 90, 0
    ranks = Ranks((FULL, HALF), 100, above, tied)
    qrels = Qrels(offsets, np.arange(offsets[-1]), grades)
    growth = project(ranks, qrels, Demand(measure=parse_measure(text)), [100])
    expected = score(ranks, qrels, [parse_measure(text)]).values[:, 0].mean(axis=1)
    assert means(growth) == pytest.approx(expected.tolist(), abs=1e-12)
    assert growth.at[0].exact


@pytest.mark.parametrize("text", ["R@2", "nDCG@3", "P@2", "R(rel=2)@2", "nDCG@1"])
@pytest.mark.parametrize("seed", range(4))
def test_below_the_sample_it_is_the_mean_over_every_smaller_corpus_that_keeps_the_relevant_documents(
    text: str, seed: int
) -> None:
    measure = parse_measure(text)
    scores = generator(seed).permutation(9).astype(np.float64)
    scores[8] = scores[7] = -1.0
    qrels = Qrels(np.array([0, 4]), np.array([1, 4, 7, -1]), np.array([2, 1, 3, 2]))
    relevant = [row for row, grade in zip(qrels.rows, qrels.grades, strict=True) if row >= 0 and grade >= measure.rel]
    others = [row for row in range(9) if row not in relevant]
    ranks = ranked(scores, list(range(9)), qrels)
    for n_kept in range(len(relevant), 10):
        corpora = [sorted([*relevant, *kept]) for kept in itertools.combinations(others, n_kept - len(relevant))]
        total = math.fsum(float(score(ranked(scores, kept, qrels), qrels, [measure]).values[0, 0, 0]) for kept in corpora)
        growth = project(ranks, qrels, Demand(measure=measure), [n_kept])
        assert means(growth) == pytest.approx([total / len(corpora)], abs=1e-12)


@pytest.mark.parametrize("text", ["R@2", "nDCG@3"])
def test_a_query_of_which_every_document_is_relevant_has_no_distractors(text: str) -> None:
    measure, qrels = parse_measure(text), Qrels(np.array([0, 3]), np.arange(3), np.array([1, 3, 2]))
    ranks = ranked(np.array([0.2, 0.9, 0.5]), [0, 1, 2], qrels)
    growth = project(ranks, qrels, Demand(measure=measure), [3])
    assert means(growth) == pytest.approx([float(score(ranks, qrels, [measure]).values[0, 0, 0])], abs=1e-12)


def test_a_document_tied_with_thousands_is_cut_where_the_tie_is() -> None:
    ranks, qrels = one_each(np.array([[2]]), 10_000)
    ranks.tied[:] = 6399
    for k, expected in ((10, 8 / 6400), (642, 0.1)):
        growth = project(ranks, qrels, Demand(measure=parse_measure(f"R@{k}")), [10_000])
        assert means(growth) == pytest.approx([expected], abs=1e-12 if k == 10 else 0.01)


# --- Above the sample -------------------------------------------------------------------------------------------------


def planted(seed: int, *, centre: float, spread: float, link: Link, n_queries: int) -> npt.NDArray[np.float64]:
    """(2, n_queries) chances that a random document outranks each query's own, at full size and at a worse one."""
    random = generator(seed)
    easy = centre + spread * random.standard_normal(n_queries)
    worse = easy - 0.15 * spread + 0.3 * spread * random.standard_normal(n_queries)
    return ndtr(-np.stack([easy, worse])) if link is Link.PROBIT else expit(-np.stack([easy, worse]))


@pytest.mark.parametrize(("text", "factor"), [("R@10", 10), ("R@100", 50), ("nDCG@10", 10), ("R@1", 10)])
@pytest.mark.parametrize(("link", "centre", "spread"), [(Link.PROBIT, 3.0, 1.0), (Link.LOGIT, 7.0, 2.5)])
def test_a_planted_population_is_predicted_by_its_own_model_and_lies_in_the_band_of_both(
    text: str, factor: int, link: Link, centre: float, spread: float
) -> None:
    n, n_queries, noise = 5000, 12_000, 0.006
    chances = planted(7, centre=centre, spread=spread, link=link, n_queries=n_queries)
    sample = generator(8).binomial(n - 1, chances)
    whole = sample + generator(9).binomial((factor - 1) * n, chances)
    measure = parse_measure(text)
    ranks, qrels = one_each(sample, n)
    truth = score(one_each(whole, factor * n)[0], qrels, [measure]).values[:, 0].mean(axis=1)
    naive = score(ranks, qrels, [measure]).values[:, 0].mean(axis=1)
    assert (np.abs(naive - truth) > 0.1).all()
    sought = wanted(qrels, measure)
    grower = Grower.of(link, [standing(sought, above, tied) for above, tied in zip(ranks.above, ranks.tied, strict=True)], n - 1)
    value, _ = grower.grown(sought.reward, (factor - 1) * n)
    assert value.mean(axis=1) == pytest.approx(truth, abs=noise)
    for forecast, true in zip(forecasts_of(ranks, qrels, measure, factor * n), truth, strict=True):
        assert forecast.low - noise <= true <= forecast.high + noise
        assert forecast.high - forecast.low < 0.06
        assert forecast.mean == pytest.approx(true, abs=0.025)


def test_ndcg_of_several_relevant_documents_is_predicted_from_their_common_order() -> None:
    n, n_queries, each = 4000, 4000, 3
    random = generator(3)
    chances = ndtr(-(3.0 + 0.7 * random.standard_normal((n_queries, 1)) + 0.5 * random.standard_normal((n_queries, each))))
    first, second = random.binomial(n - each, chances), random.binomial(9 * n, chances)
    order = chances.argsort(axis=1).argsort(axis=1)
    qrels = Qrels(np.arange(n_queries + 1) * each, np.arange(n_queries * each), random.integers(1, 4, n_queries * each))

    def ranks(distractors: npt.NDArray[np.int64], n_documents: int) -> Ranks:
        above = np.maximum.accumulate(np.sort(distractors, axis=1), axis=1)
        return Ranks((FULL,), n_documents, np.take_along_axis(above + np.arange(each), order, axis=1).reshape(1, -1), zeros)

    zeros = np.zeros((1, n_queries * each), np.int64)
    sample = np.take_along_axis(np.sort(first, axis=1), order, axis=1)
    whole = np.sort(sample + np.take_along_axis(np.sort(second, axis=1), order, axis=1), axis=1)
    for text in ("nDCG@10", "R@10", "nDCG@100"):
        measure = parse_measure(text)
        growth = project(ranks(first, n), qrels, Demand(measure=measure), [10 * n])
        truth = score(ranks(whole, 10 * n), qrels, [measure]).values[0, 0].mean()
        assert means(growth) == pytest.approx([truth], abs=0.02)
        assert growth.at[0].forecasts[0].low - 0.005 <= truth <= growth.at[0].forecasts[0].high + 0.005


def test_just_above_the_sample_it_continues_what_is_exact_below() -> None:
    sample = generator(1).binomial(999, planted(1, centre=3.0, spread=1.0, link=Link.PROBIT, n_queries=400))
    growth = project(*one_each(sample, 1000), Demand(measure=R10), [1000, 1001])
    assert means(growth, 1) == pytest.approx(means(growth, 0), abs=1e-3)
    assert (growth.at[0].exact, growth.at[1].exact) == (True, False)


def test_the_band_moves_as_the_whole_estimate_does_when_queries_are_left_out() -> None:
    n, n_queries = 2000, 240
    sample = generator(2).binomial(n - 1, planted(2, centre=2.8, spread=1.0, link=Link.PROBIT, n_queries=n_queries))[:1]
    whole = means(project(*one_each(sample, n), Demand(measure=R10), [10 * n]))[0]
    jackknife = []
    for fold in range(24):
        rest = np.delete(sample, np.arange(fold, n_queries, 24), axis=1)
        jackknife.append(means(project(*one_each(rest, n), Demand(measure=R10), [10 * n]))[0])
    error = math.sqrt(23 / 24 * sum((each - whole) ** 2 for each in jackknife))
    forecast = project(*one_each(sample, n), Demand(measure=R10), [10 * n]).at[0].forecasts[0]
    assert (forecast.high - forecast.low) / (2 * 1.645) == pytest.approx(error, rel=0.3)


# --- Where nothing can be known ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("above", [0, 999])
def test_documents_that_all_stand_first_or_last_still_give_a_figure(above: int) -> None:
    growth = project(*one_each(np.full((2, 50), above), 1000), Demand(measure=R10), [5000, 50_000])
    for at in growth.at:
        for forecast in at.forecasts:
            assert 0 <= forecast.low <= forecast.mean <= forecast.high <= 1
    assert means(growth)[0] == pytest.approx(1.0 if above == 0 else 0.0, abs=0.02)


def test_a_missing_document_counts_in_recall_and_is_never_found() -> None:
    sample = generator(4).binomial(999, planted(4, centre=3.0, spread=1.0, link=Link.PROBIT, n_queries=200))[:1]
    ranks, qrels = one_each(sample, 1000)
    half = Qrels(qrels.offsets * 2, np.stack([qrels.rows, -np.ones_like(qrels.rows)], 1).ravel(), np.ones(400, np.int64))
    with_missing = np.stack([sample, np.full_like(sample, NOT_RETRIEVED)], axis=2).reshape(1, -1)
    both = Ranks(ranks.candidates, 1000, with_missing, np.zeros_like(with_missing))
    alone = means(project(ranks, qrels, Demand(measure=R10), [5000]))[0]
    assert means(project(both, half, Demand(measure=R10), [5000]))[0] == pytest.approx(alone / 2, abs=2e-3)


def test_far_corpora_are_warned_of_and_farther_ones_refused() -> None:
    ranks, qrels = one_each(generator(5).integers(0, 40, (2, 60)), 1000)
    growth = project(ranks, qrels, Demand(measure=R10), [10_000, 10_001, 50_000, 50_001])
    assert [at.refused for at in growth.at] == [
        "",
        "",
        "",
        "50,001 documents are more than 50 times the 1,000 at hand: no projection",
    ]
    assert growth.at[3].forecasts == ()
    assert [advice.code for advice in growth.advice] == ["random-sample", "far-projection"]
    near = project(ranks, qrels, Demand(measure=R10), [500, 10_000])
    assert [advice.code for advice in near.advice] == ["random-sample"]
    assert project(ranks, qrels, Demand(measure=R10), [1000]).advice == ()


def test_at_a_cutoff_of_one_ten_times_the_sample_is_the_limit() -> None:
    ranks, qrels = one_each(generator(5).integers(0, 40, (2, 60)), 1000)
    growth = project(ranks, qrels, Demand(measure=parse_measure("R@1")), [10_000, 10_001])
    assert [bool(at.refused) for at in growth.at] == [False, True]
    assert "at a cut-off of 1" in growth.at[1].refused


def test_the_sample_and_every_size_asked_for_are_looked_at_so_that_crossing_and_verdicts_agree() -> None:
    growth = sizes()
    for at in growth.at:
        for forecast in at.forecasts[1:]:
            stop = growth.stops_at[forecast.candidate]
            assert bool(forecast.acceptable) is (stop is None or at.n_documents <= stop)


@pytest.mark.parametrize("text", ["RR@10", "AP@100", "Success@5", "nDCG", "R@1001"])
def test_a_measure_that_each_rank_alone_does_not_give_is_refused(text: str) -> None:
    ranks, qrels = one_each(np.zeros((1, 40), np.int64), 100)
    with pytest.raises(InputError, match="cannot be projected"):
        project(ranks, qrels, Demand(measure=parse_measure(text)), [1000])


def test_judgments_without_a_relevant_document_in_the_corpus_are_refused() -> None:
    ranks, qrels = one_each(np.full((1, 40), NOT_RETRIEVED), 100)
    with pytest.raises(InputError, match="no relevant document is in the corpus"):
        project(ranks, qrels, Demand(measure=R10), [1000])
    nothing = Qrels(qrels.offsets, qrels.rows, np.zeros(40, np.int64))
    with pytest.raises(InputError, match="no query has a relevant document"):
        project(ranks, nothing, Demand(measure=R10), [1000])


# --- The acceptable size ----------------------------------------------------------------------------------------------


def sizes(measure: Measure = R10, n_queries: int = 5000) -> Growth:
    """Three sizes, each worse than the one before, on a sample of 5,000."""
    random = generator(11)
    easy = 3.0 + 0.9 * random.standard_normal(n_queries)
    chances = ndtr(-np.stack([easy, easy - 0.014, easy - 0.05]))
    sample = binom.ppf(random.random(n_queries), 4999, chances).astype(np.int64)
    return project(*one_each(sample, 5000), Demand(measure=measure), [250, 5000, 50_000])


def test_a_size_that_passes_on_a_small_corpus_fails_on_a_larger_one_and_the_crossing_is_named() -> None:
    growth = sizes()
    full, half, quarter = (forecast.candidate for forecast in growth.at[0].forecasts)
    assert [at.dimension for at in growth.at] == [quarter.dim, half.dim, None]
    assert full not in growth.stops_at
    crossing = growth.stops_at[half]
    assert crossing is not None
    assert 5000 < crossing < 50_000
    earlier = growth.stops_at[quarter]
    assert earlier is not None
    assert 250 < earlier < crossing


def test_the_crossing_lies_where_the_lower_limit_meets_the_asked_share() -> None:
    random = generator(12)
    easy = 3.2 + 0.9 * random.standard_normal(3000)
    chances = ndtr(-np.stack([easy, easy - 0.018]))
    ranks, qrels = one_each(binom.ppf(random.random(3000), 4999, chances).astype(np.int64), 5000)
    crossing = project(ranks, qrels, Demand(measure=R10), [5000]).stops_at[ranks.candidates[1]]
    assert crossing is not None
    growth = project(ranks, qrels, Demand(measure=R10), [int(crossing * 0.9), int(crossing * 1.1)])
    assert [at.forecasts[1].acceptable for at in growth.at] == [True, None]


def test_a_size_equal_to_full_size_holds_through_the_whole_reach() -> None:
    sample = generator(13).binomial(4999, planted(13, centre=3.0, spread=1.0, link=Link.PROBIT, n_queries=2000))[0]
    growth = project(*one_each(np.stack([sample, sample]), 5000), Demand(measure=R10), [250_000])
    assert list(growth.stops_at.values()) == [None]
    assert growth.at[0].forecasts[1].kept == pytest.approx(1.0, abs=1e-9)


def test_too_few_queries_accept_nothing_and_say_so() -> None:
    sample = np.zeros((2, 29), np.int64)
    growth = project(*one_each(sample, 1000), Demand(measure=R10), [1000])
    assert growth.at[0].dimension is None
    assert list(growth.stops_at.values()) == [0]
    assert [advice.code for advice in growth.advice] == ["few-queries"]


@pytest.mark.parametrize(("n_queries", "accepted"), [(60, False), (1000, True)])
def test_queries_of_which_none_changed_prove_only_what_the_unseen_loser_allows(n_queries: int, accepted: bool) -> None:
    growth = project(*one_each(np.zeros((2, n_queries), np.int64), 1000), Demand(measure=R10), [1000])
    forecast = growth.at[0].forecasts[1]
    assert forecast.kept == 1.0
    assert forecast.acceptable is (True if accepted else None)
    assert forecast.outcome is (Outcome.PASS if accepted else Outcome.INCONCLUSIVE)


def test_in_the_corpus_at_hand_its_limits_are_those_of_the_verdict() -> None:
    random = generator(12)
    easy = 3.4 + 0.8 * random.standard_normal(400)
    chances = ndtr(-np.stack([easy, easy - 0.02, easy - 0.4]))
    ranks, qrels = one_each(binom.ppf(random.random(400), 4999, chances).astype(np.int64), 5000)
    units = np.arange(400) // 4
    for labels in (None, units):
        verdict = decide(Question(score(ranks, qrels, [R10]), Policy(), clusters=labels))
        (at,) = project(ranks, qrels, Demand(measure=R10, units=labels), [5000]).at
        assert at.exact
        for judgement, forecast in zip(verdict.judgements[1:], at.forecasts[1:], strict=True):
            evidence = judgement.evidence[R10]
            assert forecast.kept == pytest.approx(evidence.kept, abs=1e-12)
            assert forecast.at_least == pytest.approx(evidence.at_least, abs=1e-9)
            assert forecast.at_most == pytest.approx(evidence.at_most, abs=1e-9)
            assert forecast.outcome is judgement.outcome


def test_there_are_three_verdicts_and_two_limits_there_too() -> None:
    """Two sizes whose documents are a little and much harder to find than at full size, ten times the sample away."""
    random = generator(12)
    easy = 3.4 + 0.8 * random.standard_normal(800)
    chances = ndtr(-np.stack([easy, easy - 0.005, easy - 0.02, easy - 1.0]))
    ranks, qrels = one_each(binom.ppf(random.random(800), 4999, chances).astype(np.int64), 5000)
    full, *smaller = forecasts_of(ranks, qrels, R10, 50_000)
    assert full.outcome is Outcome.BASELINE
    assert [forecast.outcome for forecast in smaller] == [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL]
    assert [forecast.acceptable for forecast in smaller] == [True, None, False]
    for forecast in smaller:
        assert forecast.at_least is not None
        assert forecast.at_most is not None
        assert forecast.kept is not None
        assert forecast.at_least < forecast.kept < forecast.at_most


def test_clusters_are_the_units_of_the_projection() -> None:
    ranks, qrels = one_each(generator(6).integers(0, 40, (2, 400)), 1000)
    units = np.arange(400) // 20
    alone = project(ranks, qrels, Demand(measure=R10), [5000])
    few = project(ranks, qrels, Demand(measure=R10, units=units), [5000])
    assert few.at[0].forecasts[1].outcome is Outcome.INCONCLUSIVE
    assert [advice.message for advice in few.advice if advice.code == "few-queries"] == [
        "20 clusters of judged queries are too few to accept a size in a larger corpus; 30 is the least"
    ]
    assert means(few) == pytest.approx(means(alone)), "clusters of one size have the mean of all"
    uneven = np.where(np.arange(400) < 200, 0, np.arange(400))
    here = project(ranks, qrels, Demand(measure=R10, units=uneven), [1000])
    hits = ranks.above[1] < 10
    assert means(here)[1] == pytest.approx((hits[:200].mean() + hits[200:].sum()) / 201)


def test_a_candidate_of_an_index_is_left_out() -> None:
    ranks, qrels = one_each(generator(6).integers(0, 40, (2, 60)), 1000)
    named = Ranks((FULL, Configuration("prefix", 8, "HNSW32")), 1000, ranks.above, ranks.tied)
    growth = project(named, qrels, Demand(measure=R10), [5000])
    assert [forecast.candidate for forecast in growth.at[0].forecasts] == [FULL]
    assert not growth.stops_at


def test_the_same_generator_gives_the_same_projection() -> None:
    assert sizes() == sizes()
