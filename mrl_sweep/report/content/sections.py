"""The parts of a report that only some runs have, in their order; of them controls and indexes."""

from __future__ import annotations

from mrl_sweep import words
from mrl_sweep.decision.controls import AgainstRandom
from mrl_sweep.deploying.tenants import pareto_front
from mrl_sweep.report.content.further_tables import (
    budgets,
    funnels,
    grid_table,
    grids,
    how_searched,
    projections,
    rescore_notes,
)
from mrl_sweep.report.content.layout import Column, ColumnsOf, Section, Table
from mrl_sweep.report.content.losses import losers, slices
from mrl_sweep.report.content.view import control_name, ladder, measured, mood, outcome_words, shares_of, speed
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.types import EXACT, FLAT, FLOAT32, Basis, Configuration, RandomControl


def sections(report: Report, *, whole: bool = False) -> list[Section]:
    """The sections for which something was measured, in the order in which they are read; `whole` ones leave out no row."""
    made = [
        *(grid_table(grid, report) for grid in grids(report)),
        slices(report, whole=whole),
        losers(report),
        controls(report),
        indexes(report),
        funnels(report, whole=whole),
        budgets(report),
        *projections(report, whole=whole),
    ]
    return [section for section in made if section is not None]


def controls(report: Report) -> Section | None:
    """Shows what other axes of the same number keep beside the model's own prefix."""
    shares: dict[tuple[str, int], list[float]] = {}
    for row in report.candidates:
        kept, uncoded = measured(row, report).kept, row.configuration == row.configuration.at_float32
        if row.basis != Basis.PREFIX and uncoded and kept is not None:
            shares.setdefault((control_name(row.basis), row.dim), []).append(kept)
    if not shares:
        return None
    dims = sorted({dim for _, dim in shares}, reverse=True)
    tested, prefix = {row.dim: row for row in report.controls}, {row.dim: row for row in ladder(report)}
    share, column = shares_of(report), ColumnsOf(dims)
    columns = [
        column.number("dim", str),
        column.number("prefix", lambda dim: share(measured(prefix[dim], report).kept) if dim in prefix else words.DASH),
        *(
            ColumnsOf([shares.get((basis, dim), []) for dim in dims]).number(basis, _several)
            for basis in dict.fromkeys(basis for basis, _ in shares)
        ),
        column.number("better than random by", lambda dim: _better_by(tested.get(dim)), drop=1),
    ]
    title = f"Controls: {report.verdict.measure} kept on other axes of the same number"
    return Section(title=title, name="controls", table=Table.of(columns), notes=_against_random(report))


def _better_by(row: RandomControl | None) -> str:
    """The limits of prefix less random, in shares of full size."""
    if row is None or row.low is None or row.high is None:
        return words.DASH
    return f"{words.points(row.low)} to {words.points(row.high)}%"


def _against_random(report: Report) -> tuple[str, ...]:
    """`Against random axes the prefix is better at 96, 48 (proven against each draw); may be either at 24.`"""
    by_answer: dict[str, list[str]] = {}
    for row in report.controls:
        by_answer.setdefault(row.answer, []).append(str(row.dim))
    if not by_answer:
        return ()
    margin = words.asked_share(report.controls[0].margin)
    draws = len({row.basis for row in report.candidates if row.basis.startswith(Basis.RANDOM)})
    of_draws = "the one draw of them" if draws == 1 else f"each of the {draws} draws of them, not a further one"
    phrases = {
        AgainstRandom.BETTER: f"is better at {{}} (proven against {of_draws})",
        AgainstRandom.NO_BETTER: f"is no better at {{}} (proven within {margin} of full size)",
        AgainstRandom.OPEN: "may be either at {}: the queries cannot tell",
    }
    parts = [phrases[AgainstRandom(answer)].format(", ".join(dims)) for answer, dims in by_answer.items()]
    return (f"Against random axes, where those lose {margin} or more, the prefix {'; it '.join(parts)}.",)


