"""The article of a plan for a larger corpus: its rows, its tenants and the cheapest acceptable row; and its Parquet file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.deploying.bill import ON_DISK, PlanRow
from mrl_sweep.deploying.plan import Plan, plan_document
from mrl_sweep.files import draft_file
from mrl_sweep.report.content.indexes import rescore_meaning, rescore_notes
from mrl_sweep.report.content.layout import Article, ColumnsOf, Item, Mood, Section, Table, by_name, prefixed, titled, warnings
from mrl_sweep.types import FLOAT32

_FEW: Final = 16
"""Up to so many rows are all shown; of more, full size and at most so many acceptable and promising ones:"""
_MOST_ACCEPTABLE: Final = 6
_MOST_PROMISING: Final = 4


def plan_article(plans: Mapping[str, Plan]) -> Article:
    """Shows the rows, what they assume, and the cheapest acceptable one. Of several runs: first the cheapest of each."""
    sections = [_cheapest(plans)] if len(plans) > 1 else []
    for name, plan in titled(plans.items()):
        sections.append(_rows(plan, name))
        if plan.tenants:
            sections.append(_tenants(plan, f"Tenants of {name}" if name else "Tenants"))
    docs = next(iter(plans.values())).request.docs
    return Article(
        title=f"plan for {words.count(docs)} documents",
        document=by_name([(name, plan_document(plan)) for name, plan in plans.items()]),
        closing=tuple(prefixed(name, _closing(plan)) for name, plan in titled(plans.items())),
        sections=tuple(sections),
        warnings=warnings(dict.fromkeys(one for plan in plans.values() for one in plan.advice)),
    )


def _closing(plan: Plan) -> str:
    """Says in a sentence which row is the cheapest acceptable one."""
    row = plan.cheapest
    if row is None:
        unmeasured = len({one.index for one in plan.rows if one.acceptable is None and one.quality is None})
        why = f" {words.plural(unmeasured, 'index was', 'indexes were')} not measured in the run." if unmeasured else ""
        return f"None of these configurations is known to be acceptable.{why}"
    money = f" {plan.request.currency}" if plan.request.currency else ""
    cost = "" if row.monthly_cost is None else f", {_money(row.monthly_cost)}{money} a month"
    saves = "" if not row.saving else f", {_money(row.saving)}{money} ({words.percent(row.saving_share)}) less than full size"
    memory = f"{words.size(row.memory_bytes)} of memory"
    size = f"{row.dim} dimensions" if row.precision == FLOAT32 else f"{row.dim} dimensions at {row.precision}"
    again = f", {rescore_meaning(row.rescore)}" if row.rescore else ""
    open_ones = sum(one.acceptable is None and one.quality is not None and _costs(one) < _costs(row) for one in plan.rows)
    cheaper = words.plural(open_ones, "cheaper one is acceptable", "cheaper ones are acceptable")
    doubt = f" Whether {cheaper} too is not known." if open_ones else ""
    return f"Cheapest acceptable: {size} with {row.index}{again}: {memory} for {row.docs:,} documents{cost}{saves}.{doubt}"


def _costs(row: PlanRow) -> tuple[float, int]:
    return row.monthly_cost or 0.0, row.memory_bytes or 0


def _cheapest(plans: Mapping[str, Plan]) -> Section:
    """Each run in one line: its cheapest acceptable row."""
    rows = [plan.cheapest for plan in plans.values()]
    column = ColumnsOf(rows)
    columns = [
        ColumnsOf(list(plans)).text("collection", str),
        column.text("cheapest acceptable", lambda row: row.configuration if row else "none"),
        column.number("kept", lambda row: words.percent(row.kept if row else None)),
        column.number("at least", lambda row: words.percent(row.at_least if row else None), drop=1),
        column.number("memory", lambda row: words.size(row.memory_bytes if row else None)),
        column.number("a month", lambda row: _money(row.monthly_cost if row else None)),
    ]
    moods = [Mood.GOOD if row else Mood.OPEN for row in rows]
    return Section(title="The cheapest acceptable configuration of each", table=Table.of(columns, moods))


def _rows(plan: Plan, name: str) -> Section:
    """Shows the rows that matter, and what their figures assume; a page has all rows."""
    kept = _that_matter(plan)
    notes = [note for note in _merged_notes(plan.assumptions) if note != ON_DISK] + _left_out(plan.left_out)
    return Section(
        title=name,
        table=_table(plan, kept),
        every=_table(plan, plan.rows) if len(kept) < len(plan.rows) else None,
        items=tuple(map(Item, notes)),
    )


def _merged_notes(notes: Sequence[str]) -> list[str]:
    """Merges notes with the same text on several indexes (`HNSW32: ...`) into one that names all of these indexes."""
    indexes: dict[str, list[str]] = {}
    for note in notes:
        index, colon, text = note.partition(": ")
        indexes.setdefault(text if colon else note, []).extend([index] if colon else [])
    return [f"{', '.join(names)}: {text}" if names else text for text, names in indexes.items()]


def _left_out(refused: Sequence[str]) -> list[str]:
    """`left out: HNSW32 at 64, HNSW32 at 32 and 7 more: why`: those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for one in refused:
        name, _, reason = one.rpartition(": ")
        by_reason.setdefault(reason, []).append(name)
    return [f"left out: {words.first_offenders(names, limit=3)}: {reason}" for reason, names in by_reason.items()]


