"""Renders reports and articles in every format: `render` is the only way in, and imports the module of one format alone."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection
from typing import Final

from mrl_sweep.record import record
from mrl_sweep.report.content.layout import Article
from mrl_sweep.report.document import Report
from mrl_sweep.types import Format

__all__ = ["ARTICLE_FORMATS", "SECTIONS", "SEVERAL_FORMATS", "Article", "Format", "Look", "Report", "render"]


@record(kw_only=True)
class Look:
    """The terminal or file that shows a rendering: columns, whether it may be coloured, and the encoding of the stream.

    Characters that the encoding cannot hold are drawn with ASCII signs or escaped. `show` names the sections that text shows
    in full (`SECTIONS`); `all` holds for Markdown too.
    """

    width: int = 100
    color: bool = False
    encoding: str = "utf-8"
    show: Collection[str] = ()

    def shows(self, section: str) -> bool:
        """Tells whether this section was asked for, by its name or by `all`."""
        return section in self.show or "all" in self.show


SECTIONS: Final = ("indexes", "funnels", "slices", "losers", "controls", "budgets", "projection", "warnings", "all")
"""The values of `--show`."""


ARTICLE_FORMATS: Final = (Format.TEXT, Format.JSON, Format.MARKDOWN, Format.HTML)
"""The formats of every article."""

SEVERAL_FORMATS: Final = (*ARTICLE_FORMATS, Format.GITHUB, Format.JUNIT)
"""The formats of an article of several reports: CI systems read their verdicts."""

_RENDERERS: Final = {
    Format.TEXT: ("terminal", "render", "render_article"),
    Format.MARKDOWN: ("ci", "comment", "comment_of_article"),
    Format.HTML: ("html", "render", "render_article"),
    Format.GITHUB: ("ci", "github", "github_of_article"),
    Format.JUNIT: ("ci", "junit", "junit_of_article"),
    Format.SHIP: ("ship", "render", ""),
}
"""Each format's module here, its function for a report, and the one for an article."""


_PLAIN: Final = Look()


def render(document: Report | Article, format: Format, look: Look = _PLAIN) -> str:
    """Renders the report or article in one format, ended by a newline; the JSON of a report is the text of report.json."""
    if format is Format.JSON:
        whole = document.to_json() if isinstance(document, Report) else json.dumps(document.document, indent=2, allow_nan=False)
        return f"{whole}\n"
    module, for_report, for_article = _RENDERERS[format]
    name = for_report if isinstance(document, Report) else for_article
    rendered: str = getattr(importlib.import_module(f"mrl_sweep.report.render.{module}"), name)(document, look)
    return rendered
