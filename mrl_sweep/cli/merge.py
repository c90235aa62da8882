"""`mrl-sweep merge`: the parts of a run put together, then the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import OUTPUT, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.report import files_of

PartsFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The --out that the parts share.", show_default=False)]


@takes(*OUTPUT)
def merge(context: typer.Context, folder: PartsFolder, **flags: Any) -> None:
    """Put the parts of a run together (--part I/N), then go on as run does."""
    invocation = invocation_of(context, flags)
    output = prepare_output(invocation, invocation.configure(None, flags).run.output, files_of(folder))
    from mrl_sweep.pipeline.parts import merge_parts

    with listening(invocation) as on_event:
        report = merge_parts(folder, on_event)
    output.show(report)
