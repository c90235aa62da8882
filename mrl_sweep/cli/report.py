"""`mrl-sweep report`: an earlier run rendered again, without model, corpus or index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import OUTPUT, takes

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a finished run, or its report.json.", show_default=False)
]


@takes(*OUTPUT)
def report(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Render an earlier run again: text, json, markdown, html, github or junit."""
    invocation = invocation_of(context, flags)
    file = invocation.configure(None, flags).run.output
    from mrl_sweep.cli.output import prepare_output
    from mrl_sweep.report.files.folder import read_report, read_runs

    if several := read_runs(run):
        from mrl_sweep.cli.several import prepare_several
        from mrl_sweep.runs.together import together

        show = prepare_several(invocation, file, [path for one in several.values() for path in files_of(one)])
        return show(together({name: read_report(one) for name, one in several.items()}))
    output = prepare_output(invocation, file, files_of(run))
    return output.show(read_report(run))


def files_of(run: Path) -> list[Path]:
    """The files of a run, which renderings may lie beside but never replace."""
    from mrl_sweep.report.files.folder import REPORT_FILE
    from mrl_sweep.report.files.ranks_file import RANKS_FILE
    from mrl_sweep.report.files.scores_file import SCORES_FILE

    folder = run if run.is_dir() else run.parent
    return [folder / name for name in (REPORT_FILE, RANKS_FILE, SCORES_FILE)]
