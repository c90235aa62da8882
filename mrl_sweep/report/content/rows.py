"""Rows of the report from what the decision room found: slices, and the queries that lose most, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mrl_sweep.decision.losers import LosingQuery
from mrl_sweep.decision.slice_search import SliceFinding, SliceJudgement
from mrl_sweep.report.document import DocumentRow, LoserRow, SliceRow
from mrl_sweep.report.files.ranks_file import RunData
from mrl_sweep.types import Measure


def slice_rows(findings: Iterable[SliceFinding], judgements: Iterable[SliceJudgement] = ()) -> tuple[SliceRow, ...]:
    """A row per finding, in their order; `judgements` add the outcome of declared slices against their own margin."""
    outcomes = {(j.finding.field, j.finding.value, j.finding.candidate): str(j.outcome) for j in judgements}
    return tuple(
        SliceRow(
            field=finding.field,
            value=finding.value,
            dim=finding.candidate.dim,
            queries=finding.queries,
            kept=finding.kept,
            at_least=finding.at_least,
            at_most=finding.at_most,
            q_value=finding.q_value,
            kept_by_others=finding.kept_by_others,
            declared=finding.declared,
            retain=finding.retain,
            verdict=outcomes.get((finding.field, finding.value, finding.candidate)),
        )
        for finding in findings
    )


def loser_rows(losing: Sequence[LosingQuery], data: RunData, *, dim: int, measure: Measure) -> tuple[LoserRow, ...]:
    """The losing queries with their texts, and documents by id and title with the grade they were given, if any."""
    return tuple(
        LoserRow(
            query_id=data.query_ids[one.query],
            text=data.query_texts[one.query] if data.query_texts else "",
            dim=dim,
            measure=str(measure),
            full=one.before,
            value=one.after,
            left=_documents(one.left, one.query, data),
            came_in=_documents(one.came, one.query, data),
        )
        for one in losing
    )


def _documents(rows: Sequence[int], query: int, data: RunData) -> tuple[DocumentRow, ...]:
    start, stop = (int(offset) for offset in data.qrels.offsets[query : query + 2])
    grades = dict(zip(data.qrels.rows[start:stop].tolist(), data.qrels.grades[start:stop].tolist(), strict=True))
    return tuple(
        DocumentRow(id=data.document_ids.get(row, f"row {row}"), title=data.document_titles.get(row, ""), grade=grades.get(row))
        for row in rows
    )
