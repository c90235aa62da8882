"""`mrl-sweep plan`: what a finished run's sizes would take at a planned corpus, and what that would cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mrl_sweep.cli import tables
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import PLAN, takes
from mrl_sweep.cli.output import prepare_text
from mrl_sweep.cli.report import RunFolder, files_of
from mrl_sweep.types import FLOAT32

if TYPE_CHECKING:
    from mrl_sweep.deploying.plan import PlanRow
    from mrl_sweep.runs.plan import Planned

_PARQUET = ".parquet"


@takes(*PLAN)
def plan(context: typer.Context, run: RunFolder, **flags: Any) -> None:
    """Capacity: storage, memory, latency and cost at --docs, with the quality to expect there."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(None, flags)
    file = settings.run.output
    write = prepare_text(invocation, file, files_of(run), tuple(RENDERERS))
    from mrl_sweep.runs.plan import plan_run
    from mrl_sweep.runs.reopen import reopen

    planned = plan_run(reopen(run, settings), settings)
    if file is not None and file.suffix == _PARQUET:
        write_parquet(file, planned)
    elif invocation.quiet < 2 or invocation.format != "text":
        write(
            closing(planned) + "\n" if invocation.quiet and invocation.format == "text" else RENDERERS[invocation.format](planned)
        )


def as_json(planned: Planned) -> str:
    """One document: `rows`, the request, the assumptions."""
    from mrl_sweep.deploying.plan import plan_document

    warnings = [{"code": one.code, "message": one.message, "hint": one.hint} for one in planned.advice]
    return json.dumps({**plan_document(planned.plan), "warnings": warnings}, indent=2, allow_nan=False) + "\n"


def as_text(planned: Planned) -> str:
    """The table, the assumptions, the closing sentence."""
    notes = [f"  {note}" for note in (*planned.plan.assumptions, *(f"left out: {one}" for one in planned.plan.left_out))]
    advice = [
        line for one in planned.advice for line in (f"warning: {one.message}", *([f"  hint: {one.hint}"] if one.hint else []))
    ]
    table = tables.as_text(_table(planned))
    return tables.printable_lines([*table, "", *notes, *([""] if advice else []), *advice, "", closing(planned)])


def as_markdown(planned: Planned) -> str:
    """The same for a page."""
    from mrl_sweep.report.render.escape import markdown

    told = (*planned.plan.assumptions, *planned.plan.left_out, *(one.message for one in planned.advice))
    table = tables.as_markdown(_table(planned))
    return "\n".join([*table, "", *(f"* {markdown(note)}" for note in told), "", markdown(closing(planned))]) + "\n"


RENDERERS = {"text": as_text, "json": as_json, "markdown": as_markdown}

HEADS = (
    "dim",
    "precision",
    "index",
    "kept",
    "at least",
    "at planned",
    "vectors",
    "index size",
    "memory",
    "disk",
    "p50",
    "p99",
    "machines",
    "a month",
    "saves",
    "verdict",
)


def closing(planned: Planned) -> str:
    """The cheapest acceptable row in a sentence."""
    from mrl_sweep import words
    from mrl_sweep.deploying.plan import cheapest_row

    row = cheapest_row(planned.plan)
    if row is None:
        unmeasured = len({one.index for one in planned.plan.rows if one.acceptable is None and one.quality is None})
        why = f" {words.plural(unmeasured, 'index was', 'indexes were')} not measured in the run." if unmeasured else ""
        return f"None of these configurations is known to be acceptable.{why}"
    cost = "" if row.monthly_cost is None else f", {row.monthly_cost:,.2f} a month"
    saves = "" if not row.saving else f", {row.saving:,.2f} ({words.percent(row.saving_share)}) less than full size"
    memory = f"{words.size(row.memory_bytes)} of memory"
    coded = "" if row.precision == FLOAT32 else f" at {row.precision}"
    return f"Cheapest acceptable: {row.dim} dimensions{coded} with {row.index}: {memory} for {row.docs:,} documents{cost}{saves}."


def write_parquet(file: Path, planned: Planned) -> None:
    """The rows as a table for other tools; the projection's figures get columns of their own."""
    import pandas as pd

    from mrl_sweep.files import draft_file

    with draft_file(file) as draft:
        pd.DataFrame([_flat(row) for row in planned.plan.rows]).to_parquet(draft, index=False)


def _flat(row: PlanRow) -> dict[str, Any]:
    from dataclasses import asdict

    flat = asdict(row)
    projected = flat.pop("projected") or {}
    return {**flat, **{f"projected_{name}": value for name, value in projected.items()}}


def _table(planned: Planned) -> list[tuple[str, ...]]:
    """Head and rows; the precision where more than one is planned with."""
    rows = [HEADS, *map(_cells, planned.plan.rows)]
    several = len({row.precision for row in planned.plan.rows}) > 1
    at = HEADS.index("precision")
    return rows if several else [row[:at] + row[at + 1 :] for row in rows]


def _cells(row: PlanRow) -> tuple[str, ...]:
    from mrl_sweep import words

    there = row.projected or {}
    mean = words.score(there.get("mean"))
    band = f" ({there['low']:.4f} to {there['high']:.4f})" if there and not there["exact"] else ""
    return (
        str(row.dim),
        row.precision,
        row.index,
        words.percent(row.kept),
        words.percent(row.at_least),
        f"{mean}{band}",
        words.size(row.vector_bytes),
        words.size(row.index_bytes),
        words.size(row.memory_bytes),
        words.size(row.disk_bytes),
        words.milliseconds(row.p50_ms),
        words.milliseconds(row.p99_ms),
        words.count(row.machines),
        "-" if row.monthly_cost is None else f"{row.monthly_cost:,.2f}",
        "-" if row.saving is None else f"{row.saving:,.2f}",
        "ok" if row.acceptable else "not measured" if row.quality is None else row.reason,
    )
