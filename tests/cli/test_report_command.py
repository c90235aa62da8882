"""`mrl-sweep report` takes its settings as every command does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from mrl_sweep.cli.app import HOMES

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]


def test_a_finished_run_is_rendered_to_the_file_that_a_variable_names(command: Command, made_run: MadeRun) -> None:
    folder = made_run({4: [0] * 40, 2: [0] * 40})
    env = {"MRL_SWEEP_OUTPUT": "again.json", "MRL_SWEEP_FORMAT": "json"}
    done = command("report", str(folder), env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(Path("again.json").read_text()) == json.loads((folder / "report.json").read_text())


def test_a_pyproject_decides_the_format(command: Command, made_run: MadeRun) -> None:
    folder = made_run({4: [0] * 40, 2: [0] * 40})
    Path("pyproject.toml").write_text("[tool.mrl-sweep.run]\nformat = 'json'\n")
    assert json.loads(command("report", str(folder)).stdout)["schema_version"]
    assert not command("report", str(folder), "--format", "text").stdout.startswith("{")


def test_every_command_refuses_a_variable_that_is_no_setting(command: Command, made_run: MadeRun) -> None:
    folder = str(made_run({4: [0] * 40, 2: [0] * 40}))
    of_runs = {"report": [folder], "gate": [folder], "plan": [folder, "--docs", "10M"], "compare": [folder, folder]}
    for name in HOMES:
        done = command(name, *of_runs.get(name, []), env={"MRL_SWEEP_OUPUT": "a.json"})
        wanted = "error: MRL_SWEEP_OUPUT: no setting has this name\nhint: did you mean 'MRL_SWEEP_OUTPUT'?\n"
        assert (name, done.returncode, done.stderr) == (name, 2, wanted)


def test_an_unknown_format_is_named_with_its_option(command: Command, made_run: MadeRun) -> None:
    done = command("report", str(made_run({4: [0] * 40, 2: [0] * 40})), "--format", "jsn")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --format: 'jsn' is not accepted\nhint: did you mean 'json'?")
