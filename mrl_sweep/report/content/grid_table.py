"""The grid of dimensions and precisions: what each code keeps at each size, and which cells are proven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mrl_sweep import words
from mrl_sweep.record import record
from mrl_sweep.report.content.indexes import rescore_meaning
from mrl_sweep.report.content.layout import ColumnsOf, Section, Table
from mrl_sweep.report.content.sentence import PRECISION_WORDS
from mrl_sweep.report.content.view import measured, shares_of, shown
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration

_PROVEN: Final = "*"


@record(kw_only=True)
class Grid:
    """The exhaustive searches over one kind of axes: sizes from large to small by precisions, and those that were measured."""

    basis: str
    dims: tuple[int, ...]
    families: tuple[Configuration, ...]
    cells: Mapping[Configuration, CandidateRow]

    def row(self, family: Configuration) -> list[CandidateRow | None]:
        """Returns the row of one precision and rescoring at each of `dims`, None where that was not measured."""
        by_dim = {c.dim: row for c, row in self.cells.items() if c.family == family}
        return [by_dim.get(dim) for dim in self.dims]

    @property
    def title(self) -> str:
        """The title of its table: its two sides, and fitted axes where it has those."""
        return "Dimensions x precision" + ("" if self.basis == Basis.PREFIX else " on axes fitted on the documents (PCA)")


def grids(report: Report) -> list[Grid]:
    """Finds the grids of the model's own and of fitted axes, where codes were ranked; their sizes are those of the main table."""
    return [grid for basis in (Basis.PREFIX, Basis.PCA) if (grid := _grid(report, str(basis))) is not None]


def _grid(report: Report, basis: str) -> Grid | None:
    exhaustive = [row for row in report.candidates if row.basis == basis and row.index == EXACT]
    rows = [row for row in exhaustive if row.precision != FLOAT32 or not row.rescore]
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
    """Shows a grid, a line a precision; where the width is short, the sizes that the answers name stay."""
    dims, families, named = grid.dims, grid.families, report.verdict.configuration
    smallest = next((c.dim for c in grid.cells if str(c) == named), None)
    stays = {*dims[:1], report.verdict.dimension, smallest}
    columns = [ColumnsOf(families).text("precision", family_words)]
    for i, (dim, rows) in enumerate(zip(dims, zip(*map(grid.row, families), strict=True), strict=True)):
        drop = 0 if dim in stays else 1 + len(dims) - i
        columns.append(ColumnsOf(rows).number(str(dim), lambda row: _cell(row, report), drop=drop))
    chosen = next((i for i, f in enumerate(families) if any(c.family == f and str(c) == named for c in grid.cells)), None)
    sure = words.asked_share(1 - report.verdict.alpha)
    legend = f"A cell: kept, at least, bytes of a vector. {_PROVEN} proven: all of these together with {sure} confidence."
    notes = [f"{legend} The others fell short or were not tried."]
    notes += [_rescore_words(rescore, grid.cells.values()) for rescore in dict.fromkeys(f.rescore for f in families if f.rescore)]
    if grid.basis == Basis.PREFIX:
        notes += [note for note in (_sample_words(report), _vendor_words(report, [f.precision for f in families])) if note]
    title = f"{grid.title} ({report.verdict.measure})"
    return Section(title=title, name="grid", table=Table.of(columns, chosen=chosen), notes=tuple(notes))


def _rescore_words(rescore: str, rows: Iterable[CandidateRow]) -> str:
    """What a rescoring stands for, with what it costs on disk."""
    row = next(row for row in rows if row.rescore == rescore)
    besides = f"{words.count((row.bytes_on_disk or 0) - row.bytes_per_vector)} bytes a vector on disk besides"
    return f"{rescore}: {rescore_meaning(rescore)}, {besides}."


def _sample_words(report: Report) -> str:
    """How many documents trained the codes; empty where all did."""
    trained = report.of_run("codes_trained_on")
    n, of = trained.get("documents"), trained.get("of")
    return f"Codes are trained on {words.count(n)} of the {words.count(of)} documents, drawn at random." if n != of else ""


def _vendor_words(report: Report, precisions: Sequence[str]) -> str:
    """Which of these codes the model's vendor makes itself, and how to see whether they are the same; empty where none."""
    codes = report.of_run("model").get("codes") or ()
    own = [PRECISION_WORDS.get(code, code) for code in codes if code in precisions]
    if not own or any(advice.code.startswith("api-codes-") for advice in report.warnings):
        return ""
    return f"The vendor also sends codes of its own ({', '.join(own)}): --verify-api 20 says whether they are these."


def family_words(family: Configuration) -> str:
    """Names a precision, and how its shortlist is ordered again: `one bit, 4x`."""
    name = PRECISION_WORDS.get(family.precision, family.precision)
    return f"{name}, {family.rescore}" if family.rescore else name


def _cell(row: CandidateRow | None, report: Report) -> str:
    if row is None or report.verdict.measure not in row.measures:
        return words.DASH
    evidence, share = measured(row, report), shares_of(report)
    shares = share(evidence.kept)
    if evidence.at_least is not None:
        shares += f" {share(evidence.at_least)}"
    mark = _PROVEN if str(row.configuration) in report.verdict.proven_configurations else ""
    return f"{shares} {words.count(row.bytes_per_vector)}{mark}"
