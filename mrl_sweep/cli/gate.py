"""`mrl-sweep gate`: is the size in production still acceptable? The exit code is the answer, whatever the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Unpack

import typer

from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import GateFlags, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.report import files_of
from mrl_sweep.cli.run import inputs_of, main_job, main_jobs
from mrl_sweep.cli.several import prepare_several
from mrl_sweep.errors import InputError

if TYPE_CHECKING:
    from mrl_sweep.config import SweepConfig

Target = Annotated[
    Path, typer.Argument(metavar="RUN|CONFIG.toml", help="A finished run, or settings to run first.", show_default=False)
]

_OF_A_FINISHED_RUN: Final = ("decision", "slices", "gate")
_OF_ANY_CALL: Final = frozenset({"run.format", "run.output", "run.strict"})


@takes(GateFlags)
def gate(context: typer.Context, target: Target, **flags: Unpack[GateFlags]) -> int:
    """CI: judges by exit code whether --dim N, or any size up to --max-dim N, is still acceptable."""
    invocation = invocation_of(context, flags)
    from mrl_sweep.earlier import reopen
    from mrl_sweep.gate import decide_gate

    is_config = target.suffix == ".toml"
    settings = invocation.configure(target if is_config else None, flags).unless_given("run", "strict", True)
    if not is_config:
        _refuse_settings_of_a_run(settings)
    elif len(settings.collection.sources) > 1:
        return _gate_each(invocation, settings)
    output = prepare_output(invocation, settings.run.output, inputs_of(settings) if is_config else files_of(target))
    before = _baseline(invocation, settings)
    baseline = reopen(before, settings) if before else None
    folder = (main_job(invocation, settings).folder or target) if is_config else target
    report = decide_gate(reopen(folder, settings), settings, baseline)
    output.show(report)
    return report.gate.exit_code if report.gate else 0


def _gate_each(invocation: Invocation, settings: SweepConfig) -> int:
    """Every collection's own gate, met where all are; a failure outweighs an open question."""
    from mrl_sweep.earlier import reopen
    from mrl_sweep.gate import decide_gate
    from mrl_sweep.macro import together

    if settings.gate.baseline is not None:
        raise InputError(
            f"a baseline is one run, and {len(settings.collection.sources)} collections are named",
            "gate each collection in a configuration of its own, or leave out --baseline",
        )
    show = prepare_several(invocation, settings.run.output, inputs_of(settings))
    runs = main_jobs(invocation, settings)
    found = together(
        {name: decide_gate(reopen(run.folder, settings), settings) for name, run in runs.items() if run.folder is not None}
    )
    show(found)
    return found.gate.exit_code if found.gate else 0


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
