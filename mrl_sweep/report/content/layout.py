"""The parts that renderings are made of: tables, items, sections and articles of raw text, which each format escapes itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from mrl_sweep.record import record

if TYPE_CHECKING:
    from mrl_sweep.report.document import Report
    from mrl_sweep.types import Advice

T = TypeVar("T")


class Mood(StrEnum):
    """How a row or a line is meant; colour may show it, but words always say it too."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    QUIET = "quiet"
    PLAIN = "plain"


SAME_TOP: Final = r"same top \d+"
MEANINGS: Final = {
    r"(.+ )?kept( there)?": "the share of full size's mean that is kept",
    r"at least": "the lower limit of the share kept: what is proven",
    r"at most": "the upper limit of the share kept: where it is below what was asked, the row is too low",
    r"lost/gained": "how many queries lose, and how many gain, against full size",
    SAME_TOP: "how many of full size's first documents are among the first here too, judged or not",
    r"others": "the share that all other queries keep",
    r"q": "the share of false alarms to expect among all slices that stand out as much as this one",
    r"p50": "the median time of one query",
    r"p99": "the time in which 99 of 100 queries are answered",
    r"float32 index": "the size of an index that compares with every float32 vector of this many dimensions",
    r"lost by cutting": "the share of full size's mean that the exact search loses at this size",
    r"by the index": "what the index, or the shortlist, loses on top of that",
    r"kept hot": "what a shortlist needs in memory; the vectors that order it again may lie on disk",
    r"work": "how many fewer numbers are multiplied for a query than at full size",
    r"band": "where the mean lies there by either model, and by the chance of the queries",
    r"holds up to": "the number of documents up to which the size is proven",
}
"""What headings mean, by a pattern of the whole heading; the page shows it on hover."""


@record(kw_only=True)
class Mark:
    """What a page adds to a cell: how many shades it is darkened, whether it stands out, and its tooltip."""

    shade: int = 0
    strong: bool = False
    tip: str = ""


@record(kw_only=True)
class Column:
    """One column of a table. `drop` 0 always stays; else the highest number leaves first where the width is short.

    `note` is a sentence that stands below the table, where the column does. `marks` are one a cell, or none.
    """

    title: str
    cells: tuple[str, ...]
    right: bool = True
    drop: int = 0
    note: str = ""
    marks: tuple[Mark, ...] = ()

    @property
    def meaning(self) -> str:
        """An explanation of the heading (`MEANINGS`); empty where the heading needs none."""
        return next((meaning for title, meaning in MEANINGS.items() if re.fullmatch(title, self.title)), "")


@record
class ColumnsOf(Generic[T]):
    """Makes the columns of a table, of which each line shows one of `rows`; `cell` writes a row's cell in words."""

    rows: Sequence[T]

    def number(
        self, title: str, cell: Callable[[T], str], *, drop: int = 0, note: str = "", mark: Callable[[T], Mark] | None = None
    ) -> Column:
        """Makes a column of figures, which stand below each other by their last digit."""
        marks = tuple(map(mark, self.rows)) if mark else ()
        return Column(title=title, cells=tuple(map(cell, self.rows)), drop=drop, note=note, marks=marks)

    def text(self, title: str, cell: Callable[[T], str], *, drop: int = 0, note: str = "") -> Column:
        """Makes a column of words, which may wrap where the width is short."""
        return replace(self.number(title, cell, drop=drop, note=note), right=False)


