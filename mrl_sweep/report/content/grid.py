"""Dimensions x precisions: the grid as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mrl_sweep import words
from mrl_sweep.report.content.layout import Column, Mood, Section, table
from mrl_sweep.report.content.sentence import PRECISION_WORDS
from mrl_sweep.report.content.view import measured, shown
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration

_PROVEN: Final = "*"

_ALWAYS_FIT: Final = 3
"""So many sizes of a grid stand in any terminal: full size, the verdict's and the smallest proven configuration's."""


def grids(report: Report) -> list[Section]:
    """A table for the model's own axes and one for fitted ones, where any code was ranked."""
    return [section for basis in (Basis.PREFIX, Basis.PCA) if (section := _grid(report, str(basis))) is not None]


def _grid(report: Report, basis: str) -> Section | None:
    rows = [
        row
        for row in report.candidates
        if row.basis == basis and row.index == EXACT and not (row.precision == FLOAT32 and row.rescore)
    ]
    if all(row.precision == FLOAT32 for row in rows):
        return None
    sizes = {row.dim for row in shown(report)}
    dims = sorted({row.dim for row in rows} & sizes, reverse=True)
    cells = {row.configuration: row for row in rows}
    families = sorted(dict.fromkeys(c.family for c in cells), key=lambda family: (bool(family.rescore), family.rescore))
    proven = {*report.verdict.proven_configurations}
    smallest = next((c.dim for c in cells if str(c) == report.verdict.configuration), None)
    stays = {dims[0], report.verdict.dimension, smallest} if dims else set()
    columns = [
        Column(title="precision", cells=tuple(_family_words(family) for family in families), right=False),
        *(
            Column(
                title=str(dim),
                cells=tuple(_cell(_at(cells, family, dim), report, proven) for family in families),
                drop=0 if dim in stays else 1 + len(dims) - dims.index(dim),
            )
            for dim in dims
        ),
    ]
    chosen = next((i for i, family in enumerate(families) if _holds(cells, family, report.verdict.configuration)), None)
    named = "" if basis == Basis.PREFIX else " on axes fitted on the documents (PCA)"
    notes = [f"A cell: kept, at least, bytes of a vector. {_PROVEN} proven, with all cells before it on a path through the grid."]
    notes += [_rescore_words(rescore, rows) for rescore in dict.fromkeys(f.rescore for f in families if f.rescore)]
    if basis == Basis.PREFIX and (vendor := _vendor_words(report, [family.precision for family in families])):
        notes.append(vendor)
    if len(dims) > _ALWAYS_FIT:
        notes.append("A narrow screen shows fewer sizes than the page (--format html).")
    moods = [Mood.PLAIN] * len(families)
    title = f"Dimensions x precision{named} ({report.verdict.measure})"
    return Section(title=title, name="grid", asked=True, table=table(columns, moods, chosen=chosen), notes=tuple(notes))


def _rescore_words(rescore: str, rows: Iterable[CandidateRow]) -> str:
    """What `4x` or `4x@768` stands for, with what it costs on disk."""
    factor, _, dim = rescore.partition("@")
    row = next(row for row in rows if row.rescore == rescore)
    what = f"the first {dim} numbers of float32 vectors" if dim else "float32 vectors"
    besides = f"{words.count((row.bytes_on_disk or 0) - row.bytes_per_vector)} bytes a vector on disk besides"
    return f"{rescore}: a shortlist {factor.removesuffix('x')} times as long, ordered again by {what}, {besides}."


def _vendor_words(report: Report, precisions: Sequence[str]) -> str:
    """Which of these codes the model's vendor makes itself, and how to see whether they are the same; empty where none."""
    model = report.manifest.get("model")
    codes = model.get("codes") if isinstance(model, Mapping) else None
    own = [PRECISION_WORDS.get(code, code) for code in codes or () if code in precisions]
    if not own or any(advice.code.startswith("api-codes-") for advice in report.warnings):
        return ""
    return f"The vendor also sends codes of its own ({', '.join(own)}): --verify-api 20 says whether they are these."


def _at(cells: dict[Configuration, CandidateRow], family: Configuration, dim: int) -> CandidateRow | None:
    return next((row for c, row in cells.items() if c.dim == dim and c.family == family), None)


def _holds(cells: Iterable[Configuration], family: Configuration, named: str) -> bool:
    return any(c.family == family and str(c) == named for c in cells)


def _family_words(family: Configuration) -> str:
    name = PRECISION_WORDS.get(family.precision, family.precision)
    return f"{name}, {family.rescore}" if family.rescore else name


def _cell(row: CandidateRow | None, report: Report, proven: Sequence[str] | set[str]) -> str:
    evidence = measured(row, report) if row is not None else None
    if row is None or evidence is None:
        return words.DASH
    limit = report.verdict.retain
    shares = words.percent(evidence.kept, limit=limit)
    if evidence.at_least is not None:
        shares += f" {words.percent(evidence.at_least, limit=limit)}"
    mark = _PROVEN if str(row.configuration) in proven else ""
    return f"{shares} {words.count(row.bytes_per_vector)}{mark}"
