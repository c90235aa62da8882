"""The parts of a report that only some runs have: slices, controls, indexes, and the queries that lose most."""

from __future__ import annotations

from mrl_sweep import words
from mrl_sweep.decision.controls import AgainstRandom
from mrl_sweep.deploying.tenants import pareto_front
from mrl_sweep.report.content.further_tables import (
    OTHERS,
    Q_VALUE,
    budgets,
    funnels,
    grid_table,
    grids,
    how_searched,
    projections,
    rescore_notes,
)
from mrl_sweep.report.content.layout import Column, Item, Mood, Section, table
from mrl_sweep.report.content.view import control_name, ladder, measured, mood, outcome_words, proven_hit
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, ControlRow, DocumentRow, FallenRow, LoserRow, SliceRow
from mrl_sweep.types import EXACT, FLAT, FLOAT32, Basis, Configuration, Outcome

_MOST_SLICES = 8
SMALLEST_SHOWN = 20
"""A slice of fewer queries is counted and not shown, unless it is proven below its own margin."""
_MOST_LOSERS = 3
_MOST_DOCUMENTS = 2
_LONGEST = 70


def sections(report: Report, *, whole: bool = False) -> list[Section]:
    """The sections for which something was measured, in the order in which they are read; `whole` ones leave out no row."""
    made = [
        *(grid_table(grid, report) for grid in grids(report)),
        slices(report, whole=whole),
        losers(report),
        controls(report),
        indexes(report),
    ]
    made += [funnels(report, whole=whole), budgets(report), *projections(report, whole=whole)]
    return [section for section in made if section is not None]


def slices(report: Report, *, whole: bool = False) -> Section | None:
    """The slices that keep least at the answer's size, or at the largest that was searched; first those that stand out."""
    parts = [
        row for row in report.slices if row.queries < (report.verdict.clusters or report.verdict.queries)
    ]  # a field that is alike in all queries tells nothing
    searched = {row.dim for row in parts}
    if not searched:
        return None
    dim = report.verdict.dimension if report.verdict.dimension in searched else max(searched)
    every = [row for row in parts if row.dim == dim]
    rows = [row for row in every if whole or row.queries >= SMALLEST_SHOWN or row.verdict == Outcome.FAIL]
    if not rows:
        return None

    def share(row: SliceRow, value: float | None) -> str:
        return words.percent(value, limit=row.retain or report.verdict.retain)

    def order(row: SliceRow) -> tuple[bool, float]:
        return not _stands_out(row, report), row.kept if row.kept is not None else 2.0

    top = sorted(rows, key=order)[: None if whole else _MOST_SLICES]
    columns = [
        Column(title="slice", cells=tuple(_cut(f"{row.field}={row.value}") for row in top), right=False),
        Column(title="queries", cells=tuple(words.count(row.queries) for row in top)),
        Column(title="kept", cells=tuple(share(row, row.kept) for row in top)),
        Column(title="at least", cells=tuple(share(row, row.at_least) for row in top), drop=2),
        Column(title="at most", cells=tuple(share(row, row.at_most) for row in top), drop=3),
        Column(title="others", cells=tuple(words.percent(row.kept_by_others) for row in top), drop=1, note=OTHERS),
        Column(title="q", cells=tuple("-" if row.q_value is None else f"{row.q_value:.3f}" for row in top), drop=4, note=Q_VALUE),
        Column(title="", cells=tuple(_slice_words(row, report) for row in top), right=False),
    ]
    moods = [Mood.BAD if _stands_out(row, report) else Mood.PLAIN for row in top]
    title = f"Slices at {dim} dimensions: who loses more than the others"
    notes = _searched(report, every, rows, top)
    return Section(title=title, name="slices", table=table(columns, moods), notes=notes)


def losers(report: Report) -> Section | None:
    """The queries that lose most at the answer's size, with what left their top documents and what came in."""
    if not report.losers:
        return None
    top = sorted(report.losers, key=lambda row: row.value - row.full)[:_MOST_LOSERS]
    title = f"Queries that lose most at {top[0].dim} dimensions ({top[0].measure})"
    rest = len(report.losers) - len(top)
    notes = (f"{words.count(rest)} more in report.json.",) if rest > 0 else ()
    return Section(title=title, name="losers", items=tuple(_loser(row) for row in top), notes=notes)


