"""Several collections: their verdicts, what `check` says of them before any run, and what `embed` stored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.collection.describe import Description
from mrl_sweep.report.content.layout import Article, Column, Item, Mood, Section, advice_items, by_name, table
from mrl_sweep.report.content.view import mood
from mrl_sweep.report.document import Report, document
from mrl_sweep.report.document_rows import GateRow
from mrl_sweep.types import Outcome

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionRow:
    """One collection's own verdict: its size, what that size keeps there (None at full size), and what full size reaches."""

    name: str
    queries: int
    full: float
    dimension: int
    status: str
    kept: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroMeasure:
    """The mean over collections of their means, each collection counting the same, and its share of that at full size."""

    mean: float
    kept: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroRow:
    """One size in all collections. `verdict` is an `Outcome` for "acceptable in every collection"; `least_in` keeps least."""

    dim: int
    verdict: str
    measures: Mapping[str, MacroMeasure]
    least_kept: float | None = None
    least_in: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointVerdict:
    """The smallest size that is acceptable in every collection, by the rule in force, proven, and measured."""

    dimension: int
    proven: int | None
    measured: int | None
    measure: str
    retain: float
    alpha: float
    decide_by: str
    sentence: str
    by_collection: tuple[CollectionRow, ...]
    by_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Each collection's verdict in one line, the averages by size, and where to read more of one; the reports are its parts."""
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
    limit = verdict.retain
    columns = [
        Column(title="collection", cells=tuple(row.name for row in rows), right=False),
        Column(title="queries", cells=tuple(words.count(row.queries) for row in rows), drop=2),
        Column(title=f"full {verdict.measure}", cells=tuple(words.score(row.full) for row in rows), drop=1),
        Column(title="use", cells=tuple(str(row.dimension) for row in rows)),
        Column(title="kept", cells=tuple(words.percent(row.kept, limit=limit) for row in rows)),
        Column(title="at least", cells=tuple(words.percent(row.at_least, limit=limit) for row in rows)),
        Column(title="verdict", cells=tuple(row.status for row in rows), right=False),
    ]
    title = f"{n} collections, each by itself"
    return Section(title=title, always=True, table=table(columns, [mood(row.status) for row in rows]))


def _averages(joint: Several, n: int) -> Section:
    """By size: the average's share first, then the share of the collection that keeps least."""
    verdict, rows = joint.verdict, joint.macro
    limit = verdict.retain
    full = rows[0]
    others = [name for name in full.measures if name != verdict.measure]
    kept = (words.DASH if row is full else words.percent(row.measures[verdict.measure].kept, limit=limit) for row in rows)
    columns = [
        Column(title="dim", cells=tuple(str(row.dim) for row in rows)),
        Column(title=verdict.measure, cells=tuple(words.score(row.measures[verdict.measure].mean) for row in rows)),
        Column(title="kept", cells=tuple(kept)),
        *(
            Column(title=name, cells=tuple(words.score(row.measures[name].mean) for row in rows), drop=2 + i)
            for i, name in enumerate(others)
        ),
        Column(title="least kept", cells=tuple(words.percent(row.least_kept, limit=limit) for row in rows)),
        Column(title="in", cells=tuple(row.least_in or words.DASH for row in rows), right=False, drop=1),
        Column(title="in every collection", cells=tuple(_words(row, verdict.dimension) for row in rows), right=False),
    ]
    chosen = next((i for i, row in enumerate(rows) if row.dim == verdict.dimension), None)
    title = f"Averages over the {n} collections, each counting the same"
    return Section(title=title, always=True, table=table(columns, [mood(row.verdict) for row in rows], chosen=chosen))


def _details(parts: Mapping[str, Report]) -> Section:
    """The command that shows one collection's report; empty for reports that were never written."""
    folders = {name: report.folder for name, report in parts.items() if report.folder is not None}
    items = tuple(Item(f"{name}: mrl-sweep report {folder}") for name, folder in folders.items())
    return Section(title="Details" if items else "", always=True, items=items)


