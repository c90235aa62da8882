"""`mrl-sweep run`, `demo`, `merge` and `gate`: the main job, whole or in parts, and whether a size is still acceptable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mrl_sweep.cli.console import listening, write_line
from mrl_sweep.cli.invocation import Invocation, start
from mrl_sweep.cli.output import files_of, prepare_output
from mrl_sweep.cli.program import GATE, OUTPUT, SWEEP, ConfigFile, takes
from mrl_sweep.errors import InputError, naming
from mrl_sweep.settings.paths import inputs_of

if TYPE_CHECKING:
    from mrl_sweep.report.document import Report
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
    """Count one part of the documents, and show the report where that completes the set."""
    from mrl_sweep.execution.parts import Part, missing_parts

    part = Part.parse(text)
    output = prepare_output(invocation, settings, inputs_of(settings))
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
        from mrl_sweep.report.collections import several_article
        from mrl_sweep.report.render import SEVERAL_FORMATS
        from mrl_sweep.runs.together import together

        output = prepare_output(invocation, settings, inputs_of(settings), SEVERAL_FORMATS)
        return output.show(several_article(together(main_jobs(invocation, settings))))
    output = prepare_output(invocation, settings, inputs_of(settings))
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


Target = Annotated[
    Path, typer.Argument(metavar="RUN|CONFIG.toml", help="A finished run, or settings to run first.", show_default=False)
]

_OF_A_FINISHED_RUN: Final = ("decision", "slices", "gate")
_OF_ANY_CALL: Final = frozenset({"run.format", "run.output", "run.strict", "run.accept"})


@takes(*GATE)
def gate(context: typer.Context, target: Target, **flags: Any) -> int:
    """CI: judges by exit code whether --dim N, or any size up to --max-dim N, is still acceptable."""
    from mrl_sweep.report.folder import read_runs
    from mrl_sweep.runs.gate import decide_gate
    from mrl_sweep.runs.reopen import reopen

    is_config = target.suffix == ".toml" and not target.is_dir()
    invocation, settings = start(context, flags, target if is_config else None)
    settings = settings.unless_given("run", "strict", True)
    if not is_config:
        _refuse_settings_of_a_run(settings)
    earlier = {} if is_config else read_runs(target)
    if earlier or (is_config and len(settings.collection.sources) > 1):
        return _gate_each(invocation, settings, earlier)
    output = prepare_output(invocation, settings, inputs_of(settings) if is_config else files_of(target))
    before = _baseline(invocation, settings)
    baseline = reopen(before, settings) if before else None
    folder = (main_job(invocation, settings).folder or target) if is_config else target
    report = decide_gate(reopen(folder, settings), settings, baseline).accepting(settings.run.accept)
    output.show(report)
    return report.gate.exit_code if report.gate else 0


def _gate_each(invocation: Invocation, settings: SweepConfig, earlier: Mapping[str, Path]) -> int:
    """The gates of several finished runs, or of several collections to run first: met where each is."""
    from mrl_sweep.report.collections import several_article
    from mrl_sweep.report.render import SEVERAL_FORMATS
    from mrl_sweep.runs.gate import decide_gate
    from mrl_sweep.runs.reopen import reopen
    from mrl_sweep.runs.together import together

    if settings.gate.baseline is not None:
        hint = "gate each collection in a configuration of its own, or leave out --baseline"
        raise InputError("a baseline is one run, and here are several collections", hint)
    output = prepare_output(invocation, settings, files_of(*earlier.values()) or inputs_of(settings), SEVERAL_FORMATS)
    folders = earlier or {name: run.folder for name, run in main_jobs(invocation, settings).items() if run.folder}
    gated = {}
    for name, folder in folders.items():
        with naming(name):
            gated[name] = decide_gate(reopen(folder, settings), settings).accepting(settings.run.accept)
    joint = together(gated)
    output.show(several_article(joint))
    return joint.gate.exit_code if joint.gate else 0


def _baseline(invocation: Invocation, settings: SweepConfig) -> Path | None:
    """The baseline's path; None where there is none, or none yet and that was allowed."""
    path, optional = settings.gate.baseline, settings.gate.baseline_optional
    alone = [settings.origins[key] for key in ("gate.baseline_optional", "gate.max_regression") if key in settings.origins]
    if path is None and alone and alone[0].startswith("--"):
        raise InputError(f"{alone[0]} needs a baseline", "give --baseline RUN")
    if path is None or path.exists() or not optional:
        return path
    invocation.say(f"no baseline at {path} yet: nothing to compare with")
    return None


def _refuse_settings_of_a_run(settings: SweepConfig) -> None:
    """Raise InputError for an option that only a new run could follow: to ignore it would answer another question."""
    useless = [
        origin
        for key, origin in settings.origins.items()
        if origin.startswith("--") and key not in _OF_ANY_CALL and key.partition(".")[0] not in _OF_A_FINISHED_RUN
    ]
    if useless:
        raise InputError(f"{useless[0]} cannot change a finished run", "give a configuration instead of a run, or leave it out")
