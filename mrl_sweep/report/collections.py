"""Articles on collections: the joint verdict of several, what `check` finds before any run, and what `embed` stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.collection.describe import Description
from mrl_sweep.decision.policy import DecideBy
from mrl_sweep.record import record
from mrl_sweep.report.content.build import joint_gate_row
from mrl_sweep.report.content.layout import Article, ColumnsOf, Item, Mood, Section, Table, by_name, prefixed, titled, warnings
from mrl_sweep.report.content.sentence import confidence, demand
from mrl_sweep.report.content.view import ladder, mood, outcome_word
from mrl_sweep.report.document import Report, document
from mrl_sweep.report.document_rows import CandidateRow, GateRow, SizeAnswer
from mrl_sweep.types import Outcome, Status

SCHEMA_VERSION: Final = 1


@record(kw_only=True)
class CollectionRow:
    """One collection's own verdict: its size, what that size keeps there (None at full size), and what full size reaches."""

    name: str
    queries: int
    full: float
    dimension: int
    status: str
    kept: float | None = None
    at_least: float | None = None


@record(kw_only=True)
class MacroMeasure:
    """The mean over collections of their means, each collection counting the same, and its share of that at full size."""

    mean: float
    kept: float | None = None


@record(kw_only=True)
class MacroRow:
    """One size in all collections. `verdict` is an `Outcome` for "acceptable in every collection"; `least_in` keeps least."""

    dim: int
    verdict: str
    measures: Mapping[str, MacroMeasure]
    least_kept: float | None = None
    least_in: str = ""


@record(kw_only=True)
class JointVerdict(SizeAnswer):
    """The answer for all collections: a size is acceptable, proven or measured so where it is in every one."""

    sentence: str
    by_collection: tuple[CollectionRow, ...]
    by_default: bool = False


