"""The report as its own document."""

from __future__ import annotations

from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """The document, the same text as report.json."""
    return report.to_json() + "\n"
