"""Renders for pull requests and CI systems: a comment in Markdown, GitHub's annotations (one a message), and JUnit XML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from xml.etree import ElementTree

from mrl_sweep import words
from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Section, Table, fit
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import github_data, github_line, github_property, markdown, plain, xml
from mrl_sweep.types import Configuration, Evidence, Outcome
from mrl_sweep.words import plural

_WIDTH = 110
"""Characters of a table that a comment shows without scrolling."""

MARKER = "<!-- mrl-sweep -->"

_MOST_WARNINGS = 3

_LONGEST = 30
"""Lines of a comment: nobody reads more, and a longer one is muted. Where every section is asked for, there is no limit."""

_SIGNS = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "❔ inconclusive"}

_NAME = "mrl-sweep"
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_TIME = "1970-01-01T00:00:00"


def comment(report: Report, look: Look) -> str:
    """Writes a comment of some thirty lines: status, closing sentences, table of sizes, what else was found, warnings.

    The comment begins with a marker, by which a workflow finds its own comment again.
    """
    sizes, made = view.sizes(report), sections(report)
    opened = [section for section in made if not section.on_request or look.shows("all")]
    text = _joined(
        *_answer(_sign(report.shown_status), view.closing(report), view.failures(report)),
        markdown(" · ".join(view.headline(report))),
        _table(sizes.table),
        " ".join(_notes(sizes)),
        "\n".join(markdown(sentence) for section in made if section not in opened for sentence in section.brief),
        _warnings(view.remarks(report)),
    )
    return _as_far_as_short(text, [(section.title, _folded(section)) for section in opened], look)


def _answer(status: str, closing: Sequence[str], failures: Sequence[str]) -> list[str]:
    """Writes how every comment begins: the marker, the status, the sentences to act on, and the failures."""
    first, *more = map(markdown, closing)
    unmet = "\n".join(f"- {markdown(failure)}" for failure in failures)
    return [f"{MARKER}\n### mrl-sweep: {status}", f"**{first}**", *more, unmet]


def _sign(status: str) -> str:
    return _SIGNS.get(status, markdown(status))


def _as_far_as_short(text: str, blocks: Sequence[tuple[str, str]], look: Look) -> str:
    """The comment with those of the titled blocks for which it stays short; the others are named in its last line."""
    longest = math.inf if look.shows("all") else _LONGEST
    left: list[str] = []
    for number, (title, block) in enumerate(blocks, start=1):
        longer = _joined(text, block)
        last_line = 2 if left or number < len(blocks) else 0  # an empty line goes before it
        if longer.count("\n") + 1 + last_line <= longest:
            text = longer
        else:
            left.append(markdown(title))
    return _joined(text, f"On the page (`--format html`): {'; '.join(left)}." if left else "") + "\n"


def comment_of_article(article: Article, look: Look) -> str:
    """Writes a comment of what to act on, then the sections.

    With reports in the article: the first section, then as far as the comment stays short the other tables and each report,
    which opens on a click.
    """
    title = markdown(article.title) + (f": {_sign(article.status)}" if article.status else "")
    at_once = article.sections[:1] if article.parts else article.sections
    text = _joined(
        *_answer(title, article.closing, article.unsaid_failures),
        *map(_shown, at_once),
        _warnings(article.warnings),
    )
    tables = [(section.title, _shown(section)) for section in article.sections[len(at_once) :] if section.table]
    reports = [
        (name, _details(name, *map(markdown, view.closing(report)), _table(view.sizes(report).table)))
        for name, report in article.parts.items()
    ]
    return _as_far_as_short(text, [*tables, *reports], look)


def _joined(*blocks: str) -> str:
    return "\n\n".join(filter(None, blocks))


def _details(title: str, *blocks: str) -> str:
    """Blocks that open on a click; the empty lines let GitHub read Markdown inside the element, but not in its title."""
    return f"<details><summary>{escape(plain(title))}</summary>\n\n{_joined(*blocks)}\n\n</details>"


def _shown(section: Section) -> str:
    title = f"**{markdown(section.title)}**" if section.title else ""
    more = f"{plural(section.left_out, 'more row')}: `--format html`" if section.left_out else ""
    return _joined(title, _table(section.table), more, _items(section), *_notes(section))


def _table(table: Table | None) -> str:
    if table is None:
        return ""
    table = fit(table, _WIDTH, gap=3)
    lines = [
        _line([markdown(column.title) for column in table.columns]),
        _line(["---:" if column.right else ":---" for column in table.columns]),
    ]
    for i, cells in enumerate(table.rows):
        shown = [markdown(cell) for cell in cells]
        lines.append(_line([f"**{cell}**" for cell in shown] if i == table.chosen else shown))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _notes(section: Section) -> list[str]:
    """Lists the notes of the section's columns, of those for which there is room, and its own."""
    columns = fit(section.table, _WIDTH, gap=3).notes if section.table else ()
    return [markdown(note) for note in (*columns, *section.notes)]


