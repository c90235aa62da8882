"""Paired and Fieller limits: hand-computed cases, scipy as oracle, properties."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrl_sweep.decision.bounds import paired_bounds, retained_p

RNG_SEED = 11
values = st.floats(0, 1, width=32)


def test_hand_computed_limits() -> None:
    # 40 queries, y = 1; 20 keep everything, 20 keep half. Below: D = 0.02 and -0.48, 20 times each, and -0.98 twice
    y = np.ones(40)
    x = np.repeat([1.0, 0.5], 20)[None]
    b = paired_bounds(x, y, retain=0.98, alpha=0.05)
    below = np.r_[np.repeat([0.02, -0.48], 20), -0.98, -0.98]
    above = np.r_[np.repeat([0.02, -0.48], 20), 0.77, 0.77]  # mean(x) + mean(y) = 1.75 against 0.98
    t = 1.682878002  # t(0.95, 41)
    assert b.difference[0] == pytest.approx(-0.23)
    assert b.lower[0] == pytest.approx(below.mean() - t * below.std(ddof=1) / sqrt(42), rel=1e-9)
    assert b.upper[0] == pytest.approx(above.mean() + t * above.std(ddof=1) / sqrt(42), rel=1e-9)
    # y has no variance, so the share's limits are those of mean(x)
    assert b.kept[0] == pytest.approx(0.75)
    assert b.at_least[0] == pytest.approx(0.98 + b.lower[0], rel=1e-9)
    assert b.at_most[0] == pytest.approx(0.98 + b.upper[0], rel=1e-9)
    assert (b.lost[0], b.gained[0], b.unchanged[0]) == (20, 0, 20)


def test_difference_limits_equal_scipys_one_sample_t_with_two_unseen() -> None:
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(RNG_SEED)
    y = rng.random(60)
    x = np.clip(y + rng.normal(-0.02, 0.2, 60), 0, 1)
    b = paired_bounds(x[None], y, retain=0.95, alpha=0.05)
    losers, gainers = [-0.95 * y.mean()] * 2, [x.mean() + y.mean() - 0.95 * y.mean()] * 2
    assert b.lower[0] == pytest.approx(ttest_1samp(np.r_[x - 0.95 * y, losers], 0.0).confidence_interval(0.90).low, rel=1e-9)
    assert b.upper[0] == pytest.approx(ttest_1samp(np.r_[x - 0.95 * y, gainers], 0.0).confidence_interval(0.90).high, rel=1e-9)


def test_share_limits_solve_fiellers_equation() -> None:
    from scipy.special import stdtrit

    rng = np.random.default_rng(RNG_SEED)
    y = rng.random(80)
    x = y * rng.random(80)
    b = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
    t2 = stdtrit(81, 0.95) ** 2
    for share, unseen in ((b.at_least[0], 0.0), (b.at_most[0], x.mean() + y.mean())):
        with_unseen, level = np.r_[x, unseen, unseen], np.r_[y, [y.mean()] * 2]
        cov = np.cov(with_unseen, level)
        left = (with_unseen.mean() - share * level.mean()) ** 2
        assert left == pytest.approx(t2 * (cov[0, 0] - 2 * share * cov[0, 1] + share**2 * cov[1, 1]) / 82, rel=1e-9)
    assert b.at_least[0] < b.kept[0] < b.at_most[0]


def test_worse_is_not_proven_by_a_few_losers() -> None:
    # three queries lost, none gained, 100% asked: a sign test would say p = 1/8
    x = np.ones((1, 200))
    x[0, :3] = 0
    b = paired_bounds(x, np.ones(200), retain=1.0, alpha=0.05)
    assert b.upper[0] > 0
    assert b.difference[0] == pytest.approx(-0.015)


def test_the_p_value_is_the_smallest_alpha_at_which_the_share_is_proven() -> None:
    rng = np.random.default_rng(RNG_SEED)
    y = rng.random((3, 90))
    x = np.clip(y + rng.normal(0.01, 0.1, (3, 90)), 0, 1)
    for i, p in enumerate(retained_p(x, y, retain=0.95)):
        assert paired_bounds(x[i : i + 1], y[i], retain=0.95, alpha=p * 1.001).at_least[0] >= 0.95
        assert paired_bounds(x[i : i + 1], y[i], retain=0.95, alpha=p * 0.999).at_least[0] < 0.95
    rare = np.zeros((1, 90))
    rare[0, 0] = 1.0  # a baseline that is not told from 0 proves no share, whatever the difference says
    assert retained_p(rare, rare, retain=0.5)[0] > 0.05


def test_nothing_lost_is_proven_once_the_unseen_losers_are_outweighed() -> None:
    few, many = np.ones((1, 214)), np.ones((1, 216))
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