@record(kw_only=True)
class Several:
    """The reports of several collections, in the order in which they were named, and what follows from them together."""

    status: str
    verdict: JointVerdict
    macro: tuple[MacroRow, ...]
    collections: tuple[Report, ...]
    gate: GateRow | None = None
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Returns the document as plain JSON values."""
        reports = [report.to_dict() for report in self.collections]
        return {**document(replace(self, collections=())), "collections": reports}


def together(reports: Mapping[str, Report]) -> Several:
    """Combines reports, by collection name, into one verdict: they are of one model and one rule; only sizes in all are compared.

    A size is acceptable together where it is in each collection. As every collection's test is at full alpha and the walk
    stops at the first size that fails anywhere, the chance of a size that is falsely called acceptable in all stays at alpha:
    an intersection-union test in fixed sequence, which needs no correction for the number of collections.
    """
    ladders = {name: {row.dim: row for row in ladder(report)} for name, report in reports.items()}
    common = set.intersection(*(set(rows) for rows in ladders.values()))
    by_dim = {dim: {name: rows[dim] for name, rows in ladders.items()} for dim in sorted(common, reverse=True)}
    rule = next(iter(reports.values())).verdict
    rows = _macro_rows(by_dim, rule.measure)
    full = rows[0].dim
    verdicts = [report.verdict for report in reports.values()]
    proven, measured = (
        max(full if dim is None else dim for dim in dims)
        for dims in zip(*((v.proven, v.measured) for v in verdicts), strict=True)
    )
    dimension = min(row.dim for row in rows if row.verdict in (Outcome.BASELINE, Outcome.PASS))
    verdict = JointVerdict(
        dimension=dimension,
        proven=proven if proven < full else None,
        measured=measured if measured < full else None,
        measure=rule.measure,
        retain=rule.retain,
        alpha=rule.alpha,
        decide_by=rule.decide_by,
        sentence="",
        by_collection=tuple(_collection_row(name, report) for name, report in reports.items()),
        by_default=rule.by_default,
    )
    verdict = replace(verdict, sentence=_sentence(verdict, rows, by_dim))
    status = Status.PASS if dimension < full else _stopped_by(rows)
    gates = {name: report.gate for name, report in reports.items() if report.gate is not None}
    gate = joint_gate_row(gates) if gates else None
    return Several(status=str(status), verdict=verdict, macro=rows, collections=tuple(reports.values()), gate=gate)


def _macro_rows(by_dim: Mapping[int, Mapping[str, CandidateRow]], measure: str) -> tuple[MacroRow, ...]:
    """Makes the rows from full size down; below the first size that is not acceptable in every collection nothing is tested."""
    rows: list[MacroRow] = []
    full: Mapping[str, float] = {}
    for dim, cells in by_dim.items():
        means = _means(list(cells.values()))
        full = full or means
        shares = {name: cell.measures[measure].kept for name, cell in cells.items()}
        least = min((name for name in shares if shares[name] is not None), key=lambda name: shares[name] or 0.0, default="")
        stopped = bool(rows) and rows[-1].verdict not in (Outcome.BASELINE, Outcome.PASS)
        rows.append(
            MacroRow(
                dim=dim,
                verdict=str(Outcome.NOT_TESTED if stopped else _joint([cell.verdict for cell in cells.values()])),
                measures={
                    name: MacroMeasure(mean=mean, kept=mean / full[name] if full[name] else None) for name, mean in means.items()
                },
                least_kept=shares.get(least) if rows else None,
                least_in=least if rows else "",
            )
        )
    return tuple(rows)


def _means(cells: Sequence[CandidateRow]) -> dict[str, float]:
    """Averages each measure that all cells have; collections count alike, whatever their number of queries."""
    names = [name for name in cells[0].measures if all(name in cell.measures for cell in cells)]
    return {name: sum(cell.measures[name].mean for cell in cells) / len(cells) for name in names}


def _joint(verdicts: Sequence[str]) -> Outcome:
    outcomes = {Outcome(verdict) for verdict in verdicts}
    order = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NOT_TESTED, Outcome.PASS, Outcome.BASELINE)
    return next(outcome for outcome in order if outcome in outcomes)


def _stopped_by(rows: Sequence[MacroRow]) -> Status:
    return Status.FAIL if len(rows) > 1 and rows[1].verdict == Outcome.FAIL else Status.INCONCLUSIVE


def _collection_row(name: str, report: Report) -> CollectionRow:
    verdict, full = report.verdict, ladder(report)[0]
    below = verdict.dimension < full.dim
    return CollectionRow(
        name=name,
        queries=verdict.queries,
        full=full.measures[verdict.measure].mean,
        dimension=verdict.dimension,
        status=report.status,
        kept=verdict.kept if below else None,
        at_least=verdict.at_least if below else None,
    )


def _sentence(verdict: JointVerdict, rows: Sequence[MacroRow], by_dim: Mapping[int, Mapping[str, CandidateRow]]) -> str:
    """Says what to ship for all collections, how sure that is, and what stops the next smaller size."""
    everywhere = words.all_of(len(verdict.by_collection), "collections")
    stop = next((row for row in rows if row.dim < verdict.dimension), None)
    why = "" if stop is None else _why(stop.dim, by_dim[stop.dim])
    if verdict.dimension == rows[0].dim:
        return f"Keep all {verdict.dimension} dimensions for {everywhere}: {why or 'no smaller size was tried.'}"
    row = next(row for row in rows if row.dim == verdict.dimension)
    average = f"their average keeps {words.percent(row.measures[verdict.measure].kept, limit=verdict.retain)}"
    start = f"Use {verdict.dimension} dimensions for {everywhere}: {_each(verdict, by_dim[row.dim])}"
    parts = [f"{start}; {average}; {demand(verdict)}."]
    if verdict.decide_by != DecideBy.BOUND and (verdict.proven is None or verdict.proven > verdict.dimension):
        parts.append("Measured, not proven.")
    return " ".join([*parts, *([why] if why else [])])


def _each(verdict: JointVerdict, cells: Mapping[str, CandidateRow]) -> str:
    """`each keeps at least 98.1% of nDCG@10 with 95% confidence (least: fiqa)`."""
    bound = verdict.decide_by == DecideBy.BOUND
    evidence = {name: cell.measures[verdict.measure] for name, cell in cells.items()}
    limits = {name: one.at_least if bound else one.kept for name, one in evidence.items()}
    shares = {name: share for name, share in limits.items() if share is not None}
    least = min(shares, key=lambda name: shares[name])
    how = f"with {confidence(verdict.alpha)}" if bound else "as measured"
    shown = words.percent(shares[least], limit=verdict.retain)
    amount = f"at least {shown}" if bound else f"{shown} or more"
    return f"each keeps {amount} of {verdict.measure} {how} (least: {least})"


def _why(dim: int, cells: Mapping[str, CandidateRow]) -> str:
    """Says what keeps a size from being acceptable everywhere: `128 is too low in a, and not proven in b.`"""
    failed = [name for name, cell in cells.items() if cell.verdict == Outcome.FAIL]
    open_in = [name for name, cell in cells.items() if cell.verdict not in (Outcome.FAIL, Outcome.PASS)]
    reasons = [f"too low in {words.first_offenders(failed)}"] if failed else []
    reasons += [f"not proven in {words.first_offenders(open_in)}"] if open_in else []
    return f"{dim} is {', and '.join(reasons)}."


def several_article(joint: Several) -> Article:
    """Shows each collection's verdict in one line, the averages by size, and where to read more; the reports are its parts."""
    gate, verdict, n = joint.gate, joint.verdict, len(joint.collections)
    parts = {row.name: report for row, report in zip(verdict.by_collection, joint.collections, strict=True)}
    failed = gate.exit_code if gate else int(joint.status == "fail")
    return Article(
        title=f"{n} collections",
        document=joint.to_dict(),
        status=gate.status if gate else joint.status,
        exit_code=failed,
        failures=gate.failures if gate else (),
        closing=(*((gate.sentence,) if gate else ()), verdict.sentence),
        sections=(_verdicts(joint, n), _averages(joint, n), _details(parts)),
        parts=parts,
    )


