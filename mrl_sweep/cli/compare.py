"""`mrl-sweep compare`: two or more finished runs side by side, with paired evidence where they share their queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli import tables
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import JUDGED, takes
from mrl_sweep.cli.output import prepare_text
from mrl_sweep.cli.report import files_of
from mrl_sweep.errors import InputError

if TYPE_CHECKING:
    from mrl_sweep.runs.compare import Cell, ComparedRow, SideBySide

Runs = Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of finished runs; the first is compared with.")]


@takes(*JUDGED)
def compare(context: typer.Context, runs: Runs, **flags: Any) -> None:
    """Two models, two corpora, two days: finished runs side by side, with paired evidence."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    if len(runs) < 2:
        raise InputError("there is nothing to compare with", "name two or more runs")
    write = prepare_text(invocation, settings.run.output, [file for run in runs for file in files_of(run)], tuple(RENDERERS))
    from mrl_sweep.runs.compare import side_by_side
    from mrl_sweep.runs.reopen import reopen

    sides = side_by_side([reopen(run, settings) for run in runs])
    if invocation.quiet < 2 or invocation.format != "text":
        write(closing(sides) + "\n" if invocation.quiet and invocation.format == "text" else RENDERERS[invocation.format](sides))


def as_json(sides: SideBySide) -> str:
    """One document."""
    return json.dumps(sides.to_dict(), indent=2, allow_nan=False) + "\n"


def as_text(sides: SideBySide) -> str:
    """Who is who, the table, the closing sentence."""
    table = tables.as_text([_heads(sides), *(_line(row) for row in sides.rows)])
    return tables.printable_lines([*_legend(sides), "", *table, "", closing(sides)])


def as_markdown(sides: SideBySide) -> str:
    """The same for a pull request."""
    from mrl_sweep.report.render.escape import markdown

    table = tables.as_markdown([_heads(sides), *(_line(row) for row in sides.rows)])
    return "\n".join([*(f"* {markdown(line)}" for line in _legend(sides)), "", *table, "", markdown(closing(sides))]) + "\n"


RENDERERS = {"text": as_text, "json": as_json, "markdown": as_markdown}


def closing(sides: SideBySide) -> str:
    """The sentence: each run's choice against the first run's."""
    said = []
    for label, run, cell in zip(_labels(sides), sides.runs, sides.rows[-1].cells, strict=True):
        if run.differs:
            said.append(f"{label} cannot be compared with A query by query: {'; '.join(run.differs)}.")
        elif cell.against_first is not None:
            first = sides.runs[0].dimension
            said.append(f"{label} at {cell.dim} {_proven(cell)} A at {first}: {_difference(cell)} {sides.measure}.")
    if sides.label_free:
        said.append(f"{sides.measure} is agreement with each run's own full size; whose documents are better it cannot tell.")
    return " ".join(said)


def _proven(cell: Cell) -> str:
    better = str(cell.against_first.better) if cell.against_first else ""
    return {"first": "is proven worse than", "second": "is proven better than"}.get(better, "cannot be told from")


def _legend(sides: SideBySide) -> list[str]:
    return [
        f"{label}  {run.name}  {run.collection}  {run.model}  {run.queries:,} queries  chosen: {run.dimension} ({run.status})"
        for label, run in zip(_labels(sides), sides.runs, strict=True)
    ]


def _labels(sides: SideBySide) -> list[str]:
    return [chr(ord("A") + i) if i < 26 else f"R{i + 1}" for i in range(len(sides.runs))]


def _heads(sides: SideBySide) -> list[str]:
    labels = _labels(sides)
    return ["bytes", *(f"{label} {sides.measure}" for label in labels), *(f"{label} - A" for label in labels[1:])]


def _line(row: ComparedRow) -> list[str]:
    size = "as chosen" if row.bytes_per_vector is None else f"{row.bytes_per_vector:,}"
    means = ["-" if cell.mean is None else f"{cell.dim}: {cell.mean:.4f}" for cell in row.cells]
    return [size, *means, *(_difference(cell, verdict=True) for cell in row.cells[1:])]


def _difference(cell: Cell, *, verdict: bool = False) -> str:
    """`+0.0412 (+0.0301 to +0.0523) better`: the mean paired difference, its limits, and what is proven."""
    paired = cell.against_first
    if paired is None:
        return "-"
    limits = "" if paired.low is None or paired.high is None else f" ({paired.low:+.4f} to {paired.high:+.4f})"
    words = {"first": " worse", "second": " better"}.get(str(paired.better), " open") if verdict else ""
    return f"{paired.difference:+.4f}{limits}{words}"
