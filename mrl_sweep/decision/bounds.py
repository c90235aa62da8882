"""Paired confidence limits: how much of the baseline's quality does a candidate keep, and how sure is that?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.decision.student import t_quantile, t_tail
from mrl_sweep.types import FloatArray, IntArray

RARE_CHANGES: Final = 20
"""With fewer changed queries than this, one pseudo-query guards each limit (`paired_bounds`)."""

UNCHANGED: Final = 1e-12
"""Differences up to this are the last bits of a sum in another order, not a change."""


@dataclass(frozen=True, slots=True)
class PairedBounds:
    """Candidates against a baseline over the same `n` queries; every array is (n_candidates,).

    `kept` is mean(x) / mean(y); `at_least` and `at_most` are its one-sided limits at level alpha each. `difference` is
    mean(x - retain * y), `lower` and `upper` its limits, `sd` the standard deviation over queries. NaN where undefined:
    the limits with fewer than two queries, the shares where the baseline's mean cannot be told from 0.
    """

    n: int
    mean: FloatArray
    baseline_mean: FloatArray
    kept: FloatArray
    at_least: FloatArray
    at_most: FloatArray
    difference: FloatArray
    lower: FloatArray
    upper: FloatArray
    sd: FloatArray
    lost: IntArray
    gained: IntArray
    unchanged: IntArray


def paired_bounds(x: FloatArray, y: FloatArray, *, retain: float, alpha: float) -> PairedBounds:
    """Judge candidates' values `x` (n_candidates, n) against the baseline's `y`, (n,) or one row per candidate; in [0, 1].

    The limits of mean(x - retain * y) are Student's; those of the share are the roots of Fieller's equation
    (mean x - s mean y)^2 = t^2 (var x - 2 s cov + s^2 var y) / n, so `at_least` >= retain exactly when `lower` >= 0.

    A sample in which hardly anything changed says little of rare losses: below 20 changed queries the lower limit is
    taken with one more query that lost everything (x = 0, y = 1), and the upper limit, as its mirror, with one more that
    gained everything (x = 1, y = 0), so that neither "good enough" nor "worse" rests on queries that were never met.
    """
    y = np.broadcast_to(y, x.shape)
    change = x - y
    changed = np.abs(change) > UNCHANGED
    guarded = changed.sum(axis=1) < RARE_CHANGES
    limits = np.full((4, len(x)), np.nan)
    if not guarded.all():
        limits[:, ~guarded] = _limits(x[~guarded], y[~guarded], retain=retain, alpha=alpha)
    if guarded.any():
        lost_all = _limits(_with(x[guarded], 0.0), _with(y[guarded], 1.0), retain=retain, alpha=alpha)
        gained_all = _limits(_with(x[guarded], 1.0), _with(y[guarded], 0.0), retain=retain, alpha=alpha)
        limits[:, guarded] = [lost_all[0], gained_all[1], lost_all[2], gained_all[3]]
    lower, upper, at_least, at_most = limits
    difference = x - retain * y
    mean, baseline_mean = x.mean(axis=1), y.mean(axis=1)
    return PairedBounds(
        n=x.shape[1],
        mean=mean,
        baseline_mean=baseline_mean,
        kept=np.divide(mean, baseline_mean, out=np.full(len(x), np.nan), where=baseline_mean > 0),
        at_least=at_least,
        at_most=at_most,
        difference=difference.mean(axis=1),
        lower=lower,
        upper=upper,
        sd=_deviation(difference),
        lost=(changed & (change < 0)).sum(axis=1),
        gained=(changed & (change > 0)).sum(axis=1),
        unchanged=(~changed).sum(axis=1),
    )


def shortfall_p(x: FloatArray, y: FloatArray, *, retain: float) -> FloatArray:
    """(n_candidates,) the p-value of mean(x - retain * y) >= 0 against "less"; guarded as `upper` of `paired_bounds` is."""
    y = np.broadcast_to(y, x.shape)
    guarded = (np.abs(x - y) > UNCHANGED).sum(axis=1) < RARE_CHANGES
    difference = x - retain * y
    p = np.empty(len(x))
    p[~guarded] = _p_not_less(difference[~guarded])
    p[guarded] = _p_not_less(_with(difference[guarded], 1.0))
    return p


def _p_not_less(d: FloatArray) -> FloatArray:
    n = d.shape[1]
    if n < 2 or len(d) == 0:
        return np.full(len(d), np.nan)
    mean, error = d.mean(axis=1), _deviation(d) / np.sqrt(n)
    t = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    return np.where(error > 0, t_tail(-t, n - 1), (mean >= 0).astype(np.float64))


def _with(values: FloatArray, pseudo: float) -> FloatArray:
    return np.column_stack([values, np.full(len(values), pseudo)])


def _limits(x: FloatArray, y: FloatArray, *, retain: float, alpha: float) -> FloatArray:
    """(4, n_candidates): lower and upper of mean(x - retain * y), at_least and at_most of the share.

    Fieller's roots are written around the share s0 = mean x / mean y with e = x - s0 y, whose mean is 0: with k = t^2 / n and
    a = mean(y)^2 - k var y they are s0 + (-k cov(e, y) -+ sqrt(k (a var e + k cov(e, y)^2))) / a. Nothing cancels there, so
    the limits stay exact where x and y hardly differ. Without a > 0 the baseline's mean is not told from 0: no limits.
    """
    n = x.shape[1]
    if n < 2:
        return np.full((4, len(x)), np.nan)
    t = t_quantile(alpha, n - 1)
    difference = x - retain * y
    mean, margin = difference.mean(axis=1), t * _deviation(difference) / np.sqrt(n)
    mean_y = y.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = x.mean(axis=1) / mean_y
        residual = x - share[:, None] * y
        centred = y - mean_y[:, None]
        k = t * t / n
        cov = (residual * centred).sum(axis=1) / (n - 1)
        a = mean_y**2 - k * (centred**2).sum(axis=1) / (n - 1)
        spread = np.sqrt(k * (a * (residual**2).sum(axis=1) / (n - 1) + k * cov**2))
        roots = np.where(a > 0, share + np.array([-1.0, 1.0])[:, None] * (spread / a) - k * cov / a, np.nan)
    return np.stack([mean - margin, mean + margin, *np.maximum(roots, 0.0)])


def _deviation(values: FloatArray) -> FloatArray:
    if values.shape[1] < 2:
        return np.full(len(values), np.nan)
    return np.asarray(values.std(axis=1, ddof=1))
