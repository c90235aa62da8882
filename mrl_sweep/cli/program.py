"""The program as typer has it: its commands, what every command needs beforehand, and typer's errors in our words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from mrl_sweep import __version__
from mrl_sweep.cli.help_page import EPILOG, HELP, HOMES, PROGRAM, PURPOSE
from mrl_sweep.cli.options import Command, Commands, with_options
from mrl_sweep.words import nearest


def program(argv: Sequence[str] = ()) -> typer.Typer:
    """The program that takes these arguments. With all ten commands, typer would read some 290 options before one runs."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Commands,
        help=PURPOSE,
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": sorted(HELP)},
    )
    app.callback()(_options)
    for name in argv[:1] if argv and argv[0] in HOMES else HOMES:
        app.command(cls=Command)(with_options(getattr(import_module(f"mrl_sweep.cli.{HOMES[name]}"), name)))
    return app


def preload(argv: Sequence[str]) -> None:
    """Import what every command needs while the stack is low, unless help is asked for.

    CPython's stack comes in pieces, and a call that straddles two of them costs an allocation: numpy at the end of a long chain
    of imports took 50 ms more.
    """
    if argv and argv[0] in HOMES and HELP.isdisjoint(argv):
        import_module("numpy")
        import_module("mrl_sweep.settings.config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."""


def in_our_style(error: Any, argv: Sequence[str]) -> tuple[str, str]:
    """The message and hint of an error that typer raised over these arguments."""
    option, near = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    command = argv[0] + " " if not argv[0].startswith("-") else ""
    accepted = f"`{PROGRAM} {command}--help` shows what is accepted"
    others = list(_commands_with(option)) if option else []
    if others and argv[0] not in others:
        return f"no such option: {option}", f"it belongs to {', '.join(others)}; {accepted}"
    if near:
        return _lowered(error.message), f"did you mean {nearest(option, near, cutoff=0)[0]}?"
    message, _, suggestion = error.format_message().strip().partition(". Did you mean ")
    message = _lowered(message)
    if suggestion:
        return message, f"did you mean {suggestion}"
    return message, accepted if "command" not in message else f"`{PROGRAM} --help` shows what is accepted"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")


def _commands_with(option: str) -> Iterator[str]:
    """The commands that take an option of this name."""
    commands: Any = typer.main.get_command(program())
    for name, command in commands.commands.items():
        if any(option in parameter.opts for parameter in command.params):
            yield name
