"""What CI systems read: GitHub's workflow commands, an annotation a finding; and JUnit XML, a case for all that can fail."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from mrl_sweep import words
from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Table
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import github_data, github_line, github_property
from mrl_sweep.report.render.escape import xml as safe
from mrl_sweep.types import Configuration, Evidence, Outcome

_NAME = "mrl-sweep"
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_TIME = "1970-01-01T00:00:00"


def github(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """One annotation for the verdict, one per failure of the gate and one per warning.

    GitHub shows ten annotations of each kind per step, so what matters comes first.
    """
    gate = report.gate
    level = _level(gate.status if gate else report.status, failed=gate.exit_code != 0 if gate else report.status == "fail")
    lines = [command(level, _title(report), *view.closing(report))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in view.failures(report)]
    lines += [command("warning", "mrl-sweep", *filter(None, (one.message, one.hint))) for one in report.open_warnings]
    return "\n".join(lines) + "\n"


def github_of_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """One annotation for all, one per failure, one per warning with its collection's name; then the tables as lines of a log."""
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
    status = report.gate.status if report.gate else report.status
    return {"pass": "mrl-sweep: pass", "fail": "mrl-sweep: fail"}.get(status, "mrl-sweep: not enough evidence")


def command(level: str, title: str, *lines: str) -> str:
    """One annotation: `level` is error, warning or notice."""
    return f"::{level} title={github_property(title)}::{github_data(*lines)}"


def junit(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A `testsuites` document of one suite.

    Only what can fail is a case: the verdict, the measures that must pass, the declared slices. The case `verdict` fails if
    and only if the gate (or, without one, the question) is not met.
    """
    root = ElementTree.Element("testsuites")
    _add_suite(root, report)
    return _written(root)


def junit_of_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A suite for each of its reports, under that report's name."""
    root = ElementTree.Element("testsuites")
    for number, (name, report) in enumerate(article.parts.items()):
        suite = _add_suite(root, report)
        suite.set("id", str(number))
        suite.set("name", safe(f"{_NAME} {name}"))
    return _written(root)


def _add_suite(root: ElementTree.Element, report: Report) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite")
    _properties(suite, report)
    _verdict_case(suite, report)
    _measure_cases(suite, report)
    _slice_cases(suite, report)
    ElementTree.SubElement(suite, "system-out").text = safe("  ".join(view.closing(report)))
    ElementTree.SubElement(suite, "system-err").text = safe("  ".join(warning.message for warning in report.open_warnings))
    _count(suite, report)
    return suite


def _written(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _count(suite: ElementTree.Element, report: Report) -> None:
    created = _WHEN.match(str(report.manifest.get("created", "")))
    cases = suite.findall("testcase")
    attributes = {
        "name": _NAME,
        "id": "0",
        "package": _NAME,
        "hostname": "localhost",
        "timestamp": created[0] if created else _NO_TIME,
        "time": "0",
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    for name, value in attributes.items():
        suite.set(name, value)


def _properties(suite: ElementTree.Element, report: Report) -> None:
    status = report.gate.status if report.gate else report.status
    facts = {"status": status, "dimension": str(report.verdict.dimension), "measure": report.verdict.measure}
    if report.gate:
        facts["exit_code"] = str(report.gate.exit_code)
    holder = ElementTree.SubElement(suite, "properties")
    for name, value in facts.items():
        ElementTree.SubElement(holder, "property", name=name, value=safe(value))


def _verdict_case(suite: ElementTree.Element, report: Report) -> None:
    gate = report.gate
    status = gate.status if gate else report.status
    case = _case(suite, "verdict", gate.question if gate else "which size to ship")
    if _missed(report):
        first, *rest = view.closing(report)
        failure = ElementTree.SubElement(case, "failure", type=safe(status), message=safe(first))
        failure.text = safe("  ".join([*view.failures(report), *rest]))


def _measure_cases(suite: ElementTree.Element, report: Report) -> None:
    """A case for each measure that must pass, at the size in question; it fails where the gate does and this measure is why."""
    gate, dim = report.gate, report.verdict.dimension
    named = Configuration.parse(gate.configuration or str(gate.dim)) if gate else Configuration.exact_prefix(dim)
    row = report.row(named)
    for name in report.verdict.required if row is not None else ():
        evidence = row.measures.get(name) if row is not None else None
        if evidence is None:
            continue
        case = _case(suite, "measures", f"{named} {name}")
        if _missed(report) and _short(evidence, report):
            ElementTree.SubElement(case, "failure", type="fail", message=safe(_figures(evidence, report)))


def _slice_cases(suite: ElementTree.Element, report: Report) -> None:
    """A case for each declared slice with a margin, at the size in question; it fails where it is proven below its margin."""
    dim = report.gate.dim if report.gate else report.verdict.dimension
    for row in report.slices:
        if row.declared and row.verdict is not None and row.dim == dim:
            case = _case(suite, "slices", f"{dim} {row.field}={row.value}")
            if row.verdict == Outcome.FAIL and _missed(report):
                kept = words.percent(row.kept, limit=row.retain or report.verdict.retain)
                ElementTree.SubElement(case, "failure", type="fail", message=safe(f"keeps {kept}"))


def _missed(report: Report) -> bool:
    """Whether the process fails on this report."""
    return report.gate.exit_code != 0 if report.gate else report.status != "pass"


def _short(evidence: Evidence, report: Report) -> bool:
    """Whether this measure is proven, or where means decide measured, below what was asked."""
    share = evidence.kept if report.verdict.decide_by == "mean" else evidence.at_most
    return share is not None and share < report.verdict.retain


def _figures(evidence: Evidence, report: Report) -> str:
    limit = report.verdict.retain
    kept, least = (words.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    return f"mean {words.score(evidence.mean)}, kept {kept}, at least {least}; asked {words.asked(limit)}"


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=safe(f"{_NAME}.{group}"), name=safe(name), time="0")
