"""Paired confidence limits of the share that a candidate keeps of the baseline's quality.

Throughout `x` are a candidate's values by query and `y` the baseline's, `n` is the number of queries, `s` a share of the
baseline's mean, `t` Student's statistic of a mean (the mean over its standard error), and `a` skewness / sqrt(n).
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Final

import numpy as np

from mrl_sweep.decision.student import t_quantile, t_tail
from mrl_sweep.record import record
from mrl_sweep.types import FloatArray, IntArray

UNSEEN: Final = 1
"""How many unseen losers (as their mirror, gainers) each limit adds to the queries measured (`with_unseen_loser`)."""

UNSEEN_PART: Final = 0.43
"""The least size of an unseen query, as a share of sum(y^2) / sum(y) (`unseen_size`)."""

CAUTION: Final = 1.5
"""The factor on a sample's skewness, because a sample understates the skewness that rare losers make."""

UNCHANGED: Final = 1e-12
"""Differences up to this are the last bits of a sum in another order, not a change."""

_STEPS: Final = 60
_SETTLED: Final = 1e-12
_NO_VARIANCE: Final = 1e-30
"""Below this nothing varies: values in [0, 1] carry no more digits."""


@record
class PairedBounds:
    """Holds how candidates compare with a baseline over the same `n` queries; every array is (n_candidates,).

    `kept` is mean(x) / mean(y); `at_least` and `at_most` are its one-sided limits at level alpha each. `sd` and `third` are the
    standard deviation and the third central moment of x - retain * y over queries; `unseen` is `unseen_size`; `lost`, `gained`
    and `unchanged` count queries. NaN where undefined: `kept` where the baseline's mean is 0, the limits where that mean cannot
    be told from 0, limits and `sd` with fewer than two queries.
    """

    n: int
    mean: FloatArray
    baseline_mean: FloatArray
    kept: FloatArray
    at_least: FloatArray
    at_most: FloatArray
    sd: FloatArray
    third: FloatArray
    unseen: FloatArray
    lost: IntArray
    gained: IntArray
    unchanged: IntArray


def paired_bounds(x: FloatArray, y: FloatArray, *, retain: float, alpha: float) -> PairedBounds:
    """Bounds the share that `x` (n_candidates, n) keep of the baseline's `y`, (n,) or a row per candidate; values in [0, 1].

    The lower limit of the share is the largest s for which mean(x - s y) is proven to be above 0 at every smaller one: Student's
    t with one query more that loses all (`with_unseen_loser`), less what its skewness makes of it (`less_skewness`). The upper
    limit is the mirror, with one that gains as much: neither "good enough" nor "worse" may rest on rare queries that were never
    measured. Without skewness these are the roots of Fieller's equation (JRSS B 1954). Means and counts are of the queries alone.
    """
    y, n = np.broadcast_to(y, x.shape), x.shape[1]
    change = x - y
    changed = np.abs(change) > UNCHANGED
    difference = x - retain * y
    mean, baseline_mean = x.mean(axis=1), y.mean(axis=1)
    centred = difference - difference.mean(axis=1, keepdims=True)
    both = zip(with_unseen_loser(x, y), with_unseen_gainer(x, y), strict=True)
    limits = _share_limits(*map(np.vstack, both), side=np.repeat([-1.0, 1.0], len(x)), alpha=alpha)
    return PairedBounds(
        n=n,
        mean=mean,
        baseline_mean=baseline_mean,
        kept=np.divide(mean, baseline_mean, out=np.full(len(x), np.nan), where=baseline_mean > 0),
        at_least=np.maximum(limits[: len(x)], 0.0),
        at_most=limits[len(x) :],
        sd=np.sqrt((centred**2).sum(axis=1) / (n - 1)) if n > 1 else np.full(len(x), np.nan),
        third=(centred**3).mean(axis=1),
        unseen=unseen_size(y),
        lost=(changed & (change < 0)).sum(axis=1),
        gained=(changed & (change > 0)).sum(axis=1),
        unchanged=(~changed).sum(axis=1),
    )