def _items(section: Section) -> str:
    lines = []
    for item in section.items:
        lines.append(f"- {markdown(item.text)}")
        lines += [f"  - {markdown(detail)}" for detail in item.details]
    return "\n".join(lines)


def _warnings(section: Section) -> str:
    """The first warnings without their hints, which the text and the page give."""
    lines = [f"- ⚠️ {markdown(item.text)}" for item in section.items[:_MOST_WARNINGS]]
    rest = len(section.items) - _MOST_WARNINGS
    if rest > 0:
        lines.append(f"- {plural(rest, 'more warning')} in report.json")
    return _joined("\n".join(lines), *_notes(section))


def _folded(section: Section) -> str:
    return _details(section.title, _table(section.table), _no_room(section), _items(section), *_notes(section))


def _no_room(section: Section) -> str:
    """The sizes of a grid that were left out: a reader would take them for not measured."""
    if section.name != "grid" or section.table is None:
        return ""
    names = [column.title for column in section.table.columns if column not in fit(section.table, _WIDTH, gap=3).columns]
    return f"No room here for {', '.join(names)}: `--format html`" if names else ""


# --- Annotations ------------------------------------------------------------------------------------------------------


def github(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Annotates the verdict, each failure of the gate, and each warning that the baseline did not give as well.

    GitHub shows ten annotations of each kind per step, so what matters comes first.
    """
    gate = report.gate
    level = _level(report.shown_status, failed=gate.exit_code != 0 if gate else report.status == "fail")
    lines = [command(level, _title(report), *view.closing(report))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in view.failures(report)]
    news = [one for one in report.open_warnings if gate is None or one.message not in gate.unchanged]
    lines += [command("warning", "mrl-sweep", *filter(None, (one.message, one.hint))) for one in news]
    return "\n".join(lines) + "\n"


def github_of_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Annotates the joint verdict, each failure, each warning with its collection's name; then prints the tables to the log."""
    level = _level(article.status, failed=article.exit_code != 0)
    lines = [command(level, f"mrl-sweep: {article.status} in {article.title}", " ".join(article.closing))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in article.unsaid_failures]
    for name, report in article.parts.items():
        remarks = [(f"{name}: {one.message}", one.hint) for one in report.open_warnings]
        lines += [command("warning", "mrl-sweep", *filter(None, words)) for words in remarks]
    tables = [line for section in article.sections for line in _lines(section.table)]
    return "\n".join([*lines, *map(github_line, tables)]) + "\n"


def _lines(table: Table | None) -> list[str]:
    """A table as lines of a log, its columns lined up."""
    if table is None:
        return []
    rows = [tuple(column.title for column in table.columns), *table.rows]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _level(status: str, *, failed: bool) -> str:
    """`error` where the process fails on it, `warning` where evidence is missing but it does not, else `notice`."""
    return "error" if failed else "notice" if status == "pass" else "warning"


def _title(report: Report) -> str:
    titles = {"pass": "mrl-sweep: pass", "fail": "mrl-sweep: fail"}
    return titles.get(report.shown_status, "mrl-sweep: not enough evidence")


def command(level: str, title: str, *lines: str) -> str:
    """Writes one annotation of GitHub: `level` is error, warning or notice."""
    return f"::{level} title={github_property(title)}::{github_data(*lines)}"


# --- JUnit ------------------------------------------------------------------------------------------------------------


def junit(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Writes a `testsuites` document of one suite.

    Only what can fail is a case: the verdict, the measures that must pass, the declared slices. The case `verdict` fails if
    and only if the gate's exit code is not 0; without a gate, if the status is not pass.
    """
    return _suites({_NAME: report})


def junit_of_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Writes a suite for each of the article's reports, under that report's name."""
    return _suites({f"{_NAME} {name}": report for name, report in article.parts.items()})


def _suites(reports: Mapping[str, Report]) -> str:
    root = ElementTree.Element("testsuites")
    root.extend(_suite(report, name, number) for number, (name, report) in enumerate(reports.items()))
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(report: Report, name: str, number: int) -> ElementTree.Element:
    cases = [_verdict_case(report), *_measure_cases(report), *_slice_cases(report)]
    created = _WHEN.match(str(report.manifest.get("created", "")))
    attributes = {
        "name": xml(name),
        "id": str(number),
        "package": _NAME,
        "hostname": "localhost",
        "timestamp": created[0] if created else _NO_TIME,
        "time": "0",
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": "0",
    }
    suite = ElementTree.Element("testsuite", attributes)
    facts = {"status": report.shown_status, "dimension": str(report.verdict.dimension), "measure": report.verdict.measure}
    if report.gate:
        facts["exit_code"] = str(report.gate.exit_code)
    properties = ElementTree.SubElement(suite, "properties")
    for fact, value in facts.items():
        ElementTree.SubElement(properties, "property", name=fact, value=xml(value))
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out").text = xml("  ".join(view.closing(report)))
    ElementTree.SubElement(suite, "system-err").text = xml("  ".join(warning.message for warning in report.open_warnings))
    return suite


def _verdict_case(report: Report) -> ElementTree.Element:
    first, *rest = view.closing(report)
    question = report.gate.question if report.gate else "which size to ship"
    failure = (report.shown_status, first) if _missed(report) else None
    return _case("verdict", question, failure, text="  ".join([*view.failures(report), *rest]))


def _measure_cases(report: Report) -> Iterator[ElementTree.Element]:
    """A case for each measure that must pass, at the size in question; it fails where the gate does and this measure is why."""
    gate, dim = report.gate, report.verdict.dimension
    named = Configuration.parse(gate.configuration or str(gate.dim)) if gate else Configuration.exact_prefix(dim)
    row = report.row(named)
    measures = {} if row is None else row.measures
    for name in (name for name in report.verdict.required if name in measures):
        evidence = measures[name]
        failure = ("fail", _figures(evidence, report)) if _missed(report) and _short(evidence, report) else None
        yield _case("measures", f"{named} {name}", failure)


def _slice_cases(report: Report) -> Iterator[ElementTree.Element]:
    """A case for each declared slice with a margin, at the size in question; it fails where it is proven below its margin."""
    dim = report.gate.dim if report.gate else report.verdict.dimension
    for row in report.slices:
        if row.declared and row.verdict is not None and row.dim == dim:
            kept = words.percent(row.kept, limit=row.retain or report.verdict.retain)
            failure = ("fail", f"keeps {kept}") if row.verdict == Outcome.FAIL and _missed(report) else None
            yield _case("slices", f"{dim} {row.field}={row.value}", failure)


def _case(group: str, name: str, failure: tuple[str, str] | None, *, text: str | None = None) -> ElementTree.Element:
    """Makes a case, which fails where `failure` is given: its type and message, with the `text` below."""
    case = ElementTree.Element("testcase", classname=xml(f"{_NAME}.{group}"), name=xml(name), time="0")
    if failure is not None:
        kind, message = map(xml, failure)
        element = ElementTree.SubElement(case, "failure", type=kind, message=message)
        element.text = text and xml(text)
    return case


def _missed(report: Report) -> bool:
    """Whether the case `verdict` fails: by the gate's exit code, or without a gate by the status."""
    return report.gate.exit_code != 0 if report.gate else report.status != "pass"


def _short(evidence: Evidence, report: Report) -> bool:
    """Whether this measure is proven, or where means decide measured, below what was asked."""
    share = evidence.kept if report.verdict.decide_by == "mean" else evidence.at_most
    return share is not None and share < report.verdict.retain


def _figures(evidence: Evidence, report: Report) -> str:
    limit = report.verdict.retain
    kept, least = (words.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    return f"mean {words.score(evidence.mean)}, kept {kept}, at least {least}; asked {words.asked_share(limit)}"
