"""Paired and Fieller limits: hand-computed cases, scipy as oracle, properties."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrl_sweep.decision.bounds import paired_bounds

RNG_SEED = 11
values = st.floats(0, 1, width=32)


def test_hand_computed_limits_of_the_difference() -> None:
    # 40 queries, y = 1; 20 keep everything, 20 keep half: D = 0.02 or -0.48, mean -0.23, sd = 0.25 sqrt(40/39)
    y = np.ones(40)
    x = np.repeat([1.0, 0.5], 20)[None]
    b = paired_bounds(x, y, retain=0.98, alpha=0.05)
    margin = 1.684875121711 * 0.25 * sqrt(40 / 39) / sqrt(40)  # t(0.95, 39)
    assert b.difference[0] == pytest.approx(-0.23)
    assert b.lower[0] == pytest.approx(-0.23 - margin, rel=1e-9)
    assert b.upper[0] == pytest.approx(-0.23 + margin, rel=1e-9)
    # y has no variance, so the share's limits are those of mean(x)
    assert b.kept[0] == pytest.approx(0.75)
    assert b.at_least[0] == pytest.approx(0.75 - margin, rel=1e-9)
    assert b.at_most[0] == pytest.approx(0.75 + margin, rel=1e-9)
    assert (b.lost[0], b.gained[0], b.unchanged[0]) == (20, 0, 20)


def test_difference_limits_equal_scipys_one_sample_t() -> None:
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(RNG_SEED)
    y = rng.random(60)
    x = np.clip(y + rng.normal(-0.02, 0.2, 60), 0, 1)
    b = paired_bounds(x[None], y, retain=0.95, alpha=0.05)
    oracle = ttest_1samp(x - 0.95 * y, 0.0).confidence_interval(0.90)
    assert (b.lower[0], b.upper[0]) == pytest.approx((oracle.low, oracle.high), rel=1e-9)


def test_share_limits_solve_fiellers_equation() -> None:
    from scipy.special import stdtrit

    rng = np.random.default_rng(RNG_SEED)
    y = rng.random(80)
    x = y * rng.random(80)
    b = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
    t2 = stdtrit(79, 0.95) ** 2
    cov = np.cov(x, y)
    for s in (b.at_least[0], b.at_most[0]):
        left = (x.mean() - s * y.mean()) ** 2
        right = t2 * (cov[0, 0] - 2 * s * cov[0, 1] + s * s * cov[1, 1]) / 80
        assert left == pytest.approx(right, rel=1e-9)
    assert b.at_least[0] < b.kept[0] < b.at_most[0]


def test_fewer_than_twenty_changes_add_a_query_that_lost_everything() -> None:
    # 50 queries at 1, nothing changed: D = 0.02 fifty times and -0.98 once
    b = paired_bounds(np.ones((1, 50)), np.ones(50), retain=0.98, alpha=0.05)
    d = np.append(np.full(50, 0.02), -0.98)
    assert b.lower[0] == pytest.approx(d.mean() - 1.675905025163 * d.std(ddof=1) / sqrt(51), rel=1e-9)  # t(0.95, 50)
    assert b.at_least[0] < 0.98


def test_the_upper_limit_is_guarded_by_a_query_that_gained_everything() -> None:
    # three queries lost, none gained, 100% asked: a sign test would say p = 1/8, so "worse" is not proven
    x = np.ones((1, 200))
    x[0, :3] = 0
    b = paired_bounds(x, np.ones(200), retain=1.0, alpha=0.05)
    d = np.append(x[0] - 1, 1.0)
    assert b.upper[0] == pytest.approx(d.mean() + 1.652508101 * d.std(ddof=1) / sqrt(201), rel=1e-6)  # t(0.95, 200)
    assert b.upper[0] > 0
    assert b.difference[0] == pytest.approx(-0.015)


def test_twenty_changes_are_taken_as_they_are() -> None:
    y = np.ones(100)
    x = np.ones((2, 100))
    x[0, :19] = 0.9
    x[1, :20] = 0.9
    guarded, plain = paired_bounds(x, y, retain=0.9, alpha=0.05).at_least
    assert plain > 0.97
    assert guarded < 0.96


def test_nothing_lost_is_proven_once_the_pseudo_query_is_outweighed() -> None:
    few, many = np.ones((1, 100)), np.ones((1, 200))
    assert paired_bounds(few, few[0], retain=0.98, alpha=0.05).lower[0] < 0
    assert paired_bounds(many, many[0], retain=0.98, alpha=0.05).lower[0] > 0


def test_a_baseline_not_told_from_zero_has_no_limits() -> None:
    y = np.zeros(50)
    y[0] = 1
    b = paired_bounds(y[None] * 1.0, y, retain=0.98, alpha=0.05)
    assert b.kept[0] == 1.0
    assert np.isnan(b.at_least[0])


def test_last_bits_are_not_a_change() -> None:
    y = np.full(30, 0.3)
    b = paired_bounds((y + 2e-16)[None], y, retain=0.98, alpha=0.05)
    assert b.unchanged[0] == 30


def test_a_single_query_has_no_limits() -> None:
    b = paired_bounds(np.array([[0.5]]), np.array([1.0]), retain=0.98, alpha=0.05)
    assert b.kept[0] == 0.5
    assert np.isnan(b.sd[0])


@given(arrays(np.float64, (3, 40), elements=values), arrays(np.float64, 40, elements=values))
def test_share_and_difference_agree_on_the_verdict(x: np.ndarray, y: np.ndarray) -> None:
    b = paired_bounds(x, y, retain=0.9, alpha=0.05)
    for least, lower in zip(b.at_least, b.lower, strict=True):
        if not np.isnan(least) and abs(lower) > 1e-9:
            assert (least >= 0.9) == (lower >= 0)


@given(arrays(np.float64, (2, 35), elements=values), arrays(np.float64, 35, elements=values), st.randoms())
def test_query_order_and_company_do_not_matter(x: np.ndarray, y: np.ndarray, random: object) -> None:
    order = np.random.default_rng(abs(hash(repr(random))) % 2**32).permutation(35)
    both = paired_bounds(x, y, retain=0.98, alpha=0.05)
    alone = paired_bounds(x[1:, order], y[order], retain=0.98, alpha=0.05)
    np.testing.assert_allclose(alone.at_least[0], both.at_least[1], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(alone.upper[0], both.upper[1], rtol=1e-9, atol=1e-12)


@given(arrays(np.float64, (1, 40), elements=values), arrays(np.float64, 40, elements=values))
def test_the_share_lies_between_its_limits(x: np.ndarray, y: np.ndarray) -> None:
    b = paired_bounds(x, y, retain=0.98, alpha=0.05)
    if not np.isnan(b.at_least[0]):
        assert b.at_least[0] <= b.kept[0] + 1e-9
    if not np.isnan(b.at_most[0]):
        assert b.kept[0] <= b.at_most[0] + 1e-9
