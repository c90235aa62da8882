"""`mrl-sweep run`, `demo` and `merge`: the main job, whole or in parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mrl_sweep.cli.console import listening, write_line
from mrl_sweep.cli.finished import files_of
from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import OUTPUT, SWEEP, ConfigFile, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.settings.paths import inputs_of

if TYPE_CHECKING:
    from mrl_sweep.report.document import Report
    from mrl_sweep.settings.config import SweepConfig

DEMO: Final = {"collection": "pydocs", "model": "wordllama", "dims": "256,224,192,160,128,64,32", "retain": "95%"}
"""What `demo` asks unless told otherwise: a share that so many questions can prove."""


PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Count one part of the documents into --out; the last one, or merge, goes on.",
        rich_help_panel="Run",
        show_default=False,
    ),
]
PartsFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The --out that the parts share.", show_default=False)]


@takes(*SWEEP)
def run(context: typer.Context, config: ConfigFile = None, part: PartOption = None, **flags: Any) -> None:
    """Embed or reuse, rank, score, decide, report. Exit 0 when the job is done, whatever the verdict."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    if part is not None:
        return run_one_part(invocation, settings, part)
    return run_and_show(invocation, settings)


@takes(*SWEEP)
def demo(context: typer.Context, **flags: Any) -> None:
    """The main job on packaged real text with a real Matryoshka model; no download."""
    invocation = invocation_of(context, flags)
    run_and_show(invocation, invocation.configure(None, {**DEMO, **{name: value for name, value in flags.items() if value}}))


@takes(*OUTPUT)
def merge(context: typer.Context, folder: PartsFolder, **flags: Any) -> None:
    """Put the parts of a run together (--part I/N), then go on as run does."""
    invocation = invocation_of(context, flags)
    output = prepare_output(invocation, invocation.configure(None, flags).run.output, files_of(folder))
    from mrl_sweep.pipeline.parts import merge_parts

    with listening(invocation) as on_event:
        report = merge_parts(folder, on_event)
    output.show(report)


def run_one_part(invocation: Invocation, settings: SweepConfig, text: str) -> None:
    """Count one part of the documents, and show the report where that completes the set."""
    from mrl_sweep.execution.parts import Part, missing_parts

    part = Part.parse(text)
    output = prepare_output(invocation, settings.run.output, inputs_of(settings))
    from mrl_sweep.pipeline.parts import run_part

    with listening(invocation) as on_event:
        report = run_part(settings, part, on_event)
    if report is not None:
        output.show(report)
    elif invocation.format == "json" and settings.run.out is not None:
        missing = [str(one) for one in missing_parts(settings.run.out)]
        write_line(json.dumps({"schema_version": 1, "status": "part", "part": str(part), "missing": missing}, indent=2))


def run_and_show(invocation: Invocation, settings: SweepConfig) -> None:
    """Do the main job and print what it found; several collections have a summary of their own."""
    if len(settings.collection.sources) > 1:
        from mrl_sweep.report.articles.collections import several_article
        from mrl_sweep.report.render import SEVERAL_FORMATS
        from mrl_sweep.runs.together import together

        output = prepare_output(invocation, settings.run.output, inputs_of(settings), SEVERAL_FORMATS)
        return output.show(several_article(together(main_jobs(invocation, settings))))
    output = prepare_output(invocation, settings.run.output, inputs_of(settings))
    return output.show(main_job(invocation, settings))


def main_job(invocation: Invocation, settings: SweepConfig) -> Report:
    """Do the main job under the eyes of the user."""
    with listening(invocation) as on_event:
        from mrl_sweep.pipeline import run as pipeline

        report: Report = pipeline.run(settings, on_event)
    return report


def main_jobs(invocation: Invocation, settings: SweepConfig) -> Mapping[str, Report]:
    """The same for several collections: their reports by name."""
    with listening(invocation) as on_event:
        from mrl_sweep.runs.together import run_each

        return run_each(settings, on_event)
