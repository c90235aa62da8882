"""Charts: lines as SVG that needs nothing else (`report.plot()`, the README's picture, a trend), and a curve in characters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final
from zlib import crc32

from mrl_sweep import words
from mrl_sweep.record import record
from mrl_sweep.report.content import view
from mrl_sweep.report.document import Report
from mrl_sweep.report.render.escape import plain, xml
from mrl_sweep.types import Basis

_WIDTH, _HEIGHT = 760, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 40, 44
_NEAR: Final = 12
"""Points of the page that two labels of an axis keep between them."""
_LABEL: Final = 8
"""Columns of the labels beside a curve in characters."""
_CURVE_HEIGHT: Final = 11


@record
class Line:
    """One line: points from left to right, with limits (`x, low, high`) as a band around them where they are known."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


@record(kw_only=True)
class Chart:
    """Shares as lines over one axis of labelled places; `limit` is drawn across, `chosen` is the marked point of the first line.

    A notebook shows the chart as a picture; `str` gives its SVG.
    """

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    limit: float
    chosen: float | None = None

    def __str__(self) -> str:
        return _svg(self)

    def _repr_svg_(self) -> str:
        return _svg(self)

    def save(self, path: str | Path) -> None:
        """Writes the chart as an SVG file."""
        from mrl_sweep.files import write_text

        write_text(Path(path), _svg(self))


def chart_of(report: Report) -> Chart:
    """Charts the share of the deciding measure kept at float32, by dimensions: the prefix with its limits, then other axes."""
    families: dict[str, dict[int, list[float]]] = {}
    for row in report.candidates:
        kept = view.measured(row, report).kept
        if row.configuration == row.configuration.at_float32 and kept is not None:
            families.setdefault(view.control_name(row.basis), {}).setdefault(row.dim, []).append(kept)
    limits = [(row.dim, view.measured(row, report)) for row in reversed(view.ladder(report))]
    band = [(math.log2(dim), m.at_least, m.at_most) for dim, m in limits if m.at_least is not None and m.at_most is not None]
    dims = {dim for by_dim in families.values() for dim in by_dim}
    lines = [
        Line(
            name,
            tuple((math.log2(dim), sum(shares) / len(shares)) for dim, shares in sorted(by_dim.items())),
            tuple(band) if name == Basis.PREFIX else (),
        )
        for name, by_dim in families.items()
    ]
    return Chart(
        title=f"{report.verdict.measure} kept, by dimensions; shaded: its confidence limits",
        lines=tuple(lines),
        ticks=tuple((math.log2(dim), str(dim)) for dim in sorted(dims)),
        limit=report.verdict.retain,
        chosen=math.log2(report.verdict.dimension),
    )


