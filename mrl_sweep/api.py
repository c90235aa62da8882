"""What a notebook uses: `mrl_sweep.run(collection="pydocs", model="wordllama").to_frame()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.pipeline import run as job
from mrl_sweep.report.document import Report
from mrl_sweep.settings.config import SweepConfig, as_config


def run(config: SweepConfig | Path | str | None = None, *, on_event: OnEvent = ignore, **settings: Any) -> Report:
    """Do the main job and return its report, which also lies in `report.folder`.

    `config` is a `SweepConfig`, or the path of a TOML file; `settings` are the command line's options without dashes
    (`collection="pydocs"`, `dims=[256, 128]`, `retain="98%"`), alone or on top of the file. `on_event` hears of progress
    (`mrl_sweep.events`). Raises `mrl_sweep.errors.MrlSweepError`, whose `message` and `hint` are those of the command.
    """
    return job.run(as_config(config, **settings), on_event)
