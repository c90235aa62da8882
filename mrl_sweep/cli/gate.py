"""`mrl-sweep gate`: is the size in production still acceptable? The exit code is the answer, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Unpack

import typer

from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import GateFlags, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.report import files_of
from mrl_sweep.cli.run import inputs_of, main_job
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
    if target.suffix == ".toml":
        settings = _strict(invocation, target, flags)
        output = prepare_output(invocation, settings.run.output, inputs_of(settings))
        run = main_job(invocation, settings).folder or target
    else:
        settings = _strict(invocation, None, flags)
        _refuse_settings_of_a_run(settings)
        output = prepare_output(invocation, settings.run.output, files_of(target))
        run = target
    from mrl_sweep.earlier import reopen
    from mrl_sweep.gate import decide_gate

    report = decide_gate(reopen(run, settings), settings)
    output.show(report)
    return report.gate.exit_code if report.gate else 0


def _strict(invocation: Invocation, path: Path | None, flags: Mapping[str, Any]) -> SweepConfig:
    """The settings of a gate, which is strict unless it was told not to be."""
    return invocation.configure(path, flags).unless_given("run", "strict", True)


def _refuse_settings_of_a_run(settings: SweepConfig) -> None:
    """Raise InputError for an option that only a new run could follow: to ignore it would answer another question."""
    useless = [
        origin
        for key, origin in settings.origins.items()
        if origin.startswith("--") and key not in _OF_ANY_CALL and key.partition(".")[0] not in _OF_A_FINISHED_RUN
    ]
    if useless:
        raise InputError(f"{useless[0]} cannot change a finished run", "give a configuration instead of a run, or leave it out")
