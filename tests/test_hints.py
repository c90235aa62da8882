"""Every hint is a promise: what any message proposes to type is a command, an option and a value that exist (situation K8)."""

from __future__ import annotations

import ast
import re
import shlex
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import typer.main

import mrl_sweep
from mrl_sweep.cli.program import program
from mrl_sweep.collection.files import SETTINGS as COLUMN_SETTINGS
from mrl_sweep.errors import InputError, naming
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.table import SETTINGS

ROOT = Path(mrl_sweep.__file__).parent
CLI: Any = typer.main.get_command(program(["--help"]))
COMMANDS: dict[str, click.Command] = CLI.commands
NAMES = {"encode", "exchange", "digest", "signals", "shard", "store", "that"}
"""What follows the program's name in names of threads and marks of files, which nobody types."""
FILLED = "\x00"
"""Stands for what a message fills in."""


class Saying(NamedTuple):
    """A text that a user may see, where it stands, and what it says with `FILLED` in place of what is filled in."""

    where: str
    text: str


def sayings() -> Iterator[Saying]:
    """Every text of the package that names an option or a command, docstrings left out."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        inside = {id(part) for node in joined for part in ast.walk(node) if part is not node}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant | ast.JoinedStr) or id(node) in docs or id(node) in inside:
                continue
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else FILLED for part in node.values)
            if re.search(r"(?<![\w-])--[a-z]|mrl-sweep [a-z]|\b(?:corpus|queries|qrels)\.[a-z]+=", text):
                yield Saying(f"{path.relative_to(ROOT)}:{node.lineno}", text)


SAYINGS = list(sayings())
FOREIGN = re.compile(r"`?\b(?:pip|git|hf|python|docker|psql|uvx?)\b[^`]*`?")
"""Commands of others, whose options are not ours."""


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


OPTIONS = {name for command in (CLI, *COMMANDS.values()) for name in options_of(command)}


def ours(text: str) -> str:
    return FOREIGN.sub("", text)


def test_there_is_something_to_enumerate() -> None:
    assert len(SAYINGS) > 150


@pytest.mark.parametrize("saying", SAYINGS, ids=lambda saying: saying.where)
def test_every_option_and_command_that_a_message_names_exists(saying: Saying) -> None:
    text = ours(saying.text)
    named = {f"--{name}" for name in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text)}
    assert named - OPTIONS - {"--help"} == set()
    assert set(re.findall(r"mrl-sweep ([a-z]+)\b", text)) - NAMES <= COMMANDS.keys()


@pytest.mark.parametrize("saying", [one for one in SAYINGS if "mrl-sweep " in one.text], ids=lambda saying: saying.where)
def test_a_command_that_a_message_spells_out_takes_the_options_it_is_given(saying: Saying) -> None:
    for command, rest in re.findall(r"mrl-sweep ([a-z]+)\b([^`;]*)", ours(saying.text)):
        if command in COMMANDS:
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", rest)) <= options_of(COMMANDS[command]) | {"--help"}


BY_OPTION = {setting.option: setting.flag for setting in SETTINGS if setting.metavar}


def values() -> Iterator[tuple[str, str, str]]:
    """Each literal value that a message proposes for an option that is a setting: no placeholder, nothing filled in."""
    for saying in SAYINGS:
        for option, value in re.findall(r"(?<![\w-])(--[a-z][a-z0-9-]*) ('[^']+'|\"[^\"]+\"|[^\s,;:)`]+)", ours(saying.text)):
            value = shlex.split(value)[0] if value[0] in "'\"" else value.rstrip(".")
            is_literal = FILLED not in value and not re.search(r"[A-Z]{3}|^[A-Z]$|…", value) and re.search(r"\d|[=:/]", value)
            if option in BY_OPTION and is_literal:
                yield saying.where, option, value


@pytest.mark.parametrize(("where", "option", "value"), sorted(set(values())), ids=lambda value: str(value))
def test_every_value_that_a_message_proposes_is_accepted(where: str, option: str, value: str) -> None:
    try:
        SweepConfig.of(**{BY_OPTION[option]: value})
    except InputError as error:
        pytest.fail(f"{where} proposes {option} {value}, which is refused: {error.message}")


@pytest.mark.parametrize(
    "saying", [one for one in SAYINGS if re.search(r"\b(?:corpus|queries|qrels)\.[a-z]+=", one.text)], ids=lambda s: s.where
)
def test_every_column_setting_that_a_message_names_exists(saying: Saying) -> None:
    assert set(re.findall(r"\b((?:corpus|queries|qrels)\.[a-z]+)=", saying.text)) <= set(COLUMN_SETTINGS)


def test_a_traceback_ends_with_the_hint_as_the_command_s_error_does() -> None:
    with pytest.raises(InputError) as caught, naming("mine"):
        raise InputError("cannot read nope", "name a folder")
    assert "".join(traceback.format_exception_only(caught.value)).splitlines() == [
        "mrl_sweep.errors.InputError: mine: cannot read nope",
        "hint: name a folder",
    ]
