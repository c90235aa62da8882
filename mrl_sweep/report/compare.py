"""Runs side by side (`compare`) and over time (`compare --history`): the documents, and what is shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.decision.compare import Better, Comparison, compare_paired
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.report.content.layout import Article, Column, Mood, Section, by_name, table
from mrl_sweep.report.content.view import ladder, model_name, mood
from mrl_sweep.report.document import Report, document
from mrl_sweep.report.render.chart import Chart, Line
from mrl_sweep.types import EXACT, FLOAT32, Basis

SCHEMA_VERSION: Final = 1

_MOST_IN_ONE_TABLE: Final = 3
"""Runs whose differences from the first stand in one table; more get a table each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of the comparison; `differs` says why it cannot be paired with the first, query by query (empty: it can)."""

    name: str
    collection: str
    model: str
    queries: int
    dimension: int
    status: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run at one row: its size and mean (None where it has no such size), and the paired comparison with the first run."""

    dim: int | None = None
    mean: float | None = None
    against_first: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """All runs at vectors of `bytes_per_vector`; None is the row in which every run has the size that its own verdict names."""

    bytes_per_vector: int | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The comparison as a document. `rows` begin with the largest vectors and end with what each run would ship."""

    measure: str
    alpha: float
    runs: tuple[RunRow, ...]
    rows: tuple[ComparedRow, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def label_free(self) -> bool:
        """Whether agreement with full size is compared, not quality."""
        return parse_measure(self.measure).label_free

    @property
    def labels(self) -> list[str]:
        """What each run is called in the tables: A, B, C."""
        return [chr(ord("A") + i) if i < 26 else f"R{i + 1}" for i in range(len(self.runs))]

    def to_dict(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        return document(self)


def comparison_article(compared: Mapping[str, SideBySide]) -> Article:
    """Who is who, the tables, who is better. Of several collections, by name: first what each run would ship, a line each."""
    several = len(compared) > 1
    sections: list[Section] = [_chosen(compared)] if several else []
    for name, sides in compared.items():
        made = [_legend(sides), *_tables(sides)]
        sections += [_titled(section, name) for section in made] if several else made
    documents = [(name, sides.to_dict()) for name, sides in compared.items()]
    closing = [f"{name}: {_closing(sides)}" if several else _closing(sides) for name, sides in compared.items()]
    n = max(len(sides.runs) for sides in compared.values())
    title = f"{n} runs side by side" + (f", in {len(compared)} collections" if several else "")
    return Article(title=title, document=by_name(documents), closing=tuple(closing), sections=tuple(sections))


def _titled(section: Section, name: str) -> Section:
    return replace(section, title=f"{name}: {section.title}" if section.title else name)


def _chosen(compared: Mapping[str, SideBySide]) -> Section:
    """Each collection in one line: the sizes that the runs would ship, and how far the others lie from the first."""
    sides = list(compared.values())
    n = max(len(one.runs) for one in sides)
    labels = max((one.labels for one in sides), key=len)
    own = [[*one.rows[-1].cells, *[Cell()] * (n - len(one.runs))] for one in sides]
    columns = [
        Column(title="collection", cells=tuple(compared), right=False),
        *(Column(title=f"{label} ships", cells=tuple(_mean(cells[i]) for cells in own)) for i, label in enumerate(labels)),
        *(
            Column(title=f"{label} - A", cells=tuple(paired_words(cells[i].against_first) for cells in own))
            for i, label in enumerate(labels)
            if i > 0
        ),
    ]
    return Section(title="What each run would ship", always=True, table=table(columns, [Mood.PLAIN] * len(own)))


def _legend(sides: SideBySide) -> Section:
    runs = sides.runs
    columns = [
        Column(title="as", cells=tuple(sides.labels), right=False),
        Column(title="run", cells=tuple(run.name for run in runs), right=False),
        Column(title="collection", cells=tuple(run.collection for run in runs), right=False),
        Column(title="model", cells=tuple(model_name(run.model) for run in runs), right=False),
        Column(title="queries", cells=tuple(words.count(run.queries) for run in runs)),
        Column(title="chosen", cells=tuple(str(run.dimension) for run in runs)),
        Column(title="verdict", cells=tuple(run.status for run in runs), right=False),
    ]
    return Section(title="Runs", always=True, table=table(columns, [Mood.PLAIN] * len(runs)))


def _tables(sides: SideBySide) -> list[Section]:
    others = range(1, len(sides.runs))
    if len(sides.runs) <= _MOST_IN_ONE_TABLE:
        return [_table(sides, list(others), "By bytes of a vector")]
    return [_table(sides, [i], f"{sides.labels[i]} against A") for i in others]


def _table(sides: SideBySide, others: list[int], title: str) -> Section:
    """Means of the first run and of `others` by bytes, and the paired difference of each from the first."""
    rows = sides.rows
    columns = [
        Column(title="bytes", cells=tuple(_bytes(row) for row in rows)),
        *(
            Column(title=f"{sides.labels[i]} {sides.measure}", cells=tuple(_mean(row.cells[i]) for row in rows))
            for i in (0, *others)
        ),
    ]
    for i in others:
        columns.append(
            Column(title=f"{sides.labels[i]} - A", cells=tuple(paired_words(row.cells[i].against_first) for row in rows))
        )
        columns.append(Column(title="between", cells=tuple(_between(row.cells[i]) for row in rows), drop=1))
    moods = [_mood(row.cells[others[0]]) if len(others) == 1 else Mood.PLAIN for row in rows]
    return Section(title=title, always=True, table=table(columns, moods))


def _closing(sides: SideBySide) -> str:
    """Each run's choice against the first run's."""
    sentences = []
    for label, run, cell in zip(sides.labels, sides.runs, sides.rows[-1].cells, strict=True):
        if run.differs:
            sentences.append(f"{label} cannot be compared with A query by query: {'; '.join(run.differs)}.")
        elif cell.against_first is not None:
            first = sides.runs[0].dimension
            shown_as = {"first": "is proven worse than", "second": "is proven better than"}
            standing = shown_as.get(str(cell.against_first.better), "cannot be told from")
            limits = f" ({between})" if (between := _between(cell)) != words.DASH else ""
            difference = f"{cell.against_first.difference:+.4f}{limits} {sides.measure}"
            sentences.append(f"{label} at {cell.dim} {standing} A at {first}: {difference}.")
    if sides.label_free:
        sentences.append(
            f"{sides.measure} is agreement with each run's own full size; whose documents are better it cannot tell."
        )
    return " ".join(sentences)


def _bytes(row: ComparedRow) -> str:
    return "as chosen" if row.bytes_per_vector is None else words.count(row.bytes_per_vector)


def _mean(cell: Cell) -> str:
    return words.DASH if cell.mean is None else f"{cell.dim}: {words.score(cell.mean)}"


def paired_words(paired: Comparison | None) -> str:
    """`+0.0412 better`: the mean paired difference, and what is proven."""
    if paired is None:
        return words.DASH
    shown_as = {"first": "worse", "second": "better"}.get(str(paired.better), "not proven")
    return f"{paired.difference:+.4f} {shown_as}"


def _between(cell: Cell) -> str:
    paired = cell.against_first
    if paired is None or paired.low is None or paired.high is None:
        return words.DASH
    return f"{paired.low:+.4f} to {paired.high:+.4f}"


def _mood(cell: Cell) -> Mood:
    better = str(cell.against_first.better) if cell.against_first else ""
    return {"first": Mood.BAD, "second": Mood.GOOD}.get(better, Mood.PLAIN)


# --- Over time --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One run: when, of what, by which rule, and its answer; `full` is the deciding measure's mean at full size.

    `change` says what is not as in the run before it of the same collection and model; `against_before` compares what the two
    ship, query by query, where both were judged by the same judgments in the same way.
    """

    created: str
    name: str
    collection: str
    model: str
    documents: int | None
    queries: int
    measure: str
    retain: float
    full: float | None
    dimension: int
    configuration: str
    bytes_per_vector: int | None
    kept: float | None
    at_least: float | None
    status: str
    change: str = ""
    against_before: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Runs by the collection and model that they share, the oldest of each first; `unreadable` counts the others."""

    runs: tuple[HistoryRow, ...]
    unreadable: int = 0
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        return document(self)


def history_of(reports: Iterable[Report], *, unreadable: int = 0) -> History:
    """The runs in order of time, each with what changed since the one before it."""
    rows: list[HistoryRow] = []
    pairs = sorted(((_row(report), report) for report in reports), key=lambda pair: _order(pair[0]))
    for _, same in groupby(pairs, key=lambda pair: _subject(pair[0])):
        before: tuple[HistoryRow, Report] | None = None
        for row, report in same:
            if before is not None:
                rows.append(replace(_changed(row, before[0]), against_before=_against(report, before[1])))
            else:
                rows.append(row)
            before = row, report
    return History(runs=tuple(rows), unreadable=unreadable)


def history_article(history: History) -> Article:
    """A table and a trend for each collection and model, a line a run; then from what to what the answer went."""
    groups = [list(same) for _, same in groupby(history.runs, key=_subject)]
    unread = words.plural(history.unreadable, "folder holds a report", "folders hold reports")
    notes = (f"{unread} that cannot be read.",) if history.unreadable else ()
    sections = [_history_table(rows) for rows in groups]
    if notes:
        sections.append(Section(title="", always=True, notes=notes))
    return Article(
        title=f"{words.plural(len(history.runs), 'run')} over time",
        document=history.to_dict(),
        closing=tuple(map(_history_closing, groups)),
        sections=tuple(sections),
        charts=tuple(str(_trend(rows)) for rows in groups if len(rows) > 1),
    )


def _row(report: Report) -> HistoryRow:
    verdict, manifest = report.verdict, report.manifest
    collection, model = (report.of_run(key) for key in ("collection", "model"))
    full, documents = ladder(report)[0].measures.get(verdict.measure), collection.get("documents")
    return HistoryRow(
        created=str(manifest.get("created", "")),
        name=report.folder.name if report.folder else "",
        collection=str(collection.get("name", "")),
        model=model_name(str(model.get("name", ""))),
        documents=documents if isinstance(documents, int) else None,
        queries=verdict.queries,
        measure=verdict.measure,
        retain=verdict.retain,
        full=full.mean if full else None,
        dimension=verdict.dimension,
        configuration=verdict.configuration,
        bytes_per_vector=verdict.bytes_per_vector,
        kept=verdict.kept,
        at_least=verdict.at_least,
        status=report.status,
    )


def _order(row: HistoryRow) -> tuple[str, str, str, str]:
    return row.collection, row.model, row.created, row.name


def _subject(row: HistoryRow) -> tuple[str, str]:
    return row.collection, row.model


def _changed(row: HistoryRow, before: HistoryRow) -> HistoryRow:
    changes = []
    if (row.measure, row.retain) != (before.measure, before.retain):
        changes.append(f"asked {words.asked_share(before.retain)} of {before.measure} before")
    if row.dimension != before.dimension:
        changes.append(f"{before.dimension} -> {row.dimension}")
    if row.documents != before.documents:
        changes.append(f"{words.count(before.documents)} docs before")
    if row.queries != before.queries:
        changes.append(f"{words.plural(before.queries, 'query', 'queries')} before")
    return replace(row, change="; ".join(changes))


def _against(report: Report, before: Report) -> Comparison | None:
    """What this run ships against what the run before it did; None where they were not judged alike, or left no scores."""
    first, second = _judged_by(before), _judged_by(report)
    if first is None or first != second:
        return None
    try:
        values = [_shipped(one) for one in (before, report)]
    except InputError:  # a folder without its scores
        return None
    if not len(values[0]) or set(values[0].index) != set(values[1].index):
        return None
    earlier, later = (one.sort_index().to_numpy() for one in values)
    return compare_paired(earlier, later, alpha=report.verdict.alpha)


def _judged_by(report: Report) -> tuple[Any, ...] | None:
    """What two runs must share; None where that is not known, or where queries come in clusters."""
    manifest, digest = report.manifest, report.of_run("collection").get("judgments_digest")
    if digest is None or report.verdict.clusters is not None:
        return None
    return digest, report.verdict.measure, manifest.get("tie_rule"), manifest.get("identical_excluded")


def _shipped(report: Report) -> Any:
    """The value of each query at the chosen size, a pandas series by query id."""
    frame = report.to_frame()
    exact = (frame["basis"] == Basis.PREFIX) & (frame["index"] == EXACT) & (frame["precision"] == FLOAT32)
    chosen = (frame["dim"] == report.verdict.dimension) & (frame["measure"] == report.verdict.measure)
    return frame[exact & chosen & (frame["rescore"] == "")].set_index("query_id")["value"]


def _history_table(rows: Sequence[HistoryRow]) -> Section:
    last = rows[-1]
    columns = [
        Column(title="when", cells=tuple(row.created[:16].replace("T", " ") or words.DASH for row in rows), right=False),
        Column(title="run", cells=tuple(row.name for row in rows), right=False, drop=6),
        Column(title="docs", cells=tuple(words.count(row.documents) for row in rows), drop=4),
        Column(title="queries", cells=tuple(words.count(row.queries) for row in rows), drop=5),
        Column(title=f"full {last.measure}", cells=tuple(words.score(row.full) for row in rows), drop=1),
        Column(title="use", cells=tuple(str(row.dimension) for row in rows)),
        Column(title="bytes", cells=tuple(words.count(row.bytes_per_vector) for row in rows), drop=3),
        Column(title="kept", cells=tuple(words.percent(row.kept, limit=row.retain) for row in rows), drop=2),
        Column(title="at least", cells=tuple(words.percent(row.at_least, limit=row.retain) for row in rows)),
        Column(title="against before", cells=tuple(paired_words(row.against_before) for row in rows), drop=2),
        Column(title="verdict", cells=tuple(row.status for row in rows), right=False),
        Column(title="change", cells=tuple(row.change or words.DASH for row in rows), right=False),
    ]
    moods: list[Mood] = [mood(row.status) for row in rows]
    return Section(title=f"{last.collection}, {last.model}", always=True, table=table(columns, moods))


def _trend(rows: Sequence[HistoryRow]) -> Chart:
    """What the chosen size keeps at least, run by run; full size, which keeps all, where nothing smaller was proven."""
    shares = [row.at_least if row.at_least is not None else 1.0 for row in rows]
    last = rows[-1]
    return Chart(
        title=f"{last.collection}, {last.model}: {last.measure} kept at least at the chosen size, by run",
        lines=(Line("at least", tuple((float(i), share) for i, share in enumerate(shares))),),
        ticks=tuple((float(i), f"{row.created[:10]}: {row.dimension}") for i, row in enumerate(rows)),
        limit=last.retain,
    )


def _history_closing(rows: Sequence[HistoryRow]) -> str:
    first, last = rows[0], rows[-1]
    name = f"{last.collection} with {last.model}"
    if len(rows) == 1:
        return f"{name}: one run, which uses {last.dimension} dimensions ({last.status})."
    span = f"{len(rows)} runs from {first.created[:10]} to {last.created[:10]}"
    sizes = f"{last.dimension} dimensions throughout"
    if {row.dimension for row in rows} != {last.dimension}:
        sizes = f"{first.dimension} dimensions at first, {last.dimension} now"
    full = f"full size went from {words.score(first.full)} to {words.score(last.full)} {last.measure}"
    worse = [row for row in rows if row.against_before is not None and row.against_before.better == Better.FIRST]
    fell = "".join(f" What {row.name or row.created[:10]} ships is proven worse than before." for row in worse)
    return f"{name}: {span}: {sizes}; {full}.{fell}"