def controls(report: Report) -> Section | None:
    """The same sizes on other axes: what a rotation keeps where the model's own prefix keeps this much."""
    shares: dict[tuple[str, int], list[float]] = {}
    for row in report.candidates:
        evidence, uncoded = measured(row, report), row.configuration == row.configuration.at_float32
        if row.basis != Basis.PREFIX and uncoded and evidence is not None and evidence.kept is not None:
            shares.setdefault((control_name(row.basis), row.dim), []).append(evidence.kept)
    if not shares:
        return None
    dims = sorted({dim for _, dim in shares}, reverse=True)
    tested = {row.dim: row for row in report.controls}
    prefix = {row.dim: _kept(row, report) for row in ladder(report)}
    columns = [
        Column(title="dim", cells=tuple(str(dim) for dim in dims)),
        Column(title="prefix", cells=tuple(prefix.get(dim, words.DASH) for dim in dims)),
        *(
            Column(title=basis, cells=tuple(_several(shares.get((basis, dim), [])) for dim in dims))
            for basis in dict.fromkeys(basis for basis, _ in shares)
        ),
        Column(title="better than random by", cells=tuple(_better_by(tested.get(dim)) for dim in dims), drop=1),
    ]
    title = f"Controls: {report.verdict.measure} kept on other axes of the same number"
    rows = table(columns, [Mood.PLAIN] * len(dims))
    return Section(title=title, name="controls", always=True, table=rows, notes=_against_random(report))


def _better_by(row: ControlRow | None) -> str:
    """The limits of prefix less random, in shares of full size."""
    if row is None or row.low is None or row.high is None:
        return words.DASH
    return f"{100 * row.low:+.1f} to {100 * row.high:+.1f}%"


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
    """Every index that was built, its loss apart from the loss of truncation; of the acceptable ones the best are marked."""
    rows = searched(report)
    if not rows or {row.index for row in rows} == {FLAT}:
        return None
    losses = [_index_loss(row, report) for row in rows]
    best = pareto(report)
    verdicts = tuple(_standing(row, best.get(row.configuration, []), report) for row in rows)
    limit = report.verdict.retain
    columns = [
        Column(title="dim", cells=tuple(str(row.dim) for row in rows)),
        Column(
            title="index",
            cells=tuple(how_searched(row.configuration) for row in rows),
            right=False,
            note=rescore_notes(row.rescore for row in rows),
        ),
        Column(title="kept", cells=tuple(_kept(row, report) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(_least(row, report), limit=limit) for row in rows), drop=1),
        *_required_least(rows, report),
        Column(title="lost by cutting", cells=tuple(words.percent(cut) for cut, _ in losses), drop=4),
        Column(title="by the index", cells=tuple(words.percent(index) for _, index in losses), drop=3),
        Column(title="size", cells=tuple(words.size(row.index_bytes) for row in rows)),
        Column(title="p50", cells=tuple(words.milliseconds(row.latency_ms.get("p50")) for row in rows), drop=2),
        Column(title="p99", cells=tuple(words.milliseconds(row.latency_ms.get("p99")) for row in rows)),
        Column(title="queries/s", cells=tuple(words.count(row.queries_per_second) for row in rows), drop=5),
        Column(title="build", cells=tuple("-" if row.build_s is None else f"{row.build_s:,.1f} s" for row in rows), drop=6),
        Column(title="verdict", cells=verdicts, right=False),
    ]
    moods = [mood(row.verdict) for row in rows]
    notes = ["Best by size (or by p99): no other that is ok keeps more and is as small (or as fast)."]
    if shared := next((row.reason for row in rows if "share the error" in row.reason), ""):
        notes.append(f"Would pass alone: {shared.partition(', but ')[2]}.")
    named = any(row.index != FLAT and not row.rescore for row in rows)
    return Section(title="Indexes", name="indexes", always=named, table=table(columns, moods), notes=tuple(notes))


def searched(report: Report) -> list[CandidateRow]:
    """The rows of indexes and shortlists over the model's own axes; a rescored code is a cell of the grid."""
    rows = [row for row in report.candidates if row.basis == Basis.PREFIX and not row.configuration.is_exact]
    return [row for row in rows if row.index != EXACT or row.precision == FLOAT32]


def pareto(report: Report) -> dict[Configuration, list[str]]:
    """The acceptable indexes on a Pareto front, with the fronts they lie on: `size`, `p99`."""
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
    limit = report.verdict.retain
    columns = []
    for name in report.verdict.required:
        evidence = [row.measures.get(name) for row in rows]
        if name != report.verdict.measure and any(evidence):
            cells = tuple(words.percent(one.at_least if one else None, limit=limit) for one in evidence)
            columns.append(Column(title=f"{name} at least", cells=cells, drop=1))
    return columns


def _standing(row: CandidateRow, fronts: list[str], report: Report) -> str:
    if not row.certified:
        return "not certified"
    outcome = outcome_words(row, report)
    return f"{outcome}, best by {' and '.join(fronts)}" if fronts else outcome


def _least(row: CandidateRow, report: Report) -> float | None:
    evidence = measured(row, report)
    return evidence.at_least if evidence else None