@record(kw_only=True)
class Table:
    """Columns of equal length; row `chosen` is the answer, `moods` one per row."""

    columns: tuple[Column, ...]
    moods: tuple[Mood, ...]
    chosen: int | None = None

    @classmethod
    def of(cls, columns: Sequence[Column], moods: Sequence[Mood] = (), *, chosen: int | None = None) -> Self:
        """Makes a table of the columns in which something stands: one of dashes alone says nothing. No moods: all are plain."""
        with_figures = tuple(column for column in columns if any(cell.strip("- ") for cell in column.cells))
        return cls(columns=with_figures, moods=tuple(moods) or (Mood.PLAIN,) * len(columns[0].cells), chosen=chosen)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of its columns, each once."""
        return tuple(dict.fromkeys(column.note for column in self.columns if column.note))


@record
class Item:
    """A line of text, with details below it."""

    text: str
    details: tuple[str, ...] = ()


@record(kw_only=True)
class Section:
    """A titled part of the report: a table, items, and notes in sentences, any of them absent.

    `name` is its value of `--show`. A text leaves out a section that is shown `on_request`, and shows its `brief` sentences
    instead, if any. `every` are all rows, which a page has room for, where `table` keeps those that matter most.
    """

    title: str
    name: str = ""
    on_request: bool = False
    brief: tuple[str, ...] = ()
    table: Table | None = None
    every: Table | None = None
    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def left_out(self) -> int:
        """How many rows `table` leaves out."""
        return len(self.every.rows) - len(self.table.rows) if self.every and self.table else 0


@record(kw_only=True)
class Article:
    """What is shown of a document that is no single run's report; every renderer shows it as it shows a report.

    `document` is what JSON prints. `status` and `exit_code` are those of a verdict, where there is one. `parts` are reports by
    name that belong to it, shown by those renderings that have room for details; `charts` are pictures for a page, as SVG.
    """

    title: str
    document: Mapping[str, Any]
    closing: tuple[str, ...]
    sections: tuple[Section, ...]
    warnings: Section = Section(title="Warnings")
    status: str = ""
    exit_code: int = 0
    failures: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    parts: Mapping[str, Report] = field(default_factory=dict)

    @property
    def unsaid_failures(self) -> tuple[str, ...]:
        """The failures that no closing sentence says already."""
        return unsaid(self.failures, self.closing)


def unsaid(failures: Sequence[str], closing: Sequence[str]) -> tuple[str, ...]:
    """Keeps the failures that no closing sentence says already: nobody reads a sentence twice."""
    return tuple(failure for failure in failures if not any(failure in sentence for sentence in closing))


def by_name(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Makes the JSON document of an article: the one document, or several as a list `collections` with their names."""
    if len(documents) == 1:
        return {"schema_version": 1, **documents[0][1]}
    return {"schema_version": 1, "collections": [{"name": name, **document} for name, document in documents]}


def titled(named: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
    """Keeps the names where there are several; the name of a single one becomes empty."""
    pairs = list(named)
    return pairs if len(pairs) > 1 else [("", one) for _, one in pairs]


def prefixed(name: str, text: str) -> str:
    """Writes `name: text`, or the text alone where there is no name."""
    return f"{name}: {text}" if name else text


def warnings(advice: Iterable[Advice], notes: Sequence[str] = ()) -> Section:
    """Makes the section of warnings: each a sentence with its hint below."""
    items = tuple(Item(one.message, (one.hint,) if one.hint else ()) for one in advice)
    return Section(title="Warnings", items=items, notes=tuple(notes))


_TEXT_WIDTH: Final = 17
_WORD_WIDTH: Final = 24


def narrowest(column: Column) -> int:
    """Counts the characters that a column needs: its figures whole; its words whole too, up to `_WORD_WIDTH` of one."""
    texts = (column.title, *column.cells)
    if column.right:
        return max(map(len, texts))
    return min(max(len(word) for text in texts for word in text.split(" ")), _WORD_WIDTH)


def natural_width(table: Table, *, gap: int) -> int:
    """Counts the characters that a table takes; words may wrap and count for `_TEXT_WIDTH`, or for the longest of them."""
    widest = [max(map(len, (column.title, *column.cells))) for column in table.columns]
    shown = [max(narrowest(column), min(wide, _TEXT_WIDTH)) for column, wide in zip(table.columns, widest, strict=True)]
    return sum(shown) + gap * (len(shown) - 1)


def widths(table: Table, room: int, *, gap: int) -> list[int]:
    """Gives each column its characters: all that it takes; where `room` is short, columns of words wrap, the widest first.

    A figure is never cut, nor is a word broken for the sake of others: what is still too wide runs over.
    """
    given = [max(map(len, (column.title, *column.cells))) for column in table.columns]
    least = [narrowest(column) for column in table.columns]
    while sum(given) + gap * (len(given) - 1) > room and given != least:
        given[max((i for i, needs in enumerate(least) if given[i] > needs), key=given.__getitem__)] -= 1
    return given


def fit(table: Table, width: int, *, gap: int) -> Table:
    """Leaves out columns, the highest `drop` first, until `width` characters hold the table or only `drop` 0 is left."""
    while natural_width(table, gap=gap) > width and any(column.drop for column in table.columns):
        last = max(table.columns, key=lambda column: column.drop)
        table = replace(table, columns=tuple(column for column in table.columns if column is not last))
    return table
