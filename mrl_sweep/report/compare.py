"""Runs side by side (`compare`) and over time (`compare --history`): the documents, and what is shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple

from mrl_sweep import words
from mrl_sweep.decision.compare import Better, Comparison, compare_paired
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.record import record
from mrl_sweep.report.content.layout import Article, ColumnsOf, Mood, Section, Table, by_name, prefixed, titled
from mrl_sweep.report.content.view import ladder, model_name, mood
from mrl_sweep.report.document import Report, document
from mrl_sweep.report.render.chart import Chart, Line
from mrl_sweep.types import EXACT, FLOAT32, Basis

SCHEMA_VERSION: Final = 1

_MOST_IN_ONE_TABLE: Final = 3
"""Runs whose differences from the first stand in one table; more get a table each."""


class _Standing(NamedTuple):
    """How a run stands against the one that it is compared with: in a cell, in a sentence, as a colour."""

    cell: str
    sentence: str
    mood: Mood


_STANDINGS: Final = {
    Better.FIRST: _Standing("worse", "is proven worse than", Mood.BAD),
    Better.SECOND: _Standing("better", "is proven better than", Mood.GOOD),
    Better.UNDECIDED: _Standing("not proven", "cannot be told from", Mood.PLAIN),
}


@record(kw_only=True)
class RunRow:
    """One run of the comparison; `differs` says why it cannot be paired with the first, query by query (empty: it can)."""

    name: str
    collection: str
    model: str
    queries: int
    dimension: int
    status: str
    differs: tuple[str, ...] = ()


@record(kw_only=True)
class Cell:
    """One run at one row: its size and mean (None where it has no such size), and the paired comparison with the first run."""

    dim: int | None = None
    mean: float | None = None
    against_first: Comparison | None = None


@record(kw_only=True)
class ComparedRow:
    """All runs at vectors of `bytes_per_vector`; None is the row in which every run has the size that its own verdict names."""

    bytes_per_vector: int | None
    cells: tuple[Cell, ...]


@record(kw_only=True)
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
        """The short name of each run in the tables: A to Z, then R27 and on."""
        return [chr(ord("A") + i) if i < 26 else f"R{i + 1}" for i in range(len(self.runs))]

    def to_dict(self) -> dict[str, Any]:
        """Returns the document as plain JSON values."""
        return document(self)


def comparison_article(compared: Mapping[str, SideBySide]) -> Article:
    """Shows which run is which, their figures, and which is better. Of several collections: first what each run would ship."""
    sections = [_chosen(compared)] if len(compared) > 1 else []
    for name, sides in titled(compared.items()):
        sections += [replace(section, title=prefixed(name, section.title)) for section in (_legend(sides), *_tables(sides))]
    n = max(len(sides.runs) for sides in compared.values())
    return Article(
        title=f"{n} runs side by side" + (f", in {len(compared)} collections" if len(compared) > 1 else ""),
        document=by_name([(name, sides.to_dict()) for name, sides in compared.items()]),
        closing=tuple(prefixed(name, _closing(sides)) for name, sides in titled(compared.items())),
        sections=tuple(sections),
    )


def _chosen(compared: Mapping[str, SideBySide]) -> Section:
    """Each collection in one line: the sizes that the runs would ship, and how far the others lie from the first."""
    sides = list(compared.values())
    n = max(len(one.runs) for one in sides)
    labels = max((one.labels for one in sides), key=len)
    own = [[*one.rows[-1].cells, *[Cell()] * (n - len(one.runs))] for one in sides]
    by_run = list(zip(labels, map(ColumnsOf, zip(*own, strict=True)), strict=True))
    columns = [
        ColumnsOf(list(compared)).text("collection", str),
        *(column.number(f"{label} ships", _mean) for label, column in by_run),
        *(column.number(f"{label} - A", _difference_words) for label, column in by_run[1:]),
    ]
    return Section(title="What each run would ship", table=Table.of(columns))


def _legend(sides: SideBySide) -> Section:
    column = ColumnsOf(sides.runs)
    columns = [
        ColumnsOf(sides.labels).text("as", str),
        column.text("run", lambda run: run.name),
        column.text("collection", lambda run: run.collection),
        column.text("model", lambda run: model_name(run.model)),
        column.number("queries", lambda run: words.count(run.queries)),
        column.number("chosen", lambda run: str(run.dimension)),
        column.text("verdict", lambda run: run.status),
    ]
    return Section(title="Runs", table=Table.of(columns))


def _tables(sides: SideBySide) -> list[Section]:
    others = range(1, len(sides.runs))
    if len(sides.runs) <= _MOST_IN_ONE_TABLE:
        return [_table(sides, list(others), "By bytes of a vector")]
    return [_table(sides, [i], f"{sides.labels[i]} against A") for i in others]


def _table(sides: SideBySide, others: list[int], title: str) -> Section:
    """Means of the first run and of `others` by bytes, and the paired difference of each from the first."""
    of_run = [ColumnsOf([row.cells[i] for row in sides.rows]) for i in range(len(sides.runs))]
    columns = [
        ColumnsOf(sides.rows).number("bytes", _bytes),
        *(of_run[i].number(f"{sides.labels[i]} {sides.measure}", _mean) for i in (0, *others)),
    ]
    for i in others:
        columns.append(of_run[i].number(f"{sides.labels[i]} - A", _difference_words))
        columns.append(of_run[i].number("between", _between, drop=1))
    moods = [_mood(cell) for cell in of_run[others[0]].rows] if len(others) == 1 else []
    return Section(title=title, table=Table.of(columns, moods))


def _closing(sides: SideBySide) -> str:
    """Each run's choice against the first run's."""
    sentences = []
    for label, run, cell in zip(sides.labels, sides.runs, sides.rows[-1].cells, strict=True):
        if run.differs:
            sentences.append(f"{label} cannot be compared with A query by query: {'; '.join(run.differs)}.")
        elif cell.against_first is not None:
            standing = _STANDINGS[cell.against_first.better].sentence
            limits = f" ({between})" if (between := _between(cell)) != words.DASH else ""
            difference = f"{words.difference(cell.against_first.difference)}{limits} {sides.measure}"
            sentences.append(f"{label} at {cell.dim} {standing} A at {sides.runs[0].dimension}: {difference}.")
    if sides.label_free:
        sentences.append(
            f"{sides.measure} is agreement with each run's own full size; whose documents are better it cannot tell."
        )
    return " ".join(sentences)


def _bytes(row: ComparedRow) -> str:
    return "as chosen" if row.bytes_per_vector is None else words.count(row.bytes_per_vector)


def _mean(cell: Cell) -> str:
    return words.DASH if cell.mean is None else f"{cell.dim}: {words.score(cell.mean)}"


def _difference_words(cell: Cell) -> str:
    return paired_words(cell.against_first)


def paired_words(paired: Comparison | None) -> str:
    """Writes the mean paired difference and what is proven: `+0.0412 better`; `-` where nothing was compared."""
    if paired is None:
        return words.DASH
    return f"{words.difference(paired.difference)} {_STANDINGS[paired.better].cell}"


def _between(cell: Cell) -> str:
    paired = cell.against_first
    if paired is None or paired.low is None or paired.high is None:
        return words.DASH
    return f"{words.difference(paired.low)} to {words.difference(paired.high)}"


def _mood(cell: Cell) -> Mood:
    return _STANDINGS[cell.against_first.better].mood if cell.against_first else Mood.PLAIN


# --- Over time --------------------------------------------------------------------------------------------------------


@record(kw_only=True)
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


@record(kw_only=True)
class History:
    """Runs by the collection and model that they share, the oldest of each first; `unreadable` counts those not read."""

    runs: tuple[HistoryRow, ...]
    unreadable: int = 0
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Returns the document as plain JSON values."""
        return document(self)


