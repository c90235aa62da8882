"""Renders a report or article as one HTML file that needs nothing else: the answer, plots to explore, all rows, the manifest."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mrl_sweep.decision.policy import MIN_QUERIES, DecideBy
from mrl_sweep.decision.walk import ladder
from mrl_sweep.report.content import view
from mrl_sweep.report.content.grid_table import Grid, family_words, grids
from mrl_sweep.report.content.indexes import funnel_words, work_saved
from mrl_sweep.report.content.layout import Article, fit
from mrl_sweep.report.content.losses import every_slice, losing_queries
from mrl_sweep.report.content.sections import outlook_words, sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, FunnelRow, ProjectionRow
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import plain
from mrl_sweep.types import Outcome

_WIDTH: Final = 130
"""Characters of a table beside which its verdicts are still seen; "every configuration" has the other figures."""

_SENTENCE_END: Final = re.compile(r"(?<=\.) (?=[A-Z])")

_LONGEST_TITLE: Final = 60

_STATES: Final = {Outcome.PASS: "pass", Outcome.FAIL: "fail", Outcome.BASELINE: "baseline"}


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Makes a page of plots to explore and tables that sort and filter; every figure of a plot stands in a table too."""
    closing = [part for text in view.closing(report) for part in _SENTENCE_END.split(text, maxsplit=1)]
    return _page(
        "report",
        fit=lambda table: fit(table, _WIDTH, gap=3),
        scripts=("tables.js", "plots.js"),
        data=Markup(_embedded(plot_data(report))),
        status=report.shown_status,
        title=closing[0] if len(closing[0]) <= _LONGEST_TITLE else closing[0].partition(":")[0][:_LONGEST_TITLE],
        headline=view.headline(report),
        closing=closing,
        failures=view.failures(report),
        retain=report.verdict.retain,
        measure=report.verdict.measure,
        sizes=view.sizes(report),
        grids=[grid.title for grid in grids(report)],
        remarks=view.remarks(report),
        sections=[section for section in sections(report, whole=True) if section.name != "losers"],
        everything=view.every_configuration(report),
        slices=every_slice(report),
        losers=losing_queries(report),
        again=f"mrl-sweep report {report.folder.name if report.folder else 'RUN'} --format html -o report.html",
        manifest=json.dumps(report.to_dict()["manifest"], indent=2).split("\n"),
    )


def render_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Makes a page of the article's tables; the reports that belong to it follow, each under its name."""
    parts = [
        {"name": name, "closing": view.closing(report), "sizes": view.sizes(report), "sections": sections(report)}
        for name, report in article.parts.items()
    ]
    return _page(
        "article",
        scripts=("tables.js",),
        data="",
        status=article.status,
        title=article.title,
        headline=(),
        closing=article.closing,
        failures=article.unsaid_failures,
        sections=article.sections,
        remarks=article.warnings,
        parts=parts,
        charts=[Markup(chart) for chart in article.charts],
    )


