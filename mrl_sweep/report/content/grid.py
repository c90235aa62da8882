"""Dimensions x precisions: the grid as a table, and the sentence that names the fewest bytes that are proven."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mrl_sweep import words
from mrl_sweep.decision.grid import GridAnswer
from mrl_sweep.deploying.findings import Fewest, Finding, Findings, bytes_in_memory, bytes_on_disk
from mrl_sweep.report.content.layout import Column, Mood, Section, table
from mrl_sweep.report.content.sentence import confidence
from mrl_sweep.report.content.view import measured, shown
from mrl_sweep.report.document import CandidateRow, Report
from mrl_sweep.types import EXACT, FLOAT32, Basis, Configuration, Verdict, full_size
from mrl_sweep.words import keeps

WORDS: Final = {"rabitq": "RaBitQ", "binary": "one bit", "LSH": "one bit against one bit"}
"""Precisions as a reader calls them; the others are called by their names."""

_PROVEN: Final = "*"


def smallest_own(verdict: Verdict, fewest: Fewest | None) -> Configuration:
    """The proven configuration of the fewest bytes over the model's own axes; the chosen size where no code needs fewer."""
    chosen = Configuration.exact_prefix(verdict.dimension)
    answer = fewest.own.smallest if fewest is not None else None
    return answer if answer is not None and bytes_in_memory(answer) < bytes_in_memory(chosen) else chosen


def bytes_sentence(verdict: Verdict, findings: Findings, fewest: Fewest | None) -> str:
    """What to keep in how many bytes, and what axes fitted on the documents would need; empty where neither was asked."""
    if fewest is None:
        return ""
    full, own = full_size(findings), smallest_own(verdict, fewest)
    parts = []
    if any(c.precision != FLOAT32 for c in _cells(fewest.own)):
        parts.append(_own_words(findings[own], verdict, full))
    turned = fewest.turned.smallest if fewest.turned is not None else None
    if turned is not None and bytes_in_memory(turned) < bytes_in_memory(own):
        start = f"Axes fitted on the documents (PCA) need fewer: {_cell_words(turned, full)}"
        cost = f"a query is multiplied by a {turned.dim} x {full.dim} matrix first, which is saved with the run"
        parts.append(f"{start} {_evidence_words(findings[turned], verdict)}; {cost}.")
    return " ".join(parts)


def _cells(answer: GridAnswer) -> set[Configuration]:
    return {step for path in answer.paths for step in path.steps}


def _own_words(finding: Finding, verdict: Verdict, full: Configuration) -> str:
    float32 = f"{words.count(bytes_in_memory(Configuration.exact_prefix(verdict.dimension)))}"
    if finding.configuration.is_exact_prefix:
        return f"No code is proven to need fewer than the {float32} bytes of float32 at {verdict.dimension} dimensions."
    label = "Smallest proven" if verdict.decide_by == "bound" else "Smallest as measured"
    text = f"{_cell_words(finding.configuration, full)}: {_evidence_words(finding, verdict)}"
    return f"{label}: {text}; float32 alone needs {float32}."


def _cell_words(cell: Configuration, full: Configuration) -> str:
    """`72 bytes a vector (512 dimensions x RaBitQ)`, with what lies on disk where a shortlist is ordered again."""
    how = f"{cell.dim} dimensions x {WORDS.get(cell.precision, cell.precision)}"
    if cell.rescore:
        how += f", rescored {cell.rescore} from {words.count(bytes_on_disk(cell, full.dim))} on disk"
    return f"{words.count(bytes_in_memory(cell))} bytes a vector ({how})"


def _evidence_words(finding: Finding, verdict: Verdict) -> str:
    evidence, limit = finding.judgement.evidence[verdict.measure], verdict.retain
    kept, least = (words.percent(share, limit=limit) for share in (evidence.kept, evidence.at_least))
    return f"{keeps(verdict.measure, kept)}, at least {least} with {confidence(verdict.alpha)}"


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
    if any(family.rescore for family in families):
        notes.append("4x: a shortlist four times as long, ordered again by float32 vectors, which lie on disk besides.")
    moods = [Mood.PLAIN] * len(families)
    title = f"Dimensions x precision{named} ({report.verdict.measure})"
    return Section(title=title, name="grid", asked=True, table=table(columns, moods, chosen=chosen), notes=tuple(notes))


def _at(cells: dict[Configuration, CandidateRow], family: Configuration, dim: int) -> CandidateRow | None:
    return next((row for c, row in cells.items() if c.dim == dim and c.family == family), None)


def _holds(cells: Iterable[Configuration], family: Configuration, named: str) -> bool:
    return any(c.family == family and str(c) == named for c in cells)


def _family_words(family: Configuration) -> str:
    name = WORDS.get(family.precision, family.precision)
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
