"""The commands, gathered."""

from __future__ import annotations

from typing import Annotated

import typer

from mrl_sweep import __version__
from mrl_sweep.cli.check import check
from mrl_sweep.cli.compare import compare
from mrl_sweep.cli.config import config
from mrl_sweep.cli.embed import embed
from mrl_sweep.cli.gate import gate
from mrl_sweep.cli.plan import plan
from mrl_sweep.cli.report import report
from mrl_sweep.cli.run import demo, run

app = typer.Typer(
    name="mrl-sweep",
    help="How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries.",
    epilog="Exit codes: 0 pass, 1 gate not met, 2 input, 3 environment, 4 inconclusive, 70 our bug, 130/143 interrupted.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mrl-sweep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."""


for command in (run, gate, plan, embed, report, compare, demo, check, config):
    app.command()(command)
