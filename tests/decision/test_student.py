"""Student's t against scipy and closed forms."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.decision.student import near_t_quantile, normal_quantile, t_quantile, t_tail


@pytest.mark.parametrize("df", [1, 2, 3, 5, 10, 29, 39, 40, 41, 299, 1_000, 10_000, 1_000_000])
@pytest.mark.parametrize("alpha", [1e-6, 0.001, 0.025, 0.05, 0.1, 0.4, 0.9])
def test_quantile_equals_scipys(df: int, alpha: float) -> None:
    from scipy.special import stdtrit

    assert t_quantile(alpha, df) == pytest.approx(-stdtrit(df, alpha), rel=1e-10, abs=1e-12)


def test_tail_equals_scipys() -> None:
    from scipy.stats import t as student

    df = np.array([1, 2, 3, 7, 29, 100, 5_000])[:, None]
    t = np.array([-8.0, -1.0, 0.0, 0.3, 1.7, 4.0, 25.0])
    np.testing.assert_allclose(t_tail(t, df), student.sf(t, df), rtol=1e-11)


def test_cauchy_tail_has_its_closed_form() -> None:
    assert float(t_tail(1.0, 1)) == pytest.approx(0.25, rel=1e-13)
    assert float(t_tail(sqrt(3), 1)) == pytest.approx(0.5 - np.arctan(sqrt(3)) / pi, rel=1e-13)


@given(st.floats(1e-5, 0.5, exclude_max=True), st.integers(1, 10**6))
def test_tail_of_the_quantile_is_alpha(alpha: float, df: int) -> None:
    assert float(t_tail(t_quantile(alpha, df), df)) == pytest.approx(alpha, rel=1e-10)


@pytest.mark.parametrize("df", [30, 100, 10_000])
@pytest.mark.parametrize(("alpha", "within"), [(0.005, 5e-4), (0.05, 1e-4), (0.2, 1e-4)])
def test_the_quantile_for_planning_is_near_enough(df: int, alpha: float, within: float) -> None:
    assert near_t_quantile(alpha, df) == pytest.approx(t_quantile(alpha, df), abs=within)


def test_normal_quantile_is_the_tables() -> None:
    assert normal_quantile(0.05) == pytest.approx(1.6448536269514722, rel=1e-12)
    assert normal_quantile(0.2) == pytest.approx(0.8416212335729143, rel=1e-12)


def test_levels_without_a_quantile_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha=0"):
        t_quantile(0.0, 10)
