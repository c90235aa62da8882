"""Renders a report or article as text for a terminal: the sizes, what else was found, and at the end the sentence to act on."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Item, Mood, Section, Table, fit, natural_width, widths
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look, escape
from mrl_sweep.report.render.chart import ASCII, UNICODE, curve
from mrl_sweep.words import plural

_STYLES = {Mood.GOOD: "green", Mood.BAD: "red", Mood.OPEN: "yellow", Mood.QUIET: "dim", Mood.PLAIN: ""}
_MARK = "> "
_INDENT = 2
_GAP = 3
_TIGHT = 2
_MOST_WARNINGS = 3


def render(report: Report, look: Look) -> str:
    """Writes the report in lines of at most `look.width` columns, wherever that can be done without cutting a number."""
    text = _Page(look)
    if headline := view.headline(report):
        text.line(Text("  ".join(headline), style="bold"))
    for limit in view.limits(report):
        text.line(Text(limit, style=f"bold {_STYLES[Mood.BAD]}"))
    sizes = view.sizes(report)
    text.blank()
    text.table(sizes.table)
    text.notes(sizes.notes)
    if len(view.ladder(report)) > view.FINE_SWEEP:
        text.blank()
        for line in curve(report, width=look.width, signs=UNICODE if _holds(look.encoding, UNICODE) else ASCII):
            text.line(Text(line, no_wrap=True))
    made = sections(report)
    hidden = [section for section in made if section.on_request and not look.shows(section.name)]
    for section in (section for section in made if section not in hidden):
        text.section(section)
        if section.name == "grid":
            text.left_out(section.table)
    if any(section.brief for section in hidden):
        text.blank()
    for sentence in (sentence for section in hidden for sentence in section.brief):
        text.line(Text(sentence))
    text.warnings(view.remarks(report), most=None if look.shows("warnings") else _MOST_WARNINGS)
    if hidden:
        text.line(Text(f"More: -v, or --show {','.join(dict.fromkeys(section.name for section in hidden))}.", style="dim"))
    text.blank()
    for failure in view.failures(report):
        text.line(Text(failure))
    first, *more = view.closing(report)
    text.line(Text(first, style=f"bold {_STYLES[_verdict_mood(report.shown_status)]}"))
    for sentence in more:
        text.line(Text(sentence))
    return text.done()


def render_article(article: Article, look: Look) -> str:
    """Writes the article's sections, then what to act on; where all sections are asked for, also its reports."""
    text = _Page(look)
    for section in article.sections:
        text.section(section)
        text.left_out(section.table)
        text.notes((f"{plural(section.left_out, 'more row')}: --format html.",) if section.left_out else ())
    text.warnings(article.warnings, most=None if look.shows("warnings") else _MOST_WARNINGS)
    text.blank()
    for failure in article.unsaid_failures:
        text.line(Text(failure))
    for sentence in article.closing:
        text.line(Text(sentence, style=f"bold {_STYLES[_verdict_mood(article.status)]}"))
    parts = article.parts if look.shows("all") else {}
    return "\n".join([text.done(), *(render(report, look) for report in parts.values())])


def _verdict_mood(status: str) -> Mood:
    return {"pass": Mood.GOOD, "fail": Mood.BAD, "": Mood.PLAIN}.get(status, Mood.OPEN)


class _Page:
    """A rich console that writes into memory, every string escaped on its way in."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            width=max(look.width, 20),
            force_terminal=look.color,
            color_system="standard" if look.color else None,
            no_color=not look.color,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def done(self) -> str:
        lines = [line.rstrip() for line in self._buffer.getvalue().split("\n")]
        text = "\n".join(lines).strip("\n") + "\n"
        return text.encode(self._look.encoding, "backslashreplace").decode(self._look.encoding)

    def blank(self) -> None:
        self._console.print()

    def line(self, text: Text) -> None:
        safe = Text(self._safe(text.plain), style=text.style, no_wrap=text.no_wrap)
        self._console.print(safe, soft_wrap=bool(text.no_wrap))

    def notes(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            self._indented(note, 2, style="dim")

    def section(self, section: Section) -> None:
        self.blank()
        if section.title:
            self.line(Text(section.title, style="bold"))
        self.table(section.table)
        self._items(section.items)
        self.notes(section.notes)

    def left_out(self, table: Table | None) -> None:
        """Prints the names of the columns for which there is no room."""
        if table is not None:
            shown = fit(table, self._room(table), gap=_TIGHT).columns
            names = [column.title for column in table.columns if column not in shown]
            self.notes((f"No room here for {', '.join(names)}: --format html shows all.",) if names else ())

    def warnings(self, section: Section, *, most: int | None) -> None:
        if section.items or section.notes:
            self.blank()
        for item in section.items[:most]:
            self._console.print(Text.assemble((("warning: "), "yellow"), self._safe(item.text)))
            for detail in item.details:
                self._indented(f"hint: {detail}", 2, style="dim")
        rest = len(section.items[most:]) if most is not None else 0
        for note in (*section.notes, *([f"{plural(rest, 'more warning')}: --show warnings."] if rest else [])):
            self.line(Text(note, style="dim"))

    def table(self, table: Table | None) -> None:
        """Prints the table, and the notes of the columns that are shown."""
        if table is None:
            return
        margin = len(_MARK) if table.chosen is not None else 0
        room = self._room(table)
        table = fit(table, room, gap=_TIGHT)
        columns = table.columns
        gap = _GAP if natural_width(table, gap=_GAP) <= room else _TIGHT
        grid = RichTable(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
        given = widths(table, room, gap=gap)
        for i, (column, wide) in enumerate(zip(columns, given, strict=True)):
            grid.add_column(
                self._safe(column.title),
                justify="right" if column.right else "left",
                no_wrap=column.right,
                overflow="fold",
                width=wide + (margin if i == 0 else 0),
            )
        for i, (first, *rest) in enumerate(zip(*(column.cells for column in columns), strict=True)):
            style = _STYLES[table.moods[i]] + (" bold" if i == table.chosen else "")
            marked = f"{_MARK if i == table.chosen else ''}{first}" if table.chosen is not None else first
            grid.add_row(*(Text(self._safe(cell)) for cell in (marked, *rest)), style=style)
        self._console.width = self._look.width + max(0, sum(given) + gap * (len(given) - 1) - room)
        self._console.print(Padding(grid, (0, 0, 0, _INDENT)))
        self._console.width = self._look.width
        self.notes(table.notes)

    def _room(self, table: Table) -> int:
        return self._look.width - _INDENT - (len(_MARK) if table.chosen is not None else 0)

    def _items(self, items: tuple[Item, ...]) -> None:
        for item in items:
            self._indented(item.text, 2)
            for detail in item.details:
                self._indented(detail, 6, style="dim")

    def _indented(self, text: str, columns: int, *, style: str = "") -> None:
        self._console.print(Padding(Text(self._safe(text), style=style), (0, 0, 0, columns)))

    def _safe(self, text: str) -> str:
        return escape.terminal(text, encoding=self._look.encoding)


def _holds(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
