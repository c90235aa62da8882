"""Paired and Fieller limits: hand-computed cases, scipy as oracle, properties."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrl_sweep.decision.bounds import less_skewness, paired_bounds, required_t, retained_p, unseen_size

RNG_SEED = 11
values = st.floats(0, 1, width=32)


def hall(t: float, a: float) -> float:
    """Hall's cubic, as he writes it."""
    return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6


def statistic(d: np.ndarray) -> float:
    """Student's t of these values, less what half as much skewness again as theirs adds to it."""
    from scipy.stats import skew

    t = float(d.mean() / d.std(ddof=1) * sqrt(len(d)))
    return hall(t, max(min(1.5 * float(skew(d)) / sqrt(len(d)), 0.0), -2 / t))


def test_hand_computed_limits() -> None:
    # 40 queries, y = 1; 20 keep everything, 20 keep half, and one that was not met keeps nothing
    y, x = np.ones(40), np.repeat([1.0, 0.5], 20)[None]
    b = paired_bounds(x, y, retain=0.98, alpha=0.05)
    t = 1.683851013  # t(0.95, 40)
    below = np.r_[x[0], 0.0]  # y has no variance, so the share's limits are those of mean(x); mean 30 / 41
    third = ((below - below.mean()) ** 3).mean()
    a = 1.5 * third / below.std() ** 3 / sqrt(41)
    assert a == pytest.approx(-0.07166, abs=1e-5)
    needed = 3 / a * (np.cbrt(1 + a * (t - a / 6)) - 1)  # the inverse of Hall's cubic
    assert b.kept[0] == pytest.approx(0.75)
    assert b.at_least[0] == pytest.approx(below.mean() - needed * below.std(ddof=1) / sqrt(41), rel=1e-9)
    # one that gains as much: 1.75. Its skewness is to the right, and to the left in the mirror
    above = np.r_[x[0], 1.75]
    a = -1.5 * ((above - above.mean()) ** 3).mean() / above.std() ** 3 / sqrt(41)
    needed = 3 / a * (np.cbrt(1 + a * (t - a / 6)) - 1)
    assert b.at_most[0] == pytest.approx(above.mean() + needed * above.std(ddof=1) / sqrt(41), rel=1e-9)
    assert (b.lost[0], b.gained[0], b.unchanged[0]) == (20, 0, 20)
    assert (b.sd[0], b.third[0], b.unseen[0]) == (pytest.approx(0.25 * sqrt(40 / 39)), pytest.approx(0.0), 1.0)


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_at_the_limit_the_statistic_is_students_quantile(spread: float) -> None:
    from scipy.special import stdtrit

    rng = np.random.default_rng(RNG_SEED)
    y = rng.random(80)
    x = np.clip(y * (1 - rng.exponential(spread, 80)), 0, 1)
    b = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
    loser = np.r_[x, 0.0], np.r_[y, b.unseen[0]]
    gainer = np.r_[x, x.mean() + b.unseen[0]], np.r_[y, b.unseen[0]]
    t = stdtrit(80, 0.95)
    assert statistic(loser[0] - b.at_least[0] * loser[1]) == pytest.approx(t, rel=1e-9)
    assert statistic(b.at_most[0] * gainer[1] - gainer[0]) == pytest.approx(t, rel=1e-9)
    assert b.at_least[0] < b.kept[0] < b.at_most[0]


def test_without_skewness_the_limits_solve_fiellers_equation() -> None:
    """Gains as rare as the unseen loser is large: the values lean to the right, and nothing is taken off."""
    from scipy.special import stdtrit

    rng = np.random.default_rng(RNG_SEED)
    y = rng.uniform(0.2, 0.6, 80)
    x = np.where(rng.random(80) < 0.1, y + 0.4, y)
    share = paired_bounds(x[None], y, retain=0.98, alpha=0.05).at_least[0]
    x, y = np.r_[x, 0.0], np.r_[y, y.mean()]
    cov = np.cov(x, y)
    left, t2 = (x.mean() - share * y.mean()) ** 2, stdtrit(80, 0.95) ** 2
    assert left == pytest.approx(t2 * (cov[0, 0] - 2 * share * cov[0, 1] + share**2 * cov[1, 1]) / 81, rel=1e-9)


def test_what_is_required_of_t_is_the_inverse() -> None:
    for a in (-0.05, -0.3, -0.5, -1.0, -7.0):
        for t in (1.3, 1.7, 2.4):
            needed = required_t(a, t)
            assert float(less_skewness(np.array([needed]), np.array([a]))[0]) == pytest.approx(t, rel=1e-12)
            assert needed > t
    assert required_t(0.4, 1.7) == 1.7
    assert required_t(-1.0, 1.6449) == pytest.approx(3.6082, abs=1e-4)  # beyond a t = -2: 13 t / 27 - 1 / (3 t)


