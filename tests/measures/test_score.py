"""Ranks to Scores against trec_eval, ir_measures, every order of tied documents, and figures worked out by hand."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import ir_measures
import numpy as np
import numpy.typing as npt
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.measures.score import CELLS_AT_ONCE, SPARSE, score
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Measure, Qrels, Ranks, Scores

FULL = Configuration("prefix", 8)
Grades = dict[int, int]


def qrels_of(*queries: Grades) -> Qrels:
    """One mapping from document row (-1 and below: missing from the corpus) to grade for each query."""
    rows = [max(row, -1) for query in queries for row in query]
    grades = [grade for query in queries for grade in query.values()]
    offsets = np.cumsum([0, *(len(query) for query in queries)])
    return Qrels(offsets, np.array(rows, np.int64), np.array(grades, np.int64))


def ranks_of(qrels: Qrels, *candidates: npt.NDArray[np.float64]) -> Ranks:
    """The ranks by a naive count over (n_queries, n_documents) scores; NaN marks a document that was not returned."""
    above = np.full((len(candidates), len(qrels.rows)), NOT_RETRIEVED, np.int64)
    tied = np.zeros_like(above)
    for c, scores in enumerate(candidates):
        for pair, (query, row) in enumerate(zip(qrels.queries, qrels.rows, strict=True)):
            if row >= 0 and not np.isnan(scores[query, row]):
                above[c, pair] = (scores[query] > scores[query, row]).sum()
                tied[c, pair] = (scores[query] == scores[query, row]).sum() - 1
    names = tuple(Configuration("prefix", 2 ** (3 - c)) for c in range(len(candidates)))
    return Ranks(names, candidates[0].shape[1], above, tied)


def standing(above: Sequence[int], tied: Sequence[int] | None = None, n_documents: int = 100) -> Ranks:
    one = np.array([above], np.int64)
    return Ranks((FULL,), n_documents, one, np.zeros_like(one) if tied is None else np.array([tied], np.int64))


def value(ranks: Ranks, qrels: Qrels, measure: str) -> float:
    return float(score(ranks, qrels, [parse_measure(measure)]).values[0, 0, 0])


def naive(grades: Sequence[int], judged: Grades, measure: Measure) -> float:
    """trec_eval's definition over the grades of the documents that were returned, best first."""
    k = measure.cutoff or len(grades)
    hits = [grade >= measure.rel for grade in grades]
    n_relevant = sum(grade >= measure.rel for grade in judged.values())
    best = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[: measure.cutoff]
    precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(min(k, len(hits))) if hits[i]]
    match measure.name:
        case "nDCG":
            dcg = sum(max(grade, 0) / math.log2(i + 2) for i, grade in enumerate(grades[:k]))
            return dcg / sum(grade / math.log2(i + 2) for i, grade in enumerate(best))
        case "R":
            return sum(hits[:k]) / n_relevant
        case "P":
            return sum(hits[:k]) / k
        case "RR":
            return next((1 / (i + 1) for i, hit in enumerate(hits[:k]) if hit), 0.0)
        case "AP":
            return sum(precisions) / n_relevant
        case _:
            return float(any(hits[:k]))


# --- By hand ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("nDCG@2", (3 / math.log2(2)) / (3 / math.log2(2) + 2 / math.log2(3))),
        ("nDCG@10", (3 + 1 / math.log2(5) + 2 / math.log2(6)) / (3 + 2 / math.log2(3) + 1 / math.log2(4))),
        ("nDCG", (3 + 1 / math.log2(5) + 2 / math.log2(6)) / (3 + 2 / math.log2(3) + 1 / math.log2(4))),
        ("R@1", 1 / 3),
        ("R@4", 2 / 3),
        ("R(rel=2)@4", 1 / 2),
        ("P@4", 2 / 4),
        ("P@200", 3 / 200),
        ("RR", 1.0),
        ("RR(rel=2)", 1.0),
        ("AP", (1 / 1 + 2 / 4 + 3 / 5) / 3),
        ("AP@4", (1 / 1 + 2 / 4) / 3),
        ("AP(rel=2)", (1 / 1 + 2 / 5) / 2),
        ("Success@1", 1.0),
    ],
)
def test_three_relevant_documents_at_ranks_1_4_and_5(measure: str, expected: float) -> None:
    qrels = qrels_of({10: 3, 11: 1, 12: 2, 13: 0, 14: -1})
    assert value(standing([0, 3, 4, 1, 2]), qrels, measure) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("measure", "expected"), [("RR@3", 0.0), ("RR@4", 0.25), ("RR", 0.25), ("Success@3", 0), ("Success@4", 1)]
)
def test_the_first_relevant_document_counts_only_within_the_cutoff(measure: str, expected: float) -> None:
    qrels = qrels_of({7: 1, 8: 1})
    assert value(standing([3, 50]), qrels, measure) == expected


