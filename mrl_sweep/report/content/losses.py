"""Sections on losses: slices of the queries that keep less than the others, and the queries that lose most."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.report.content.layout import Column, ColumnsOf, Item, Mark, Mood, Section, Table
from mrl_sweep.report.content.view import mood, proven_hit
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import DocumentRow, FallenRow, LoserRow
from mrl_sweep.types import Outcome, SliceRow

SMALLEST_SHOWN: Final = 20
"""A slice of fewer queries is counted and not shown, unless it is proven below its own margin."""

_MOST_SLICES: Final = 8
_MOST_LOSERS: Final = 3
_MOST_DOCUMENTS: Final = 2
_LONGEST: Final = 70
_OTHERS: Final = "Others: what all other queries keep."
_Q_VALUE: Final = "q: the share of false alarms among slices with a q up to this one."
_DARKER: Final = (
    "Darker: further below the asked share, a shade for each two points. Bold: proven to lose more than the other queries."
)
_SHADES: Final = 6
_POINTS_A_SHADE: Final = 0.02
"""A cell is one shade darker for each two points of a share below what was asked."""


def slices(report: Report, *, whole: bool = False) -> Section | None:
    """Shows the slices that keep least at the answer's size, or at the largest that was searched; first those that stand out.

    The `whole` section shows every slice at every size.
    """
    units = report.verdict.clusters or report.verdict.queries
    parts = [row for row in report.slices if row.queries < units]  # a field that is alike in all queries tells nothing
    searched = {row.dim for row in parts}
    if not searched:
        return None
    dim = report.verdict.dimension if report.verdict.dimension in searched else max(searched)
    every = [row for row in parts if row.dim == dim]
    rows = [row for row in every if whole or row.queries >= SMALLEST_SHOWN or row.verdict == Outcome.FAIL]
    if not rows:
        return None

    def order(row: SliceRow) -> tuple[bool, float]:
        return not _stands_out(row, report), row.kept if row.kept is not None else 2.0

    top = sorted(rows, key=order)[: None if whole else _MOST_SLICES]
    column = ColumnsOf(top)
    columns = [
        column.text("slice", lambda row: _cut(_name(row))),
        *_figures(column, report.verdict.retain),
        column.text("", lambda row: _slice_words(row, report)),
    ]
    moods = [Mood.BAD if _stands_out(row, report) else Mood.PLAIN for row in top]
    return Section(
        title=f"Slices at {dim} dimensions: who loses more than the others",
        name="slices",
        on_request=True,
        table=_heat_map(report) if whole else Table.of(columns, moods),
        notes=_searched(report, every, rows, top),
    )


def every_slice(report: Report) -> Table | None:
    """Shows all slices at all sizes; None where there are none."""
    if not report.slices:
        return None
    column = ColumnsOf(report.slices)
    columns = [
        column.text("slice", lambda row: _name(row)),
        column.number("dim", lambda row: str(row.dim)),
        *_figures(column, report.verdict.retain),
    ]
    return Table.of(columns, [mood(row.verdict or "") for row in report.slices])


def _figures(column: ColumnsOf[SliceRow], retain: float) -> list[Column]:
    """Makes the columns of what slices keep; each share stands on its own side of what was asked of that slice."""

    def share(row: SliceRow, value: float | None) -> str:
        return words.percent(value, limit=row.retain or retain)

    return [
        column.number("queries", lambda row: words.count(row.queries)),
        column.number("kept", lambda row: share(row, row.kept)),
        column.number("at least", lambda row: share(row, row.at_least), drop=2),
        column.number("at most", lambda row: share(row, row.at_most), drop=3),
        column.number("others", lambda row: words.percent(row.kept_by_others), drop=1, note=_OTHERS),
        column.number("q", _q, drop=4, note=_Q_VALUE),
    ]


def _heat_map(report: Report) -> Table:
    """Every slice at every size that was searched; those that lose most at the answer's size come first."""
    by_slice: dict[tuple[str, str], dict[int, SliceRow]] = {}
    for row in report.slices:
        by_slice.setdefault((row.field, row.value), {})[row.dim] = row
    dims = sorted({row.dim for row in report.slices}, reverse=True)
    dim = report.verdict.dimension if report.verdict.dimension in dims else dims[0]

    def kept(sizes: Mapping[int, SliceRow]) -> float:
        row = sizes.get(dim)
        return row.kept if row is not None and row.kept is not None else 2.0

    column = ColumnsOf(sorted(by_slice.values(), key=kept))
    columns = [
        column.text("slice, kept at", lambda sizes: _name(next(iter(sizes.values())))),
        column.number("queries", lambda sizes: words.count(max(row.queries for row in sizes.values()))),
    ]
    for one in dims:
        at = ColumnsOf([sizes.get(one) for sizes in column.rows])
        columns.append(at.number(str(one), lambda row: _share(row, report), mark=lambda row: _mark(row, report), note=_DARKER))
    return Table.of(columns)


def _share(row: SliceRow | None, report: Report) -> str:
    return words.percent(row.kept, limit=row.retain or report.verdict.retain) if row else words.DASH


def _mark(row: SliceRow | None, report: Report) -> Mark:
    """How many shades the cell is darkened, whether the slice is proven to be hit, and its figures in words."""
    if row is None or row.kept is None:
        return Mark()
    lines = [f"{_name(row)} at {row.dim}", f"keeps {words.percent(row.kept)}, {words.plural(row.queries, 'query', 'queries')}"]
    if row.at_least is not None and row.at_most is not None:
        lines.append(f"between {words.percent(row.at_least)} and {words.percent(row.at_most)}")
    if row.kept_by_others is not None:
        lines.append(f"the others keep {words.percent(row.kept_by_others)}")
    if row.q_value is not None:
        lines.append(f"q {_q(row)}")
    below = max(0.0, (row.retain or report.verdict.retain) - row.kept)
    shade = min(_SHADES, ceil(below / _POINTS_A_SHADE))
    return Mark(shade=shade, strong=proven_hit(row, report), tip=" · ".join(lines))


