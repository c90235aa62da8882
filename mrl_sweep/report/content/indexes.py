"""Sections on indexes (HNSW, IVF ...), on funnels and other rescored shortlists, and on the best within each budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from mrl_sweep import words
from mrl_sweep.deploying.tenants import pareto_front
from mrl_sweep.report.content.layout import Column, ColumnsOf, Mood, Section, Table
from mrl_sweep.report.content.view import measured, mood, outcome_word, outcome_words, shares_of, speed
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import BudgetRow, CandidateRow, FunnelRow, FunnelShare
from mrl_sweep.types import EXACT, FLAT, FLOAT32, Basis, Configuration, Outcome

_MOST_FUNNELS: Final = 8


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


def how_searched(one: Configuration) -> str:
    """Names the index, and the shortlist that is ordered again: `HNSW32`, `exact, rescore 200@768`."""
    return f"{one.index}, rescore {one.rescore}" if one.rescore else one.index


def rescore_meaning(rescore: str) -> str:
    """Says what `4x`, `4x@768` or `1000@256` stands for."""
    many, _, dim = rescore.partition("@")
    long = f"{many.removesuffix('x')} times as long" if many.endswith("x") else f"of {int(many):,}"
    return f"a shortlist {long}, ordered again by {f'the first {dim} numbers of ' if dim else ''}float32 vectors"


def rescore_notes(spelled: Iterable[str]) -> str:
    """Explains each rescoring that a table names; empty where it names none."""
    return " ".join(f"{rescore}: {rescore_meaning(rescore)}." for rescore in dict.fromkeys(spelled) if rescore)


def funnels(report: Report, *, whole: bool = False) -> Section | None:
    """Shows shortlists that are ordered again: the recommended one, then the measured, then the proven ones of least work."""
    if not report.funnels:
        return None
    top = sorted(report.funnels, key=_funnel_order)[: None if whole else _MOST_FUNNELS]
    others = [name for name in dict.fromkeys(name for row in top for name in row.measures) if name != top[0].measure]
    share, column = shares_of(report), ColumnsOf(top)
    columns = [
        column.number("funnel", lambda row: f"{row.shortlist:,} at {row.small}, then {row.large}"),
        column.number("keeps", lambda row: _from_ranks(row.kept_low, row.kept_high)),
        column.number("at least", lambda row: share(row.at_least), drop=1),
        column.number("measured", lambda row: share(row.measured_kept)),
        *(column for name in others for column in _other_measure(name, top, share)),
        column.number("work", _work),
        column.number("kept hot", lambda row: words.size(row.hot_bytes), drop=5),
        column.number("p50", lambda row: words.milliseconds(row.latency_ms.get("p50")), drop=6),
        column.number("p99", lambda row: words.milliseconds(row.latency_ms.get("p99")), drop=4),
        column.text("verdict", funnel_words),
    ]
    chosen = next((i for i, row in enumerate(top) if row.recommended), None)
    title = f"Funnels: shortlist at a small size, rerank at a larger one ({top[0].measure})"
    rest = len(report.funnels) - len(top)
    notes = (f"{words.count(rest)} more in report.json.",) if rest else ()
    rows = Table.of(columns, [mood(row.verdict) for row in top], chosen=chosen)
    brief = (_recommended(top[0], share),) if top[0].recommended else ()
    return Section(title=title, name="funnels", on_request=True, brief=brief, table=rows, notes=notes)


def _recommended(row: FunnelRow, share: Callable[[float | None], str]) -> str:
    """The recommended funnel in a sentence: what it keeps as far as that was measured, and the work that it saves."""
    kept = f"at least {share(row.kept_low)}" if row.measured_kept is None else share(row.measured_kept)
    how = f"A shortlist of {row.shortlist:,} at {row.small} dimensions, ordered again at {row.large}"
    return f"{how}, keeps {kept} for {_work(row)} work."


def _other_measure(name: str, rows: list[FunnelRow], share: Callable[[float | None], str]) -> list[Column]:
    """The share of another measure that must pass: as measured, else between its bounds; and its limit."""

    def kept(one: FunnelShare) -> str:
        return share(one.measured_kept) if one.measured_kept else _from_ranks(one.kept_low, one.kept_high)

    column = ColumnsOf([row.measures.get(name, FunnelShare()) for row in rows])
    return [
        column.number(f"{name} keeps", kept, drop=3),
        column.number(f"{name} at least", lambda one: share(one.at_least), drop=1),
    ]


def _from_ranks(low: float | None, high: float | None) -> str:
    """The bounds of a share; an upper one beyond full size says nothing, and is left out."""
    if low is not None and high is not None and high > 1:
        return f"{words.percent(low)} or more"
    return span(low, high)


def span(low: float | None, high: float | None) -> str:
    """Writes what a share lies between: `97.1% - 98.4%`, `at least 97.1%`."""
    if low is None or high is None:
        one = words.percent(high if low is None else low)
        return one if low is high else f"at most {one}" if low is None else f"at least {one}"
    return f"{words.percent(low)} - {words.percent(high)}"


def _work(row: FunnelRow) -> str:
    times = work_saved(row)
    return words.count(row.operations) if times is None else f"{times:.1f}x less"


def work_saved(row: FunnelRow) -> float | None:
    """Divides the multiply-adds of an exhaustive search at full size by the funnel's; None where either is not known."""
    return row.full_operations / row.operations if row.operations and row.full_operations else None


def _funnel_order(row: FunnelRow) -> tuple[bool, bool, bool, int]:
    proven = row.verdict == Outcome.PASS
    return not row.recommended, row.measured_kept is None, not proven, row.operations or 0


def funnel_words(row: FunnelRow) -> str:
    """Writes a funnel's verdict in words."""
    shown = "proven" if row.verdict == Outcome.PASS else outcome_word(row.verdict)
    return f"{shown}, least work" if row.recommended else shown


def budgets(report: Report) -> Section | None:
    """Shows for each budget the best acceptable configuration that was measured to be within it, or why there is none."""
    rows = report.budgets
    if not rows:
        return None
    best = {
        row: Configuration.parse(row.configuration) if row.configuration else Configuration(Basis.PREFIX, row.dim, row.index)
        for row in rows
        if row.dim is not None
    }
    coded = any(one.precision != FLOAT32 for one in best.values())
    share, column = shares_of(report), ColumnsOf(rows)
    columns = [
        column.text("budget", lambda row: row.budget),
        column.number("dim", lambda row: "-" if row.dim is None else str(row.dim)),
        column.number("precision", lambda row: best[row].precision if coded and row in best else words.DASH),
        column.text("index", lambda row: how_searched(best[row]) if row in best else _nothing(row)),
        column.number("kept", lambda row: share(row.kept)),
        column.number("at least", lambda row: share(row.at_least), drop=1),
        column.number("size", lambda row: words.size(row.size_bytes)),
        column.number("p99", lambda row: words.milliseconds(row.p99_ms)),
    ]
    moods = [Mood.PLAIN if row.dim is not None else Mood.BAD for row in rows]
    notes = tuple(f"{row.budget}: {row.reason}." for row in rows if row.reason)
    title = "The best acceptable configuration within each budget"
    return Section(title=title, name="budgets", table=Table.of(columns, moods), notes=notes)


def _nothing(row: BudgetRow) -> str:
    return "none is acceptable" if row.within else "nothing is within"
