"""Bootstrap bands: seeded, shared over sizes, and close to the t interval on ordinary data."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.decision import bootstrap
from mrl_sweep.decision.bootstrap import resampled_means, share_band
from mrl_sweep.decision.bounds import paired_bounds


def test_band_agrees_with_fiellers_limits_on_ordinary_data() -> None:
    rng = np.random.default_rng(1)
    y = rng.random(400)
    x = np.clip(y[None] * np.array([[0.97], [0.8]]) + rng.normal(0, 0.1, (2, 400)), 0, 1)
    band = share_band(x, y, generator=np.random.default_rng(2), level=0.9)
    limits = paired_bounds(x, y, retain=0.98, alpha=0.05)
    np.testing.assert_allclose(band.lower, limits.at_least, atol=0.002)
    np.testing.assert_allclose(band.upper, limits.at_most, atol=0.002)


def test_the_same_queries_are_drawn_for_every_size() -> None:
    y = np.random.default_rng(1).random(50)
    band = share_band(np.array([y, 0.5 * y]), y, generator=np.random.default_rng(2))
    assert band.lower == pytest.approx([1.0, 0.5], rel=1e-12)
    assert band.upper == pytest.approx([1.0, 0.5], rel=1e-12)


def test_blocks_of_weights_make_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((3, 20))
    whole = resampled_means(values, generator=np.random.default_rng(7), repetitions=50)
    monkeypatch.setattr(bootstrap, "_WEIGHTS_AT_ONCE", 140)
    np.testing.assert_allclose(resampled_means(values, generator=np.random.default_rng(7), repetitions=50), whole, rtol=1e-12)


def test_a_baseline_of_zeros_has_no_band() -> None:
    band = share_band(np.ones((2, 10)), np.zeros(10), generator=np.random.default_rng(3))
    assert np.isnan(band.lower).all()
    assert np.isnan(band.upper).all()