def test_a_relevant_document_missing_from_the_corpus_counts_in_recall_average_precision_and_the_ideal() -> None:
    qrels = qrels_of({4: 1, -1: 1})
    ranks = standing([0, NOT_RETRIEVED])
    assert value(ranks, qrels, "R@10") == 0.5
    assert value(ranks, qrels, "AP") == 0.5
    assert value(ranks, qrels, "nDCG@10") == pytest.approx(1 / (1 + 1 / math.log2(3)), abs=1e-15)


@pytest.mark.parametrize(
    "measure", ["nDCG@10", "nDCG", "R@100", "R@99999999999", "P@5", "RR", "RR@9999999999", "AP", "AP@5", "Success@10"]
)
def test_unanswered_query_scores_zero_and_stays_in_the_mean(measure: str) -> None:
    qrels = qrels_of({1: 2, 2: 1})
    scores = score(standing([NOT_RETRIEVED, NOT_RETRIEVED]), qrels, [parse_measure(measure)])
    assert scores.values.tolist() == [[[0.0]]]
    assert scores.counted.tolist() == [[True]]


def test_a_query_without_a_relevant_judgment_is_not_counted_or_on_request_counts_as_zero() -> None:
    qrels = qrels_of({1: 0, 2: -1}, {}, {3: 1}, {4: 2}, {})
    ranks = standing([0, 1, 0, 0])
    measures = [parse_measure("nDCG@10"), parse_measure("R(rel=2)@10")]
    scores = score(ranks, qrels, measures)
    assert scores.counted.tolist() == [[False, False, True, True, False], [False, False, False, True, False]]
    assert scores.values[0].tolist() == [[0, 0, 1, 1, 0], [0, 0, 0, 1, 0]]
    assert scores.of(FULL, measures[0]).tolist() == [1, 1]
    zero = score(ranks, qrels, measures, no_relevant="zero")
    assert zero.counted.all()
    assert zero.values.tolist() == scores.values.tolist()


def test_no_queries_give_empty_scores() -> None:
    qrels = qrels_of()
    assert score(standing([]), qrels, [parse_measure("AP"), parse_measure("nDCG@10")]).values.shape == (1, 2, 0)


# --- Ties -------------------------------------------------------------------------------------------------------------


def test_one_relevant_document_among_four_tied_below_one_other() -> None:
    qrels = qrels_of({0: 1})
    ranks = standing([1], [3])
    assert value(ranks, qrels, "R@3") == 2 / 4
    assert value(ranks, qrels, "Success@3") == 2 / 4
    assert value(ranks, qrels, "P@3") == pytest.approx(2 / 4 / 3, abs=1e-16)
    assert value(ranks, qrels, "RR") == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4, abs=1e-15)
    assert value(ranks, qrels, "RR@3") == pytest.approx((1 / 2 + 1 / 3) / 4, abs=1e-15)
    assert value(ranks, qrels, "nDCG@3") == pytest.approx((1 / math.log2(3) + 1 / math.log2(4)) / 4, abs=1e-15)
    assert value(ranks, qrels, "AP@3") == pytest.approx((1 / 2 + 1 / 3) / 4, abs=1e-15)


tied_cases = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.0, 1.0, 2.0, math.nan]), min_size=n, max_size=n),
        st.dictionaries(st.integers(-2, n - 1), st.integers(-1, 3), min_size=1),
    ).filter(lambda case: max(case[1].values()) >= 2)
)
EVERY = [f"{name}@{k}" for name in ("nDCG", "R", "P", "RR", "AP", "Success") for k in (1, 2, 3, 5, 9)]
EVERY += ["nDCG", "RR", "AP", "RR(rel=2)", "R(rel=2)@3", "AP(rel=2)@4", "Success(rel=2)@2", "P(rel=3)@2"]


@settings(max_examples=100)
@given(tied_cases)
def test_ties_score_the_mean_over_every_order_of_the_tied_documents(case: tuple[list[float], Grades]) -> None:
    scores, judged = case
    qrels = qrels_of(judged)
    returned = [row for row in range(len(scores)) if not math.isnan(scores[row])]
    orders = (
        order for order in itertools.permutations(returned) if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    )
    rankings = Counter(tuple(judged.get(row, 0) for row in order) for order in orders)
    measures = [parse_measure(text) for text in EVERY]
    got = score(ranks_of(qrels, np.array([scores])), qrels, measures)
    for m, measure in enumerate(measures):
        if got.counted[m, 0]:
            total = math.fsum(times * naive(ranking, judged, measure) for ranking, times in rankings.items())
            expected = total / rankings.total()
            assert got.values[0, m, 0] == pytest.approx(expected, abs=1e-12), str(measure)


