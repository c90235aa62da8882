"""Measures as text: every accepted spelling, its printed name, and what a mistyped one answers."""

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import asked_documents, parse_measure, refuse_mixture
from mrl_sweep.types import Measure

NAMES = ("nDCG", "R", "RR", "AP", "P", "Success")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("nDCG@10", "nDCG@10"),
        ("ndcg@10", "nDCG@10"),
        ("NDCG_CUT_10", "nDCG@10"),
        ("ndcg", "nDCG"),
        ("R@100", "R@100"),
        ("recall@10", "R@10"),
        ("recall_100", "R@100"),
        ("RR", "RR"),
        ("mrr", "RR"),
        ("recip_rank", "RR"),
        ("mrr@10", "RR@10"),
        ("AP", "AP"),
        ("map", "AP"),
        ("map@100", "AP@100"),
        ("map_cut_100", "AP@100"),
        ("P@5", "P@5"),
        ("precision@5", "P@5"),
        ("P_5", "P@5"),
        ("Success@1", "Success@1"),
        ("hit@1", "Success@1"),
        ("hits@3", "Success@3"),
        ("hit_rate@10", "Success@10"),
        ("success_1", "Success@1"),
        ("R(rel=2)@10", "R(rel=2)@10"),
        ("recall(REL=2)_10", "R(rel=2)@10"),
        ("AP(rel=2)", "AP(rel=2)"),
        ("R(rel=1)@10", "R@10"),
        ("  R@10 ", "R@10"),
    ],
)
def test_every_spelling_prints_as_ir_measures_names_it(text: str, printed: str) -> None:
    assert str(parse_measure(text)) == printed
    assert str(ir_measures.parse_measure(printed)) == printed


@given(st.sampled_from(NAMES), st.integers(1, 10**6), st.integers(1, 9), st.booleans())
def test_parse_and_print_are_inverse(name: str, cutoff: int, rel: int, whole: bool) -> None:
    measure = Measure(name, None if whole and name in ("nDCG", "RR", "AP") else cutoff, 1 if name == "nDCG" else rel)
    assert parse_measure(str(measure)) == measure


@pytest.mark.parametrize(
    ("text", "suggested"),
    [("nDGC@10", "nDCG@10"), ("recal@100", "R@100"), ("mmr@10", "RR@10"), ("sucess", "Success@10"), ("presicion@5", "P@5")],
)
def test_a_typo_is_answered_with_the_nearest_measure_and_the_same_cutoff(text: str, suggested: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_measure(text)
    assert caught.value.message == f"unknown measure {text!r}: did you mean {suggested}?"
    assert "nDCG@10" in caught.value.hint
    assert "--measure" in caught.value.hint


@pytest.mark.parametrize("text", ["", "@10", "zzzz", "nDCG@", "nDCG@-1", "nDCG@1.5", "nDCG@10@5", "R@10%", "nDCG@١٠", "R @10"])
def test_what_no_measure_looks_like_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="unknown measure"):
        parse_measure(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("R", "needs a cut-off: write R@10"),
        ("precision", "needs a cut-off: write P@10"),
        ("hit", "needs a cut-off: write Success@10"),
        ("nDCG@0", "cut-off must be at least 1"),
        ("R(rel=0)@10", "rel must be at least 1"),
        ("nDCG(rel=2)@10", "nDCG uses the grades themselves"),
    ],
)
def test_a_measure_without_meaning_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_measure(text)
    assert reason in caught.value.message


@pytest.mark.parametrize("text", ["Agreement@10", "agreement@10", "overlap_10"])
def test_agreement_with_full_size_is_a_measure_like_the_others(text: str) -> None:
    assert parse_measure(text) == Measure("Agreement", 10)
    assert str(parse_measure(text)) == "Agreement@10"
    assert parse_measure(text).label_free


@pytest.mark.parametrize(("text", "said"), [("Agreement", "needs a cut-off"), ("Agreement(rel=2)@10", "knows no grades")])
def test_agreement_without_a_depth_or_with_a_grade_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_measure(text)


def test_agreement_and_judged_quality_are_never_mixed() -> None:
    agreement, quality = Measure("Agreement", 10), Measure("nDCG", 10)
    refuse_mixture([agreement, Measure("Agreement", 100)], label_free=True)
    refuse_mixture([quality], label_free=False)
    with pytest.raises(InputError, match="nDCG@10 needs judgments, and a label-free run has none"):
        refuse_mixture([agreement, quality], label_free=True)
    with pytest.raises(InputError, match="Agreement@10 is agreement with the full size, which is never mixed") as refused:
        refuse_mixture([quality, agreement], label_free=False)
    assert "--label-free" in refused.value.hint


def test_a_shortlist_is_cut_by_the_deepest_measure_and_at_a_hundred_where_one_has_no_cutoff() -> None:
    assert asked_documents(map(parse_measure, ("nDCG@10", "R@50", "P@5"))) == 50
    assert asked_documents(map(parse_measure, ("nDCG@10", "AP"))) == 100
    assert asked_documents(map(parse_measure, ("R@200", "AP"))) == 200


@pytest.mark.parametrize("form", ["P@{}", "R(rel={})@10"])
def test_a_cutoff_or_a_grade_has_at_most_eighteen_digits(form: str) -> None:
    """Nineteen may be more than an integer of 64 bits holds."""
    assert str(parse_measure(form.format("9" * 18))) == form.format("9" * 18)
    with pytest.raises(InputError, match="no ranking is that deep and no grade that high"):
        parse_measure(form.format("9" * 19))
