"""The report as its own document."""

from __future__ import annotations

import json

from mrl_sweep.report.content.layout import Article
from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Look


def render(report: Report, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """The document, the same text as report.json."""
    return report.to_json() + "\n"


def render_article(article: Article, look: Look) -> str:  # noqa: ARG001 - every renderer has the same signature
    """Its document."""
    return json.dumps(article.document, indent=2, allow_nan=False) + "\n"