def history_of(reports: Iterable[Report], *, unreadable: int = 0) -> History:
    """Sorts the runs by collection, model and time, and says what changed since the run before it of the same two."""
    pairs = sorted(((_row(report), report) for report in reports), key=lambda pair: _order(pair[0]))
    rows = [row for row, _ in pairs]
    for i, ((before, earlier), (row, report)) in enumerate(pairwise(pairs), start=1):
        if _subject(row) == _subject(before):
            rows[i] = replace(row, change=_changed(row, before), against_before=_against(report, earlier))
    return History(runs=tuple(rows), unreadable=unreadable)


def history_article(history: History) -> Article:
    """Shows for each collection and model a table, a line a run, a trend of several runs, and how the answer changed."""
    groups = [list(same) for _, same in groupby(history.runs, key=_subject)]
    sections = [_history_table(rows) for rows in groups]
    if history.unreadable:
        unread = words.plural(history.unreadable, "folder holds a report", "folders hold reports")
        sections.append(Section(title="", notes=(f"{unread} that cannot be read.",)))
    return Article(
        title=f"{words.plural(len(history.runs), 'run')} over time",
        document=history.to_dict(),
        closing=tuple(map(_history_closing, groups)),
        sections=tuple(sections),
        charts=tuple(str(_trend(rows)) for rows in groups if len(rows) > 1),
    )