def _verdicts(joint: Several, n: int) -> Section:
    verdict, rows = joint.verdict, joint.verdict.by_collection
    column, limit = ColumnsOf(rows), verdict.retain
    columns = [
        column.text("collection", lambda row: row.name),
        column.number("queries", lambda row: words.count(row.queries), drop=2),
        column.number(f"full {verdict.measure}", lambda row: words.score(row.full), drop=1),
        column.number("use", lambda row: str(row.dimension)),
        column.number("kept", lambda row: words.percent(row.kept, limit=limit)),
        column.number("at least", lambda row: words.percent(row.at_least, limit=limit)),
        column.text("verdict", lambda row: row.status),
    ]
    title = f"{n} collections, each by itself"
    return Section(title=title, table=Table.of(columns, [mood(row.status) for row in rows]))


def _averages(joint: Several, n: int) -> Section:
    """Shows, size by size, what the average keeps, then what the collection keeps that keeps least."""
    verdict, rows = joint.verdict, joint.macro
    column, limit, full = ColumnsOf(rows), verdict.retain, rows[0]
    others = [name for name in full.measures if name != verdict.measure]

    def kept(row: MacroRow) -> str:
        return words.DASH if row is full else words.percent(row.measures[verdict.measure].kept, limit=limit)

    columns = [
        column.number("dim", lambda row: str(row.dim)),
        column.number(verdict.measure, lambda row: words.score(row.measures[verdict.measure].mean)),
        column.number("kept", kept),
        *(
            ColumnsOf([row.measures[name].mean for row in rows]).number(name, words.score, drop=2 + i)
            for i, name in enumerate(others)
        ),
        column.number("least kept", lambda row: words.percent(row.least_kept, limit=limit)),
        column.text("in", lambda row: row.least_in or words.DASH, drop=1),
        column.text("in every collection", lambda row: _words(row, verdict.dimension)),
    ]
    chosen = next((i for i, row in enumerate(rows) if row.dim == verdict.dimension), None)
    title = f"Averages over the {n} collections, each counting the same"
    return Section(title=title, table=Table.of(columns, [mood(row.verdict) for row in rows], chosen=chosen))


