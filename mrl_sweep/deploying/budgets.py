"""The front of those configurations that are worth having, and the best one within a budget: only what was judged acceptable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from mrl_sweep.deploying.findings import Finding
from mrl_sweep.types import Measure

Point = TypeVar("Point")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one tenant may spend: a 99th percentile in milliseconds, bytes of memory, or both; None is no limit."""

    p99_ms: float | None = None
    size_bytes: int | None = None

    def holds(self, finding: Finding) -> bool:
        """Whether it is measured to be within; what was not measured is not within a limit."""
        return _within(finding.cost.p99_ms, self.p99_ms) and _within(finding.cost.index_bytes, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best acceptable of the `within` configurations that are within a budget; None with the reason where there is none."""

    best: Finding | None
    within: int
    reason: str = ""


def choose_within(findings: Iterable[Finding], budget: Budget, measure: Measure) -> Choice:
    """The acceptable configuration of highest quality within the budget; of equals the smaller, then the faster."""
    within = [finding for finding in findings if budget.holds(finding)]
    if not within:
        return Choice(None, 0, "nothing that was measured is within it")
    best = min((finding for finding in within if finding.acceptable), key=lambda one: _order(one, measure), default=None)
    if best is not None:
        return Choice(best, len(within))
    number = "the one configuration" if len(within) == 1 else f"none of the {len(within)} configurations"
    verb = "is not acceptable" if len(within) == 1 else "is acceptable"
    nearest = min(within, key=lambda one: _order(one, measure))
    return Choice(None, len(within), f"{number} within it {verb}: the best, {nearest.configuration}, {_why(nearest)}")


def pareto_front(
    points: Iterable[Point], cost: Callable[[Point], float | None], quality: Callable[[Point], float]
) -> tuple[Point, ...]:
    """The points that no other beats: cheapest first, each better than all cheaper ones. Of equals the first; None drops out."""
    priced = [(price, point) for point in points if (price := cost(point)) is not None]
    front: list[Point] = []
    for _, point in sorted(priced, key=lambda pair: (pair[0], -quality(pair[1]))):
        if not front or quality(point) > quality(front[-1]):
            front.append(point)
    return tuple(front)


def _order(finding: Finding, measure: Measure) -> tuple[float, float, float]:
    cost = finding.cost
    return -finding.judgement.evidence[measure].mean, _or_inf(cost.index_bytes), _or_inf(cost.p99_ms)


def _why(finding: Finding) -> str:
    return finding.judgement.reason or "is not proven"


def _within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value
