"""Renders the report as one HTML file that needs nothing else: the answer, plots to explore, all rows, the manifest."""

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

from mrl_sweep.report.content import view
from mrl_sweep.report.content.grid import grids
from mrl_sweep.report.content.layout import Article, fit
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look
from mrl_sweep.report.render.escape import plain
from mrl_sweep.report.render.explore import every_configuration, every_slice, heat_map, losing_queries, plot_data

_WIDTH: Final = 130
"""Characters of a table beside which its verdicts are still seen; "every configuration" has the other figures."""

_SENTENCE_END: Final = re.compile(r"(?<=\.) (?=[A-Z])")

_LONGEST_TITLE: Final = 60


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """A page of plots to explore and tables that sort and filter; every figure of a plot stands in a table too."""
    closing = [part for text in view.closing(report) for part in _SENTENCE_END.split(text, maxsplit=1)]
    return _page(
        "report",
        fit=lambda table: fit(table, _WIDTH, gap=3),
        scripts=("tables.js", "plots.js"),
        data=Markup(_embedded(plot_data(report))),
        status=report.gate.status if report.gate else report.status,
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


def _embedded(value: Any) -> str:
    """JSON that no text in it can end early: every sign that HTML reads is escaped."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finalize(value: Any) -> Any:
    """Every string on the page, ours or not, loses what could act on it; markup made by the template's macros stays."""
    return plain(value) if type(value) is str else value