def _details(parts: Mapping[str, Report]) -> Section:
    """The command that shows one collection's report; empty for reports that were never written."""
    folders = {name: report.folder for name, report in parts.items() if report.folder is not None}
    items = tuple(Item(f"{name}: mrl-sweep report {folder}") for name, folder in folders.items())
    return Section(title="Details" if items else "", items=items)


def _words(row: MacroRow, dimension: int) -> str:
    smallest = row.verdict == Outcome.PASS and row.dim == dimension
    return f"{outcome_word(row.verdict)}{', smallest' if smallest else ''}"


def check_article(descriptions: Sequence[Description]) -> Article:
    """Shows what is in each collection: a table of figures, and a sentence; of several first an overview."""
    overview = [_overview(descriptions)] if len(descriptions) > 1 else []
    named = [(one.name, one) for one in descriptions]
    return Article(
        title=f"check of {', '.join(one.name for one in descriptions)}",
        document=by_name([(one.name, one.to_dict()) for one in descriptions]),
        closing=tuple(map(_sound, descriptions)),
        sections=(*overview, *(_figures(one, title) for title, one in titled(named))),
        warnings=warnings(advice for one in descriptions for advice in one.warnings),
    )


def _sound(one: Description) -> str:
    noun = "judged query" if one.judgments else "query"
    queries = words.plural(one.queries, noun, f"{noun.removesuffix('y')}ies")
    return f"{one.name} is sound: {words.plural(one.documents, 'document')}, {queries}."


def _overview(descriptions: Sequence[Description]) -> Section:
    """Each collection in one line."""
    column = ColumnsOf(descriptions)
    columns = [
        column.text("collection", lambda one: one.name),
        column.number("documents", lambda one: words.count(one.documents)),
        column.number("queries", lambda one: words.count(one.queries)),
        column.number("judgments", lambda one: words.count(one.judgments)),
        column.number("strictest share", lambda one: words.percent(one.strictest_share)),
        column.number("warnings", lambda one: words.count(len(one.warnings))),
    ]
    moods = [Mood.OPEN if one.warnings else Mood.GOOD for one in descriptions]
    return Section(title=f"{len(descriptions)} collections", table=Table.of(columns, moods))


def _figures(one: Description, title: str) -> Section:
    column = ColumnsOf(one.rows())
    columns = [column.text("of the collection", lambda row: row[0]), column.text("figures", lambda row: row[1])]
    return Section(title=title, table=Table.of(columns))


@record(kw_only=True)
class EmbeddedCollection:
    """What `embed` did for a collection, or would do: its `facts` as JSON prints them, and a sentence.

    Of a dry run `to_embed` gives for each role of texts how many there are, are stored and would be embedded.
    """

    name: str
    facts: Mapping[str, Any]
    sentence: str
    to_embed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def embed_article(embedded: Sequence[EmbeddedCollection]) -> Article:
    """Says what was embedded of each collection; of a dry run also what is stored already."""
    named = titled((one.name, one) for one in embedded)
    return Article(
        title=f"vectors of {', '.join(one.name for one in embedded)}",
        document=by_name([(one.name, one.facts) for one in embedded]),
        closing=tuple(prefixed(title, one.sentence) for title, one in named),
        sections=tuple(_texts(one, title) for title, one in named if one.to_embed),
    )


def _texts(one: EmbeddedCollection, title: str) -> Section:
    column = ColumnsOf(list(one.to_embed.values()))
    columns = [
        ColumnsOf(list(one.to_embed)).text("texts", str),
        column.number("number", lambda row: words.count(row["texts"])),
        column.number("stored", lambda row: words.count(row["stored"])),
        column.number("share", lambda row: words.percent(row["share_stored"], limit=1.0)),
        column.number("to embed", lambda row: words.count(row["to_embed"])),
        column.number("tokens", lambda row: f"~{row['tokens_estimated']:,}"),
    ]
    return Section(title=title, table=Table.of(columns))
