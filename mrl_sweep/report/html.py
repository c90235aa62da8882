"""The report as one HTML file that needs nothing else: tables, the curve as inline SVG, and the manifest."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrl_sweep.report import Look, chart, view
from mrl_sweep.report.document import Report
from mrl_sweep.report.escape import plain
from mrl_sweep.report.sections import sections


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A page without scripts, links or outside resources; its policy forbids them should any text slip through."""
    environment = Environment(
        loader=PackageLoader("mrl_sweep.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    status = report.gate.status if report.gate else report.status
    return environment.get_template("report.html.j2").render(
        status=status,
        headline=view.headline(report),
        closing=view.closing(report),
        failures=report.gate.failures if report.gate else (),
        sizes=view.sizes(report),
        chart=chart.chart(report),
        picture=chart,
        remarks=view.remarks(report),
        sections=sections(report),
        manifest=json.dumps(report.to_dict()["manifest"], indent=2),
    )


def _finalize(value: Any) -> Any:
    """Every string on the page loses what could act on it; line breaks are ours alone, in the manifest."""
    if type(value) is not str:
        return value
    return "\n".join(plain(line) for line in value.split("\n"))
