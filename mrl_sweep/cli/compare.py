"""`mrl-sweep compare`: two or more finished runs side by side, with paired evidence where they share their queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import JUDGED, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.report import files_of
from mrl_sweep.errors import InputError

if TYPE_CHECKING:
    from mrl_sweep.settings.config import SweepConfig

Runs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="RUN RUN...",
        help="Folders of finished runs, or of several collections; the first is compared with.",
        show_default=False,
    ),
]
History = Annotated[
    Path | None,
    typer.Option("--history", metavar="DIR", help="All runs in and below a folder, a line each, by time.", show_default=False),
]


@takes(*JUDGED)
def compare(context: typer.Context, runs: Runs = None, history: History = None, **flags: Any) -> None:
    """Two models, two corpora, two days: finished runs side by side, with paired evidence."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    from mrl_sweep.report.articles.side_by_side import comparison_article
    from mrl_sweep.report.files.folder import read_runs
    from mrl_sweep.report.render import ARTICLE_FORMATS
    from mrl_sweep.runs.compare import matched_runs, side_by_side
    from mrl_sweep.runs.reopen import reopen

    runs = runs or []
    if history is not None:
        return _show_history(invocation, settings, history, runs)
    folders = [read_runs(run) for run in runs]
    if len(runs) < 2 and not any(folders):
        raise InputError("there is nothing to compare with", "name two or more runs")
    inputs = [file for run, below in zip(runs, folders, strict=True) for one in below.values() or [run] for file in files_of(one)]
    output = prepare_output(invocation, settings.run.output, inputs, ARTICLE_FORMATS)
    compared = {name: side_by_side([reopen(run, settings) for run in same]) for name, same in matched_runs(runs, folders).items()}
    return output.show(comparison_article(compared))


def _show_history(invocation: Invocation, settings: SweepConfig, folder: Path, runs: Sequence[Path]) -> None:
    if runs:
        raise InputError("--history compares all runs of its folder", f"leave out {runs[0]}, or leave out --history")
    from mrl_sweep.report.articles.history import history_article, history_of
    from mrl_sweep.report.files.folder import read_history
    from mrl_sweep.report.render import ARTICLE_FORMATS

    output = prepare_output(invocation, settings.run.output, (), ARTICLE_FORMATS)
    reports, unreadable = read_history(folder)
    output.show(history_article(history_of(reports, unreadable=unreadable)))
