"""Finished runs, opened again: to render, judge, compare and plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrl_sweep.report.document import Report
    from mrl_sweep.settings.config import SweepConfig


def report_again(run: Path, config: SweepConfig) -> Report:
    """Returns the report as the run wrote it, or judged again from its ranks where a setting of the decision was given.

    It is in the terms of the target that was named, else of the run's own. Judging is imported where it is needed: rendering
    what was written takes half the time.
    """
    from mrl_sweep.report.folder import read_report

    if any(key.startswith("decision.") for key in config.origins):
        from mrl_sweep.runs.reopen import reopen

        report = reopen(run, config).report
    else:
        report = read_report(run)
    report = report.accepting(config.run.accept)
    if "deploy.target" not in config.origins:
        return report
    from mrl_sweep.deploying.targets import DEFAULT_TARGET, target_named
    from mrl_sweep.report.render.ship import MEASURED_FOR

    then = report.of_run("settings")
    now = {"deploy.target": target_named(config.deploy.target).name, MEASURED_FOR: then.get("deploy.target", DEFAULT_TARGET)}
    return replace(report, manifest={**report.manifest, "settings": {**then, **now}})
