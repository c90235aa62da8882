"""Several collections: their verdicts, what `check` says of them before any run, and what `embed` stored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.collection.describe import Description
from mrl_sweep.record import record
from mrl_sweep.report.content.layout import Article, ColumnsOf, Item, Mood, Section, Table, by_name, prefixed, titled, warnings
from mrl_sweep.report.content.view import mood, outcome_word
from mrl_sweep.report.document import Report, document
from mrl_sweep.report.document_rows import GateRow, SizeAnswer
from mrl_sweep.types import Outcome

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
        """The document as plain JSON values."""
        reports = [report.to_dict() for report in self.collections]
        return {**document(replace(self, collections=())), "collections": reports}


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
    """Shows what is in each collection: a table of figures, and a sentence."""
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
    """What `embed` did for a collection, or would do: its document, and a sentence.

    Of a dry run `to_embed` gives, by role, the facts of its texts: how many there are, are stored and would be embedded.
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