def _page(template: str, *, scripts: Sequence[str], **values: Any) -> str:
    """Makes a page that loads nothing; its policy allows the one script that is written here, known by its digest."""
    environment = Environment(
        loader=FunctionLoader(lambda name: _part(f"{name}.html.j2")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = "".join(map(_part, scripts))
    return environment.get_template(template).render(
        style=Markup(_part("page.css")),
        script=Markup(script),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        **values,
    )


def _part(name: str) -> str:
    return (files("mrl_sweep.report.render") / "page" / name).read_text("utf-8")


def core(report: Report) -> str:
    """Makes the HTML that a notebook shows: the answer and the table of sizes, without style of its own."""
    sizes = view.sizes(report).table
    if sizes is None:
        return ""
    head = "".join(f"<th>{escape(plain(column.title))}</th>" for column in sizes.columns)
    rows = "".join(
        "<tr>" + "".join(f"<{tag}>{escape(plain(cell))}</{tag}>" for cell in cells) + "</tr>"
        for i, cells in enumerate(sizes.rows)
        for tag in ("th" if i == sizes.chosen else "td",)
    )
    answer = "".join(f"<p>{escape(plain(sentence))}</p>" for sentence in view.closing(report))
    return f"<div>{answer}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _embedded(value: Any) -> str:
    """JSON that no text in it can end early: every sign that HTML reads is escaped."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finalize(value: Any) -> Any:
    """Every string on the page, ours or not, loses what could act on it; markup made by the template's macros stays."""
    return plain(value) if type(value) is str else value


# --- Plots ------------------------------------------------------------------------------------------------------------


def plot_data(report: Report) -> dict[str, Any]:
    """Gathers the figures of all configurations, funnels and corpus sizes, and what the slider computes answers from."""
    verdict, rows = report.verdict, view.ladder(report)
    sizes = [row.configuration for row in rows]
    units = verdict.queries if verdict.clusters is None else verdict.clusters
    return {
        "measure": plain(verdict.measure),
        "retain": verdict.retain,
        "byMean": verdict.decide_by == DecideBy.MEAN,
        "enough": units >= MIN_QUERIES,
        "walk": [c.dim for c in (*sizes[:1], *ladder(sizes[1:], sizes[0].dim))] if sizes else [],
        "byShare": [
            {"retain": one.retain, "configuration": plain(one.configuration), "bytes": one.bytes_per_vector}
            for one in sorted(verdict.by_share, key=lambda one: one.retain)
        ],
        "rows": [_point(row, report) for row in report.candidates],
        "grids": [_grid(grid) for grid in grids(report)],
        "funnels": [_funnel(row) for row in report.funnels],
        "growth": _growth(report),
    }


def _point(row: CandidateRow, report: Report) -> dict[str, Any]:
    verdict, evidence = report.verdict, view.measured(row, report)
    required = [row.evidence(name) for name in dict.fromkeys((verdict.measure, *verdict.required))]
    name = str(row.configuration)
    return {
        "name": plain(name),
        "family": plain(view.control_name(row.basis)),
        "dim": row.dim,
        "index": plain(row.index),
        "rescore": plain(row.rescore),
        "precision": plain(row.precision),
        "exactPrefix": row.configuration.is_exact_prefix,
        "baseline": row.verdict == Outcome.BASELINE,
        "sound": row.certified and name not in report.of_run("unfit"),
        "accepted": row.acceptable,
        "words": plain(view.outcome_words(row, report)),
        "bytes": row.bytes_per_vector,
        "kept": evidence.kept,
        "atLeast": evidence.at_least,
        "atMost": evidence.at_most,
        "limits": [one.kept if verdict.decide_by == DecideBy.MEAN else one.at_least for one in required],
        "p50": row.latency_ms.get("p50"),
    }


def _grid(grid: Grid) -> dict[str, Any]:
    """Gathers a grid's sizes, and by precision the configuration measured at each; None where nothing was."""
    rows = [
        {
            "name": plain(family_words(family)),
            "cells": [plain(str(row.configuration)) if row else None for row in grid.row(family)],
        }
        for family in grid.families
    ]
    return {"dims": list(grid.dims), "rows": rows}


def _funnel(row: FunnelRow) -> dict[str, Any]:
    kept = row.measured_kept if row.measured_kept is not None else row.kept_low
    return {
        "name": f"{row.shortlist:,} at {row.small}, ordered again at {row.large}",
        "kept": kept,
        "measured": row.measured_kept is not None,
        "low": row.kept_low,
        "high": row.kept_high if row.kept_high is not None and row.kept_high <= 1 else None,
        "work": work_saved(row) if kept is not None else None,
        "words": plain(funnel_words(row)),
        "state": _STATES.get(Outcome(row.verdict), "open"),
        "chosen": row.recommended,
    }


def _growth(report: Report) -> list[dict[str, Any]]:
    """Makes a line for each size that is projected: the share at hand, then at each corpus size that was asked about."""
    measure = report.verdict.measure
    lines: dict[str, list[ProjectionRow]] = {}
    for row in report.projections:
        if row.measure == measure and row.kept is not None and row.is_size:
            lines.setdefault(str(row.dim), []).append(row)
    documents = report.of_run("collection").get("documents")
    measured = {
        str(row.configuration): _at_hand(row, report, documents) for row in report.candidates if isinstance(documents, int)
    }
    projected = {
        name: [_there(row) for row in sorted(rows, key=lambda row: row.documents) if row.documents != documents]
        for name, rows in lines.items()
    }
    return [{"name": plain(name), "points": [*measured.get(name, []), *points]} for name, points in projected.items()]


def _at_hand(row: CandidateRow, report: Report, documents: int) -> list[dict[str, Any]]:
    evidence, state = view.measured(row, report), _STATES.get(Outcome(row.verdict), "open")
    limits = {"low": evidence.at_least, "high": evidence.at_most}
    shown = plain(view.outcome_words(row, report))
    point = {"documents": documents, "kept": evidence.kept, **limits, "words": shown, "state": state}
    return [point] if evidence.kept is not None else []


def _there(row: ProjectionRow) -> dict[str, Any]:
    state = "open" if row.acceptable is None else "pass" if row.acceptable else "fail"
    limits = {"low": row.kept_low, "high": row.kept_high}
    return {"documents": row.documents, "kept": row.kept, **limits, "words": outlook_words(row), "state": state}
