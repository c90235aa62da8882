"""`mrl-sweep gate`: is the size in production still acceptable? The exit code is the answer, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mrl_sweep.cli.finished import files_of
from mrl_sweep.cli.invocation import Invocation, invocation_of
from mrl_sweep.cli.options import GATE, takes
from mrl_sweep.cli.output import prepare_output
from mrl_sweep.cli.run import main_job, main_jobs
from mrl_sweep.errors import InputError, naming
from mrl_sweep.settings.paths import inputs_of

if TYPE_CHECKING:
    from mrl_sweep.settings.config import SweepConfig

Target = Annotated[
    Path, typer.Argument(metavar="RUN|CONFIG.toml", help="A finished run, or settings to run first.", show_default=False)
]

_OF_A_FINISHED_RUN: Final = ("decision", "slices", "gate")
_OF_ANY_CALL: Final = frozenset({"run.format", "run.output", "run.strict", "run.accept"})


@takes(*GATE)
def gate(context: typer.Context, target: Target, **flags: Any) -> int:
    """CI: judges by exit code whether --dim N, or any size up to --max-dim N, is still acceptable."""
    invocation = invocation_of(context, flags)
    from mrl_sweep.report.folder import read_runs
    from mrl_sweep.runs.gate import decide_gate
    from mrl_sweep.runs.reopen import reopen

    is_config = target.suffix == ".toml" and not target.is_dir()
    settings = invocation.configure(target if is_config else None, flags).unless_given("run", "strict", True)
    if not is_config:
        _refuse_settings_of_a_run(settings)
    earlier = {} if is_config else read_runs(target)
    if earlier or (is_config and len(settings.collection.sources) > 1):
        return _gate_each(invocation, settings, earlier)
    output = prepare_output(invocation, settings.run.output, inputs_of(settings) if is_config else files_of(target))
    before = _baseline(invocation, settings)
    baseline = reopen(before, settings) if before else None
    folder = (main_job(invocation, settings).folder or target) if is_config else target
    report = decide_gate(reopen(folder, settings), settings, baseline).accepting(settings.run.accept)
    output.show(report)
    return report.gate.exit_code if report.gate else 0


def _gate_each(invocation: Invocation, settings: SweepConfig, earlier: Mapping[str, Path]) -> int:
    """The gates of several finished runs, or of several collections to run first: met where each is."""
    from mrl_sweep.report.articles.collections import several_article
    from mrl_sweep.report.render import SEVERAL_FORMATS
    from mrl_sweep.runs.gate import decide_gate
    from mrl_sweep.runs.reopen import reopen
    from mrl_sweep.runs.together import together

    if settings.gate.baseline is not None:
        hint = "gate each collection in a configuration of its own, or leave out --baseline"
        raise InputError("a baseline is one run, and here are several collections", hint)
    inputs = [file for run in earlier.values() for file in files_of(run)] or inputs_of(settings)
    output = prepare_output(invocation, settings.run.output, inputs, SEVERAL_FORMATS)
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
