"""Two runs over the same queries: refusal, which is better, and regressions that are proven."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import skew

from mrl_sweep.decision.compare import Better, compare_paired, differences, regression, require_comparable
from mrl_sweep.errors import InputError
from mrl_sweep.types import Outcome

FACTS = {"judgments": "a1b2", "queries": "c3d4", "measure": "nDCG@10", "tie rule": "expected"}


def runs(shift: float, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(6)
    first = rng.uniform(0.3, 0.7, n)
    return first, first + rng.normal(0, 0.1, n) + shift


def test_limits_count_an_unseen_loser_of_the_better_run_and_skewness() -> None:
    first, second = runs(0.01)
    c, d = compare_paired(first, second), second - first
    for limit, change, level in ((c.low, d, first.mean()), (-(c.high or 0.0), -d, second.mean())):
        with_unseen = np.append(change, -level)
        a = 1.5 * skew(with_unseen) / np.sqrt(201)
        assert a < 0
        t = 3 / a * (np.cbrt(1 + a * (stdtrit(200, 0.975) - a / 6)) - 1)
        assert limit == pytest.approx(with_unseen.mean() - t * with_unseen.std(ddof=1) / np.sqrt(201), rel=1e-9)
    assert c.difference == pytest.approx(c.second - c.first)


def test_better_needs_limits_that_exclude_zero() -> None:
    first, second = runs(0.05)
    assert compare_paired(first, second).better is Better.SECOND
    assert compare_paired(second, first).better is Better.FIRST
    assert compare_paired(*runs(0.0)).better is Better.UNDECIDED
    assert [compare_paired(first[:n], first[:n] + 0.2).better for n in (29, 30)] == [Better.UNDECIDED, Better.SECOND]


def test_a_handful_of_changed_queries_decides_nothing() -> None:
    first = np.full(200, 0.5)
    second = first.copy()
    second[:3] = 0.6
    c = compare_paired(first, second)
    assert (c.gained, c.lost, c.unchanged, c.better) == (3, 0, 197, Better.UNDECIDED)


def test_regression_fails_only_on_proof() -> None:
    before, after = runs(-0.05)
    proven = regression(before, after, max_regression=0.02)
    assert proven.outcome is Outcome.FAIL
    assert proven.at_most is not None
    assert proven.at_most < 0.98
    before, after = runs(-0.01)
    assert regression(before, after, max_regression=0.02).outcome is Outcome.INCONCLUSIVE
    assert regression(before, after, max_regression=0.2).outcome is Outcome.PASS
    fell = [regression(before[:n], after[:n] * 0, max_regression=0.02).outcome for n in (29, 30)]
    assert fell == [Outcome.INCONCLUSIVE, Outcome.FAIL]


def test_an_unchanged_run_is_no_regression_even_at_zero_tolerance() -> None:
    before, _ = runs(0)
    same = regression(before, before, max_regression=0.0)
    assert (same.outcome, same.before, same.after) == (Outcome.INCONCLUSIVE, before.mean(), before.mean())


def test_clusters_are_compared_as_units() -> None:
    first, second = runs(0.0)
    assert compare_paired(first, second, clusters=np.arange(200) // 5).queries == 40
    assert regression(first, first / 2, max_regression=0.01, clusters=np.arange(200) // 5).outcome is Outcome.FAIL
    assert regression(first, first / 2, max_regression=0.01, clusters=np.arange(200) // 7).outcome is Outcome.INCONCLUSIVE


def test_two_runs_that_find_nothing_are_undecided() -> None:
    nothing = np.zeros(40)
    assert compare_paired(nothing, nothing).better is Better.UNDECIDED


def test_one_query_has_no_limits_and_decides_nothing() -> None:
    c = compare_paired(np.array([0.2]), np.array([0.9]))
    assert (c.queries, c.low, c.high, c.gained, c.better) == (1, None, None, 1, Better.UNDECIDED)
    assert c.difference == pytest.approx(0.7)


def test_no_shared_query_is_refused() -> None:
    with pytest.raises(InputError, match="share no judged query"):
        compare_paired(np.array([]), np.array([]))


def test_differences_are_named_with_both_values() -> None:
    assert differences(FACTS, dict(FACTS)) == ()
    other = {**FACTS, "measure": "nDCG@20", "tie rule": "by id"}
    assert differences(FACTS, other) == ("measure: nDCG@20, not nDCG@10", "tie rule: by id, not expected")
    assert differences(FACTS, {"judgments": "a1b2", "queries": "c3d4", "measure": "nDCG@10"}) == (
        "tie rule: stated by only one of them",
    )
    long = "x" * 50
    assert differences({"queries": long + "1"}, {"queries": long + "2"}) == ("queries",)


def test_runs_that_differ_are_refused_with_the_difference() -> None:
    require_comparable(FACTS, dict(FACTS))
    with pytest.raises(InputError, match="with the baseline; they differ in judgments: ffff, not a1b2") as refused:
        require_comparable(FACTS, {**FACTS, "judgments": "ffff"})
    assert "--baseline" in refused.value.hint