def test_an_unseen_query_is_an_ordinary_one_unless_few_hold_the_measure() -> None:
    graded, known_item = np.full((1, 10), 0.3), np.zeros((1, 20))
    known_item[0, 0] = 1.0
    assert unseen_size(graded)[0] == pytest.approx(0.3)
    assert unseen_size(known_item)[0] == pytest.approx(0.43)
    assert unseen_size(np.zeros((1, 5)))[0] == 0.0


def test_worse_is_not_proven_by_a_few_losers() -> None:
    # three queries lost, none gained, 100% asked: a sign test would say p = 1/8
    x = np.ones((1, 200))
    x[0, :3] = 0
    b = paired_bounds(x, np.ones(200), retain=1.0, alpha=0.05)
    assert b.at_most[0] > 1
    assert b.kept[0] == pytest.approx(0.985)


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


def test_nothing_lost_is_proven_once_the_unseen_loser_is_outweighed() -> None:
    few, many = np.ones((1, 230)), np.ones((1, 231))
    assert paired_bounds(few, few[0], retain=0.98, alpha=0.05).at_least[0] < 0.98
    assert paired_bounds(many, many[0], retain=0.98, alpha=0.05).at_least[0] > 0.98


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


def test_two_queries_have_limits_and_prove_nothing() -> None:
    from scipy.special import stdtr, stdtrit

    x, y = np.array([0.5, 0.49]), np.array([0.5, 0.51])
    b = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
    assert b.at_least[0] == 0.0
    gainer = np.r_[x, x.mean() + b.unseen[0]], np.r_[y, b.unseen[0]]
    assert statistic(b.at_most[0] * gainer[1] - gainer[0]) == pytest.approx(stdtrit(2, 0.95), rel=1e-9)
    x = np.array([0.9, 0.95])
    loser = np.r_[x, 0.0], np.r_[y, b.unseen[0]]
    p = stdtr(2, -np.array([statistic(loser[0] - 0.5 * loser[1]), statistic(loser[1])]))
    assert retained_p(x[None], y, retain=0.5)[0] == pytest.approx(p.max(), rel=1e-9)


def test_a_single_query_has_no_limits() -> None:
    b = paired_bounds(np.array([[0.5]]), np.array([1.0]), retain=0.98, alpha=0.05)
    assert b.kept[0] == 0.5
    undefined = (b.sd, b.at_least, b.at_most, retained_p(np.array([[0.5]]), np.array([1.0]), retain=0.98))
    assert np.isnan(np.concatenate(undefined)).all()


@given(arrays(np.float64, (3, 40), elements=values), arrays(np.float64, 40, elements=values))
def test_the_limit_and_the_p_value_agree_on_the_verdict(x: np.ndarray, y: np.ndarray) -> None:
    b, p = paired_bounds(x, y, retain=0.9, alpha=0.05), retained_p(x, y, retain=0.9)
    for least, p_value in zip(b.at_least, p, strict=True):
        if not np.isnan(least) and abs(least - 0.9) > 1e-9:
            assert (least >= 0.9) == (p_value <= 0.05)


@given(arrays(np.float64, (2, 35), elements=values), arrays(np.float64, 35, elements=values), st.randoms())
def test_query_order_and_company_do_not_matter(x: np.ndarray, y: np.ndarray, random: object) -> None:
    order = np.random.default_rng(abs(hash(repr(random))) % 2**32).permutation(35)
    both = paired_bounds(x, y, retain=0.98, alpha=0.05)
    alone = paired_bounds(x[1:, order], y[order], retain=0.98, alpha=0.05)
    np.testing.assert_allclose(alone.at_least[0], both.at_least[1], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(alone.at_most[0], both.at_most[1], rtol=1e-6, atol=1e-9)


@given(arrays(np.float64, (1, 40), elements=values), arrays(np.float64, 40, elements=values))
def test_the_share_lies_between_its_limits(x: np.ndarray, y: np.ndarray) -> None:
    b = paired_bounds(x, y, retain=0.98, alpha=0.05)
    if not np.isnan(b.at_least[0]):
        assert b.at_least[0] <= b.kept[0] + 1e-9
    if not np.isnan(b.at_most[0]):
        assert b.kept[0] <= b.at_most[0] + 1e-9
