"""`mrl-sweep check`: is the collection sound, and what is in it? No model is opened and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import EMBED, ConfigFile, takes
from mrl_sweep.cli.output import Described, one_document, one_text, prepare_text
from mrl_sweep.cli.progress import listening
from mrl_sweep.settings.folders import inputs_of

if TYPE_CHECKING:
    from mrl_sweep.collection.describe import Description


@takes(*EMBED)
def check(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Validate a collection and say what is in it: sizes, judgments, gaps, text lengths, slices."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    from mrl_sweep.pipeline.checks import check_collection

    check_collection(settings)
    write = prepare_text(invocation, settings.run.output, inputs_of(settings), ("text", "json"))
    from mrl_sweep.collection.describe import describe
    from mrl_sweep.pipeline import run as pipeline

    with listening(invocation) as on_event:
        descriptions = [
            describe(pipeline.load(one, on_event), cluster=one.decision.cluster, alpha=one.decision.alpha, on_event=on_event)
            for one in settings.each()
        ]
    described = [Described(one.name, one.to_dict(), _text(one, brief=invocation.quiet > 0)) for one in descriptions]
    if invocation.format == "json":
        write(one_document(described))
    elif invocation.quiet < 2:
        write(one_text(described))


def _text(holds: Description, *, brief: bool) -> str:
    from mrl_sweep.report.render.escape import plain

    sound = (
        f"{holds.name} is sound: {holds.documents:,} documents, {holds.queries:,} {'judged ' if holds.judgments else ''}queries."
    )
    if brief:
        return plain(sound)
    rows = [(plain(what), plain(value)) for what, value in holds.rows()]
    width = max(len(what) for what, _ in rows)
    advice = [part for one in holds.warnings for part in (f"warning: {one.message}", f"  hint: {one.hint}" if one.hint else "")]
    lines = [f"{what:<{width}}  {value}" for what, value in rows]
    return "\n".join([*lines, "", *(plain(line) for line in advice if line), *([""] if advice else []), plain(sound)])
