"""Runs side by side: the document of `compare`, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mrl_sweep import words
from mrl_sweep.decision.compare import Comparison
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.report.content.layout import Article, Column, Mood, Section, by_name, table
from mrl_sweep.report.content.view import model_name
from mrl_sweep.report.document import document

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
    return Section(title="What each run would ship", asked=True, table=table(columns, [Mood.PLAIN] * len(own)))


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
    return Section(title="Runs", asked=True, table=table(columns, [Mood.PLAIN] * len(runs)))


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
    return Section(title=title, asked=True, table=table(columns, moods))


def _closing(sides: SideBySide) -> str:
    """Each run's choice against the first run's."""
    sentences = []
    for label, run, cell in zip(sides.labels, sides.runs, sides.rows[-1].cells, strict=True):
        if run.differs:
            sentences.append(f"{label} cannot be compared with A query by query: {'; '.join(run.differs)}.")
        elif cell.against_first is not None:
            first = sides.runs[0].dimension
            shown_as = {"first": "is proven worse than", "second": "is proven better than"}
            found = shown_as.get(str(cell.against_first.better), "cannot be told from")
            limits = f" ({between})" if (between := _between(cell)) != words.DASH else ""
            difference = f"{cell.against_first.difference:+.4f}{limits} {sides.measure}"
            sentences.append(f"{label} at {cell.dim} {found} A at {first}: {difference}.")
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
    shown_as = {"first": "worse", "second": "better"}.get(str(paired.better), "open")
    return f"{paired.difference:+.4f} {shown_as}"


def _between(cell: Cell) -> str:
    paired = cell.against_first
    if paired is None or paired.low is None or paired.high is None:
        return words.DASH
    return f"{paired.low:+.4f} to {paired.high:+.4f}"


def _mood(cell: Cell) -> Mood:
    better = str(cell.against_first.better) if cell.against_first else ""
    return {"first": Mood.BAD, "second": Mood.GOOD}.get(better, Mood.PLAIN)
