"""Renders the report as one HTML file that needs nothing else: the answer, plots to explore, all rows, the manifest."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from mrl_sweep import words
from mrl_sweep.report.content import view
from mrl_sweep.report.content.layout import Article, Column, Table, fit, table
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import CandidateRow, Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.chart import family
from mrl_sweep.report.render.escape import plain
from mrl_sweep.types import Outcome

_WIDTH: Final = 130
"""Characters of a table that fit on the page."""

_LONGEST_TITLE: Final = 60


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A page of plots to explore and tables that sort and filter; every figure of a plot stands in a table too."""
    closing = view.closing(report)
    return _page(
        "report",
        scripts=("tables.js", "plots.js"),
        data=Markup(_embedded(_data(report))),
        status=report.gate.status if report.gate else report.status,
        title=closing[0] if len(closing[0]) <= _LONGEST_TITLE else closing[0].partition(":")[0][:_LONGEST_TITLE],
        headline=view.headline(report),
        closing=closing,
        failures=report.gate.failures if report.gate else (),
        retain=report.verdict.retain,
        measure=report.verdict.measure,
        sizes=view.sizes(report),
        remarks=view.remarks(report),
        sections=sections(report),
        everything=_everything(report),
        slices=_slices(report),
        again=f"mrl-sweep report {report.folder.name if report.folder else 'RUN'} --format html -o report.html",
        manifest=json.dumps(report.to_dict()["manifest"], indent=2).split("\n"),
    )


def render_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A page of the article's tables; the reports that belong to it follow, each under its name."""
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
        headline=article.headline,
        closing=article.closing,
        failures=article.failures,
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
        fit=lambda whole: fit(whole, _WIDTH, gap=3),
        style=Markup(_part("page.css")),
        script=Markup(script),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        **values,
    )


def _part(name: str) -> str:
    return (files("mrl_sweep.report.render") / "page" / name).read_text("utf-8")


def core(report: Report) -> str:
    """The part of the page that a notebook shows: the answer and the table of sizes, without style of its own."""
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


def _data(report: Report) -> dict[str, Any]:
    """What the page's script draws: plain figures of every configuration."""
    verdict = report.verdict
    return {
        "measure": plain(verdict.measure),
        "retain": verdict.retain,
        "walk": [row.dim for row in view.ladder(report) if row.verdict != Outcome.NOT_TESTED or not row.reason],
        "rows": [_point(row, report) for row in report.candidates],
    }


def _point(row: CandidateRow, report: Report) -> dict[str, Any]:
    evidence = view.measured(row, report)
    limits = [row.measures.get(name) for name in dict.fromkeys((report.verdict.measure, *report.verdict.required))]
    return {
        "name": plain(str(row.configuration)),
        "family": plain(family(row)),
        "dim": row.dim,
        "index": plain(row.index),
        "rescore": plain(row.rescore),
        "exactPrefix": row.configuration.is_exact_prefix,
        "baseline": row.verdict == Outcome.BASELINE,
        "sound": row.certified,
        "accepted": bool(row.acceptable),
        "words": plain(view.outcome_words(row, report)),
        "bytes": row.bytes_per_vector,
        "kept": evidence.kept if evidence else None,
        "atLeast": evidence.at_least if evidence else None,
        "atMost": evidence.at_most if evidence else None,
        "limits": [one.at_least if one else None for one in limits],
        "p50": row.latency_ms.get("p50"),
    }


def _everything(report: Report) -> Table | None:
    """All rows, where the table of sizes leaves some out."""
    rows = report.candidates
    if len(rows) <= len(view.ladder(report)):
        return None
    limit = report.verdict.retain
    evidence = [view.measured(row, report) for row in rows]
    columns = [
        Column(title="configuration", cells=tuple(str(row.configuration) for row in rows), right=False),
        Column(title="bytes", cells=tuple(words.count(row.bytes_per_vector) for row in rows)),
        Column(title=report.verdict.measure, cells=tuple(words.score(one.mean if one else None) for one in evidence)),
        Column(title="kept", cells=tuple(words.percent(one.kept if one else None, limit=limit) for one in evidence)),
        Column(title="at least", cells=tuple(words.percent(one.at_least if one else None, limit=limit) for one in evidence)),
        Column(title="at most", cells=tuple(words.percent(one.at_most if one else None, limit=limit) for one in evidence)),
        Column(title="verdict", cells=tuple(view.outcome_words(row, report) for row in rows), right=False),
    ]
    return table(columns, [view.mood(row.verdict) for row in rows])


def _slices(report: Report) -> Table | None:
    """All slices at all sizes."""
    rows = report.slices
    if not rows:
        return None
    columns = [
        Column(title="slice", cells=tuple(f"{row.field}={row.value}" for row in rows), right=False),
        Column(title="dim", cells=tuple(str(row.dim) for row in rows)),
        Column(title="queries", cells=tuple(words.count(row.queries) for row in rows)),
        Column(title="kept", cells=tuple(words.percent(row.kept) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(row.at_least) for row in rows)),
        Column(title="at most", cells=tuple(words.percent(row.at_most) for row in rows)),
        Column(title="others", cells=tuple(words.percent(row.kept_by_others) for row in rows)),
        Column(title="q", cells=tuple("-" if row.q_value is None else f"{row.q_value:.3f}" for row in rows)),
    ]
    return table(columns, [view.mood(row.verdict or "") for row in rows])


def _embedded(value: Any) -> str:
    """JSON that no text in it can end early: every sign that HTML reads is escaped."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finalize(value: Any) -> Any:
    """Every string on the page, ours or not, loses what could act on it; markup made by the template's macros stays."""
    return plain(value) if type(value) is str else value
