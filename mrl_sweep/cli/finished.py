"""`report`, `plan`, `compare` and `score`: commands that read finished runs, and need no model, corpus or index."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli.console import write_line
from mrl_sweep.cli.invocation import Invocation, start
from mrl_sweep.cli.output import files_of, formats_of, one_document, prepare_output
from mrl_sweep.cli.program import JUDGED, OUTPUT, PLAN, SCORE, takes
from mrl_sweep.errors import InputError, naming

if TYPE_CHECKING:
    from mrl_sweep.settings.config import SweepConfig


RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a finished run, or its report.json.", show_default=False)
]


@takes("decision", "deploy.target", "run.accept", *OUTPUT)
def report(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Render an earlier run again: text, json, markdown, html, github, junit, or ship: what to paste.

    As it was written; or, with another share, measure or alpha, judged by that from its ranks.
    """
    invocation, settings = start(context, flags)
    from mrl_sweep.report.folder import runs_in
    from mrl_sweep.runs import report_again

    runs = runs_in(run)
    output = prepare_output(invocation, settings, files_of(*runs.values()), formats_of(runs))
    output.show(one_document({name: report_again(one, settings) for name, one in runs.items()}))


@takes(*PLAN)
def plan(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Capacity: storage, memory, latency and cost at --docs, with the quality to expect there."""
    invocation, settings = start(context, flags)
    from mrl_sweep.report.folder import runs_in
    from mrl_sweep.report.plan import plan_article, write_parquet
    from mrl_sweep.report.render import ARTICLE_FORMATS
    from mrl_sweep.runs.plan import plan_run
    from mrl_sweep.runs.reopen import reopen_judged

    runs = runs_in(run)
    output = prepare_output(invocation, settings, files_of(*runs.values()), ARTICLE_FORMATS)
    plans = {}
    for name, folder in runs.items():
        with naming(name):
            plans[name] = plan_run(reopen_judged(folder, settings), settings)
    if output.file is not None and output.file.suffix == ".parquet":
        return write_parquet(output.file, plans)
    return output.show(plan_article(plans))


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
    invocation, settings = start(context, flags)
    from mrl_sweep.report.compare import comparison_article
    from mrl_sweep.report.render import ARTICLE_FORMATS
    from mrl_sweep.runs.compare import matched_runs, side_by_side
    from mrl_sweep.runs.reopen import reopen_judged

    if history is not None:
        return _show_history(invocation, settings, history, runs or [])
    matched = matched_runs(runs or [])
    output = prepare_output(invocation, settings, files_of(*chain(*matched.values())), ARTICLE_FORMATS)
    compared = {name: side_by_side([reopen_judged(run, settings) for run in same]) for name, same in matched.items()}
    return output.show(comparison_article(compared))


def _show_history(invocation: Invocation, settings: SweepConfig, folder: Path, runs: Sequence[Path]) -> None:
    if runs:
        raise InputError("--history compares all runs of its folder", f"leave out {runs[0]}, or leave out --history")
    from mrl_sweep.report.compare import history_article, history_of
    from mrl_sweep.report.folder import read_history
    from mrl_sweep.report.render import ARTICLE_FORMATS

    output = prepare_output(invocation, settings, (), ARTICLE_FORMATS)
    reports, unreadable = read_history(folder)
    output.show(history_article(history_of(reports, unreadable=unreadable)))


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
    invocation, settings = start(context, flags)
    if trec is None:
        raise InputError("no file is named", "--trec FILE: a TREC run file, or JSON lines of id lists")
    output = prepare_output(invocation, settings, [*files_of(run), trec])
    from mrl_sweep.report.render import escape
    from mrl_sweep.runs.returned import read_returned, score_returned

    scored, sentence = score_returned(run, settings, read_returned(trec), claimed=codes, name=name or trec.stem)
    if invocation.format == "text" and invocation.quiet < 2:
        write_line(escape.plain(sentence), sys.stdout if settings.run.output is None else sys.stderr)
    if invocation.format != "text" or settings.run.output is not None:
        output.show(scored.report)
