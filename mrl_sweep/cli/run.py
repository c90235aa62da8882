"""`mrl-sweep run`, `demo`, `merge` and `gate`: the main job, whole or in parts, and whether a size is still acceptable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mrl_sweep.cli.console import listening, write_line
from mrl_sweep.cli.invocation import Invocation, start
from mrl_sweep.cli.output import files_of, formats_of, one_document, prepare_output
from mrl_sweep.cli.program import GATE, OUTPUT, SWEEP, ConfigFile, takes
from mrl_sweep.settings.paths import inputs_of

if TYPE_CHECKING:
    from mrl_sweep.settings.config import SweepConfig

DEMO: Final = {"collection": "pydocs", "model": "wordllama", "dims": "256,224,192,160,128,64,32", "retain": "95%"}
"""The settings of `demo` that options replace; so many questions can prove this share."""


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
    invocation, settings = start(context, flags, config)
    if part is not None:
        return run_one_part(invocation, settings, part)
    return run_and_show(invocation, settings)


@takes(*SWEEP)
def demo(context: typer.Context, **flags: Any) -> None:
    """The main job on packaged real text with a real Matryoshka model; no download."""
    run_and_show(*start(context, {**DEMO, **{name: value for name, value in flags.items() if value}}))


@takes(*OUTPUT)
def merge(context: typer.Context, folder: PartsFolder, **flags: Any) -> None:
    """Put the parts of a run together (--part I/N), then go on as run does."""
    invocation, settings = start(context, flags)
    output = prepare_output(invocation, settings, files_of(folder))
    from mrl_sweep.pipeline.parts import merge_parts

    with listening(invocation) as on_event:
        report = merge_parts(folder, on_event)
    output.show(report)


def run_one_part(invocation: Invocation, settings: SweepConfig, text: str) -> None:
    """Counts one part of the documents, and shows the report where that completes the set."""
    from mrl_sweep.execution.parts import Part

    part = Part.parse(text)
    output = prepare_output(invocation, settings, inputs_of(settings))
    from mrl_sweep.pipeline.parts import parts_json, run_part

    with listening(invocation) as on_event:
        report = run_part(settings, part, on_event)
    if report is not None:
        output.show(report)
    elif invocation.format == "json":
        write_line(parts_json(settings, part))


def run_and_show(invocation: Invocation, settings: SweepConfig) -> None:
    """Does the main job and prints what it found; several collections have a summary of their own."""
    output = prepare_output(invocation, settings, inputs_of(settings), formats_of(settings.collection.sources))
    with listening(invocation) as on_event:
        from mrl_sweep.pipeline.run import run_each

        reports = run_each(settings, on_event)
    output.show(one_document(reports))


Target = Annotated[
    Path, typer.Argument(metavar="RUN|CONFIG.toml", help="A finished run, or settings to run first.", show_default=False)
]


@takes(*GATE)
def gate(context: typer.Context, target: Target, **flags: Any) -> int:
    """CI: judges by exit code whether --dim N, or any size up to --max-dim N, is still acceptable."""
    from mrl_sweep.report.folder import runs_in
    from mrl_sweep.runs.gate import gate_each, gate_settings

    is_config = target.suffix == ".toml" and not target.is_dir()
    invocation, settings = start(context, flags, target if is_config else None)
    runs = {} if is_config else runs_in(target)
    settings = gate_settings(settings, runs)
    inputs = files_of(*runs.values()) or inputs_of(settings)
    output = prepare_output(invocation, settings, inputs, formats_of(runs or settings.collection.sources))
    with listening(invocation) as on_event:
        document = one_document(gate_each(settings, runs, on_event))
    output.show(document)
    return document.exit_code
