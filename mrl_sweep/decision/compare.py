"""Comparison of two runs over the same queries: whether it is allowed, which run is better, and whether the later got worse."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import sqrt
from typing import Any

import numpy as np

from mrl_sweep.decision.bounds import UNCHANGED, UNSEEN, paired_bounds, required_t, skewness_over_root_n, unseen_size
from mrl_sweep.decision.judging import or_none
from mrl_sweep.decision.policy import MIN_QUERIES, outcome_by
from mrl_sweep.decision.student import t_quantile
from mrl_sweep.decision.units import cluster_means
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import FloatArray, IntArray, Outcome


class Better(StrEnum):
    """The answer of a comparison: which of two runs is better, or UNDECIDED where the queries cannot tell."""

    FIRST = "first"
    SECOND = "second"
    UNDECIDED = "undecided"


@record(kw_only=True)
class Comparison:
    """Holds a paired comparison: `difference` is mean(second - first), `low` and `high` its two-sided limits at level 1 - alpha.

    `first` and `second` are means. `queries` counts units of evidence, of which `gained`, `lost` and `unchanged` say what the
    second run did. Limits are None with fewer than two.
    """

    queries: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    gained: int
    lost: int
    unchanged: int
    better: Better


@record(kw_only=True)
class Regression:
    """Holds the judgement of a later run: FAIL where it is proven to keep less than 1 - max_regression of an earlier one.

    PASS where it is proven to keep that much, INCONCLUSIVE where the queries cannot tell or are fewer than 30. `before` and
    `after` are the means, `at_most` the upper limit of the share that is kept, one-sided at level alpha.
    """

    outcome: Outcome
    before: float
    after: float
    at_most: float | None


def compare_paired(first: FloatArray, second: FloatArray, *, alpha: float = 0.05, clusters: IntArray | None = None) -> Comparison:
    """Compares two runs on the same queries, by per-query values (n_queries,) of one measure, aligned by query id.

    A run is better where the two-sided limits of the paired difference exclude 0. Each limit counts one more query for which
    the better run lost all, and allows for skewness, as `paired_bounds` does; below 30 queries nothing is decided. `clusters`
    (n_queries,) are labels for `cluster_means`. Raises `InputError` where there is no query.
    """
    a, b = _units(first, second, clusters)
    d = b - a
    changed = np.abs(d) > UNCHANGED
    low = _lower_limit(d, unseen=float(unseen_size(a[None])[0]), alpha=alpha)
    high = _lower_limit(-d, unseen=float(unseen_size(b[None])[0]), alpha=alpha)
    high = None if high is None else -high
    better = Better.UNDECIDED
    if len(d) >= MIN_QUERIES and low is not None and high is not None:
        better = Better.SECOND if low > 0 else Better.FIRST if high < 0 else Better.UNDECIDED
    return Comparison(
        queries=len(d),
        first=float(a.mean()),
        second=float(b.mean()),
        difference=float(d.mean()),
        low=low,
        high=high,
        gained=int((changed & (d > 0)).sum()),
        lost=int((changed & (d < 0)).sum()),
        unchanged=int((~changed).sum()),
        better=better,
    )


def regression(
    before: FloatArray, after: FloatArray, *, max_regression: float, alpha: float = 0.05, clusters: IntArray | None = None
) -> Regression:
    """Tests whether the measure fell by more than `max_regression`, a share of the earlier mean (0.01 is 1%).

    `before` and `after` are values (n_queries,). The rule is that of `decide` with retain = 1 - max_regression, but "worse" is
    what needs the proof: a caller that fails only on FAIL does not turn red by noise. Raises `InputError` without queries.
    """
    y, x = _units(before, after, clusters)
    retain = 1 - max_regression
    bounds = paired_bounds(x[None], y, retain=retain, alpha=alpha)
    at_least, at_most = or_none(bounds.at_least[0]), or_none(bounds.at_most[0])
    outcome = outcome_by(at_least, at_most, retain) if len(y) >= MIN_QUERIES else Outcome.INCONCLUSIVE
    return Regression(outcome=outcome, before=float(y.mean()), after=float(x.mean()), at_most=at_most)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """Lists what differs between the facts that two comparable runs must share, in words: `tie rule: expected, not by id`.

    Facts are named as a person knows them ("judgments", "queries", "measure", "cut-off", "tie rule", …); one that only one
    run states differs too.
    """
    differing = []
    for name in dict.fromkeys([*first, *second]):
        if name not in first or name not in second:
            differing.append(f"{name}: stated by only one of them")
        elif first[name] != second[name]:
            new, old = _short(second[name]), _short(first[name])
            differing.append(f"{name}: {new}, not {old}" if new != old else name)
    return tuple(differing)


def require_comparable(baseline: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Refuses runs of different judgments, measure, cut-off, tie rule or queries: `InputError` names each difference."""
    differing = differences(baseline, run)
    if differing:
        raise InputError(
            f"this run cannot be compared with the baseline; they differ in {'; '.join(differing)}",
            "run both on the same collection, split and measure, or give another --baseline",
        )


def _units(first: FloatArray, second: FloatArray, clusters: IntArray | None) -> tuple[FloatArray, FloatArray]:
    if len(first) == 0:
        raise InputError("nothing to compare: the runs share no judged query", "compare runs over the same collection and split")
    if clusters is None:
        return first, second
    a, b = cluster_means(np.stack([first, second]), clusters)
    return a, b


def _lower_limit(d: FloatArray, *, unseen: float, alpha: float) -> float | None:
    """The lower limit of the mean of `d`, one of the two at level alpha / 2, with a query more that loses `unseen`."""
    if len(d) < 2:
        return None
    d = np.append(d, [-unseen] * UNSEEN)
    away = d - d.mean()
    variance = float((away**2).mean())
    a = skewness_over_root_n(float((away**3).mean()), variance, len(d))
    return float(d.mean()) - required_t(a, t_quantile(alpha / 2, len(d) - 1)) * sqrt(variance / (len(d) - 1))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
