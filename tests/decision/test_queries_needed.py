"""Queries needed, provable loss and the strictest share: the formula, its inverses, and what resampling says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mrl_sweep.decision.bounds import PairedBounds, paired_bounds
from mrl_sweep.decision.queries_needed import (
    Sample,
    provable_loss,
    queries_for_share,
    queries_needed,
    queries_to_settle,
    strictest_share,
)
from mrl_sweep.types import FloatArray
from mrl_sweep.words import round_up

SAMPLE = Sample(n=300, sd=0.08, baseline_mean=0.5, retain=0.98, alpha=0.05)
Z = 1.6448536269514722 + 0.8416212335729143


def test_for_many_queries_it_is_the_formula() -> None:
    """n = (z sd / gap)^2 where the unseen loser is one in tens of thousands."""
    for share in (0.981, 0.979):
        assert queries_needed(SAMPLE, share=share) == pytest.approx((Z * 0.08 / (0.5 * 0.001)) ** 2, rel=0.05)


def test_an_unseen_loser_and_skewness_cost_queries() -> None:
    assert queries_needed(SAMPLE) == 520  # 396 by the formula alone
    assert queries_needed(replace(SAMPLE, unseen=0.7)) == 583
    assert queries_needed(replace(SAMPLE, third=-0.0005)) == 542
    assert queries_needed(replace(SAMPLE, sd=0.0)) == queries_for_share(0.98, alpha=0.05) == 231


def test_the_number_has_the_promised_power() -> None:
    generator = np.random.default_rng(5)
    y = generator.beta(2, 2, 4_000)
    x = np.clip(y + generator.normal(0, 0.08, 4_000), 0, 1)
    for share in (1.0, 0.95):
        x *= share * y.mean() / x.mean()
        sd = float((x - 0.98 * y).std(ddof=1))
        needed = queries_needed(Sample(n=4_000, sd=sd, baseline_mean=float(y.mean()), retain=0.98, alpha=0.05), share=share)
        assert needed is not None
        drawn = generator.integers(0, 4_000, (4_000, needed))
        bounds = paired_bounds(x[drawn], y[drawn], retain=0.98, alpha=0.05)
        settled = bounds.at_least >= 0.98 if share == 1 else bounds.at_most < 0.98
        assert settled.mean() == pytest.approx(0.80, abs=0.025)


def test_a_share_at_the_margin_is_settled_by_no_number() -> None:
    assert queries_needed(SAMPLE, share=0.98) is None
    assert queries_needed(replace(SAMPLE, retain=1.0)) is None
    assert queries_to_settle(SAMPLE, kept=0.9801) is None, "fifteen thousand times nothing"


def test_never_fewer_than_thirty() -> None:
    assert queries_needed(replace(SAMPLE, sd=0.01, retain=0.5)) == 30


def test_provable_loss_is_the_inverse() -> None:
    needed = queries_needed(SAMPLE)
    assert needed is not None
    assert provable_loss(replace(SAMPLE, n=needed)) == pytest.approx(0.02, rel=2e-3)
    assert provable_loss(replace(SAMPLE, baseline_mean=0.0)) is None
    assert provable_loss(replace(SAMPLE, sd=float("nan"))) is None


def test_below_the_margin_it_is_what_proves_worse_and_not_less_than_the_best_case() -> None:
    assert queries_to_settle(SAMPLE, kept=0.985) == round_up(queries_needed(SAMPLE, share=0.985) or 0)
    assert queries_to_settle(SAMPLE, kept=0.97) == round_up(queries_needed(SAMPLE, share=0.97) or 0)
    assert queries_to_settle(SAMPLE, kept=0.5) == round_up(queries_needed(SAMPLE) or 0) == 520


@pytest.mark.parametrize("retain", [0.9, 0.95, 0.98, 0.99])
def test_queries_that_do_not_change_are_needed_as_often_as_the_share_can_be_proven_of_them(retain: float) -> None:
    same = Sample(n=100, sd=0.0, baseline_mean=0.4, retain=retain, alpha=0.05)
    assert queries_needed(same) == queries_for_share(retain, alpha=0.05)


def test_few_and_scattered_queries_tell_a_loss_of_more_than_everything_or_none() -> None:
    """Of four queries and an unseen loser Student's t is never what skewness asks of it."""
    losses = {n: provable_loss(replace(SAMPLE, n=n, sd=0.4)) for n in (4, 5, 40)}
    assert losses[4] is None
    assert losses[5] == pytest.approx(11.02, abs=0.01)
    assert queries_needed(replace(SAMPLE, n=40, sd=0.4), share=0.98 + (losses[40] or 0.0) + 1e-6) == 40


