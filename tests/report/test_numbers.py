"""Numbers as they are printed: the digits never contradict the verdict."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mrl_sweep.report.content import numbers


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.97996, "97.996%"), (0.9799999999, "97.99999999%"), (0.98, "98.0%"), (0.9849, "98.5%"), (1.0, "100.0%"), (0.5, "50.0%")],
)
def test_a_share_gets_the_digits_that_set_it_apart_from_its_limit(share: float, shown: str) -> None:
    assert numbers.percent(share, limit=0.98) == shown


@given(share=st.floats(0, 2), limit=st.floats(0.5, 1))
@example(share=0.9799999999999999, limit=0.98)
@example(share=0.9800000000000001, limit=0.98)
def test_what_is_printed_stands_where_the_number_stands(share: float, limit: float) -> None:
    printed, asked = (Decimal(text.removesuffix("%")) for text in (numbers.percent(share, limit=limit), numbers.asked(limit)))
    assert (printed >= asked) == (share >= limit)


@pytest.mark.parametrize(("share", "shown"), [(0.98, "98%"), (0.995, "99.5%"), (1.0, "100%"), (0.9, "90%"), (0.12345, "12.345%")])
def test_a_limit_is_printed_as_it_was_typed(share: float, shown: str) -> None:
    assert numbers.asked(share) == shown


def test_a_loss_that_rounds_to_nothing_has_no_sign() -> None:
    assert [numbers.percent(share) for share in (-0.0, -1e-9, -0.0004, -0.01)] == ["0.0%", "0.0%", "0.0%", "-1.0%"]


def test_nothing_measured_is_a_dash() -> None:
    assert [f(None) for f in (numbers.percent, numbers.score, numbers.size, numbers.count, numbers.milliseconds)] == ["-"] * 5
    assert numbers.percent(float("nan")) == numbers.score(float("nan")) == "-"


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (177_064_000, "168.9 MiB"), (50 * 2**40, "50.0 TiB")],
)
def test_sizes_are_in_the_unit_that_fits(size_bytes: int, shown: str) -> None:
    assert numbers.size(size_bytes) == shown


@pytest.mark.parametrize(("n", "shown"), [(1, "1"), (47, "47"), (253, "260"), (250, "250"), (1234, "1,300"), (99_999, "100,000")])
def test_an_estimated_count_is_rounded_up_never_down(n: int, shown: str) -> None:
    assert numbers.about(n) == shown


@pytest.mark.parametrize(("value_ms", "shown"), [(0.0341, "0.034 ms"), (1.24, "1.2 ms"), (140.4, "140 ms"), (1500.0, "1,500 ms")])
def test_times_have_no_more_digits_than_were_measured(value_ms: float, shown: str) -> None:
    assert numbers.milliseconds(value_ms) == shown