def test_a_group_too_large_to_enumerate_agrees_with_sampled_orders() -> None:
    generator = np.random.default_rng(5)
    g, t, n, k = 40, 600, 9, 300
    qrels = qrels_of(dict.fromkeys(range(n), 1) | {900: 1, 901: 1})
    above = [g] * n + [3, 17]
    ranks = standing(above, [t - 1] * n + [0, 0], n_documents=1000)
    measures = ["AP", f"AP@{k}", f"RR@{k}", f"Success@{g + 5}", "nDCG@100"]
    fixed = np.zeros(g + t, np.bool_)
    fixed[[3, 17]] = True
    orders = [np.concatenate([fixed[:g], generator.permutation(np.arange(t) < n)]) for _ in range(20_000)]
    drawn = {"AP": [], f"AP@{k}": [], "nDCG@100": []}
    for hits in orders:
        places = np.flatnonzero(hits)
        precisions = np.arange(1, len(places) + 1) / (places + 1)
        drawn["AP"].append(precisions.sum() / 11)
        drawn[f"AP@{k}"].append(precisions[places < k].sum() / 11)
        drawn["nDCG@100"].append((1 / np.log2(places[places < 100] + 2)).sum() / (1 / np.log2(np.arange(2, 13))).sum())
    for measure, sample in drawn.items():
        error = np.std(sample) / math.sqrt(len(sample))
        assert value(ranks, qrels, measure) == pytest.approx(np.mean(sample), abs=4 * error)
    alone = qrels_of(dict.fromkeys(range(n), 1))
    group = standing([g] * n, [t - 1] * n, n_documents=1000)
    firsts = np.array([g + int(np.flatnonzero(hits[g:])[0]) for hits in orders])
    reciprocal = np.where(firsts < k, 1 / (firsts + 1), 0)
    assert value(group, alone, measures[2]) == pytest.approx(reciprocal.mean(), abs=4 * reciprocal.std() / math.sqrt(len(orders)))
    assert value(group, alone, measures[3]) == pytest.approx(1 - math.comb(t - n, 5) / math.comb(t, 5), abs=1e-14)


def test_a_collapsed_collection_of_ten_million_tied_documents_is_scored_at_once() -> None:
    t = 10_000_000
    qrels = qrels_of({0: 1}, {1: 1, 2: 1})
    ranks = standing([0, 0, 0], [t - 1] * 3, n_documents=t)
    scores = score(ranks, qrels, [parse_measure(m) for m in ("RR", "AP", "R@10", "RR@10", "Success@10")]).values[0]
    harmonic = math.log(t) + np.euler_gamma + 1 / (2 * t)
    second = 2 / (t - 1) * (harmonic - 1)
    assert scores[0] == pytest.approx([harmonic / t, second], rel=1e-9)
    assert scores[1] == pytest.approx([harmonic / t, (harmonic + (t - harmonic) / (t - 1)) / t], rel=1e-9)
    assert scores[2] == pytest.approx([10 / t, 10 / t], rel=1e-12)
    assert scores[3, 0] == pytest.approx(sum(1 / j for j in range(1, 11)) / t, rel=1e-12)
    assert scores[4, 1] == pytest.approx(1 - (t - 10) * (t - 11) / t / (t - 1), rel=1e-9)


@pytest.mark.parametrize(("g", "n"), [(0, 2), (0, 10), (500, 3), (20_000, 2), (20_000, 10), (30_000, 2), (100, 40)])
def test_the_first_of_several_in_a_huge_group_agrees_with_the_sum_over_its_place(g: int, n: int) -> None:
    t = 20_000
    qrels = qrels_of(dict.fromkeys(range(n), 1))
    total = math.comb(t, n)
    chances = [math.comb(t - j, n - 1) / total for j in range(1, t - n + 2)]
    expected = math.fsum(chance / (g + j) for j, chance in enumerate(chances, 1))
    assert value(standing([g] * n, [t - 1] * n), qrels, "RR") == pytest.approx(expected, abs=1e-12)


# --- Independent oracles ----------------------------------------------------------------------------------------------

