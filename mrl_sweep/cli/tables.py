"""Plain tables of other people's text, for what is no report: columns lined up, nothing cut, nothing obeyed."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def as_text(lines: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its first line the heads; columns that hold only dashes are left out."""
    cleaned = _cleaned(lines)
    widths = [max(len(line[i]) for line in cleaned) for i in range(len(cleaned[0]))]
    return ["   ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cleaned]


def as_markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    """The same as a Markdown table, its cells escaped."""
    from mrl_sweep.report.render.escape import markdown

    heads, *rows = [[markdown(cell) for cell in line] for line in _cleaned(lines)]
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ["---:"] * len(heads), *rows)]


def printable_lines(lines: Sequence[str]) -> str:
    """The lines as stdout can hold them, each made harmless for a terminal."""
    from mrl_sweep.report.render.escape import terminal

    encoding = sys.stdout.encoding or "utf-8"
    return "\n".join(terminal(line, encoding=encoding) for line in lines) + "\n"


def _cleaned(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    columns = [i for i in range(len(lines[0])) if i == 0 or any(line[i].strip("- ") for line in lines[1:])]
    return [[line[i] for i in columns] for line in lines]
