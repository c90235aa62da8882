"""The function for notebooks and scripts: `mrl_sweep.run(collection="pydocs", model="wordllama").to_frame()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.pipeline import run as job
from mrl_sweep.report.document import Report
from mrl_sweep.settings.config import SweepConfig, as_config

_OWN_FOLDERS: Final[set[Path]] = set()
"""Folders where this process wrote runs: no earlier run is lost there, and a loop or a cell may use its folder again."""


def run(config: SweepConfig | Path | str | None = None, *, on_event: OnEvent = ignore, **settings: Any) -> Report:
    """Does the main job and returns its report, which also lies in `report.folder`.

    `config` is a `SweepConfig`, or the path of a TOML file; `settings` are the command line's options without dashes
    (`collection="pydocs"`, `dims=[256, 128]`, `retain="98%"`), alone or on top of the file. `on_event` hears of progress
    (`mrl_sweep.events`). Another run in `out` is replaced where this process wrote it, else with `force=True` alone. Raises
    `mrl_sweep.errors.MrlSweepError`, whose `message` and `hint` are those of the command.
    """
    complete = as_config(config, **settings)
    if complete.run.out is not None and complete.run.out.resolve() in _OWN_FOLDERS:
        complete = complete.replaced("run", "force", True)
    report = job.run(complete, on_event)
    if report.folder is not None:
        _OWN_FOLDERS.add(Path(report.folder).resolve())
    return report
