"""The report as JUnit XML: one case for the verdict, one per candidate and measure, as CI systems show test results."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from mrl_sweep.report.content import numbers, view
from mrl_sweep.report.document import CandidateRow, Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import xml as safe
from mrl_sweep.types import EXACT, FLOAT32, Configuration, Evidence, Outcome

_NAME = "mrl-sweep"
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_TIME = "1970-01-01T00:00:00"


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A `testsuites` document of one suite.

    The case `verdict` fails if and only if the gate (or, without one, the question) is not met. A size that is too low is no
    failure by itself, since looking for the limit means going beyond it: such cases are skipped, with their figures, unless
    the gate asked for that very size.
    """
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite")
    _properties(suite, report)
    _verdict_case(suite, report)
    for row in report.candidates:
        for name, evidence in row.measures.items():
            _candidate_case(suite, report, row, name, evidence)
    ElementTree.SubElement(suite, "system-out").text = safe("  ".join(view.closing(report)))
    ElementTree.SubElement(suite, "system-err").text = safe("  ".join(warning.message for warning in report.warnings))
    _count(suite, report)
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
    if gate.exit_code != 0 if gate else status != "pass":
        first, *rest = view.closing(report)
        failure = ElementTree.SubElement(case, "failure", type=safe(status), message=safe(first))
        failure.text = safe("  ".join([*(gate.failures if gate else ()), *rest]))


def _candidate_case(suite: ElementTree.Element, report: Report, row: CandidateRow, name: str, evidence: Evidence) -> None:
    how = [row.basis, *([row.precision] if row.precision != FLOAT32 else []), *([] if row.index == EXACT else [row.index])]
    case = _case(suite, " ".join([*how, *([f"rescore={row.rescore}"] if row.rescore else [])]), f"{row.dim} {name}")
    figures = _figures(evidence, report)
    asked = report.gate is not None and row.configuration == Configuration.exact_prefix(report.gate.dim)
    decides = name in (report.verdict.measure, *report.verdict.required)
    if row.verdict == Outcome.FAIL and asked and decides and report.gate is not None and report.gate.exit_code != 0:
        ElementTree.SubElement(case, "failure", type="fail", message=safe(figures)).text = safe(row.reason)
    elif row.verdict not in (Outcome.PASS, Outcome.BASELINE) or not decides:
        words = view.verdict_words(row, report) if decides else "for information"
        ElementTree.SubElement(case, "skipped", message=safe(f"{words}: {figures}"))


def _figures(evidence: Evidence, report: Report) -> str:
    limit = report.verdict.retain
    kept, least = (numbers.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    return f"mean {numbers.score(evidence.mean)}, kept {kept}, at least {least}; asked {numbers.asked(limit)}"


def _case(suite: ElementTree.Element, group: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=safe(f"{_NAME}.{group}"), name=safe(name), time="0")
