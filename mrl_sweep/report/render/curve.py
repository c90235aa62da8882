"""The curve of share kept against size, drawn in characters for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from mrl_sweep import words
from mrl_sweep.report.content.view import ladder, measured
from mrl_sweep.report.document import Report

_LABEL = 8
_HEIGHT = 11


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters of a drawing."""

    kept: str
    at_least: str
    limit: str
    side: str
    corner: str
    floor: str


UNICODE = Signs(kept="●", at_least="·", limit="┄", side="│", corner="└", floor="─")
ASCII = Signs(kept="*", at_least=".", limit="-", side="|", corner="+", floor="_")


@dataclass(frozen=True, slots=True)
class Point:
    """One size of the curve."""

    dim: int
    kept: float
    at_least: float | None


def points(report: Report) -> list[Point]:
    """The exact prefixes that have a share, from the smallest size up."""
    evidence = [(row.dim, measured(row, report)) for row in reversed(ladder(report))]
    return [Point(dim, m.kept, m.at_least) for dim, m in evidence if m is not None and m.kept is not None]


def value_range(report: Report, found: list[Point]) -> tuple[float, float]:
    """The lowest and highest share to draw, the limit among them."""
    shares = [share for point in found for share in (point.kept, point.at_least) if share is not None]
    low, high = min([*shares, report.verdict.retain]), max([*shares, report.verdict.retain, 1.0])
    return max(low, 0.0), high


def draw(report: Report, *, width: int, signs: Signs = UNICODE) -> list[str]:
    """Lines of at most `width` columns: what is kept, its lower bound, and the limit as a line; [] for fewer than two sizes."""
    found = points(report)
    if len(found) < 2 or width < 30:
        return []
    columns = min(width - _LABEL - 2, 96)
    low, high = value_range(report, found)
    first, last = found[0].dim, found[-1].dim
    grid = [[" "] * columns for _ in range(_HEIGHT)]

    def line(share: float) -> int:
        return round((high - min(max(share, low), high)) / (high - low or 1) * (_HEIGHT - 1))

    def column(dim: int) -> int:
        return round((dim - first) / (last - first) * (columns - 1))

    limit = line(report.verdict.retain)
    grid[limit] = [signs.limit] * columns
    for point in found:
        if point.at_least is not None:
            grid[line(point.at_least)][column(point.dim)] = signs.at_least
    for point in found:
        grid[line(point.kept)][column(point.dim)] = signs.kept
    labels = {0: words.percent(high), _HEIGHT - 1: words.percent(low), limit: words.asked(report.verdict.retain)}
    lines = [f"{labels.get(i, ''):>{_LABEL}} {signs.side}{''.join(cells)}".rstrip() for i, cells in enumerate(grid)]
    axis = " " * (_LABEL + 1) + signs.corner + signs.floor * columns
    return [*lines, axis, _marks(report, first, last, column(report.verdict.dimension), columns), _legend(report, signs)]


def _marks(report: Report, first: int, last: int, chosen: int, columns: int) -> str:
    """The sizes below the axis: both ends, and the answer where it finds room."""
    left, right, middle = str(first), str(last), f"^{report.verdict.dimension}"
    cells = [" "] * columns
    cells[: len(left)] = left
    cells[columns - len(right) :] = right
    start = min(chosen, columns - len(middle))
    if all(cell == " " for cell in cells[max(start - 1, 0) : start + len(middle) + 1]):
        cells[start : start + len(middle)] = middle
    return " " * (_LABEL + 2) + "".join(cells).rstrip()


def _legend(report: Report, signs: Signs) -> str:
    return " " * (_LABEL + 2) + f"{signs.kept} {report.verdict.measure} kept   {signs.at_least} at least   by dimensions"
