"""Operating points: what each configuration keeps and costs; the front of those worth having, and the best for a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mrl_sweep.types import Configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One configuration as measured: mean quality, bytes kept in memory, single-query latency; None where not measured."""

    candidate: Configuration
    quality: float
    size_bytes: int | None
    p50_ms: float | None = None
    p99_ms: float | None = None
    queries_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one tenant may spend: a 99th percentile in milliseconds, bytes of memory, or both; None is no limit."""

    p99_ms: float | None = None
    size_bytes: int | None = None

    def holds(self, point: OperatingPoint) -> bool:
        """Whether the point is measured to be within; what was not measured is not within a limit."""
        return _within(point.p99_ms, self.p99_ms) and _within(point.size_bytes, self.size_bytes)


def pareto_front(points: Iterable[OperatingPoint], cost: Callable[[OperatingPoint], float | None]) -> tuple[OperatingPoint, ...]:
    """The points that no other beats: cheapest first, each better than all cheaper ones. Of equals the first; None drops out."""
    priced = [(price, point) for point in points if (price := cost(point)) is not None]
    front: list[OperatingPoint] = []
    for _, point in sorted(priced, key=lambda pair: (pair[0], -pair[1].quality)):
        if not front or point.quality > front[-1].quality:
            front.append(point)
    return tuple(front)


def by_bytes(point: OperatingPoint) -> float | None:
    return point.size_bytes


def by_latency(point: OperatingPoint) -> float | None:
    return point.p99_ms


def best_within(points: Sequence[OperatingPoint], budget: Budget) -> OperatingPoint | None:
    """The point of highest quality within the budget; of equals the smaller, then the faster; None where nothing is within."""
    held = [point for point in points if budget.holds(point)]
    return min(held, key=lambda point: (-point.quality, _or_inf(point.size_bytes), _or_inf(point.p99_ms)), default=None)


def _within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value