TREC = {
    "nDCG@10": "ndcg_cut_10",
    "nDCG@3": "ndcg_cut_3",
    "nDCG": "ndcg",
    "R@5": "recall_5",
    "R@100": "recall_100",
    "P@5": "P_5",
    "P@100": "P_100",
    "RR": "recip_rank",
    "AP": "map",
    "AP@10": "map_cut_10",
    "Success@1": "success_1",
    "Success@5": "success_5",
}


def collection(seed: int, n_queries: int, n_documents: int, depth: int) -> tuple[Qrels, list[Grades], npt.NDArray[np.float64]]:
    """Random judgments (negative and zero grades, missing documents, unanswered queries) and untied float32 scores."""
    generator = np.random.default_rng(seed)
    queries: list[Grades] = []
    scores = np.full((n_queries, n_documents), np.nan)
    for query in range(n_queries):
        rows = generator.choice(n_documents, size=generator.integers(1, min(n_documents, 30)), replace=False).tolist()
        rows += list(range(-int(generator.integers(0, 3)), 0))
        queries.append({row: int(generator.integers(-1, 4)) for row in rows})
        returned = generator.choice(n_documents, size=0 if query % 11 == 3 else min(depth, n_documents), replace=False)
        scores[query, returned] = generator.permutation(len(returned)).astype(np.float32)
    return qrels_of(*queries), queries, scores


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(2, 150), st.integers(1, 150))
def test_untied_ranks_score_what_trec_eval_scores(seed: int, n_queries: int, n_documents: int, depth: int) -> None:
    qrels, queries, scores = collection(seed, n_queries, n_documents, depth)
    got = score(ranks_of(qrels, scores), qrels, [parse_measure(m) for m in TREC], no_relevant="zero").values[0]
    judged = {f"q{q}": {f"d{row}": grade for row, grade in query.items()} for q, query in enumerate(queries)}
    run = {f"q{q}": {f"d{row}": float(s) for row, s in enumerate(scores[q]) if not np.isnan(s)} for q in range(n_queries)}
    # trec_eval counts relevance levels in an array of size best grade + 1: a query with nothing but negatives makes it run wild
    fit = {name: grades for name, grades in judged.items() if max(grades.values()) >= 0}
    expected = pytrec_eval.RelevanceEvaluator(fit, set(TREC.values())).evaluate({name: run[name] for name in fit})
    for q in range(n_queries):
        theirs = [expected[f"q{q}"][name] if f"q{q}" in fit else 0.0 for name in TREC.values()]
        assert got[:, q] == pytest.approx(theirs, abs=1e-9)


def test_relevance_levels_and_cut_reciprocal_rank_agree_with_ir_measures() -> None:
    qrels, queries, scores = collection(7, 60, 200, 120)
    names = ["RR@10", "RR(rel=2)@10", "R(rel=2)@20", "AP(rel=3)@50", "P(rel=2)@5", "nDCG@20", "Success(rel=2)@3"]
    got = score(ranks_of(qrels, scores), qrels, [parse_measure(name) for name in names])
    judged = {f"q{q}": {f"d{row}": grade for row, grade in query.items()} for q, query in enumerate(queries)}
    run = {f"q{q}": {f"d{row}": float(s) for row, s in enumerate(scores[q]) if not np.isnan(s)} for q in range(60)}
    asked = {ir_measures.parse_measure(name): m for m, name in enumerate(names)}
    for metric in ir_measures.iter_calc(list(asked), judged, run):
        m, q = asked[metric.measure], int(metric.query_id[1:])
        if got.counted[m, q]:
            assert got.values[0, m, q] == pytest.approx(metric.value, abs=1e-9)


# --- Invariances ------------------------------------------------------------------------------------------------------


def tied_scores(seed: int) -> tuple[Qrels, list[Grades], npt.NDArray[np.float64]]:
    qrels, queries, scores = collection(seed, 25, 80, 60)
    return qrels, queries, np.floor(scores / 4)


ALL = [parse_measure(text) for text in EVERY]


def test_the_order_of_judgments_queries_and_documents_does_not_matter() -> None:
    generator = np.random.default_rng(3)
    qrels, queries, scores = tied_scores(3)
    expected = score(ranks_of(qrels, scores), qrels, ALL).values
    documents, order = generator.permutation(80), generator.permutation(25)
    moved = {int(old): new for new, old in enumerate(documents)}
    shuffled = [{moved.get(row, row): queries[q][row] for row in generator.permutation(list(queries[q])).tolist()} for q in order]
    again = score(ranks_of(qrels_of(*shuffled), scores[order][:, documents]), qrels_of(*shuffled), ALL).values
    np.testing.assert_allclose(again, expected[:, :, order], rtol=0, atol=1e-13)


