"""The report as Markdown, fit for a pull-request comment: GitHub's tables, nothing that renders other people's markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Section, Table, fit
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import markdown as safe
from mrl_sweep.report.render.escape import plain
from mrl_sweep.words import plural

_WIDTH = 110
"""Characters of a table that a comment shows without scrolling."""

MARKER = "<!-- mrl-sweep -->"

_MOST_WARNINGS = 3

_LONGEST = 30
"""Lines of a comment: nobody reads more, and a longer one is muted."""

_SIGNS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "❔ inconclusive"}


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A comment of some thirty lines: the status, the closing sentences, the table of sizes, what else was found, warnings.

    It begins with a marker, by which a workflow finds its own comment again.
    """
    status = report.gate.status if report.gate else report.status
    first, *more = (safe(sentence) for sentence in view.closing(report))
    sizes = view.sizes(report)
    made = sections(report)
    blocks = [
        f"{MARKER}\n### mrl-sweep: {_SIGNS.get(status, safe(status))}",
        f"**{first}**",
        *more,
        "\n".join(f"- {safe(failure)}" for failure in view.failures(report)),
        safe(" · ".join(view.headline(report))),
        _table(sizes.table),
        " ".join(_notes(sizes)),
        "\n".join(safe(sentence) for section in made for sentence in section.brief),
        _warnings(view.remarks(report)),
    ]
    text = "\n\n".join(block for block in blocks if block)
    return text + _folded_where_short(text, [section for section in made if section.asked]) + "\n"


def _folded_where_short(text: str, sections: Sequence[Section]) -> str:
    """What comes after the text: the sections that open on a click, as far as the comment stays short; the others by name."""
    more = ""
    left: list[str] = []
    for section in sections:
        folded = f"\n\n{_folded(section)}"
        pointer = 2 if left or section is not sections[-1] else 0
        if (text + more + folded).count("\n") + 1 + pointer <= _LONGEST:
            more += folded
        else:
            left.append(safe(section.title))
    return more + (f"\n\nOn the page (`--format html`): {'; '.join(left)}." if left else "")


def render_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """What to act on, then the sections; the reports that belong to it open on a click."""
    title = safe(article.title) + (f": {_SIGNS.get(article.status, safe(article.status))}" if article.status else "")
    first, *more = (safe(sentence) for sentence in article.closing)
    blocks = [
        f"{MARKER}\n### mrl-sweep: {title}",
        f"**{first}**",
        *more,
        "\n".join(f"- {safe(failure)}" for failure in article.unsaid_failures),
        *(block for section in article.sections for block in _shown(section)),
        _warnings(article.warnings),
        *(_folded_report(name, report) for name, report in article.parts.items()),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _shown(section: Section) -> list[str]:
    title = f"**{safe(section.title)}**" if section.title else ""
    more = f"{plural(section.left_out, 'more row')}: `--format html`" if section.left_out else ""
    return [title, _table(section.table), more, _items(section), *_notes(section)]


def _folded_report(name: str, report: Report) -> str:
    """One report behind its name: the answer and its table of sizes."""
    inner = "\n\n".join([*(safe(sentence) for sentence in view.closing(report)), _table(view.sizes(report).table)])
    return f"<details><summary>{_html(name)}</summary>\n\n{inner}\n\n</details>"


def _table(table: Table | None) -> str:
    if table is None:
        return ""
    table = fit(table, _WIDTH, gap=3)
    lines = [
        _line([safe(column.title) for column in table.columns]),
        _line(["---:" if column.right else ":---" for column in table.columns]),
    ]
    for i, cells in enumerate(table.rows):
        shown = [safe(cell) for cell in cells]
        lines.append(_line([f"**{cell}**" for cell in shown] if i == table.chosen else shown))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _notes(section: Section) -> list[str]:
    return [safe(note) for note in section.notes]


def _items(section: Section) -> str:
    lines = []
    for item in section.items:
        lines.append(f"- {safe(item.text)}")
        lines += [f"  - {safe(detail)}" for detail in item.details]
    return "\n".join(lines)


def _warnings(section: Section) -> str:
    """The first warnings without their hints, which the text and the page give."""
    lines = [f"- ⚠️ {safe(item.text)}" for item in section.items[:_MOST_WARNINGS]]
    rest = len(section.items) - _MOST_WARNINGS
    if rest > 0:
        lines.append(f"- {plural(rest, 'more warning')} in report.json")
    return "\n\n".join(filter(None, ["\n".join(lines), *_notes(section)]))


def _folded(section: Section) -> str:
    """A part that opens on a click; the empty lines let GitHub read Markdown inside the element."""
    body = [_table(section.table), _no_room(section), _items(section), *_notes(section)]
    inner = "\n\n".join(block for block in body if block)
    return f"<details><summary>{_html(section.title)}</summary>\n\n{inner}\n\n</details>"


def _no_room(section: Section) -> str:
    """The sizes of a grid that were left out: a reader would take them for not measured."""
    if section.name != "grid" or section.table is None:
        return ""
    names = [column.title for column in section.table.columns if column not in fit(section.table, _WIDTH, gap=3).columns]
    return f"No room here for {', '.join(names)}: `--format html`" if names else ""


def _html(text: str) -> str:
    """Inside a line of HTML, Markdown's escapes would show: only HTML's own apply."""
    return escape(plain(text))
