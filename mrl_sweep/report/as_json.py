"""The report as its own document."""

from __future__ import annotations

from mrl_sweep.report import Look
from mrl_sweep.report.document import Report


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """The document, the same text as report.json."""
    return report.to_json() + "\n"
