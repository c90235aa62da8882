"""Every option is a setting and every setting an option, so that flag, file and environment say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import mrl_sweep
from mrl_sweep.cli.help_page import HOMES
from mrl_sweep.cli.program import TALK, program
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.table import SETTINGS

PACKAGE = Path(mrl_sweep.__file__).parent
COMMANDS: dict[str, Any] = typer.main.get_command(program()).commands  # type: ignore[attr-defined]
OPTIONS = {
    name: {param.name: param for param in command.params if param.param_type_name == "option" and param.name != "help"}
    for name, command in COMMANDS.items()
}


def _spelled(param: Any) -> set[str]:
    return {*param.opts, *param.secondary_opts}


def test_options_and_settings_are_the_same_set() -> None:
    declared = {name for options in OPTIONS.values() for name in options}
    assert declared - set(TALK) - {"dry_run", "part", "trec", "codes", "name", "history"} == {
        setting.flag for setting in SETTINGS
    }
    assert set(OPTIONS) == set(HOMES)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.path)
def test_each_option_says_what_its_row_says(setting: Any) -> None:
    params = [options[setting.flag] for options in OPTIONS.values() if setting.flag in options]
    assert params
    for param in params:
        assert setting.option in param.opts
        assert (param.metavar, param.multiple, param.rich_help_panel) == (
            setting.metavar,
            setting.repeatable,
            setting.panel,
        )
        assert param.help == setting.help + (" Repeatable." if setting.repeatable else "")


def test_what_a_command_takes_is_what_it_can_follow() -> None:
    assert {"format", "output", "retain", "alpha", *TALK} <= set(OPTIONS["report"])
    assert not {"slice", "dims", "out"} & set(OPTIONS["report"])
    assert set(OPTIONS["run"]) - {"part"} == set(OPTIONS["demo"]) == set(OPTIONS["config"])
    assert set(OPTIONS["embed"]) - {"dry_run", "part", "trec", "codes", "name", "history"} == set(OPTIONS["check"])
    assert {"dims", "distractors"} & set(OPTIONS["embed"]) == {"distractors"}
    assert {"dim", "strict", "threads"} <= set(OPTIONS["gate"])
    assert {"plan_index", "price_per_million"} <= set(OPTIONS["plan"])
    assert "index" not in OPTIONS["plan"]


def test_defaults_are_what_their_parsers_make_of_them() -> None:
    """So that a default written in the table is a value that a user could have given."""
    for setting in SETTINGS:
        if setting.default not in (None, ()) and setting.parse.__name__ != "parse_size":
            given = [str(item) for item in setting.default] if isinstance(setting.default, tuple) else str(setting.default)
            assert setting.parse(given) == setting.default, setting.path


@pytest.mark.parametrize(
    ("flag", "key"),
    [("backend", "model.backend"), ("alpha", "decision.alpha"), ("retain", "decision.retain"), ("dims", "sweep.dims")],
)
def test_the_default_that_help_names_is_the_default(flag: str, key: str) -> None:
    assert str(SweepConfig.of().settings()[key]) in OPTIONS["run"][flag].help


def test_every_option_that_a_message_names_exists() -> None:
    spelled = {name for options in OPTIONS.values() for param in options.values() for name in _spelled(param)}
    known = spelled | {"--help", "--version", "--dry-run", "--install-completion", "--show-completion"}
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    named = {(path.name, flag) for path, text in sources.items() for flag in re.findall(r"(?<![-\w])--[a-z][a-z-]+", text)}
    assert {(name, flag) for name, flag in named if flag not in known} == set()


def test_a_command_takes_its_values_without_pydantic() -> None:
    """Importing it takes as long as a warm gate does besides."""
    code = (
        "import sys; from mrl_sweep.cli import main\n"
        "try: main(['config', '--dims', '64', '--slice', 'type', '--slice', 'label', '-q'])\n"
        "except SystemExit as ended: sys.exit(ended.code or 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'slice = ["type", "label"]' in done.stdout
    assert "dims = " in done.stdout