def _svg(chart: Chart) -> str:
    """The chart as XML: its style follows light and dark, and its text is drawn as text."""
    low, high, step = _range(chart)
    places = [x for x, _ in chart.ticks] or [0.0]
    first, room = min(places), (max(places) - min(places)) or 1.0

    def across(x: float) -> float:
        return round(_LEFT + (x - first) / room * (_WIDTH - _LEFT - _RIGHT), 1)

    def down(y: float) -> float:
        return round(_TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    inside = f"inside-{crc32(chart.title.encode())}"
    cut = f'clip-path="url(#{inside})"'
    parts = [
        f'<clipPath id="{inside}"><rect width="{_WIDTH}" height="{_HEIGHT - _BOTTOM}"/></clipPath>',
        *_rows(chart, low, high, step, down),
        *_columns(chart, across),
    ]
    for number, line in enumerate(chart.lines):
        if len(line.band) > 1:
            upper = [(across(x), down(top)) for x, _, top in line.band]
            lower = [(across(x), down(bottom)) for x, bottom, _ in reversed(line.band)]
            parts.append(f'<path class="band" {cut} d="{_path([*upper, *lower])}Z"/>')
        points = [(across(x), down(y)) for x, y in line.points]
        kind = "line" if number == 0 else f"line other dash-{number % 3}"
        parts.append(f'<path class="{kind}" {cut} d="{_path(points)}"/>')
        for (x, y), (left, top) in zip(line.points, points, strict=True) if number == 0 else ():
            mark = ' class="dot chosen" r="6"' if x == chart.chosen else ' class="dot" r="3.5"'
            place = f'cx="{left}" cy="{min(top, _HEIGHT - _BOTTOM)}"'
            parts.append(f"<circle{mark} {place}><title>{words.percent(y)}</title></circle>")
    parts += _legend([line.name for line in chart.lines])
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{_text(chart.title)}</text>')
    style = (files("mrl_sweep.report.render") / "page" / "chart.css").read_text("utf-8")
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    head = f'<svg {box} role="img" aria-label="{_text(chart.title)}">'
    return "\n".join([head, f"<style>\n{style}</style>", *parts, "</svg>", ""])


def _range(chart: Chart) -> tuple[float, float, float]:
    """The lowest and highest share drawn, and the step of the grid: the scale is that on which decisions are made."""
    shares = [y for line in chart.lines for _, y in line.points] or [0.0]
    low, high = max(min(*shares, chart.limit) - 0.01, chart.limit - 0.12), max(1.01, chart.limit)
    return low, high, 0.02 if high - low > 0.1 else 0.01


def _rows(chart: Chart, low: float, high: float, step: float, down: Callable[[float], float]) -> Iterable[str]:
    """The grid, and the limit as a tick of its own, so that no mark ever lies under its label."""
    limit = down(chart.limit)
    for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        at = down(number * step)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>'
        if abs(at - limit) > _NEAR:
            yield f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{words.asked_share(number * step)}</text>'
    yield f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{limit}" y2="{limit}"/>'
    label = words.asked_share(chart.limit)
    yield f'<text class="limit-label" x="{_LEFT - 8}" y="{limit + 4}" text-anchor="end">{label}</text>'


def _columns(chart: Chart, across: Callable[[float], float]) -> Iterable[str]:
    free = -math.inf
    for x, label in chart.ticks:
        at, half = across(x), max(11, 3.5 * len(label))
        if at - half >= free:
            at = min(at, _WIDTH - half)  # a long label stays inside the picture
            yield f'<text x="{at}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{_text(label)}</text>'
            free = at + half + 8


def _legend(names: Sequence[str]) -> Iterable[str]:
    at = float(_LEFT)
    for number, name in enumerate(names if len(names) > 1 else ()):
        kind = "line" if number == 0 else f"line other dash-{number % 3}"
        yield f'<path class="{kind}" d="M{at} 16h24"/><text x="{at + 30}" y="20">{_text(name)}</text>'
        at += 44 + 7 * len(name)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "".join(f"{'L' if i else 'M'}{x} {y}" for i, (x, y) in enumerate(points))


def _text(text: str) -> str:
    return escape(xml(plain(text)))


# --- In characters -----------------------------------------------------------------------------------------------------


UNICODE: Final = "●·┄│└─"
ASCII: Final = "*.-|+_"
"""The signs of the share kept, of its lower bound, of the limit, and of the axes: side, corner, floor."""


def curve(report: Report, *, width: int, signs: str) -> list[str]:
    """Draws the share kept, its lower bound and the limit in lines of at most `width` columns; [] for fewer than two sizes."""
    sizes = [(row.dim, view.measured(row, report)) for row in reversed(view.ladder(report))]
    kept = {dim: m.kept for dim, m in sizes if m.kept is not None}
    at_least = {dim: m.at_least for dim, m in sizes if m.kept is not None and m.at_least is not None}
    if len(kept) < 2 or width < 30:
        return []
    limit, columns = report.verdict.retain, min(width - _LABEL - 2, 96)
    low, high = max(min(*kept.values(), *at_least.values(), limit), 0.0), max(*kept.values(), *at_least.values(), limit, 1.0)
    first, last = min(kept), max(kept)
    kept_sign, least_sign, limit_sign, side, corner, floor = tuple(signs)
    grid = [[" "] * columns for _ in range(_CURVE_HEIGHT)]

    def line(share: float) -> int:
        return round((high - min(max(share, low), high)) / (high - low or 1) * (_CURVE_HEIGHT - 1))

    def column(dim: int) -> int:
        return round((dim - first) / (last - first) * (columns - 1))

    grid[line(limit)] = [limit_sign] * columns
    for shares, sign in ((at_least, least_sign), (kept, kept_sign)):
        for dim, share in shares.items():
            grid[line(share)][column(dim)] = sign
    labels = {0: words.percent(high), _CURVE_HEIGHT - 1: words.percent(low), line(limit): words.asked_share(limit)}
    lines = [f"{labels.get(i, ''):>{_LABEL}} {side}{''.join(cells)}".rstrip() for i, cells in enumerate(grid)]
    axis = " " * (_LABEL + 1) + corner + floor * columns
    legend = " " * (_LABEL + 2) + f"{kept_sign} {report.verdict.measure} kept   {least_sign} at least   by dimensions"
    return [*lines, axis, _marks(report, first, last, column(report.verdict.dimension), columns), legend]


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
