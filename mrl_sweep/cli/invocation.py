"""One call of the command: how much it prints, in which format, and where an error goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrl_sweep.cli.console import painted, write_line
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.words import printable

if TYPE_CHECKING:
    import typer

    from mrl_sweep.settings.config import SweepConfig


@record(frozen=False)
class Invocation:
    """One call: the arguments typed, and how much (`quiet`, `verbose`, `show`) it prints in which format."""

    argv: tuple[str, ...]
    quiet: int = 0
    verbose: int = 0
    show: frozenset[str] = frozenset()
    debug: bool = field(init=False)
    format: str = field(init=False)
    format_given: bool = field(init=False)

    def __post_init__(self) -> None:
        """Reads `--debug` and `--format` for errors that come before the options are parsed."""
        self.debug = "--debug" in self.argv
        typed = _typed(self.argv, "--format") or os.environ.get("MRL_SWEEP_FORMAT")
        self.format = typed or "text"
        self.format_given = bool(typed)

    def say_error(self, message: str, hint: str, exit_code: int) -> None:
        """Writes `error:` and `hint:` to stderr; with `--format json`, stdout carries one document that says the same."""
        write_line(f"{painted('error:', '31;1', sys.stderr)} {message}", sys.stderr)
        if hint:
            write_line(f"{painted('hint:', '36;1', sys.stderr)} {hint}", sys.stderr)
        if self.format == "json":
            error = {"message": message, "hint": hint, "exit_code": exit_code}
            write_line(json.dumps({"schema_version": 1, "status": "error", "error": error}, indent=2))

    def say(self, text: str) -> None:
        """Writes a line for a person to stderr; `-q` silences it."""
        if not self.quiet:
            write_line(text, sys.stderr)


def start(context: typer.Context, flags: Mapping[str, Any], file: Path | None = None) -> tuple[Invocation, SweepConfig]:
    """Returns this call, with `-q`, `-v` and `--format` as parsed, and its settings: those of the file, the options on top."""
    from mrl_sweep.cli.program import TALK
    from mrl_sweep.settings.config import load_config

    invocation: Invocation = context.obj
    invocation.quiet = flags.get("quiet") or 0
    invocation.verbose = flags.get("verbose") or 0
    invocation.format = flags.get("format") or invocation.format
    invocation.show = frozenset({"all"}) if invocation.verbose else _sections(flags.get("show"))
    config = load_config(file, {name: value for name, value in flags.items() if name not in TALK})
    invocation.format = str(config.run.format)
    invocation.format_given = "run.format" in config.origins
    return invocation, config


def _sections(text: str | None) -> frozenset[str]:
    """The sections that `--show` names."""
    if not text:
        return frozenset()
    from mrl_sweep.report.render import SECTIONS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in SECTIONS:
            raise InputError(f"--show: there is no section {printable(name)!r}", f"--show takes {', '.join(SECTIONS)}")
    return frozenset(names)


def _typed(argv: tuple[str, ...], option: str) -> str | None:
    """The value typed for an option, as `--format json` or `--format=json`, whether or not the rest can be parsed."""
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        if word == option:
            return following
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return None
