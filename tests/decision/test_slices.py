"""Slices from metadata, lengths, numbers and topics; the search for those that are hit; and the queries that lose most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mrl_sweep.decision.bounds import paired_bounds
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.slices import (
    LosingQuery,
    Slice,
    benjamini_hochberg,
    biggest_losers,
    declared_slices,
    judge_slices,
    length_slices,
    relevant_slices,
    search_slices,
    telling_words,
    topic_slices,
)
from mrl_sweep.errors import InputError
from mrl_sweep.types import Basis, Configuration, FloatArray, Measure, Outcome, Ranks, Scores, TopDocuments


def shown(slices: object) -> dict[str, list[int]]:
    return {str(s): np.flatnonzero(s.members).tolist() for s in slices}  # type: ignore[attr-defined]


def test_each_value_of_a_declared_field_is_a_slice() -> None:
    metadata: list[dict[str, Any]] = [
        {"type": "fact"},
        {"type": "numeric", "new": True},
        {},
        {"type": "fact", "new": None},
        {"type": ["a", "fact"]},
    ]
    slices = declared_slices(metadata, ["type", "new", "type"])
    assert shown(slices) == {"type=a": [4], "type=fact": [0, 3, 4], "type=numeric": [1], "new=true": [1]}
    assert all(s.declared for s in slices)


def test_a_field_that_no_query_has_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no query has the field lable") as refused:
        declared_slices([{"label": "x", "split": "test"}], ["lable"])
    assert refused.value.hint == "did you mean --slice label? the fields are label, split"
    with pytest.raises(InputError) as bare:
        declared_slices([{}], ["label"])
    assert "the queries have no metadata" in bare.value.hint


def test_numbers_with_many_values_become_terciles() -> None:
    slices = declared_slices([{"year": 2000 + i} for i in range(30)], ["year"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("2000-2009", 10), ("2010-2019", 10), ("2020-2029", 10)]


def test_numbers_with_few_values_stay_values() -> None:
    slices = declared_slices([{"hops": i % 2 + 1} for i in range(30)], ["hops"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("1", 15), ("2", 15)]


def test_a_field_of_ids_is_put_together_not_dropped() -> None:
    metadata = [{"tenant": f"t{i}"} for i in range(150)] + [{"tenant": "large"}] * 12
    slices = declared_slices(metadata, ["tenant"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("large", 12), ("other (150 values)", 150)]


def test_lengths_are_cut_in_three_between_different_values() -> None:
    texts = ["one two"] * 4 + ["one two three four"] * 3 + ["w " * 9] * 3
    assert [(s.value, int(s.members.sum())) for s in length_slices(texts)] == [("2 words", 4), ("4 words", 3), ("9 words", 3)]


def test_mostly_one_relevant_document_makes_two_slices() -> None:
    slices = relevant_slices(np.array([1] * 9 + [2, 5]))
    assert [(s.value, int(s.members.sum())) for s in slices] == [("1 document", 9), ("2-5 documents", 2)]
    assert relevant_slices(np.ones(10, np.int64)) == ()


def test_a_rare_small_value_is_a_slice_too() -> None:
    assert [s.value for s in relevant_slices(np.array([1] + [7] * 9))] == ["1 document", "7 documents"]


def test_topics_are_named_by_their_words() -> None:
    texts = ["rename a file", "delete a file", "copy the file", "parse a date", "format the date", "add days to a date"]
    slices = topic_slices(np.array([0, 0, 0, 1, 1, 1]), texts)
    assert [s.value.split(",")[0] for s in slices] == ["file", "date"]
    assert shown(slices)[str(slices[1])] == [3, 4, 5]


@pytest.mark.parametrize(("values", "slices"), [(12, 12), (13, 3)])
def test_a_numeric_field_of_more_than_twelve_values_is_cut_in_three(values: int, slices: int) -> None:
    assert len(declared_slices([{"year": i % values} for i in range(130)], ["year"])) == slices


@pytest.mark.parametrize(("values", "slices"), [(100, 100), (101, 1)])
def test_a_field_of_more_than_a_hundred_values_has_its_small_ones_together(values: int, slices: int) -> None:
    assert len(declared_slices([{"tenant": f"t{i}"} for i in range(values)], ["tenant"])) == slices


def test_words_that_all_groups_share_do_not_tell() -> None:
    texts = ["how do I open a socket", "how do I bind a socket", "how do I sort a list", "how do I reverse a list"]
    names = telling_words(texts, np.array([0, 0, 5, 5]))
    assert names == {0: "socket, bind, open", 5: "list, reverse, sort"}


def test_words_tell_by_their_log_odds_over_its_deviation() -> None:
    """Monroe, Colaresi & Quinn's z of each word, by a loop, with half a query more of every kind."""
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], 20)
    often = {word: rng.uniform(0.05, 0.9, 3) for word in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "theta", "iota")}
    texts = [" ".join(word for word, chances in often.items() if rng.random() < chances[label]) for label in labels]
    for label, name in telling_words(texts, labels).items():
        z = {}
        for word in often:
            has = np.array([word in text.split() for text in texts])
            own = labels == label
            a, b, c, d = ((has == with_it)[own == inside].sum() + 0.5 for inside in (True, False) for with_it in (True, False))
            z[word] = np.log(a * d / (b * c)) / np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
        assert name == ", ".join([word for word in sorted(z, key=lambda word: -z[word]) if z[word] > 0][:3])


