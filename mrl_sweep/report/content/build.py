"""The Report from what the other rooms found: rows for every candidate, the verdict and its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mrl_sweep.decision.losers import LosingQuery
from mrl_sweep.decision.slice_search import SliceFinding, SliceJudgement
from mrl_sweep.report.content.sentence import sentence
from mrl_sweep.report.document import (
    BudgetRow,
    CandidateRow,
    DocumentRow,
    FunnelRow,
    LoserRow,
    MeasureRow,
    ProjectionRow,
    QueryScores,
    Report,
    SliceRow,
    VerdictRow,
)
from mrl_sweep.report.files.ranks_file import RunData
from mrl_sweep.types import (
    EXACT,
    Advice,
    Basis,
    Configuration,
    Evidence,
    FloatArray,
    Judgement,
    Measure,
    Outcome,
    Scores,
    Verdict,
)

FLOAT32_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a candidate's index costs, as measured; None is "not measured". `bytes_per_vector` None: float32.

    `doubt`: why the index is not certified, whatever it scored; empty where nothing speaks against it.
    """

    index_bytes: int | None = None
    bytes_per_vector: int | None = None
    build_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    queries_per_second: float | None = None
    queries_per_second_1: float | None = None
    threads: int | None = None
    train_s: float | None = None
    resident_bytes: int | None = None
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the report tells besides scores and verdict; everything is optional.

    `required` are the measures that had to pass, besides the verdict's own.
    `agreement` holds, per candidate and k, the share of the full size's top k that is still there. `manifest` (JSON-able)
    says what was run: `collection` (with `name`, `documents`, `queries`), `model` (with `name`), `similarity`, `versions`, …
    """

    required: Sequence[Measure] = ()
    agreement: Mapping[Configuration, Mapping[int, float]] = field(default_factory=dict)
    costs: Mapping[Configuration, Cost] = field(default_factory=dict)
    slices: Sequence[SliceRow] = ()
    losers: Sequence[LoserRow] = ()
    funnels: Sequence[FunnelRow] = ()
    projections: Sequence[ProjectionRow] = ()
    budgets: Sequence[BudgetRow] = ()
    warnings: Sequence[Advice] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


def build_report(verdict: Verdict, scores: Scores, query_ids: Sequence[str], facts: Facts) -> Report:
    """One Report: a row for every candidate of `scores`, in that order, then for those only `facts.costs` knows.

    Judged candidates carry their evidence; the others (controls, indexes) their mean and share of full size, `not_tested`.
    """
    judged = {judgement.candidate: judgement for judgement in verdict.judgements}
    base = _baseline(verdict, scores)
    extra = [candidate for candidate in facts.costs if candidate not in scores.candidates]
    rows = [
        _candidate_row(c, judged.get(c), _measures(c, judged.get(c), scores, base), facts) for c in [*scores.candidates, *extra]
    ]
    return Report(
        status=str(verdict.status),
        verdict=_verdict_row(verdict, judged, _shrink(verdict.dimension, base, rows), facts),
        candidates=tuple(rows),
        slices=tuple(facts.slices),
        losers=tuple(facts.losers),
        funnels=tuple(facts.funnels),
        projections=tuple(facts.projections),
        budgets=tuple(facts.budgets),
        warnings=_once(facts.warnings),
        excluded={reason: int(number) for reason, number in facts.excluded.items() if number},
        manifest=dict(facts.manifest),
        scores=QueryScores(scores, query_ids),
    )


def _once(warnings: Sequence[Advice]) -> tuple[Advice, ...]:
    """Each warning once, as it was said first: what the loader warns of, the provider may notice again."""
    first: dict[tuple[str, str], Advice] = {}
    for warning in warnings:
        first.setdefault((warning.code, warning.message), warning)
    return tuple(first.values())


def _baseline(verdict: Verdict, scores: Scores) -> Configuration:
    named = [j.candidate for j in verdict.judgements if j.outcome is Outcome.BASELINE]
    exact = [c for c in scores.candidates if c.basis == Basis.PREFIX and c.index == EXACT]
    return named[0] if named else max(exact, key=lambda c: c.dim)


def _candidate_row(
    candidate: Configuration, judgement: Judgement | None, measures: Mapping[str, MeasureRow], facts: Facts
) -> CandidateRow:
    cost = facts.costs.get(candidate, Cost())
    return CandidateRow(
        basis=str(candidate.basis),
        dim=candidate.dim,
        index=candidate.index,
        precision=candidate.precision,
        rescore=candidate.rescore,
        verdict=str(judgement.outcome if judgement else Outcome.NOT_TESTED),
        reason=judgement.reason if judgement else cost.doubt,
        bytes_per_vector=cost.bytes_per_vector or FLOAT32_BYTES * candidate.dim,
        measures=measures,
        agreement={str(k): float(share) for k, share in facts.agreement.get(candidate, {}).items()},
        index_bytes=cost.index_bytes,
        build_s=cost.build_s,
        latency_ms={"p50": cost.p50_ms, "p99": cost.p99_ms},
        queries_per_second=cost.queries_per_second,
        queries_per_second_1=cost.queries_per_second_1,
        threads=cost.threads,
        train_s=cost.train_s,
        resident_bytes=cost.resident_bytes,
        certified=not cost.doubt,
    )


def _measures(
    candidate: Configuration, judgement: Judgement | None, scores: Scores, base: Configuration
) -> dict[str, MeasureRow]:
    """A row per measure: the judgement's evidence where there is some, else what the scores say without a bound."""
    evidence = dict(judgement.evidence) if judgement else {}
    rows = {str(measure): _evidence_row(evidence[measure]) for measure in evidence}
    if candidate not in scores.candidates:
        return rows
    # Measures nobody judged are told without a bound.
    plain = {str(m): _plain_row(scores, candidate, base, m) for m in scores.measures if m not in evidence}
    return {name: rows.get(name) or plain[name] for name in map(str, scores.measures)} | rows


