"""Renders the report as one HTML file that needs nothing else: the answer, plots to explore, all rows, the manifest."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mrl_sweep import words
from mrl_sweep.decision.policy import MIN_QUERIES, DecideBy
from mrl_sweep.decision.walk import ladder
from mrl_sweep.record import record
from mrl_sweep.report.content import view
from mrl_sweep.report.content.further_tables import (
    Grid,
    every_configuration,
    every_slice,
    family_words,
    funnel_words,
    grids,
    outlook_words,
    work_saved,
)
from mrl_sweep.report.content.layout import Article, fit
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, DocumentRow, FallenRow, FunnelRow, ProjectionRow
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import plain
from mrl_sweep.types import Outcome, SliceRow

_WIDTH: Final = 130
"""Characters of a table beside which its verdicts are still seen; "every configuration" has the other figures."""

_SENTENCE_END: Final = re.compile(r"(?<=\.) (?=[A-Z])")

_LONGEST_TITLE: Final = 60

_SHADES: Final = 6
_POINTS_A_SHADE: Final = 0.02
"""A cell of the heat map is one shade darker for each two points of a share below what was asked."""

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
        everything=every_configuration(report),
        heat=heat_map(report),
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
    """A page that loads nothing; its policy allows the one script that is written here, known by its digest."""
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
    """Makes what a notebook shows: the answer and the table of sizes, without style of its own."""
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
    """Gathers the figures of all configurations, funnels and corpus sizes, and what the slider needs to answer alike."""
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
    """Its sizes, and by precision the name of what was measured at each; None where nothing was."""
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
    """A line for each size that is projected: the share here, then at each corpus size that was asked about."""
    measure = report.verdict.measure
    lines: dict[str, list[ProjectionRow]] = {}
    for row in report.projections:
        if row.measure == measure and row.kept is not None and row.is_size:
            lines.setdefault(str(row.dim), []).append(row)
    documents = report.of_run("collection").get("documents")
    measured = {str(row.configuration): _here(row, report, documents) for row in report.candidates if isinstance(documents, int)}
    projected = {
        name: [_there(row) for row in sorted(rows, key=lambda row: row.documents) if row.documents != documents]
        for name, rows in lines.items()
    }
    return [{"name": plain(name), "points": [*measured.get(name, []), *points]} for name, points in projected.items()]


def _here(row: CandidateRow, report: Report, documents: int) -> list[dict[str, Any]]:
    evidence, state = view.measured(row, report), _STATES.get(Outcome(row.verdict), "open")
    limits = {"low": evidence.at_least, "high": evidence.at_most}
    shown = plain(view.outcome_words(row, report))
    point = {"documents": documents, "kept": evidence.kept, **limits, "words": shown, "state": state}
    return [point] if evidence.kept is not None else []


def _there(row: ProjectionRow) -> dict[str, Any]:
    state = "open" if row.acceptable is None else "pass" if row.acceptable else "fail"
    limits = {"low": row.kept_low, "high": row.kept_high}
    return {"documents": row.documents, "kept": row.kept, **limits, "words": outlook_words(row), "state": state}


# --- Tables -----------------------------------------------------------------------------------------------------------


@record(kw_only=True)
class HeatCell:
    """A slice at a size: its share, how many shades it is darkened, whether it is proven to be hit, and its figures in words."""

    text: str
    shade: int = 0
    hit: bool = False
    tip: str = ""


@record(kw_only=True)
class HeatMap:
    """Slices by dimensions; the slices that lose most at the answer's size come first."""

    dims: tuple[int, ...]
    rows: tuple[tuple[str, int, tuple[HeatCell, ...]], ...]


def heat_map(report: Report) -> HeatMap | None:
    """Every slice at every size that was searched; None where there are none."""
    cells: dict[tuple[str, str], dict[int, SliceRow]] = {}
    for row in report.slices:
        cells.setdefault((row.field, row.value), {})[row.dim] = row
    if not cells:
        return None
    dims = tuple(sorted({row.dim for row in report.slices}, reverse=True))
    dim = report.verdict.dimension if report.verdict.dimension in dims else dims[0]

    def kept(by_dim: dict[int, SliceRow]) -> float:
        row = by_dim.get(dim)
        return row.kept if row is not None and row.kept is not None else 2.0

    ordered = sorted(cells.items(), key=lambda item: kept(item[1]))
    return HeatMap(
        dims=dims,
        rows=tuple(
            (
                f"{field}={value}",
                max(row.queries for row in by_dim.values()),
                tuple(_heat_cell(by_dim.get(one), report) for one in dims),
            )
            for (field, value), by_dim in ordered
        ),
    )


def _heat_cell(row: SliceRow | None, report: Report) -> HeatCell:
    if row is None or row.kept is None:
        return HeatCell(text=words.DASH)
    retain = row.retain or report.verdict.retain
    lines = [f"{row.field}={row.value} at {row.dim}", f"keeps {words.percent(row.kept)}, {words.count(row.queries)} queries"]
    if row.at_least is not None and row.at_most is not None:
        lines.append(f"between {words.percent(row.at_least)} and {words.percent(row.at_most)}")
    if row.kept_by_others is not None:
        lines.append(f"the others keep {words.percent(row.kept_by_others)}")
    if row.q_value is not None:
        lines.append(f"q {row.q_value:.3f}")
    below = max(0.0, retain - row.kept)
    return HeatCell(
        text=words.percent(row.kept, limit=retain),
        shade=min(_SHADES, math.ceil(below / _POINTS_A_SHADE)),
        hit=view.proven_hit(row, report),
        tip=" · ".join(lines),
    )


# --- Losing queries ---------------------------------------------------------------------------------------------------


def losing_queries(report: Report) -> list[dict[str, Any]]:
    """Each query that loses much, with its text, and the documents that fell, left and came in, with their beginnings."""
    return [
        {
            "id": row.query_id,
            "text": row.text or row.query_id,
            "change": f"{row.full:.2f} -> {row.value:.2f}",
            "groups": [
                (title, [(_called(one), one.text.removeprefix(one.title).strip(), note(one)) for one in documents])
                for title, documents, note in (
                    ("Relevant documents that fell", row.fell, _places),
                    ("Left the top", row.left, _graded),
                    ("Came in", row.came_in, _graded),
                )
                if documents
            ],
        }
        for row in sorted(report.losers, key=lambda row: row.value - row.full)
    ]


def _called(document: DocumentRow | FallenRow) -> str:
    return f"{document.title} [{document.id}]" if document.title else f"[{document.id}]"


def _graded(document: Any) -> str:
    return "" if document.grade is None else f"grade {document.grade}"


def _places(document: Any) -> str:
    places = ("nowhere" if rank is None else words.count(rank) for rank in (document.rank_at_full, document.rank))
    return "grade {}, rank {} to {}".format(document.grade, *places)