def test_queries_without_a_label_are_the_background() -> None:
    names = telling_words(["kinase binding", "kinase activity", "other words"], np.array([3, 3, -1]))
    assert names == {3: "kinase, activity, binding"}


def test_a_group_without_words_is_called_by_its_number_and_names_stay_different() -> None:
    assert telling_words(["12 34", "56"], np.array([0, 0])) == {0: "topic 0"}
    texts = ["same words", "same words", "else", "else"]
    assert len(set(telling_words(texts, np.array([0, 1, 2, 2])).values())) == 3


def test_letters_of_any_script_are_words() -> None:
    names = telling_words(["Überweisung stornieren", "Überweisung ändern", "карта", "карта банка"], np.array([0, 0, 1, 1]))
    assert names == {0: "überweisung, stornieren, ändern", 1: "карта, банка"}


NDCG = Measure("nDCG", 10)
DATA = Path(__file__).parent / "data" / "ndcg10.npz"


def scores_of(values: FloatArray) -> Scores:
    candidates = tuple(Configuration(Basis.PREFIX, 256 - i) for i in range(len(values)))
    return Scores(candidates, (NDCG,), values[:, None], np.ones((1, values.shape[1]), bool))


@pytest.fixture(scope="module")
def scifact() -> FloatArray:
    with np.load(DATA, allow_pickle=False) as arrays:
        return arrays["scifact"][[0, 4, 8, 10]].astype(np.float64)


def random_slices(n: int, count: int, rng: np.random.Generator) -> list[Slice]:
    sizes = rng.choice([12, 20, 40, 100], count)
    return [Slice("random", str(i), rng.permutation(n) < size, declared=True) for i, size in enumerate(sizes)]


def test_two_hundred_random_slices_raise_no_more_than_the_promised_false_alarms(scifact: FloatArray) -> None:
    """All alarms are false here, so the false discovery rate is the share of searches with any; each size is one."""
    rng = np.random.default_rng(4)
    alarms, below = [], []
    for _ in range(10):
        found = search_slices(Question(scores_of(scifact), Policy()), random_slices(300, 200, rng))
        assert len(found) == 600
        alarmed = {f.dim for f in found if f.q_value is not None and f.q_value <= 0.05}
        alarms += [size in alarmed for size in dict.fromkeys(f.dim for f in found)]
        below.append(np.mean([f.p_value is not None and f.p_value <= 0.05 for f in found]))
    assert np.mean(alarms) <= 0.05
    assert np.mean(below) <= 0.05


