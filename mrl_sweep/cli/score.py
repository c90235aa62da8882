"""`mrl-sweep score`: what a live database returned, judged with the evidence of a finished run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mrl_sweep.cli.console import write_line
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import SCORE, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.report import RunFolder, files_of
from mrl_sweep.errors import InputError

ReturnedFile = Annotated[
    Path | None,
    typer.Option(
        "--trec", metavar="FILE", help="What it returned: a TREC run file, or JSON lines of id lists.", show_default=False
    ),
]
Claimed = Annotated[
    str | None,
    typer.Option("--codes", metavar="C", help="What it searches: 512:float16; default: the answer.", show_default=False),
]
IndexName = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The index in the report; default: the file's.", show_default=False)
]


@takes(*SCORE)
def score(
    context: typer.Context,
    run: RunFolder,
    trec: ReturnedFile = None,
    codes: Claimed = None,
    name: IndexName = None,
    **flags: Any,
) -> None:
    """Judge what a live database returned: one more configuration, with index loss against exact ranks. Exit 0 when judged."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    if trec is None:
        raise InputError("no file is named", "--trec FILE: a TREC run file, or JSON lines of id lists")
    output = prepare_output(invocation, settings.run.output, [*files_of(run), trec])
    from mrl_sweep.report.files.folder import write_run
    from mrl_sweep.report.render import escape
    from mrl_sweep.runs.returned import read_returned
    from mrl_sweep.runs.score import score_returned

    scored = score_returned(run, settings, read_returned(trec), claimed=codes, name=name or trec.stem)
    report = scored.run.report
    if settings.run.out is not None:
        if settings.run.out.resolve() in (run.resolve(), run.parent.resolve()):
            raise InputError(f"will not write to {settings.run.out}: it is the run", "give --out another folder")
        report = write_run(settings.run.out, report, scored.run.data)
    if invocation.format == "text" and invocation.quiet < 2:
        write_line(escape.plain(scored.sentence), sys.stdout if settings.run.output is None else sys.stderr)
    if invocation.format != "text" or settings.run.output is not None:
        output.show(report)