def test_it_takes_more_queries_than_there_are() -> None:
    """Thirty would do for a size that truly keeps everything and hardly varies, and sixty were there."""
    assert queries_to_settle(replace(SAMPLE, n=60, sd=0.001, retain=0.5), kept=1.0) == 61


@pytest.mark.parametrize(("n", "share"), [(40, 0.8857), (80, 0.9426), (210, 0.9781), (1000, 0.9954)])
def test_the_strictest_share_is_that_of_queries_of_which_none_changes(n: int, share: float) -> None:
    same = np.ones((1, n))
    strictest = strictest_share(n, alpha=0.05)
    assert strictest == pytest.approx(share, abs=1e-4)
    assert paired_bounds(same, same[0], retain=0.98, alpha=0.05).at_least[0] == pytest.approx(strictest, rel=1e-9)


def test_fewer_than_thirty_prove_no_share_and_some_230_prove_98_percent() -> None:
    assert strictest_share(29, alpha=0.05) is None
    assert [queries_for_share(retain, alpha=0.05) for retain in (0.5, 0.9, 0.95, 0.98, 0.99, 1.0)] == [30, 46, 92, 231, 461, None]


def sample_of(bounds: PairedBounds) -> Sample:
    """What these queries showed, 98% asked."""
    return Sample(
        n=bounds.n,
        sd=float(bounds.sd[0]),
        baseline_mean=float(bounds.baseline_mean[0]),
        retain=0.98,
        alpha=0.05,
        third=float(bounds.third[0]),
        unseen=float(bounds.unseen[0]),
    )


def some_queries(kind: str, generator: np.random.Generator, n: int = 400) -> tuple[FloatArray, FloatArray]:
    """(x, y) of a sample: graded values with jitter, yes-or-no values, or rare losers among many that do not change."""
    y = np.maximum(generator.choice([0.0, 0.3562, 0.5, 0.6309, 1.0], n, p=[0.3, 0.1, 0.15, 0.15, 0.3]), 0.1)
    if kind == "jitter":
        return np.clip(y + generator.normal(0, 0.08, n), 0, 1), y
    if kind == "yes or no":
        y = (y > 0.4).astype(np.float64)
        return np.where(generator.random(n) < 0.03, 1 - y, y), y
    return np.where(generator.random(n) < 0.015, 0.0, y), y


@pytest.mark.parametrize("kind", ["jitter", "yes or no", "rare losers"])
def test_seventy_percent_of_resamples_settle_at_the_number_that_is_printed(kind: str) -> None:
    generator = np.random.default_rng(5)
    printed = 0
    for _ in range(12):
        x, y = some_queries(kind, generator)
        bounds = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
        if bounds.at_least[0] >= 0.98 or bounds.at_most[0] < 0.98:
            continue
        sample = sample_of(bounds)
        needed = queries_to_settle(sample, kept=float(bounds.kept[0]))
        if needed is None:
            continue
        printed += 1
        drawn = generator.integers(0, len(y), (400, needed))
        again = paired_bounds(x[drawn], y[drawn], retain=0.98, alpha=0.05)
        assert ((again.at_least >= 0.98) | (again.at_most < 0.98)).mean() >= 0.7
    assert printed >= 5