def test_rare_gains_outside_do_not_accuse_a_slice_without_any(scifact: FloatArray) -> None:
    rng = np.random.default_rng(5)
    y = np.tile(scifact[0], 3)
    gained = np.where(rng.random(900) < 0.03, 1.0, y)
    found = search_slices(Question(scores_of(np.stack([y, gained])), Policy()), random_slices(900, 200, rng))
    assert min(f.q_value for f in found if f.q_value is not None) > 0.05


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_slice_is_found_among_two_hundred_random_ones(scifact: FloatArray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = rng.permutation(300) < 30
    values = scifact.copy()
    values[2:, planted] *= 0.3 * rng.random((2, 30))
    slices = [*random_slices(300, 200, rng), Slice("topic", "planted", planted)]
    found = search_slices(Question(scores_of(values), Policy()), slices)
    hits = [f for f in found if f.q_value is not None and f.q_value <= 0.05]
    for size in (254, 253):
        worst = min((f for f in hits if f.dim == size), key=lambda f: f.kept or 0.0)
        assert worst.value == "planted"
    assert sum(f.value != "planted" for f in hits) <= 1
    assert not any(f.dim == 255 for f in hits)


def test_a_slice_carries_its_own_share_limits_and_size() -> None:
    y = np.ones(100)
    x = np.where(np.arange(100) < 40, np.where(np.arange(100) % 2, 0.5, 0.7), np.where(np.arange(100) % 2, 1.0, 0.9))
    members = np.arange(100) < 40
    (found,) = search_slices(Question(scores_of(np.stack([y, x])), Policy()), [Slice("f", "v", members)])
    limits = paired_bounds(x[None, :40], y[:40], retain=0.98, alpha=0.05)
    assert (found.queries, found.kept, found.kept_by_others) == (40, pytest.approx(0.6), pytest.approx(0.95))
    assert (found.at_least, found.at_most) == (limits.at_least[0], limits.at_most[0])
    assert found.q_value is not None
    assert found.q_value < 1e-9


def test_a_slice_too_small_is_shown_but_not_tested() -> None:
    rng = np.random.default_rng(1)
    y = rng.random(100)
    nine = np.arange(100) < 9
    small, rest, none = search_slices(
        Question(scores_of(np.stack([y, y * 0.5])), Policy()),
        [
            Slice("f", "nine", nine),
            Slice("f", "all but nine", ~nine),
            Slice("f", "nobody", nine & False),
            Slice("f", "all", y >= 0),
        ],
    )
    assert (small.queries, small.p_value, small.q_value, small.p_below) == (9, None, None, None)
    assert (rest.queries, rest.p_value, rest.q_value) == (91, None, None)
    assert rest.p_below is not None
    assert (none.value, none.kept_by_others, none.p_value) == ("all", None, None)


def test_uncounted_queries_are_in_no_slice() -> None:
    scores = scores_of(np.ones((2, 60)))
    scores.counted[0, :20] = False
    (found,) = search_slices(Question(scores, Policy()), [Slice("f", "v", np.arange(60) < 35)])
    assert found.queries == 15


def test_clusters_are_the_units_of_a_slice() -> None:
    rng = np.random.default_rng(1)
    y = rng.random(120)
    (found,) = search_slices(
        Question(scores_of(np.stack([y, y * 0.9])), Policy(), clusters=np.arange(120) // 4),
        [Slice("f", "v", np.arange(120) < 60)],
    )
    assert found.queries == 15


def test_the_slice_gate_fails_only_on_proof() -> None:
    rng = np.random.default_rng(2)
    y = rng.uniform(0.5, 1, 300)
    x = y * rng.uniform(0.985, 1, 300)
    x[:60] = y[:60] * rng.uniform(0.7, 0.9, 60)
    x[60:75] *= rng.uniform(0.8, 1.15, 15)
    part = np.digitize(np.arange(300), [60, 75])
    slices = [Slice("lang", name, part == i, declared=True) for i, name in enumerate(("hit", "unclear", "fine"))]
    found = search_slices(
        Question(scores_of(np.stack([y, x])), Policy(retain=0.95)), [*slices, Slice("length", "hit too", part == 0)]
    )
    judged = judge_slices(found, alpha=0.05)
    assert {row.value: row.verdict for row in judged} == {
        "hit": Outcome.FAIL,
        "unclear": Outcome.INCONCLUSIVE,
        "fine": Outcome.PASS,
        "hit too": None,
    }


def test_fifty_slices_at_their_margin_rarely_turn_the_gate_red(scifact: FloatArray) -> None:
    """Every slice keeps exactly the asked share: any FAIL is noise, and it comes in at most about alpha of the runs."""
    rng = np.random.default_rng(9)
    y, x = scifact[0], scifact[2]
    retain = float(x.mean() / y.mean())
    red = 0
    for _ in range(50):
        drawn = rng.integers(0, 300, 2_000)
        slices = [Slice("tenant", str(i), np.arange(2_000) // 40 == i, declared=True) for i in range(50)]
        found = search_slices(Question(scores_of(np.stack([y[drawn], x[drawn]])), Policy(retain=retain)), slices)
        red += any(row.verdict == Outcome.FAIL for row in judge_slices(found, alpha=0.05))
    assert red <= 4


def test_benjamini_hochberg_by_hand() -> None:
    # sorted 0.01 0.02 0.03 0.04 of four: 0.04, 0.04, 0.04, 0.04; with a gap: 0.005*4/1, 0.04*4/2 -> min with 0.05*4/3
    assert benjamini_hochberg([0.04, 0.01, None, 0.03, 0.02]) == [0.04, 0.04, None, 0.04, 0.04]
    assert benjamini_hochberg([0.005, 0.05, 0.04, 0.9]) == pytest.approx([0.02, 0.2 / 3, 0.2 / 3, 0.9])
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([None]) == [None]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_benjamini_hochberg_equals_scipys(p: list[float]) -> None:
    from scipy.stats import false_discovery_control

    np.testing.assert_allclose(np.array(benjamini_hochberg(p), float), false_discovery_control(p), rtol=1e-12)


def test_where_nothing_changes_nothing_is_found() -> None:
    y, members = np.linspace(0.4, 0.9, 60), np.arange(60) < 12
    (finding,) = search_slices(Question(scores_of(np.stack([y, y])), Policy()), [Slice("f", "v", members)])
    assert (finding.p_value, finding.q_value, finding.kept, finding.kept_by_others) == (1.0, 1.0, 1.0, 1.0)


def test_the_p_value_is_that_of_student_s_t_with_the_degrees_of_freedom_of_the_smaller_part() -> None:
    rng = np.random.default_rng(3)
    y, members = rng.uniform(0.4, 0.9, 60), np.arange(60) < 12
    x = y * np.where(members, 0.95, 0.99) + 0.05 * rng.standard_normal(60)
    (finding,) = search_slices(Question(scores_of(np.stack([y, x])), Policy()), [Slice("f", "v", members)])
    lost = x - x.sum() / y.sum() * y
    inside, outside = lost[members], lost[~members]
    pooled = lost.var(ddof=1) * (1 / 12 + 1 / 48)
    error = np.sqrt(max(pooled, inside.var(ddof=1) / 12 + outside.var(ddof=1) / 48))
    assert finding.p_value == pytest.approx(stats.t.sf((outside.mean() - inside.mean()) / error, 11), rel=1e-9)


WHOLE, SMALL = Configuration(Basis.PREFIX, 256), Configuration(Basis.PREFIX, 64)
NDCG = Measure("nDCG", 3)


def losing_scores() -> Scores:
    values = np.array([[[1.0, 0.5, 0.8, 0.9, 0.2]], [[0.4, 0.5, 0.2, 0.0, 0.6]]])
    return Scores((WHOLE, SMALL), (NDCG,), values, np.array([[True, True, True, False, True]]))


def test_largest_loss_first_gains_and_uncounted_queries_left_out() -> None:
    losers = biggest_losers(losing_scores(), SMALL, measure=NDCG)
    assert [(q.query, q.before, q.after) for q in losers] == [(0, 1.0, 0.4), (2, 0.8, 0.2)]
    assert [q.query for q in biggest_losers(losing_scores(), SMALL, measure=NDCG, n=1)] == [0]
    assert biggest_losers(losing_scores(), WHOLE, measure=NDCG) == ()


def test_documents_that_left_and_came_in_best_first() -> None:
    rows = np.full((2, 5, 4), -1)
    rows[0, 0] = [7, 3, 9, 1]
    rows[1, 0] = [4, 9, 2, 7]
    rows[0, 2, :2] = [5, 6]
    rows[1, 2, :2] = [6, 5]
    ranks = Ranks(
        (WHOLE, SMALL), 10, np.zeros((2, 0), int), np.zeros((2, 0), int), TopDocuments(rows, np.zeros(rows.shape, np.float32))
    )
    first, second = biggest_losers(losing_scores(), SMALL, measure=NDCG, ranks=ranks)
    assert first == LosingQuery(0, 1.0, 0.4, left=(7, 3), came=(4, 2))
    assert (first.before, first.after) == (1.0, 0.4)
    assert (second.left, second.came) == ((), ())
