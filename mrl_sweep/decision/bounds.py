"""Paired confidence limits: how much of the baseline's quality does a candidate keep, and how sure is that?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.decision.student import t_quantile, t_tail
from mrl_sweep.types import FloatArray, IntArray

UNSEEN: Final = 2
"""How many losers, and as their mirror gainers, every limit counts that were not among the queries (`with_unseen_losers`)."""

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
    The lower limits count two more queries that lose all (`with_unseen_losers`), the upper ones two that gain as much
    (`with_unseen_gainers`): neither "good enough" nor "worse" may rest on rare queries that were never met. Means and counts
    are of the queries alone.
    """
    y = np.broadcast_to(y, x.shape)
    change = x - y
    changed = np.abs(change) > UNCHANGED
    difference = x - retain * y
    mean, baseline_mean = x.mean(axis=1), y.mean(axis=1)
    lower, _, at_least, _ = _limits(*with_unseen_losers(x, y), retain=retain, alpha=alpha)
    _, upper, _, at_most = _limits(*with_unseen_gainers(x, y), retain=retain, alpha=alpha)
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


def with_unseen_losers(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`x` and `y` (n_candidates, n) with two queries more that lose everything an ordinary one has: x = 0, y = mean(y).

    A sample without losers says little of rare ones: a share of some 3 / n of the queries that lose everything cannot be
    excluded. mean(y) stays what it was.
    """
    level = y.mean(axis=1)
    return _joined(x, np.zeros_like(level)), _joined(y, level)


def with_unseen_gainers(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The mirror of `with_unseen_losers`: two queries more that gain as much as an ordinary one has, x = mean(x) + mean(y)."""
    level = y.mean(axis=1)
    return _joined(x, x.mean(axis=1) + level), _joined(y, level)


def retained_p(x: FloatArray, y: FloatArray, *, retain: float) -> FloatArray:
    """(n_candidates,) the smallest alpha at which `paired_bounds` proves the share `retain`; NaN with fewer than two queries."""
    y = np.broadcast_to(y, x.shape)
    x, y = with_unseen_losers(x, y)
    level = _p_above(y)  # the share has limits only where the baseline's mean is told from 0 at that alpha
    return np.maximum(_p_above(x - retain * y), level)


def shortfall_p(x: FloatArray, y: FloatArray, *, retain: float) -> FloatArray:
    """(n_candidates,) the p-value of mean(x - retain * y) >= 0 against "less", guarded as `upper` of `paired_bounds` is."""
    y = np.broadcast_to(y, x.shape)
    x, y = with_unseen_gainers(x, y)
    return _p_above(retain * y - x)


def _p_above(d: FloatArray) -> FloatArray:
    """(n_candidates,) Student's p-value of "the mean is 0 or below", by rows of values with their unseen queries."""
    n = d.shape[1]
    if n - UNSEEN < 2 or len(d) == 0:
        return np.full(len(d), np.nan)
    mean, error = d.mean(axis=1), _deviation(d) / np.sqrt(n)
    t = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    return np.where(error > 0, t_tail(t, n - 1), (mean <= 0).astype(np.float64))


def _joined(values: FloatArray, unseen: FloatArray) -> FloatArray:
    return np.concatenate([values, np.repeat(unseen[:, None], UNSEEN, axis=1)], axis=1)


def _limits(x: FloatArray, y: FloatArray, *, retain: float, alpha: float) -> FloatArray:
    """(4, n_candidates): lower and upper of mean(x - retain * y), at_least and at_most of the share.

    Fieller's roots are written around the share s0 = mean x / mean y with e = x - s0 y, whose mean is 0: with k = t^2 / n and
    a = mean(y)^2 - k var y they are s0 + (-k cov(e, y) -+ sqrt(k (a var e + k cov(e, y)^2))) / a. Nothing cancels there, so
    the limits stay exact where x and y hardly differ. Without a > 0 the baseline's mean is not told from 0: no limits. Nor
    are there any with fewer than two queries beside the unseen ones.
    """
    n = x.shape[1]
    if n - UNSEEN < 2:
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