def _row(report: Report) -> HistoryRow:
    verdict, collection = report.verdict, report.of_run("collection")
    full, documents = ladder(report)[0].measures.get(verdict.measure), collection.get("documents")
    return HistoryRow(
        created=str(report.manifest.get("created", "")),
        name=report.folder.name if report.folder else "",
        collection=str(collection.get("name", "")),
        model=model_name(str(report.of_run("model").get("name", ""))),
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


def _changed(row: HistoryRow, before: HistoryRow) -> str:
    changes = []
    if (row.measure, row.retain) != (before.measure, before.retain):
        changes.append(f"asked {words.asked_share(before.retain)} of {before.measure} before")
    if row.dimension != before.dimension:
        changes.append(f"{before.dimension} -> {row.dimension}")
    if row.documents != before.documents:
        changes.append(f"{words.count(before.documents)} docs before")
    if row.queries != before.queries:
        changes.append(f"{words.plural(before.queries, 'query', 'queries')} before")
    return "; ".join(changes)


def _against(report: Report, before: Report) -> Comparison | None:
    """Compares what this run ships with what the run before it did; None where they were not judged alike, or left no scores."""
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
    """Returns what two runs must share to be compared; None where that is not known, or where queries come in clusters."""
    digest = report.of_run("collection").get("judgments_digest")
    if digest is None or report.verdict.clusters is not None:
        return None
    return digest, report.verdict.measure, report.manifest.get("tie_rule"), report.manifest.get("identical_excluded")


def _shipped(report: Report) -> Any:
    """The value of each query at the chosen size, a pandas series by query id."""
    frame = report.to_frame()
    exact = (frame["basis"] == Basis.PREFIX) & (frame["index"] == EXACT) & (frame["precision"] == FLOAT32)
    chosen = (frame["dim"] == report.verdict.dimension) & (frame["measure"] == report.verdict.measure)
    return frame[exact & chosen & (frame["rescore"] == "")].set_index("query_id")["value"]


def _history_table(rows: Sequence[HistoryRow]) -> Section:
    column, last = ColumnsOf(rows), rows[-1]
    columns = [
        column.text("when", lambda row: row.created[:16].replace("T", " ") or words.DASH),
        column.text("run", lambda row: row.name, drop=6),
        column.number("docs", lambda row: words.count(row.documents), drop=4),
        column.number("queries", lambda row: words.count(row.queries), drop=5),
        column.number(f"full {last.measure}", lambda row: words.score(row.full), drop=1),
        column.number("use", lambda row: str(row.dimension)),
        column.number("bytes", lambda row: words.count(row.bytes_per_vector), drop=3),
        column.number("kept", lambda row: words.percent(row.kept, limit=row.retain), drop=2),
        column.number("at least", lambda row: words.percent(row.at_least, limit=row.retain)),
        column.number("against before", lambda row: paired_words(row.against_before), drop=2),
        column.text("verdict", lambda row: row.status),
        column.text("change", lambda row: row.change or words.DASH),
    ]
    made = Table.of(columns, [mood(row.status) for row in rows])
    return Section(title=f"{last.collection}, {last.model}", table=made)


def _trend(rows: Sequence[HistoryRow]) -> Chart:
    """Charts what the chosen size keeps at least, run by run; 100% where the run gives no limit, as for full size."""
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
