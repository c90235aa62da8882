"""typer's own errors in our style: what is wrong, and a hint that leads on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mrl_sweep.words import nearest

PROGRAM: Final = "mrl-sweep"


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
    from typer.main import get_command

    from mrl_sweep.cli.app import program

    commands: Any = get_command(program())
    for name, command in commands.commands.items():
        if any(option in parameter.opts for parameter in command.params):
            yield name
