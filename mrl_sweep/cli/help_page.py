"""The first help page, written without the parser: typer and the options of all commands take longer to make than it does."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

PROGRAM: Final = "mrl-sweep"
HELP: Final = frozenset({"-h", "--help"})
PURPOSE: Final = "How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."
EPILOG: Final = "Exit codes: 0 pass, 1 gate not met, 2 input, 3 environment, 4 inconclusive, 70 our bug, 130/143 interrupted."

HOMES: Final = {
    "run": "run",
    "gate": "run",
    "plan": "finished",
    "embed": "inputs",
    "report": "finished",
    "compare": "finished",
    "demo": "run",
    "check": "inputs",
    "config": "inputs",
    "score": "finished",
    "merge": "run",
}
"""The module of each command, in the order of the help page."""

SUMMARIES: Final = {
    "run": "Embed or reuse, rank, score, decide, report. Exit 0 when the job is done, whatever the verdict.",
    "gate": "CI: judges by exit code whether --dim N, or any size up to --max-dim N, is still acceptable.",
    "plan": "Capacity: storage, memory, latency and cost at --docs, with the quality to expect there.",
    "embed": "Only fill the store; --dry-run says what that would take. A run then embeds nothing.",
    "report": "Render an earlier run again: text, json, markdown, html, github, junit, or ship: what to paste.",
    "compare": "Two models, two corpora, two days: finished runs side by side, with paired evidence.",
    "demo": "The main job on packaged real text with a real Matryoshka model; no download.",
    "check": "Validate a collection and say what is in it: sizes, judgments, gaps, text lengths, slices.",
    "config": "Every setting, its value, and where it came from. The text is itself a configuration file.",
    "score": "Judge what a live database returned: one more configuration, with index loss against exact ranks. "
    "Exit 0 when judged.",
    "merge": "Put the parts of a run together (--part I/N), then go on as run does.",
}
"""What each command does: the first paragraph of its own help."""

OPTIONS: Final = {
    "--version": "Print the version.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the installation.",
    "-h, --help": "Show this message and exit.",
}

WIDEST: Final = 78
NARROWEST: Final = 50
HELP_COLUMN: Final = 26
"""Where the texts of a help page begin."""


def asks_for_help(argv: Sequence[str]) -> bool:
    """Tells whether the first help page is all that is asked for; a shell that asks for completions asks typer."""
    return "_MRL_SWEEP_COMPLETE" not in os.environ and (not argv or (len(argv) == 1 and argv[0] in HELP))


def help_page() -> str:
    """Returns the first help page, as wide as the terminal within the limits that typer has."""
    width = max(min(shutil.get_terminal_size().columns - 2, WIDEST), NARROWEST)
    lines = [f"Usage: {PROGRAM} [OPTIONS] COMMAND [ARGS]...", "", *_paragraph(PURPOSE, width)]
    for title, rows in (("Commands", SUMMARIES), ("Options", OPTIONS)):
        lines += ["", f"{title}:", *(line for row in rows.items() for line in row_lines(*row, indent=2, width=width))]
    return "\n".join([*lines, "", *_paragraph(EPILOG, width)]) + "\n"


def _paragraph(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")


def row_lines(name: str, text: str, *, indent: int, width: int) -> Iterator[str]:
    """Yields the lines of a name and its text, beside it where there is room; options are not broken at their hyphens."""
    start = " " * indent + name
    if len(start) > HELP_COLUMN - 2:
        yield start
        start = ""
    for line in textwrap.wrap(text, width - HELP_COLUMN, break_on_hyphens=False):
        yield f"{start:<{HELP_COLUMN}}{line}"
        start = ""
