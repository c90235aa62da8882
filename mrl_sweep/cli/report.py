"""`mrl-sweep report`: an earlier run rendered again, without model, corpus or index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import OUTPUT, takes

if TYPE_CHECKING:
    from mrl_sweep.report.document import Report
    from mrl_sweep.settings.config import SweepConfig

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a finished run, or its report.json.", show_default=False)
]


@takes("decision", "deploy.target", "run.accept", *OUTPUT)
def report(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Render an earlier run again: text, json, markdown, html, github, junit, or ship: what to paste.

    As it was written; or, with another share, measure or alpha, judged by that from its ranks.
    """
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    file = settings.run.output
    from mrl_sweep.cli.output import prepare_output
    from mrl_sweep.report.files.folder import read_runs

    if several := read_runs(run):
        from mrl_sweep.report.articles.several import several_article
        from mrl_sweep.report.render import SEVERAL_FORMATS
        from mrl_sweep.runs.together import together

        output = prepare_output(invocation, file, [path for one in several.values() for path in files_of(one)], SEVERAL_FORMATS)
        return output.show(several_article(together({name: judged(one, settings) for name, one in several.items()})))
    output = prepare_output(invocation, file, files_of(run))
    return output.show(for_target(judged(run, settings), settings))


def for_target(report: Report, settings: SweepConfig) -> Report:
    """The report in the terms of the target named now; of the run's own where none is."""
    if "deploy.target" not in settings.origins:
        return report
    from dataclasses import replace

    from mrl_sweep.deploying.targets import target_named

    name = target_named(settings.deploy.target).name
    then = report.manifest.get("settings")
    settings_then = then if isinstance(then, dict) else {}
    return replace(report, manifest={**report.manifest, "settings": {**settings_then, "deploy.target": name}})


def judged(run: Path, settings: SweepConfig) -> Report:
    """The report as the run wrote it; judged again from its ranks where a setting of the decision was given."""
    if any(key.startswith("decision.") for key in settings.origins):
        from mrl_sweep.runs.reopen import reopen

        return reopen(run, settings).report.accepting(settings.run.accept)
    from mrl_sweep.report.files.folder import read_report

    return read_report(run).accepting(settings.run.accept)


def files_of(run: Path) -> list[Path]:
    """The files of a run, which renderings may lie beside but never replace."""
    from mrl_sweep.report.files.folder import REPORT_FILE
    from mrl_sweep.report.files.ranks_file import RANKS_FILE
    from mrl_sweep.report.files.scores_file import SCORES_FILE

    folder = run if run.is_dir() else run.parent
    return [folder / name for name in (REPORT_FILE, RANKS_FILE, SCORES_FILE)]
