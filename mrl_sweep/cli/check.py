"""`mrl-sweep check`: is the collection sound, and what is in it? No model is opened and nothing is written."""

from __future__ import annotations

from typing import Any

import typer

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import EMBED, ConfigFile, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.settings.folders import inputs_of


@takes(*EMBED)
def check(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Validate a collection and say what is in it: sizes, judgments, gaps, text lengths, slices."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    from mrl_sweep.pipeline.checks import check_collection
    from mrl_sweep.report.render import ARTICLE_FORMATS

    check_collection(settings)
    output = prepare_output(invocation, settings.run.output, inputs_of(settings), ARTICLE_FORMATS)
    from mrl_sweep.collection.describe import describe
    from mrl_sweep.pipeline import run as pipeline
    from mrl_sweep.report.articles.check import check_article

    with listening(invocation) as on_event:
        descriptions = [
            describe(pipeline.load(one, on_event), cluster=one.decision.cluster, alpha=one.decision.alpha, on_event=on_event)
            for one in settings.each()
        ]
    output.show(check_article(descriptions))