def _words(row: MacroRow, dimension: int) -> str:
    shown_as = {Outcome.PASS: "ok", Outcome.FAIL: "too low", Outcome.INCONCLUSIVE: "not proven", Outcome.NOT_TESTED: "not tested"}
    shown = shown_as.get(Outcome(row.verdict), row.verdict)
    return f"{shown}, smallest" if row.verdict == Outcome.PASS and row.dim == dimension else shown


def check_article(descriptions: Sequence[Description]) -> Article:
    """A table of figures for each collection, and one sentence for each."""
    several = len(descriptions) > 1
    sections = [_overview(descriptions)] if several else []
    return Article(
        title=f"check of {', '.join(one.name for one in descriptions)}",
        document=by_name([(one.name, one.to_dict()) for one in descriptions]),
        closing=tuple(map(_sound, descriptions)),
        sections=(*sections, *(_figures(one, one.name if several else "") for one in descriptions)),
        warnings=Section(title="Warnings", items=advice_items([advice for one in descriptions for advice in one.warnings])),
    )


def _sound(one: Description) -> str:
    noun = "judged query" if one.judgments else "query"
    queries = words.plural(one.queries, noun, f"{noun.removesuffix('y')}ies")
    return f"{one.name} is sound: {words.plural(one.documents, 'document')}, {queries}."


def _overview(descriptions: Sequence[Description]) -> Section:
    """Each collection in one line."""
    columns = [
        Column(title="collection", cells=tuple(one.name for one in descriptions), right=False),
        Column(title="documents", cells=tuple(words.count(one.documents) for one in descriptions)),
        Column(title="queries", cells=tuple(words.count(one.queries) for one in descriptions)),
        Column(title="judgments", cells=tuple(words.count(one.judgments) for one in descriptions)),
        Column(title="strictest share", cells=tuple(words.percent(one.strictest_share) for one in descriptions)),
        Column(title="warnings", cells=tuple(words.count(len(one.warnings)) for one in descriptions)),
    ]
    moods = [Mood.OPEN if one.warnings else Mood.GOOD for one in descriptions]
    return Section(title=f"{len(descriptions)} collections", always=True, table=table(columns, moods))


def _figures(one: Description, title: str) -> Section:
    what, figures = zip(*one.rows(), strict=True)
    columns = [Column(title="of the collection", cells=what, right=False), Column(title="figures", cells=figures, right=False)]
    return Section(title=title, always=True, table=table(columns, [Mood.PLAIN] * len(what)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextsRow:
    """The texts of a role: how many there are, are stored and would be embedded, and the tokens of these."""

    role: str
    texts: int
    stored: int
    share_stored: float
    to_embed: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedCollection:
    """What `embed` did for a collection, or would do (`rows`): its document, and a sentence."""

    name: str
    facts: Mapping[str, Any]
    sentence: str
    rows: tuple[TextsRow, ...] = ()


def embed_article(embedded: Sequence[EmbeddedCollection]) -> Article:
    """A sentence for each collection; of a dry run also what is stored already."""
    several = len(embedded) > 1
    return Article(
        title=f"vectors of {', '.join(one.name for one in embedded)}",
        document=by_name([(one.name, one.facts) for one in embedded]),
        closing=tuple(f"{one.name}: {one.sentence}" if several else one.sentence for one in embedded),
        sections=tuple(_texts(one, one.name if several else "") for one in embedded if one.rows),
    )


def _texts(one: EmbeddedCollection, title: str) -> Section:
    columns = [
        Column(title="texts", cells=tuple(row.role for row in one.rows), right=False),
        Column(title="number", cells=tuple(words.count(row.texts) for row in one.rows)),
        Column(title="stored", cells=tuple(words.count(row.stored) for row in one.rows)),
        Column(title="share", cells=tuple(words.percent(row.share_stored, limit=1.0) for row in one.rows)),
        Column(title="to embed", cells=tuple(words.count(row.to_embed) for row in one.rows)),
        Column(title="tokens", cells=tuple(f"~{row.tokens:,}" for row in one.rows)),
    ]
    return Section(title=title, always=True, table=table(columns, [Mood.PLAIN] * len(one.rows)))