def _stands_out(row: SliceRow, report: Report) -> bool:
    return proven_hit(row, report) or row.verdict == Outcome.FAIL


def _slice_words(row: SliceRow, report: Report) -> str:
    margin = f"margin of {words.asked_share(row.retain)}" if row.retain is not None else "margin"
    verdicts: dict[str | None, str] = {None: "", Outcome.PASS: f"holds its {margin}", Outcome.FAIL: f"below its {margin}"}
    notes = ("hit" if proven_hit(row, report) else "", verdicts.get(row.verdict, f"{margin} open"))
    return ", ".join(filter(None, notes)) or words.DASH


def _searched(report: Report, every: list[SliceRow], rows: list[SliceRow], top: list[SliceRow]) -> tuple[str, ...]:
    hits = sum(proven_hit(row, report) for row in every)
    hit = f"{words.plural(hits, 'is', 'are')} hit harder than the other queries"
    what = hit if hits else "none is hit harder than the others"
    searched = sum(row.q_value is not None for row in every)
    held = f"false discoveries held at {words.asked_share(report.verdict.alpha)}"
    notes = [f"Of {words.plural(searched, 'slice')} searched, {what} ({held})."] if searched else []
    if len(rows) > len(top):
        below = sum(row.verdict == Outcome.FAIL for row in rows) - sum(row.verdict == Outcome.FAIL for row in top)
        notes.append(f"{len(rows) - len(top)} more in report.json{f', {below} of them below their margin' if below else ''}.")
    if len(every) > len(rows):
        small = words.plural(len(every) - len(rows), "slice")
        notes.append(f"{small} of fewer than {SMALLEST_SHOWN} queries not shown: so few say little of a slice.")
    return tuple(notes)


# --- Queries -----------------------------------------------------------------------------------------------------------


def losers(report: Report) -> Section | None:
    """Shows the queries that lose most at the answer's size, with what left their top documents and what came in."""
    if not report.losers:
        return None
    top = _worst_first(report)[:_MOST_LOSERS]
    title = f"Queries that lose most at {top[0].dim} dimensions ({top[0].measure})"
    rest = len(report.losers) - len(top)
    notes = (f"{words.count(rest)} more in report.json.",) if rest > 0 else ()
    return Section(title=title, name="losers", on_request=True, items=tuple(_loser(row) for row in top), notes=notes)


def losing_queries(report: Report) -> list[dict[str, Any]]:
    """Lists for a page the queries that lose much, with the documents that fell, left and came in, and their beginnings."""
    return [
        {
            "id": row.query_id,
            "text": row.text or row.query_id,
            "change": _change(row),
            "groups": [
                (title, [(_called(one.title, one.id), one.text.removeprefix(one.title).strip(), note(one)) for one in documents])
                for title, documents, note in (
                    ("Relevant documents that fell", row.fell, _ranks),
                    ("Left the top", row.left, _grade),
                    ("Came in", row.came_in, _grade),
                )
                if documents
            ],
        }
        for row in _worst_first(report)
    ]


def _worst_first(report: Report) -> list[LoserRow]:
    return sorted(report.losers, key=lambda row: row.value - row.full)


def _loser(row: LoserRow) -> Item:
    """The query with its value before and after; below it the documents by which that changed, judged ones first."""
    details = {
        "fell": [f"{_named(one)} from rank {_place(one.rank_at_full)} to {_place(one.rank)}" for one in row.fell],
        "left": [_graded(one) for one in sorted(row.left, key=_by_grade)],
        "came in": [_graded(one) for one in sorted(row.came_in, key=_by_grade)],
    }
    return Item(
        f"{_change(row)}  {_called(_cut(row.text), _cut(row.query_id))}",
        tuple(f"{how}: {_first_of(documents)}" for how, documents in details.items() if documents),
    )


def _change(row: LoserRow) -> str:
    return f"{row.full:.2f} -> {row.value:.2f}"


def _first_of(documents: list[str]) -> str:
    rest = len(documents) - _MOST_DOCUMENTS
    return "; ".join([*documents[:_MOST_DOCUMENTS], *([f"{rest} more"] if rest > 0 else [])])


def _graded(document: DocumentRow) -> str:
    return _named(document) + ("" if document.grade is None else f" ({_grade(document)})")


def _grade(document: Any) -> str:
    return "" if document.grade is None else f"grade {document.grade}"


def _ranks(document: Any) -> str:
    return f"grade {document.grade}, rank {_place(document.rank_at_full)} to {_place(document.rank)}"


def _place(rank: int | None) -> str:
    return "nowhere" if rank is None else words.count(rank)


def _by_grade(document: DocumentRow) -> int:
    return -(document.grade or 0)


def _named(document: DocumentRow | FallenRow) -> str:
    return _called(_cut(document.title), _cut(document.id))


def _called(text: str, name: str) -> str:
    """Writes `title [id]`, or `[id]` where the title says no more than the id."""
    return f"{text} [{name}]" if text and text != name else f"[{name}]"


def _q(row: SliceRow) -> str:
    return words.DASH if row.q_value is None else f"{row.q_value:.3f}"


def _name(row: SliceRow) -> str:
    return f"{row.field}={row.value}"


def _cut(text: str) -> str:
    """The beginning of a long text: a row names a query or document, it does not quote it."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