def indexes(report: Report) -> Section | None:
    """Shows every index that was built, its loss apart from that of the cut; of the acceptable ones the best are marked."""
    rows = searched(report)
    if not rows or {row.index for row in rows} == {FLAT}:
        return None
    best, share, column = pareto(report), shares_of(report), ColumnsOf(rows)
    columns = [
        column.number("dim", lambda row: str(row.dim)),
        column.text("index", lambda row: how_searched(row.configuration), note=rescore_notes(row.rescore for row in rows)),
        column.number("kept", lambda row: share(measured(row, report).kept)),
        column.number("at least", lambda row: share(measured(row, report).at_least), drop=1),
        *_required_least(rows, report),
        column.number("lost by cutting", lambda row: words.percent(_lost_by_cutting(row, report)), drop=4),
        column.number("by the index", lambda row: words.percent(_lost_by_index(row, report)), drop=3),
        column.number("size", lambda row: words.size(row.index_bytes)),
        *speed(column, drops=(2, 0, 5)),
        column.number("build", lambda row: "-" if row.build_s is None else f"{row.build_s:,.1f} s", drop=6),
        column.text("verdict", lambda row: _standing(row, best.get(row.configuration, []), report)),
    ]
    moods = [mood(row.verdict) for row in rows]
    notes = ["Best by size (or by p99): no other that is ok keeps more and is as small (or as fast)."]
    if shared := next((row.reason for row in rows if "share the error" in row.reason), ""):
        notes.append(f"Would pass alone: {shared.partition(', but ')[2]}.")
    named = any(row.index != FLAT and not row.rescore for row in rows)
    return Section(title="Indexes", name="indexes", on_request=not named, table=Table.of(columns, moods), notes=tuple(notes))


def searched(report: Report) -> list[CandidateRow]:
    """Finds the rows of indexes and shortlists over the model's own axes; a rescored code is a cell of the grid."""
    rows = [row for row in report.candidates if row.basis == Basis.PREFIX and not row.configuration.is_exact]
    return [row for row in rows if row.index != EXACT or row.precision == FLOAT32]


def pareto(report: Report) -> dict[Configuration, list[str]]:
    """Finds the acceptable indexes that no other beats, with what they are best by: `size`, `p99`."""
    rows = [row for row in searched(report) if row.acceptable]

    def quality(row: CandidateRow) -> float:
        return row.measures[report.verdict.measure].mean

    fronts: dict[Configuration, list[str]] = {}
    for row in pareto_front(rows, lambda row: row.index_bytes, quality):
        fronts.setdefault(row.configuration, []).append("size")
    for row in pareto_front(rows, lambda row: row.latency_ms.get("p99"), quality):
        fronts.setdefault(row.configuration, []).append("p99")
    return fronts


def _required_least(rows: list[CandidateRow], report: Report) -> list[Column]:
    """The limit of each other measure that must pass: why a row may be too low although the first column looks well."""
    return [
        ColumnsOf([row.evidence(name).at_least for row in rows]).number(f"{name} at least", shares_of(report), drop=1)
        for name in report.verdict.required
        if name != report.verdict.measure
    ]


def _standing(row: CandidateRow, fronts: list[str], report: Report) -> str:
    if not row.certified:
        return "not certified"
    outcome = outcome_words(row, report)
    return f"{outcome}, best by {' and '.join(fronts)}" if fronts else outcome


def _several(shares: list[float]) -> str:
    """The mean of a control's draws, and how far they lie apart."""
    if not shares:
        return words.DASH
    mean = words.percent(sum(shares) / len(shares))
    return mean if len(shares) == 1 else f"{mean} ±{words.points((max(shares) - min(shares)) / 2).removeprefix('+')}"


def _kept_exactly(row: CandidateRow, report: Report) -> float | None:
    """What the exact search keeps at this size; for a shortlist, at the size that orders it again, of which it can only lose."""
    _, _, dim = row.rescore.partition("@")
    exact = Configuration.exact_prefix(int(dim)) if dim else row.configuration.exact
    held = report.baseline if row.rescore and not dim else report.row(exact)
    return measured(held, report).kept if held else None


def _lost_by_cutting(row: CandidateRow, report: Report) -> float | None:
    kept = _kept_exactly(row, report)
    return None if kept is None else 1 - kept


def _lost_by_index(row: CandidateRow, report: Report) -> float | None:
    """What the index loses on top of the cut, as a share of full quality."""
    exact, kept = _kept_exactly(row, report), measured(row, report).kept
    return None if exact is None or kept is None else exact - kept
