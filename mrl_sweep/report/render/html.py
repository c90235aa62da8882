"""The report as one HTML file that needs nothing else: tables, the curve as inline SVG, and the manifest."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import fit
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look, chart
from mrl_sweep.report.render.escape import plain

_WIDTH = 130
"""Characters of a table that fit on the page."""


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A page without scripts, links or outside resources; its policy forbids them should any text slip through."""
    environment = Environment(
        loader=PackageLoader("mrl_sweep.report.render"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
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
        fit=lambda table: fit(table, _WIDTH, gap=3),
        manifest=json.dumps(report.to_dict()["manifest"], indent=2).split("\n"),
    )


def _finalize(value: Any) -> Any:
    """Every string on the page, ours or not, loses what could act on it; markup made by the template's macros stays."""
    return plain(value) if type(value) is str else value
