"""The report as GitHub workflow commands: annotations on the job, and the summary page that goes with them."""

from __future__ import annotations

from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Table
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import github_data, github_line, github_property


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """One annotation for the verdict, one per failure of the gate and one per warning.

    GitHub shows ten annotations of each kind per step, so what matters comes first.
    """
    gate = report.gate
    level = _level(gate.status if gate else report.status, failed=gate.exit_code != 0 if gate else report.status == "fail")
    lines = [command(level, _title(report), *view.closing(report))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in (gate.failures if gate else ())]
    lines += [command("warning", "mrl-sweep", *filter(None, (one.message, one.hint))) for one in report.open_warnings]
    return "\n".join(lines) + "\n"


def render_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """One annotation for all, one per failure, one per warning with its collection's name; then the tables as lines of a log."""
    level = _level(article.status, failed=article.exit_code != 0)
    lines = [command(level, f"mrl-sweep: {article.status} in {article.title}", " ".join(article.closing))]
    lines += [command(level, "mrl-sweep gate", failure) for failure in article.failures]
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
