"""The curve of share kept against size as numbers for an SVG: scales, ticks, lines and the band between the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from mrl_sweep.report.content import numbers
from mrl_sweep.report.content.view import FINE_SWEEP, control_name, ladder, measured
from mrl_sweep.report.document import CandidateRow, Report
from mrl_sweep.types import Basis

WIDTH: Final = 760
HEIGHT: Final = 340
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 16, 40
_MOST_TICKS: Final = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where it stands in the picture, and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One size: where it stands, how it was judged, and what a pointer over it reads."""

    x: float
    y: float
    verdict: str
    chosen: bool
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: the name of its basis and its points as SVG writes them."""

    name: str
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything the picture holds, in its own coordinates."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    limit: Tick
    band: str
    lines: list[Line]
    dots: list[Dot]
    measure: str


def chart(report: Report) -> Chart | None:
    """The curve of the deciding measure, None for fewer than two sizes with a share."""
    rows = [(row, kept) for row in reversed(ladder(report)) if (kept := _kept(row, report)) is not None]
    if len(rows) < 2:
        return None
    controls = _controls(report)
    x = _across([row.dim for row, _ in rows], fine=len(rows) > FINE_SWEEP)
    bounds = [b for row, _ in rows for b in _bounds(row, report)]
    shares = [kept for _, kept in rows] + bounds + [kept for line in controls.values() for _, kept in line]
    low, high = min([*shares, report.verdict.retain]), max([*shares, 1.0])
    y = _up(max(low, 0.0), high)
    return Chart(
        x_ticks=[Tick(x(dim), str(dim)) for dim in _thinned([row.dim for row, _ in rows], x)],
        y_ticks=[Tick(y(share), numbers.asked(share)) for share in _round_shares(max(low, 0.0), high)],
        limit=Tick(y(report.verdict.retain), f"asked: {numbers.asked(report.verdict.retain)}"),
        band=_band(report, [row for row, _ in rows], x, y),
        lines=[
            Line("prefix", _path([(x(row.dim), y(kept)) for row, kept in rows])),
            *(Line(basis, _path([(x(dim), y(kept)) for dim, kept in line])) for basis, line in controls.items()),
        ],
        dots=[_dot(report, row, kept, x, y) for row, kept in rows],
        measure=report.verdict.measure,
    )


def _kept(row: CandidateRow, report: Report) -> float | None:
    evidence = measured(row, report)
    return evidence.kept if evidence else None


def _bounds(row: CandidateRow, report: Report) -> list[float]:
    evidence = measured(row, report)
    return [b for b in (evidence.at_least, evidence.at_most) if b is not None] if evidence else []


def _controls(report: Report) -> dict[str, list[tuple[int, float]]]:
    """The curves of the other bases, by name, from the smallest size up; several draws of one control as their mean."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in sorted(report.candidates, key=lambda row: row.dim):
        kept = _kept(row, report)
        if row.basis != Basis.PREFIX and row.configuration.is_exact and kept is not None:
            found.setdefault(control_name(row.basis), {}).setdefault(row.dim, []).append(kept)
    return {name: [(dim, fmean(shares)) for dim, shares in by_dim.items()] for name, by_dim in found.items()}


def _across(dims: list[int], *, fine: bool) -> Callable[[int], float]:
    """Sizes to x: evenly by halvings, or evenly by dimensions where the sweep is fine."""
    scale: Callable[[float], float] = float if fine else math.log2
    first, last = scale(dims[0]), scale(dims[-1])
    return lambda dim: round(LEFT + (WIDTH - LEFT - RIGHT) * (scale(dim) - first) / (last - first), 1)


def _up(low: float, high: float) -> Callable[[float], float]:
    return lambda share: round(TOP + (HEIGHT - TOP - BOTTOM) * (high - max(share, low)) / (high - low or 1.0), 1)


def _round_shares(low: float, high: float) -> list[float]:
    """Four to nine round shares between `low` and `high`."""
    step = next((s for s in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / s <= _MOST_TICKS), 0.5)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 6) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _thinned(dims: list[int], x: Callable[[int], float]) -> list[int]:
    """The sizes whose labels do not touch, both ends among them."""
    kept = [dims[-1]]
    for dim in reversed(dims[:-1]):
        if x(kept[-1]) - x(dim) >= 34 and (dim == dims[0] or x(dim) - x(dims[0]) >= 34):
            kept.append(dim)
    return kept


def _band(report: Report, rows: list[CandidateRow], x: Callable[[int], float], y: Callable[[float], float]) -> str:
    """The outline of the confidence band, along the upper bounds and back along the lower ones."""
    both = [(x(row.dim), bounds) for row in rows if len(bounds := _bounds(row, report)) == 2]
    outline = [(at, y(most)) for at, (_, most) in both] + [(at, y(least)) for at, (least, _) in reversed(both)]
    return _path(outline)


def _dot(report: Report, row: CandidateRow, kept: float, x: Callable[[int], float], y: Callable[[float], float]) -> Dot:
    evidence = measured(row, report)
    least = numbers.percent(evidence.at_least if evidence else None, limit=report.verdict.retain)
    label = f"{row.dim}: keeps {numbers.percent(kept, limit=report.verdict.retain)}, at least {least}"
    return Dot(x(row.dim), y(kept), row.verdict, row.dim == report.verdict.dimension, label)


def _path(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{px:g},{py:g}" for px, py in points)
