"""The phrase book: the digits never contradict the verdict, and one thing is written in one way."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mrl_sweep import words
from mrl_sweep.decision.policy import reaches


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.97996, "97.996%"), (0.9799999999, "97.99999999%"), (0.98, "98.0%"), (0.9849, "98.5%"), (1.0, "100.0%"), (0.5, "50.0%")],
)
def test_a_share_gets_the_digits_that_set_it_apart_from_its_limit(share: float, shown: str) -> None:
    assert words.percent(share, limit=0.98) == shown


@given(share=st.floats(0, 2), thousandths=st.integers(500, 1000))
@example(share=0.98 - 1e-13, thousandths=980)
@example(share=0.98 + 1e-13, thousandths=980)
@example(share=0.98 - 1e-11, thousandths=980)
def test_what_is_printed_stands_where_the_judgement_stands(share: float, thousandths: int) -> None:
    limit = thousandths / 1000
    printed, bar = (Decimal(text.removesuffix("%")) for text in (words.percent(share, limit=limit), words.asked_share(limit)))
    assert (printed >= bar) == reaches(share, limit)


def test_the_last_bits_of_a_sum_are_not_printed() -> None:
    assert words.percent(0.98 - 1e-13, limit=0.98) == "98.0%"
    assert words.percent(0.98 - 1e-11, limit=0.98) == "97.999999999%"


@given(st.integers(0, 100_000))
def test_a_share_is_rounded_alike_with_and_without_a_limit_far_away(hundred_thousandths: int) -> None:
    share = hundred_thousandths / 100_000
    assert words.percent(share) == words.percent(share, limit=2.0)


def test_a_tie_is_rounded_by_its_decimals_not_by_the_last_bits_of_the_float() -> None:
    assert [words.percent(share) for share in (0.9545, 0.9555, 0.0005, 0.2875)] == ["95.4%", "95.6%", "0.0%", "28.8%"]


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(1, 57_638, "0.0017%"), (57_637, 57_638, "99.998%"), (3, 30, "10.0%"), (0, 5, "0.0%"), (5, 5, "100.0%"), (0, 0, "-")],
)
def test_a_part_is_never_rounded_to_none_or_all(part: int, whole: int, shown: str) -> None:
    assert words.share_of(part, whole) == shown


def test_the_nearest_names_are_suggested_whatever_their_case() -> None:
    names = ["HNSW32", "IVF1024,Flat", "Flat"]
    assert words.did_you_mean("hnsw3", names) == "did you mean HNSW32?"
    assert words.did_you_mean("hnsw3", names, spelt=repr) == "did you mean 'HNSW32'?"
    assert words.did_you_mean("xyz", names) == ""
    assert words.did_you_mean("flats", ["flat", "flag", "plan"], most=2) == "did you mean flat or flag?"
    assert words.nearest("zzz", names, cutoff=0)


def test_first_offenders_are_named_and_the_rest_counted() -> None:
    assert words.first_offenders(list("abc")) == "a, b, c"
    assert words.first_offenders([str(i) for i in range(1234)], limit=2) == "0, 1 and 1,232 more"
    assert words.first_offenders(["a"], 9, limit=1) == "a and 8 more"


@pytest.mark.parametrize(
    ("share", "shown"), [(0.98, "98%"), (0.995, "99.5%"), (1.0, "100%"), (0.9, "90%"), (0.12345, "12.345%"), (1 - 0.02, "98%")]
)
def test_a_limit_is_printed_as_it_was_typed(share: float, shown: str) -> None:
    assert words.asked_share(share) == shown


def test_a_loss_that_rounds_to_nothing_has_no_sign() -> None:
    assert [words.percent(share) for share in (-0.0, -1e-9, -0.0004, -0.01)] == ["0.0%", "0.0%", "0.0%", "-1.0%"]


def test_a_difference_of_shares_is_rounded_as_a_share_is_and_has_its_sign() -> None:
    differences = (0.0455, -0.0455, 0.9545 - 0.95, -0.0004, 0.0)
    assert [words.points(one) for one in differences] == ["+4.6", "-4.6", "+0.5", "+0.0", "+0.0"]
    assert words.percent(0.0455) == "4.6%"
    assert [words.difference(one) for one in (0.04125, -0.3)] == ["+0.0413", "-0.3000"]


def test_nothing_measured_is_a_dash() -> None:
    assert [f(None) for f in (words.percent, words.score, words.size, words.count, words.milliseconds)] == ["-"] * 5
    assert words.percent(float("nan")) == words.score(float("nan")) == "-"


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (177_064_000, "168.9 MiB"), (50 * 2**40, "50.0 TiB")],
)
def test_sizes_are_in_the_unit_that_fits(size_bytes: int, shown: str) -> None:
    assert words.size(size_bytes) == shown


@pytest.mark.parametrize(("n", "shown"), [(1, "1"), (47, "47"), (253, "260"), (250, "250"), (1234, "1,300"), (99_999, "100,000")])
def test_an_estimated_count_is_rounded_up_never_down(n: int, shown: str) -> None:
    assert words.about(n) == shown


@pytest.mark.parametrize(("value_ms", "shown"), [(0.0341, "0.034 ms"), (1.24, "1.2 ms"), (140.4, "140 ms"), (1500.0, "1,500 ms")])
def test_times_have_no_more_digits_than_were_measured(value_ms: float, shown: str) -> None:
    assert words.milliseconds(value_ms) == shown


def test_a_reason_reads_on_after_dimensions() -> None:
    assert words.they("keeps at most 84.7% of nDCG@10") == "they keep at most 84.7% of nDCG@10"
    assert words.they("returns 98% of the full size's top 10") == "they return 98% of the full size's top 10"
    assert words.they("only 20 judged queries") == "only 20 judged queries"


def test_names_are_listed_as_in_a_sentence() -> None:
    assert [words.listed(texts) for texts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a or b", "a, b or c"]


@pytest.mark.parametrize(
    ("reason", "one", "two"),
    [
        ("repeated_documents", "1 repeated document", "2 repeated documents"),
        ("queries_without_relevant", "1 query without relevant", "2 queries without relevant"),
        ("repeated_judgments", "1 repeated judgment", "2 repeated judgments"),
        ("queries without text", "1 query without text", "2 queries without text"),
    ],
)
def test_what_was_set_aside_is_counted_in_words(reason: str, one: str, two: str) -> None:
    assert [words.counted(number, reason) for number in (1, 2)] == [one, two]
