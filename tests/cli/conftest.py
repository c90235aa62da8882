"""The command as a user types it, in an empty folder and without the caller's settings: in this process, or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mrl_sweep.cli import main

Finished = subprocess.CompletedProcess
Command = Callable[..., "Finished[str]"]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("run", "--dims", "64", env={"NAME": "value"})`: what main() printed and the code it ended with."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MRL_SWEEP_")]:
        monkeypatch.delenv(name)

    def run(*argv: str, env: dict[str, str] | None = None) -> Finished[str]:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(argv)
        assert isinstance(ended.value.code, int)
        return Finished(argv, ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Command:
    """The same in a process of its own, as a shell would start it."""

    def run(*argv: str, env: dict[str, str] | None = None) -> Finished[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MRL_SWEEP_")}
        return subprocess.run(
            [sys.executable, "-m", "mrl_sweep", *argv],
            cwd=tmp_path,
            env={**kept, **(env or {})},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run
