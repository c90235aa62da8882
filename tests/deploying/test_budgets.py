"""The front, the budget and the two losses, by hand and against the definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.deploying.budgets import Budget, OperatingPoint, best_within, by_bytes, by_latency, pareto_front
from mrl_sweep.types import Configuration


def point(name: str, quality: float, size: int | None, ms: float | None = 1.0) -> OperatingPoint:
    return OperatingPoint(candidate=Configuration("prefix", 64, name), quality=quality, size_bytes=size, p99_ms=ms)


A, B, C, D = point("A", 0.50, 100, 9.0), point("B", 0.45, 40, 2.0), point("C", 0.45, 50, 1.0), point("D", 0.30, 60, None)


def test_the_front_holds_what_nothing_beats_cheapest_first() -> None:
    assert pareto_front([A, B, C, D], by_bytes) == (B, A)
    assert pareto_front([A, B, C, D], by_latency) == (C, A)


def test_what_was_not_measured_is_on_no_front() -> None:
    assert pareto_front([D], by_latency) == ()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_the_set_of_undominated_values(drawn: list[tuple[int, int]]) -> None:
    points = [point(str(i), quality, size) for i, (quality, size) in enumerate(drawn)]
    undominated = {(q, s) for q, s in drawn if not any((b >= q and c < s) or (b > q and c <= s) for b, c in drawn)}
    front = pareto_front(points, by_bytes)
    assert {(p.quality, p.size_bytes) for p in front} == undominated
    assert len(front) == len(undominated)


def test_the_best_within_a_budget() -> None:
    points = [A, B, C, D]
    assert best_within(points, Budget(size_bytes=99)) == B, "of equal quality the smaller"
    assert best_within(points, Budget(p99_ms=1.5)) == C
    assert best_within(points, Budget(size_bytes=45, p99_ms=1.5)) is None
    assert best_within(points, Budget()) == A


def test_an_unmeasured_cost_meets_no_limit() -> None:
    assert not Budget(p99_ms=100).holds(D)
    assert Budget(size_bytes=60).holds(D)
