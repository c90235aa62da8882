"""The commands, gathered: the one that is called, or all of them where help is asked for or a name is misspelt."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from mrl_sweep import __version__

HOMES: Final = {
    "run": "run",
    "gate": "gate",
    "plan": "plan",
    "embed": "embed",
    "report": "report",
    "compare": "compare",
    "demo": "run",
    "check": "check",
    "config": "config",
    "score": "score",
    "merge": "merge",
}
"""The module of each command, in the order of the help page."""


def program(argv: Sequence[str] = ()) -> typer.Typer:
    """The program that takes these arguments. With all ten commands, typer would read some 290 options before one runs."""
    app = typer.Typer(
        name="mrl-sweep",
        help="How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries.",
        epilog="Exit codes: 0 pass, 1 gate not met, 2 input, 3 environment, 4 inconclusive, 70 our bug, 130/143 interrupted.",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in argv[:1] if argv and argv[0] in HOMES else HOMES:
        app.command()(getattr(import_module(f"mrl_sweep.cli.{HOMES[name]}"), name))
    return app


def preload(argv: Sequence[str]) -> None:
    """Import what every command needs while the stack is low, unless help is asked for.

    CPython's stack comes in pieces, and a call that straddles two of them costs an allocation: numpy at the end of a long chain
    of imports took 50 ms more.
    """
    if argv and argv[0] in HOMES and not {"-h", "--help"} & set(argv):
        import_module("numpy")
        import_module("mrl_sweep.settings.config")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mrl-sweep {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."""