def _kept(row: CandidateRow, report: Report) -> str:
    evidence = measured(row, report)
    return words.percent(evidence.kept if evidence else None, limit=report.verdict.retain)


def _several(shares: list[float]) -> str:
    """The mean of a control's draws, and how far they lie apart."""
    if not shares:
        return words.DASH
    mean = words.percent(sum(shares) / len(shares))
    return mean if len(shares) == 1 else f"{mean} ±{100 * (max(shares) - min(shares)) / 2:.1f}"


def _index_loss(row: CandidateRow, report: Report) -> tuple[float | None, float | None]:
    """The shares of full quality lost by cutting to this size, and by the index on top of that.

    A shortlist is held against the size that orders it again, of which it can only lose.
    """
    _, _, dim = row.rescore.partition("@")
    exact = report.row(Configuration.exact_prefix(int(dim))) if dim else report.baseline if row.rescore else None
    exact = exact if row.rescore else report.row(row.configuration.exact)
    cut = measured(exact, report) if exact else None
    deployed = measured(row, report)
    if cut is None or cut.kept is None:
        return None, None
    if deployed is None or deployed.kept is None:
        return 1 - cut.kept, None
    return 1 - cut.kept, cut.kept - deployed.kept


def _stands_out(row: SliceRow, report: Report) -> bool:
    return proven_hit(row, report) or row.verdict == Outcome.FAIL


def _slice_words(row: SliceRow, report: Report) -> str:
    notes = ["hit" if proven_hit(row, report) else "-"]
    margin = f"margin of {words.asked_share(row.retain)}" if row.retain is not None else "margin"
    if row.verdict is not None:
        notes.append(
            {Outcome.PASS: f"holds its {margin}", Outcome.FAIL: f"below its {margin}"}.get(Outcome(row.verdict), f"{margin} open")
        )
    return ", ".join(word for word in notes if word != "-" or len(notes) == 1)


def _searched(report: Report, every: list[SliceRow], rows: list[SliceRow], top: list[SliceRow]) -> tuple[str, ...]:
    hits = sum(proven_hit(row, report) for row in every)
    what = (
        f"{words.plural(hits, 'is', 'are')} hit harder than the other queries" if hits else "none is hit harder than the others"
    )
    searched = sum(row.q_value is not None for row in every)
    held = f"false discoveries held at {words.asked_share(report.verdict.alpha)}"
    notes = [f"Of {words.plural(searched, 'slice')} searched, {what} ({held})."] if searched else []
    if len(rows) > len(top):
        below = sum(row.verdict == Outcome.FAIL for row in rows) - sum(row.verdict == Outcome.FAIL for row in top)
        notes.append(f"{len(rows) - len(top)} more in report.json{f', {below} of them below their margin' if below else ''}.")
    if len(every) > len(rows):
        small = words.plural(len(every) - len(rows), "slice")
        notes.append(f"{small} of fewer than {SMALLEST_SHOWN} queries not shown: so few say little of a slice.")
    return tuple(notes)


def _loser(row: LoserRow) -> Item:
    details = []
    if row.fell:
        details.append(f"fell: {_fell(row.fell)}")
    if row.left:
        details.append(f"left: {_named(row.left)}")
    if row.came_in:
        details.append(f"came in: {_named(row.came_in)}")
    return Item(f"{row.full:.2f} -> {row.value:.2f}  {_cut(row.text or row.query_id)} [{_cut(row.query_id)}]", tuple(details))


def _fell(documents: tuple[FallenRow, ...]) -> str:
    """`Title [d5] from rank 1 to 3`: the judged documents by which the value changed."""
    shown = "; ".join(
        f"{_cut(document.title or document.id)} [{_cut(document.id)}] from rank {words.count(document.rank_at_full)}"
        f" to {'nowhere' if document.rank is None else words.count(document.rank)}"
        for document in documents[:_MOST_DOCUMENTS]
    )
    rest = len(documents) - _MOST_DOCUMENTS
    return f"{shown}; {rest} more" if rest > 0 else shown


def _named(documents: tuple[DocumentRow, ...]) -> str:
    """The documents by title, judged ones first: those are why the query's value changed."""
    first = sorted(documents, key=lambda document: -(document.grade or 0))[:_MOST_DOCUMENTS]
    shown = "; ".join(f"{_cut(document.title or document.id)} [{_cut(document.id)}]{_grade(document)}" for document in first)
    rest = len(documents) - len(first)
    return f"{shown}; {rest} more" if rest > 0 else shown


def _grade(document: DocumentRow) -> str:
    return "" if document.grade is None else f" (grade {document.grade})"


def _cut(text: str) -> str:
    """The beginning of a long text: a row names a query or document, it does not quote it."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
