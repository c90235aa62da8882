"""`mrl-sweep run` and `mrl-sweep demo`: the main job."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mrl_sweep.cli.console import write_line
from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import SWEEP, ConfigFile, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.progress import listening
from mrl_sweep.cli.several import prepare_several
from mrl_sweep.errors import InputError, printable

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


def run_one_part(invocation: Invocation, settings: SweepConfig, text: str) -> None:
    """Count one part of the documents, and show the report where that completes the set."""
    from mrl_sweep.execution.parts import Part, missing_parts

    part = Part.parse(text)
    check_complete(settings)
    check_out(settings)
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
        show = prepare_several(invocation, settings.run.output, inputs_of(settings))
        from mrl_sweep.runs.together import together

        return show(together(main_jobs(invocation, settings)))
    output = prepare_output(invocation, settings.run.output, inputs_of(settings))
    return output.show(main_job(invocation, settings))


def main_job(invocation: Invocation, settings: SweepConfig) -> Report:
    """Do the main job under the eyes of the user."""
    check_complete(settings)
    check_out(settings)
    from mrl_sweep.pipeline import run as pipeline

    with listening(invocation) as on_event:
        report: Report = pipeline.run(settings, on_event)
    return report


def main_jobs(invocation: Invocation, settings: SweepConfig) -> Mapping[str, Report]:
    """The same for several collections: their reports by name."""
    check_complete(settings)
    check_out(settings)
    from mrl_sweep.runs.together import run_each

    with listening(invocation) as on_event:
        return run_each(settings, on_event)


def check_out(settings: SweepConfig) -> None:
    """Raise InputError where the run would be written among the files that it reads (FAULTS 55)."""
    out = settings.run.out
    for path in inputs_of(settings) if out is not None and out.is_dir() else ():
        if out is not None and os.path.realpath(path) == os.path.realpath(out):
            raise InputError(f"will not write the run to {out}: it is an input", "give --out another folder")
    if out is not None and not settings.run.force:
        _check_earlier_run(settings, out)


def _check_earlier_run(settings: SweepConfig, out: Path) -> None:
    """Raise InputError where `out` holds the run of another collection or model; the same run may be repeated (FAULTS 67)."""
    from mrl_sweep.report.files.folder import holds_run, read_report

    if not holds_run(out):
        return
    try:
        earlier = read_report(out).manifest.get("settings", {})
    except InputError:  # a report of another version or a damaged one is not ours to throw away
        earlier = {}
    then = {key: earlier.get(key) for key in ("collection.source", "model.name")}
    now = {key: value for key, value in settings.settings().items() if key in then}
    different = [key for key in then if then[key] != now[key]]
    if different:
        told = "; ".join(f"{key.partition('.')[0]} {then[key] or 'unknown'}, now {now[key]}" for key in different)
        raise InputError(f"{out} holds another run ({printable(told, 300)})", "give --out another folder, or --force")


def inputs_of(settings: SweepConfig) -> list[Path]:
    """The files and folders that a run reads, and must never write to."""
    named = [*settings.collection.sources, settings.model.name or ""]
    places = [place for name in named for place in (name, name.partition(":")[2]) if place]
    files = [origin.partition(".toml")[0] + ".toml" for origin in settings.origins.values() if ".toml" in origin]
    distractors = [settings.collection.distractors] if settings.collection.distractors else []
    return [*distractors, *(Path(place) for place in [*places, *files])]


def check_complete(settings: SweepConfig) -> None:
    """Raise InputError where it is not said what to embed, or by what."""
    check_collection(settings)
    if settings.model.name is None:
        raise InputError("no model given", "give --model NAME; --model wordllama needs no download")


def check_collection(settings: SweepConfig) -> None:
    """Raise InputError where no collection is named."""
    if settings.collection.source is None:
        hint = (
            "give --collection FOLDER, or --collection pydocs for Python's own documentation; `mrl-sweep demo` shows it at work"
        )
        raise InputError("no collection given", hint)
