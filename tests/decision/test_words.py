"""Printed shares imply the verdict."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.decision.words import asked, percent


def test_a_share_just_below_the_limit_is_printed_below_it() -> None:
    assert percent(0.97996, limit=0.98) == "97.996%"
    assert percent(0.98, limit=0.98) == "98.0%"
    assert percent(0.98004, limit=0.98) == "98.0%"
    assert percent(0.9903) == "99.0%"
    assert percent(None) == "an unknown share"


def test_the_asked_share_is_printed_as_typed() -> None:
    assert [asked(s) for s in (0.98, 0.995, 1.0)] == ["98%", "99.5%", "100%"]


@given(st.floats(0.5, 1.0), st.sampled_from([0.9, 0.95, 0.98, 0.985, 1.0]))
def test_printed_side_is_the_true_side(share: float, limit: float) -> None:
    if abs(share - limit) > 1e-11 or share == limit:
        shown = float(percent(share, limit=limit).rstrip("%"))
        assert (shown >= float(asked(limit).rstrip("%"))) == (share >= limit)