def _that_matter(plan: Plan) -> Sequence[PlanRow]:
    """All rows where they are few; else full size, the cheapest acceptable ones, and what is cheaper still and keeps most."""
    if len(plan.rows) <= _FEW:
        return plan.rows
    full = max(row.dim for row in plan.rows)
    by_cost = sorted(plan.rows, key=_costs)
    acceptable = [row for row in by_cost if row.acceptable]
    cheapest = plan.cheapest
    cheaper = by_cost[: by_cost.index(cheapest)] if cheapest else by_cost
    promising = sorted((row for row in cheaper if not row.acceptable), key=lambda row: -(row.at_least or 0.0))
    chosen = [row for row in plan.rows if row.dim == full and row.precision == FLOAT32 and not row.rescore]
    chosen += [*acceptable[:_MOST_ACCEPTABLE], *promising[:_MOST_PROMISING]]
    return [row for row in plan.rows if row in chosen]


def _table(plan: Plan, rows: Sequence[PlanRow]) -> Table:
    """The table of these rows; it names the precision where more than one is planned with."""
    money = f", {plan.request.currency}" if plan.request.currency else ""
    coded = len({row.precision for row in rows}) > 1
    cheapest = plan.cheapest
    column, rescored = ColumnsOf(rows), rescore_notes(row.rescore for row in rows)
    columns = [
        column.number("dim", lambda row: str(row.dim)),
        column.number("precision", lambda row: row.precision if coded else words.DASH),
        column.number("rescore", lambda row: row.rescore or words.DASH, note=rescored),
        column.number("index", lambda row: row.index),
        column.number("kept", lambda row: words.percent(row.kept), drop=3),
        column.number("at least", lambda row: words.percent(row.at_least), drop=1),
        column.number("at planned", _projected, drop=5),
        column.number("vectors", lambda row: words.size(row.vector_bytes), drop=8),
        column.number("index size", lambda row: words.size(row.index_bytes), drop=7),
        column.number("memory", lambda row: words.size(row.memory_bytes)),
        column.number("disk", lambda row: words.size(row.disk_bytes), drop=6, note=ON_DISK),
        column.number("p50", lambda row: _with_band(row.p50_ms, row.p50_band_ms), drop=10),
        column.number("p99", lambda row: _with_band(row.p99_ms, row.p99_band_ms), drop=4),
        column.number("recall", _recall, drop=9),
        column.number("machines", lambda row: words.count(row.machines), drop=9),
        column.number(f"a month{money}", lambda row: _money(row.monthly_cost)),
        column.number("saves", lambda row: _money(row.saving), drop=2),
        column.text("verdict", _verdict),
    ]
    chosen = rows.index(cheapest) if cheapest in rows else None
    return Table.of(columns, [_mood(row) for row in rows], chosen=chosen)


def _tenants(plan: Plan, title: str) -> Section:
    """Each service in one line: the cheapest row that is acceptable to it, and what its own slice keeps there."""
    money = f", {plan.request.currency}" if plan.request.currency else ""
    column = ColumnsOf(plan.tenants)
    columns = [
        column.text("tenant", lambda one: one.tenant.name),
        column.text("cheapest acceptable", lambda one: one.row.configuration if one.row else "none"),
        column.number("kept", lambda one: words.percent(one.row.kept if one.row else None), drop=2),
        column.text("slice", lambda one: "=".join(one.tenant.slice or ()) or words.DASH),
        column.number("kept there", lambda one: words.percent(one.slice_kept), drop=3),
        column.number("at least", lambda one: words.percent(one.slice_at_least)),
        column.number("memory", lambda one: words.size(one.row.memory_bytes if one.row else None), drop=1),
        column.number(f"a month{money}", lambda one: _money(one.row.monthly_cost if one.row else None)),
    ]
    reasons = [Item(f"{one.tenant.name}: {one.reason}") for one in plan.tenants if one.reason]
    moods = [Mood.GOOD if one.row else Mood.OPEN for one in plan.tenants]
    return Section(title=title, table=Table.of(columns, moods), items=tuple(reasons))


def _projected(row: PlanRow) -> str:
    """The measure expected at the planned corpus, with its band where it is modelled."""
    there = row.projected or {}
    band = f" ({words.score(there['low'])} to {words.score(there['high'])})" if there and not there["exact"] else ""
    return f"{words.score(there.get('mean'))}{band}"


def _with_band(value: float | None, band: tuple[float, float] | None) -> str:
    """Writes milliseconds, with their band where they were not measured at this size."""
    ends = "" if band is None or band[0] == band[1] else f" ({words.milliseconds(band[0])} to {words.milliseconds(band[1])})"
    return f"{words.milliseconds(value)}{ends}"


def _recall(row: PlanRow) -> str:
    """The recall at the planned corpus with the lower end of its band."""
    if row.recall_band is None or row.recall_band[0] == row.recall:
        return words.percent(row.recall)
    return f"{words.percent(row.recall)} (at least {words.percent(row.recall_band[0])})"


def _money(amount: float | None) -> str:
    if amount is None:
        return words.DASH
    return "under 0.01" if 0 < amount < 0.005 else f"{amount:,.2f}"


def _verdict(row: PlanRow) -> str:
    if row.acceptable:
        return row.only_alone or "ok"
    return "not measured" if row.acceptable is None and row.quality is None else row.reason


def _mood(row: PlanRow) -> Mood:
    return Mood.GOOD if row.acceptable else Mood.BAD if row.acceptable is False else Mood.OPEN


def write_parquet(file: Path, plans: Mapping[str, Plan]) -> None:
    """Writes the rows as a Parquet table; each figure of the projection has a column; of several collections so has the name."""
    import pandas as pd

    rows = [{**({"collection": name} if name else {}), **_flat(row)} for name, plan in titled(plans.items()) for row in plan.rows]
    with draft_file(file) as draft:
        pd.DataFrame(rows).to_parquet(draft, index=False)


def _flat(row: PlanRow) -> dict[str, Any]:
    flat = asdict(row)
    projected = flat.pop("projected") or {}
    return {**flat, **{f"projected_{name}": value for name, value in projected.items()}}