def unseen_size(y: FloatArray) -> FloatArray:
    """Returns (n_candidates,) the size of an unseen query: mean(y), or 0.43 sum(y^2) / sum(y) where that is more.

    sum(y^2) / sum(y) is the mean of y weighted by y: what those queries have that carry the measure. Where few carry it (a known
    item that one query in ten finds), these can be lost, and mean(y) is far from what each of them has.
    """
    total = y.sum(axis=1)
    rests_on = np.divide((y * y).sum(axis=1), total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.maximum(y.mean(axis=1), UNSEEN_PART * rests_on))


def with_unseen_loser(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Adds to `x` and `y` (n_candidates, n) one query that loses all it has: x = 0, y = `unseen_size`.

    A sample without losers says little of rare ones: a share of some 3 / n of the queries that lose everything cannot be
    excluded (the rule of three: Hanley & Lippman-Hand, JAMA 1983).
    """
    level = unseen_size(y)[:, None]
    return np.hstack([x, np.zeros_like(level)]), np.hstack([y, level])


def with_unseen_gainer(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Adds one query that gains as much as `with_unseen_loser` loses: x = mean(x) + `unseen_size`, y = `unseen_size`."""
    level = unseen_size(y)[:, None]
    return np.hstack([x, x.mean(axis=1, keepdims=True) + level]), np.hstack([y, level])


def retained_p(x: FloatArray, y: FloatArray, *, retain: float) -> FloatArray:
    """Returns (n_candidates,) the least alpha at which `paired_bounds` proves the share `retain`; NaN below two queries."""
    y = np.broadcast_to(y, x.shape)
    x, y = with_unseen_loser(x, y)
    level = _p_above(y)  # the share has limits only where the baseline's mean is told from 0 at that alpha
    return np.maximum(_p_above(x - retain * y), level)


def shortfall_p(x: FloatArray, y: FloatArray, *, retain: float) -> FloatArray:
    """Returns (n_candidates,) the p-value of mean(x - retain * y) >= 0 against "less"; NaN below two queries.

    It is guarded as `at_most` of `paired_bounds` is.
    """
    y = np.broadcast_to(y, x.shape)
    x, y = with_unseen_gainer(x, y)
    return _p_above(retain * y - x)


def less_skewness(t: FloatArray, a: FloatArray) -> FloatArray:
    """Returns `t` (Student's) less what skewness to the left adds: t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 (Hall, JRSS B 1992).

    `a` is skewness / sqrt(n). Skewness to the right takes nothing away here: it would make a proof easier. Skewness
    beyond a t = -2, where the cubic's slope has fallen to a ninth, takes no more: one loser does not make a sample less known.
    """
    a = np.maximum(np.minimum(a, 0.0), -2 / np.maximum(t, 1e-300))
    return np.asarray(t + a * t * t / 3 + a * a * t**3 / 27 + a / 6)


def required_t(a: float, t: float) -> float:
    """Returns what Student's t must be at skewness / sqrt(n) = `a`: the inverse of `less_skewness` in `t`, for t > 0.

    With r = 1 + a t / 3 that function is (r^3 - 1) / a + a / 6, which gives r; where it stops at a t = -2 (r = 1/3) it is
    13 t / 27 - 1 / (3 t), a quadratic in t.
    """
    if a >= -1e-12:
        return t
    most = (27 * t + sqrt(729 * t * t + 468)) / 26
    root = np.cbrt(1 + a * (t - a / 6))
    return most if root < 1 / 3 else min(most, float(3 / a * (root - 1)))


def skewness_over_root_n(third: float, variance: float, n: int) -> float:
    """Returns the `a` of `less_skewness` from moments about the mean (both divided by n): the sample's, times `CAUTION`."""
    return CAUTION * third / (variance * sqrt(variance * n)) if variance > 0 else 0.0


def _p_above(d: FloatArray) -> FloatArray:
    """(n_candidates,) the p-value of "the mean is 0 or below", by rows of values with their unseen query."""
    n = d.shape[1]
    if n - UNSEEN < 2 or len(d) == 0:
        return np.full(len(d), np.nan)
    mean = d.mean(axis=1)
    centred = d - mean[:, None]
    square = (centred**2).mean(axis=1)
    t = _statistic(mean, square, (centred**3).mean(axis=1), n)
    return np.where(square > 0, t_tail(t, n - 1), (mean <= 0).astype(np.float64))


def _statistic(mean: FloatArray, variance: FloatArray, third: FloatArray, n: int) -> FloatArray:
    """Student's t less skewness, from moments about the mean that are divided by n."""
    safe = np.maximum(variance, _NO_VARIANCE)
    t = mean * np.sqrt((n - 1) / safe)
    return less_skewness(t, CAUTION * third / (safe * np.sqrt(safe * n)))


def _share_limits(x: FloatArray, y: FloatArray, *, side: FloatArray, alpha: float) -> FloatArray:
    """(n,) each row's lower (`side` -1) or upper (1) limit of mean(x) / mean(y), the unseen query among the values.

    Around the share s0 = mean x / mean y let e = x - s0 y, whose mean is 0. At a distance u from s0 the values -side * e + u y
    have the mean u mean(y), and moments that are polynomials in u: nothing cancels, so the limits stay exact where x and y
    hardly differ. The limit is the u at which they are proven to be above 0, found by the Illinois rule. There is none where
    the baseline's mean is not told from 0, nor with fewer than two queries beside the unseen one.
    """
    n = x.shape[1]
    if n - UNSEEN < 2:
        return np.full(len(x), np.nan)
    level = y.mean(axis=1)
    share = np.divide(x.mean(axis=1), level, out=np.zeros_like(level), where=level > 0)
    e, c = -side[:, None] * (x - share[:, None] * y), y - level[:, None]
    ee, cc = e * e, c * c
    second = [m.mean(axis=1) for m in (ee, e * c, cc)]
    third = [m.mean(axis=1) for m in (ee * e, ee * c, e * cc, cc * c)]
    wanted = t_quantile(alpha, n - 1)

    def excess(u: FloatArray) -> FloatArray:
        variance = second[0] + u * (2 * second[1] + u * second[2])
        skew = third[0] + u * (3 * third[1] + u * (3 * third[2] + u * third[3]))
        return np.where(clear_of_0, _statistic(u * level, variance, skew, n) - wanted, 0.0)

    clear_of_0 = (level > 0) & (_statistic(level, second[2], third[3], n) >= wanted)
    distance = _first_root(excess, np.where(clear_of_0, np.sqrt(second[0] / n) / np.maximum(level, 1e-300), 1.0))
    return np.where(clear_of_0, share + side * distance, np.nan)


def _first_root(excess: Callable[[FloatArray], FloatArray], start: FloatArray) -> FloatArray:
    """Where each row's `excess`, negative at 0, becomes 0: bracketed by doubling from `start`, then the Illinois rule.

    That is regula falsi in which an end that stays counts half (Dowell & Jarratt, BIT 1971).
    """
    low, high = np.zeros_like(start), np.maximum(start, 1e-12)
    below, above = excess(low), excess(high)
    for _ in range(_STEPS):
        if (above >= 0).all():
            break
        short = above < 0
        low, below = np.where(short, high, low), np.where(short, above, below)
        high = np.where(short, 2 * high, high)
        above = excess(high)
    middle, side = high, np.zeros(len(start))
    for _ in range(_STEPS):
        middle = high - above * (high - low) / np.where(above > below, above - below, 1.0)
        value = excess(middle)
        if (np.abs(value) < _SETTLED).all():
            break
        right = value >= 0
        high, above = np.where(right, middle, high), np.where(right, value, above * np.where(side < 0, 0.5, 1.0))
        low, below = np.where(right, low, middle), np.where(right, below * np.where(side > 0, 0.5, 1.0), value)
        side = np.where(right, 1.0, -1.0)
    return middle
