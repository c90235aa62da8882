"""Queries needed and provable loss: the formula, its inverse, and the guard against rare losses."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from mrl_sweep.decision.bounds import paired_bounds
from mrl_sweep.decision.judging import Sample, provable_loss, queries_needed, queries_to_settle

SAMPLE = Sample(n=300, changed=120, sd=0.08, baseline_mean=0.5, retain=0.98, alpha=0.05)
Z = 1.6448536269514722 + 0.8416212335729143


def test_queries_needed_is_the_formula() -> None:
    assert queries_needed(SAMPLE) == ceil((Z * 0.08 / (0.5 * 0.02)) ** 2) == 396
    assert queries_needed(SAMPLE, share=0.99) == ceil((Z * 0.08 / (0.5 * 0.01)) ** 2)


def test_a_share_at_the_margin_is_settled_by_no_number() -> None:
    assert queries_needed(SAMPLE, share=0.98) is None
    assert queries_needed(replace(SAMPLE, retain=1.0)) is None


def test_never_fewer_than_thirty() -> None:
    assert queries_needed(replace(SAMPLE, sd=0.01, changed=300)) == 30
    assert queries_needed(replace(SAMPLE, sd=0.01)) == 50, "20 changed queries at 40% each free it of the pseudo-query"


def test_provable_loss_is_the_inverse() -> None:
    loss = provable_loss(replace(SAMPLE, n=396))
    assert loss == pytest.approx(0.02, rel=2e-3)
    assert provable_loss(SAMPLE) == pytest.approx(Z * 0.08 / (0.5 * 300**0.5), rel=1e-9)


def test_provable_loss_needs_a_baseline_and_a_spread() -> None:
    assert provable_loss(replace(SAMPLE, baseline_mean=0.0)) is None
    assert provable_loss(replace(SAMPLE, sd=float("nan"))) is None


def test_where_nothing_changed_the_pseudo_query_must_be_outweighed() -> None:
    unchanged = Sample(n=100, changed=0, sd=0.0, baseline_mean=1.0, retain=0.98, alpha=0.05)
    needed = queries_needed(unchanged)
    assert needed == ceil(0.98 * (1 + Z) / 0.02) == 171
    few, enough = np.ones((1, 100)), np.ones((1, needed))
    assert paired_bounds(few, few[0], retain=0.98, alpha=0.05).lower[0] < 0
    assert paired_bounds(enough, enough[0], retain=0.98, alpha=0.05).lower[0] > 0


def test_a_set_that_has_the_best_case_number_is_told_what_settles_its_measured_share() -> None:
    assert queries_to_settle(SAMPLE, kept=0.985) == 396
    large = replace(SAMPLE, n=500)
    assert queries_to_settle(large, kept=0.985) == ceil((Z * 0.08 / (0.5 * 0.005)) ** 2)
    assert queries_to_settle(large, kept=0.98) is None


def test_predicted_number_has_the_promised_power() -> None:
    rng = np.random.default_rng(5)
    y = rng.beta(2, 2, 4_000)
    x = np.clip(y + rng.normal(0, 0.06, 4_000), 0, 1)
    x *= y.mean() / x.mean()
    whole = paired_bounds(x[None], y, retain=0.98, alpha=0.05)
    sample = Sample(n=4_000, changed=4_000, sd=float(whole.sd[0]), baseline_mean=float(y.mean()), retain=0.98, alpha=0.05)
    n = queries_needed(sample)
    assert n is not None
    draws = rng.integers(0, 4_000, (4_000, n))
    power = float((paired_bounds(x[draws], y[draws], retain=0.98, alpha=0.05).lower >= 0).mean())
    assert power == pytest.approx(0.80, abs=0.025)