def test_candidates_scored_together_score_as_they_do_alone() -> None:
    qrels, _, scores = tied_scores(4)
    generator = np.random.default_rng(4)
    tables = [
        scores,
        np.floor(scores / 3),
        np.where(np.isnan(scores), np.nan, generator.permuted(np.arange(2000.0)).reshape(25, 80)),
    ]
    together = score(ranks_of(qrels, *tables), qrels, ALL)
    for c, table in enumerate(tables):
        assert score(ranks_of(qrels, table), qrels, ALL).values[0].tolist() == together.values[c].tolist()


def test_more_candidates_than_one_block_holds_score_as_they_do_alone() -> None:
    generator = np.random.default_rng(6)
    qrels = qrels_of(*({int(row): int(row) % 4 for row in generator.choice(900, 300, replace=False)} for _ in range(4)))
    n = 3 * CELLS_AT_ONCE // len(qrels.rows)
    above = generator.random((n, 4, 900)).argsort(axis=2)[:, :, :300].reshape(n, -1)
    ranks = Ranks(tuple(Configuration("prefix", n - c) for c in range(n)), 900, above, np.zeros_like(above))
    together = score(ranks, qrels, ALL)
    for c in (0, n // 3 - 1, n // 3, n // 2, n - 1):
        one = Ranks(ranks.candidates[c : c + 1], 900, above[c : c + 1], ranks.tied[c : c + 1])
        np.testing.assert_allclose(together.values[c], score(one, qrels, ALL).values[0], rtol=0, atol=1e-13)


def test_measures_asked_together_score_as_they_do_alone() -> None:
    qrels, _, scores = tied_scores(5)
    ranks = ranks_of(qrels, scores)
    together: Scores = score(ranks, qrels, ALL)
    for m, measure in enumerate(ALL):
        alone = score(ranks, qrels, [measure])
        assert alone.values[:, 0].tolist() == together.values[:, m].tolist()
        assert alone.counted[0].tolist() == together.counted[m].tolist()


@pytest.mark.parametrize("n_documents", [20, 500])
def test_pairs_that_stand_beyond_every_cutoff_may_be_left_out(n_documents: int) -> None:
    """Among 500 documents nearly all stand there, among 20 few; a measure without a cut-off beside the others needs them all."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 20, 40)
    offsets = np.cumsum([0, *counts])
    rows = np.concatenate([rng.choice(n_documents, n, replace=False) for n in counts])
    qrels = Qrels(offsets, rows, rng.integers(-1, 4, len(rows)))
    ranks = ranks_of(qrels, *np.round(8 * rng.standard_normal((3, 40, n_documents))))
    measures = [parse_measure(text) for text in ("nDCG@10", "R@5", "R(rel=2)@3", "P@7", "RR@10", "AP@10", "Success@3")]
    within = (ranks.above[:, qrels.grades > 0] < 10).any(axis=0).mean()
    assert (within < 1 / SPARSE) == (n_documents == 500)
    every = score(ranks, qrels, [*measures, parse_measure("AP"), parse_measure("AP(rel=2)")])
    some = score(ranks, qrels, measures)
    np.testing.assert_allclose(some.values, every.values[:, : len(measures)], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(some.counted, every.counted[: len(measures)])


def test_what_is_not_among_the_given_pairs_is_not_retrieved() -> None:
    qrels = qrels_of({10: 3, 11: 1, 12: 2, 13: 0})
    ranks = standing([0, NOT_RETRIEVED, 4, 1])
    some = replace(ranks, above=ranks.above[:, [0, 2]], tied=ranks.tied[:, [0, 2]])
    measures = [parse_measure(text) for text in ("nDCG", "nDCG@10", "R@4", "R(rel=2)@10", "AP", "P@10", "RR", "Success@1")]
    given = score(some, qrels, measures, pairs=np.array([0, 2]))
    np.testing.assert_allclose(given.values, score(ranks, qrels, measures).values, rtol=0, atol=1e-15)
    assert given.values[0, 2, 0] == 1 / 3, "one of three relevant documents"


def test_the_ranks_given_are_not_written_into() -> None:
    qrels, _, scores = tied_scores(6)
    ranks = ranks_of(qrels, scores)
    above, tied = ranks.above.copy(), ranks.tied.copy()
    ranks.above.flags.writeable = ranks.tied.flags.writeable = False
    score(ranks, qrels, ALL)
    assert (ranks.above == above).all()
    assert (ranks.tied == tied).all()
