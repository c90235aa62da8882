"""The report as GitHub workflow commands: annotations on the job, and the summary page that goes with them."""

from __future__ import annotations

from mrl_sweep.report.content import view
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render import markdown as markdown_page
from mrl_sweep.report.render.escape import github_data, github_property


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """One annotation for the verdict, one per failure of the gate and one per warning.

    GitHub shows ten annotations of each kind per step, so what matters comes first.
    """
    level = _level(report)
    lines = [command(level, _title(report), *view.closing(report))]
    if report.gate:
        lines += [command(level, "mrl-sweep gate", failure) for failure in report.gate.failures]
    lines += [command("warning", "mrl-sweep", *filter(None, (one.message, one.hint))) for one in report.warnings]
    return "\n".join(lines) + "\n"


def summary(report: Report) -> str:
    """Markdown to append to the file that `$GITHUB_STEP_SUMMARY` names."""
    return markdown_page.render(report, Look())


def _level(report: Report) -> str:
    """`error` where the process fails on it, `warning` where evidence is missing but it does not, else `notice`."""
    gate = report.gate
    failed = gate.exit_code != 0 if gate else report.status == "fail"
    status = gate.status if gate else report.status
    return "error" if failed else "notice" if status == "pass" else "warning"


def _title(report: Report) -> str:
    status = report.gate.status if report.gate else report.status
    return {"pass": "mrl-sweep: pass", "fail": "mrl-sweep: fail"}.get(status, "mrl-sweep: not enough evidence")


def command(level: str, title: str, *lines: str) -> str:
    """One annotation: `level` is error, warning or notice."""
    return f"::{level} title={github_property(title)}::{github_data(*lines)}"
