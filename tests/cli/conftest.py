"""The real command, run in a process of its own, in an empty folder, without the caller's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`command("run", "--dims", "64", env={"NAME": "value"})`: the finished process, with text on both streams."""

    def run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MRL_SWEEP_")}
        return subprocess.run(
            [sys.executable, "-m", "mrl_sweep", *argv],
            cwd=cwd or tmp_path,
            env={**kept, **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run
