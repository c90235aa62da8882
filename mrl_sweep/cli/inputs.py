"""`check`, `config` and `embed`: what a run would read, its settings and its vectors; no run is written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import start
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.program import EMBED, SWEEP, ConfigFile, takes
from mrl_sweep.errors import InputError
from mrl_sweep.settings.paths import inputs_of


@takes(*EMBED)
def check(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Validate a collection and say what is in it: sizes, judgments, gaps, text lengths, slices."""
    invocation, settings = start(context, flags, config)
    from mrl_sweep.pipeline.checks import check_collection
    from mrl_sweep.report.render import ARTICLE_FORMATS

    check_collection(settings)
    output = prepare_output(invocation, settings, inputs_of(settings), ARTICLE_FORMATS)
    from mrl_sweep.collection.describe import describe
    from mrl_sweep.pipeline import run as pipeline
    from mrl_sweep.report.collections import check_article

    with listening(invocation) as on_event:
        descriptions = [
            describe(pipeline.load(one, on_event), cluster=one.decision.cluster, alpha=one.decision.alpha, on_event=on_event)
            for one in settings.each()
        ]
    output.show(check_article(descriptions))


@takes(*SWEEP)
def config(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Every setting, its value, and where it came from. The text is itself a configuration file."""
    invocation, settings = start(context, flags, config)
    if invocation.format not in ("text", "json"):
        raise InputError(f"config has no {invocation.format} format", "--format text or json")
    output = prepare_output(invocation, settings, inputs_of(settings), ("text", "json"))
    output.write(settings.to_json() if invocation.format == "json" else settings.to_toml())


PartOfTexts = Annotated[
    str | None,
    typer.Option("--part", metavar="I/N", help="Embed one part of the documents; the first also queries.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many texts and tokens, at what price; embed nothing.")]


@takes(*EMBED)
def embed(
    context: typer.Context, config: ConfigFile = None, dry_run: DryRun = False, part: PartOfTexts = None, **flags: Any
) -> None:
    """Only fill the store; --dry-run says what that would take. A run then embeds nothing."""
    invocation, settings = start(context, flags, config)
    from mrl_sweep.pipeline.checks import check_complete
    from mrl_sweep.report.collections import embed_article
    from mrl_sweep.report.render import ARTICLE_FORMATS

    check_complete(settings)
    output = prepare_output(invocation, settings, inputs_of(settings), ARTICLE_FORMATS)
    from mrl_sweep.execution.parts import Part
    from mrl_sweep.pipeline.embed import embed_each, estimate_each

    of_texts = None if part is None else Part.parse(part)
    with listening(invocation) as on_event:
        embedded = (estimate_each if dry_run else embed_each)(settings, of_texts, on_event)
    return output.show(embed_article(embedded))
