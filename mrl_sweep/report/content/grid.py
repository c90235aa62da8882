"""Dimensions x precisions: what was measured of the grid, and its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mrl_sweep import words
from mrl_sweep.report.content.layout import Column, Mood, Section, table
from mrl_sweep.report.content.sentence import PRECISION_WORDS
from mrl_sweep.report.content.view import measured, shown
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration

_PROVEN: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The exhaustive searches over one kind of axes: sizes from large to small by precisions, and those that were measured."""

    basis: str
    dims: tuple[int, ...]
    families: tuple[Configuration, ...]
    cells: Mapping[Configuration, CandidateRow]

    def row(self, family: Configuration) -> list[CandidateRow | None]:
        """A precision at each size; None where that was not measured."""
        known = {c.dim: row for c, row in self.cells.items() if c.family == family}
        return [known.get(dim) for dim in self.dims]

    @property
    def title(self) -> str:
        """What lies along its sides."""
        return "Dimensions x precision" + ("" if self.basis == Basis.PREFIX else " on axes fitted on the documents (PCA)")


def grids(report: Report) -> list[Grid]:
    """That of the model's own axes and that of fitted ones, where any code was ranked; of a fine sweep the sizes that matter."""
    return [grid for basis in (Basis.PREFIX, Basis.PCA) if (grid := _grid(report, str(basis))) is not None]


def _grid(report: Report, basis: str) -> Grid | None:
    rows = [
        row
        for row in report.candidates
        if row.basis == basis and row.index == EXACT and not (row.precision == FLOAT32 and row.rescore)
    ]
    if all(row.precision == FLOAT32 for row in rows):
        return None
    cells = {row.configuration: row for row in rows}
    return Grid(
        basis=basis,
        dims=tuple(sorted({row.dim for row in rows} & {row.dim for row in shown(report)}, reverse=True)),
        families=tuple(sorted(dict.fromkeys(c.family for c in cells), key=lambda family: (bool(family.rescore), family.rescore))),
        cells=cells,
    )


def grid_table(grid: Grid, report: Report) -> Section:
    """A line a precision; where the width is short, the sizes that the answers name stay."""
    dims, families, named = grid.dims, grid.families, report.verdict.configuration
    smallest = next((c.dim for c in grid.cells if str(c) == named), None)
    stays = {*dims[:1], report.verdict.dimension, smallest}
    cells = zip(*(grid.row(family) for family in families), strict=True)
    columns = [
        Column(title="precision", cells=tuple(map(family_words, families)), right=False),
        *(
            Column(
                title=str(dim),
                cells=tuple(_cell(row, report) for row in column),
                drop=0 if dim in stays else 1 + len(dims) - i,
            )
            for i, (dim, column) in enumerate(zip(dims, cells, strict=True))
        ),
    ]
    chosen = next((i for i, f in enumerate(families) if any(c.family == f and str(c) == named for c in grid.cells)), None)
    sure = words.asked(1 - report.verdict.alpha)
    legend = f"A cell: kept, at least, bytes of a vector. {_PROVEN} proven: all of these together with {sure} confidence."
    notes = [f"{legend} The others fell short or were not tried."]
    notes += [_rescore_words(rescore, grid.cells.values()) for rescore in dict.fromkeys(f.rescore for f in families if f.rescore)]
    if grid.basis == Basis.PREFIX:
        notes += [note for note in (_sample_words(report), _vendor_words(report, [f.precision for f in families])) if note]
    made = table(columns, [Mood.PLAIN] * len(families), chosen=chosen)
    title = f"{grid.title} ({report.verdict.measure})"
    return Section(title=title, name="grid", asked=True, table=made, notes=tuple(notes))


def _rescore_words(rescore: str, rows: Iterable[CandidateRow]) -> str:
    """What `4x` or `4x@768` stands for, with what it costs on disk."""
    factor, _, dim = rescore.partition("@")
    row = next(row for row in rows if row.rescore == rescore)
    what = f"the first {dim} numbers of float32 vectors" if dim else "float32 vectors"
    besides = f"{words.count((row.bytes_on_disk or 0) - row.bytes_per_vector)} bytes a vector on disk besides"
    return f"{rescore}: a shortlist {factor.removesuffix('x')} times as long, ordered again by {what}, {besides}."


def _sample_words(report: Report) -> str:
    """How many documents trained the codes; empty where all did."""
    trained = report.manifest.get("codes_trained_on")
    n, of = (trained.get("documents"), trained.get("of")) if isinstance(trained, Mapping) else (None, None)
    return f"Codes are trained on {words.count(n)} of the {words.count(of)} documents, drawn at random." if n != of else ""


def _vendor_words(report: Report, precisions: Sequence[str]) -> str:
    """Which of these codes the model's vendor makes itself, and how to see whether they are the same; empty where none."""
    model = report.manifest.get("model")
    codes = model.get("codes") if isinstance(model, Mapping) else None
    own = [PRECISION_WORDS.get(code, code) for code in codes or () if code in precisions]
    if not own or any(advice.code.startswith("api-codes-") for advice in report.warnings):
        return ""
    return f"The vendor also sends codes of its own ({', '.join(own)}): --verify-api 20 says whether they are these."


def family_words(family: Configuration) -> str:
    """`one bit, 4x`: a precision, and how its answers are ordered again."""
    name = PRECISION_WORDS.get(family.precision, family.precision)
    return f"{name}, {family.rescore}" if family.rescore else name


def _cell(row: CandidateRow | None, report: Report) -> str:
    evidence = measured(row, report) if row is not None else None
    if row is None or evidence is None:
        return words.DASH
    limit = report.verdict.retain
    shares = words.percent(evidence.kept, limit=limit)
    if evidence.at_least is not None:
        shares += f" {words.percent(evidence.at_least, limit=limit)}"
    mark = _PROVEN if str(row.configuration) in report.verdict.proven_configurations else ""
    return f"{shares} {words.count(row.bytes_per_vector)}{mark}"