def _evidence_row(evidence: Evidence) -> MeasureRow:
    return MeasureRow(
        mean=evidence.mean,
        kept=evidence.kept,
        at_least=evidence.at_least,
        at_most=evidence.at_most,
        lost=evidence.lost,
        gained=evidence.gained,
        unchanged=evidence.unchanged,
        provable_loss=evidence.provable_loss,
        queries_needed=evidence.queries_needed,
    )


def _plain_row(scores: Scores, candidate: Configuration, base: Configuration, measure: Measure) -> MeasureRow:
    value, full = scores.of(candidate, measure), scores.of(base, measure)
    mean, full_mean = _mean(value), _mean(full)
    return MeasureRow(
        mean=mean,
        kept=mean / full_mean if full_mean > 0 else None,
        lost=int((value < full).sum()),
        gained=int((value > full).sum()),
        unchanged=int((value == full).sum()),
    )


def _mean(values: FloatArray) -> float:
    """The mean; NaN (null in the document) where no query counts."""
    return float(np.mean(values)) if len(values) else float("nan")


def _verdict_row(verdict: Verdict, judged: Mapping[Configuration, Judgement], shrink: float, facts: Facts) -> VerdictRow:
    chosen = judged.get(Configuration(Basis.PREFIX, verdict.dimension, EXACT))
    evidence = chosen.evidence.get(verdict.measure) if chosen else None
    return VerdictRow(
        dimension=verdict.dimension,
        proven=verdict.proven,
        measured=verdict.measured,
        measure=str(verdict.measure),
        retain=verdict.retain,
        alpha=verdict.alpha,
        decide_by=str(verdict.decide_by),
        kept=evidence.kept if evidence else None,
        at_least=evidence.at_least if evidence else None,
        queries=verdict.n_queries,
        sentence=sentence(verdict, shrink=shrink),
        required=tuple(dict.fromkeys(str(measure) for measure in (verdict.measure, *facts.required))),
    )


def _shrink(dimension: int, base: Configuration, rows: Sequence[CandidateRow]) -> float:
    """How many times smaller the index is at `dimension`: from the same kind of index at both sizes, else from the vectors."""
    sizes = {(row.index, row.dim): row.index_bytes for row in rows if row.basis == Basis.PREFIX and row.index_bytes}
    for (index, dim), full_bytes in sizes.items():
        small_bytes = sizes.get((index, dimension))
        if dim == base.dim and full_bytes and small_bytes:
            return full_bytes / small_bytes
    return base.dim / dimension


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
