"""The Report from what the other rooms found: a row for every finding, the verdict and its sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from mrl_sweep.decision.controls import MARGIN, RandomControl
from mrl_sweep.decision.slices import LosingQuery, SliceFinding, SliceJudgement
from mrl_sweep.deploying.findings import Cost, Fewest, Finding, Findings, Smaller, bytes_in_memory, bytes_on_disk
from mrl_sweep.measures.measure import asked_documents
from mrl_sweep.report.content.sentence import bytes_sentence, sentence, smallest_own
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.document_rows import (
    BudgetRow,
    CandidateRow,
    ControlRow,
    DocumentRow,
    FallenRow,
    FunnelRow,
    LoserRow,
    ProjectionRow,
    ShareRow,
    SliceRow,
    SmallestRow,
    VerdictRow,
)
from mrl_sweep.report.folder import RunData
from mrl_sweep.types import EXACT, FLOAT32, NOT_RETRIEVED, Advice, Configuration, Measure, Verdict, full_size

NO_EXCERPTS: Final[Mapping[int, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the report tells besides scores and findings; everything is optional.

    `required` are the measures that had to pass, besides the verdict's own; `fewest` is what the grid of precisions proves.
    `manifest` (JSON-able) says what was run: `collection` (with `name`, `documents`, `queries`), `model` (with `name`),
    `similarity`, `versions`, …
    """

    required: Sequence[Measure] = ()
    fewest: Fewest | None = None
    slices: Sequence[SliceRow] = ()
    losers: Sequence[LoserRow] = ()
    funnels: Sequence[FunnelRow] = ()
    projections: Sequence[ProjectionRow] = ()
    budgets: Sequence[BudgetRow] = ()
    controls: Sequence[ControlRow] = ()
    warnings: Sequence[Advice] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)


def build_report(verdict: Verdict, findings: Findings, scores: QueryScores, facts: Facts) -> Report:
    """One Report: a row for every finding, in their order, and the verdict on the sizes with its sentence."""
    full, deepest = full_size(findings), asked_documents((verdict.measure, *facts.required))
    return Report(
        status=str(verdict.status),
        verdict=_verdict_row(verdict, findings, facts),
        candidates=tuple(candidate_row(finding, full, deepest) for finding in findings.values()),
        slices=tuple(facts.slices),
        losers=tuple(facts.losers),
        funnels=tuple(facts.funnels),
        projections=tuple(facts.projections),
        budgets=tuple(facts.budgets),
        controls=tuple(facts.controls),
        warnings=_once(facts.warnings),
        excluded={reason: int(number) for reason, number in facts.excluded.items() if number},
        manifest=dict(facts.manifest),
        scores=scores,
    )


def candidate_row(finding: Finding, full: Configuration, deepest: int) -> CandidateRow:
    """The finding as the document holds it.

    The shortlist of a rescored code is a multiple of the `deepest` documents, those of the measures that must pass: what looks
    deeper was not measured there.
    """
    one, cost = finding.configuration, finding.cost
    is_cut = bool(one.rescore) and one.precision != FLOAT32 and one.index == EXACT
    measured = {m: e for m, e in finding.judgement.evidence.items() if not is_cut or asked_documents([m]) <= deepest}
    return CandidateRow(
        basis=str(one.basis),
        dim=one.dim,
        index=one.index,
        precision=one.precision,
        rescore=one.rescore,
        verdict=str(finding.judgement.outcome),
        reason=finding.judgement.reason,
        bytes_per_vector=bytes_in_memory(one),
        bytes_on_disk=bytes_on_disk(one, full.dim),
        measures={str(measure): evidence for measure, evidence in measured.items()},
        agreement={str(k): float(share) for k, share in finding.agreement.items()},
        latency_ms={"p50": cost.p50_ms, "p99": cost.p99_ms},
        smaller={} if cost.smaller is None else asdict(cost.smaller),
        **cost.shared(),
    )


def cost_of(row: CandidateRow) -> Cost:
    """What the document says of a configuration's cost: the inverse of `candidate_row`."""
    p50, p99 = row.latency_ms.get("p50"), row.latency_ms.get("p99")
    return Cost(p50_ms=p50, p99_ms=p99, smaller=_smaller(row.smaller), **row.shared())


def _smaller(values: Mapping[str, float | None]) -> Smaller | None:
    docs = values.get("docs")
    if not docs:
        return None
    return Smaller(
        docs=int(docs),
        p50_ms=values.get("p50_ms"),
        p99_ms=values.get("p99_ms"),
        queries_per_second=values.get("queries_per_second"),
        recall=values.get("recall"),
    )


def _once(warnings: Sequence[Advice]) -> tuple[Advice, ...]:
    """Each warning once, as it was said first: what the loader warns of, the provider may notice again."""
    first: dict[tuple[str, str], Advice] = {}
    for warning in warnings:
        first.setdefault((warning.code, warning.message), warning)
    return tuple(first.values())


def _verdict_row(verdict: Verdict, findings: Findings, facts: Facts) -> VerdictRow:
    full, chosen = full_size(findings), findings[Configuration.exact_prefix(verdict.dimension)]
    smallest = smallest_own(verdict, facts.fewest)
    evidence = chosen.judgement.evidence.get(verdict.measure)
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
        clusters=verdict.n_clusters,
        sentence=sentence(verdict, shrink=_shrink(chosen.configuration, full, findings)),
        required=tuple(dict.fromkeys(str(measure) for measure in (verdict.measure, *facts.required))),
        configuration=str(smallest),
        bytes_per_vector=bytes_in_memory(smallest),
        bytes_on_disk=bytes_on_disk(smallest, full.dim),
        smallest=_smallest_rows(facts.fewest),
        bytes_sentence=bytes_sentence(verdict, findings, facts.fewest),
        proven_configurations=_proven(facts.fewest),
        by_share=_share_rows(facts.fewest),
        by_default=verdict.by_default,
    )


def _shrink(chosen: Configuration, full: Configuration, findings: Findings) -> float:
    """How many times smaller the index is at the chosen size: from one kind of index at both sizes, else from the vectors."""
    for one, finding in findings.items():
        small = findings.get(replace(one, dim=chosen.dim))
        if one.dim == full.dim and one.basis == full.basis and finding.cost.index_bytes and small and small.cost.index_bytes:
            return finding.cost.index_bytes / small.cost.index_bytes
    return full.dim / chosen.dim


def _smallest_rows(fewest: Fewest | None) -> tuple[SmallestRow, ...]:
    """What each share comes to."""
    return tuple(
        SmallestRow(
            retain=one.retain,
            dimension=one.dimension,
            configuration=str(one.configuration),
            bytes_per_vector=bytes_in_memory(one.configuration),
        )
        for one in (fewest.smallest if fewest is not None else ())
    )


def _share_rows(fewest: Fewest | None) -> tuple[ShareRow, ...]:
    return tuple(
        ShareRow(
            retain=one.retain,
            configuration="" if one.configuration is None else str(one.configuration),
            bytes_per_vector=None if one.configuration is None else bytes_in_memory(one.configuration),
        )
        for one in (fewest.by_share if fewest is not None else ())
    )


def _proven(fewest: Fewest | None) -> tuple[str, ...]:
    answers = [] if fewest is None else [fewest.own, *([fewest.turned] if fewest.turned is not None else [])]
    return tuple(str(configuration) for answer in answers for configuration in answer.proven)


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


def control_rows(controls: Iterable[RandomControl]) -> tuple[ControlRow, ...]:
    """A row per size at which random axes lose enough to tell anything."""
    return tuple(
        ControlRow(
            dim=control.dim,
            kept=control.kept,
            kept_by_random=control.kept_by_random,
            low=control.low,
            high=control.high,
            margin=MARGIN,
            answer=str(control.answer),
        )
        for control in controls
    )


def loser_rows(
    losing: Sequence[LosingQuery], data: RunData, *, dim: int, measure: Measure, excerpts: Mapping[int, str] = NO_EXCERPTS
) -> tuple[LoserRow, ...]:
    """The losing queries with their texts, and documents by id and title with the grade they were given, if any.

    `excerpts` are the beginnings of documents by row, where they are known.
    """
    return tuple(
        LoserRow(
            query_id=data.query_ids[one.query],
            text=data.query_texts[one.query] if data.query_texts else "",
            dim=dim,
            measure=str(measure),
            full=one.before,
            value=one.after,
            left=_documents(one.left, one.query, data, excerpts),
            came_in=_documents(one.came, one.query, data, excerpts),
            fell=_fallen(one.query, data, dim, excerpts),
        )
        for one in losing
    )


def _fallen(query: int, data: RunData, dim: int, excerpts: Mapping[int, str]) -> tuple[FallenRow, ...]:
    """The query's relevant documents that stand lower at `dim` than at full size, in the order of full size."""
    ranks, qrels = data.ranks, data.qrels
    full, size = full_size(ranks.candidates), Configuration.exact_prefix(dim)
    before, after = (ranks.above[ranks.candidates.index(c)] for c in (full, size))
    pairs = range(int(qrels.offsets[query]), int(qrels.offsets[query + 1]))
    fallen = sorted((p for p in pairs if qrels.grades[p] > 0 and after[p] > before[p]), key=lambda p: int(before[p]))
    return tuple(
        FallenRow(
            id=data.document_ids.get(int(qrels.rows[p]), f"row {int(qrels.rows[p])}"),
            title=data.document_titles.get(int(qrels.rows[p]), ""),
            grade=int(qrels.grades[p]),
            rank_at_full=_place(int(before[p])),
            rank=_place(int(after[p])),
            text=excerpts.get(int(qrels.rows[p]), ""),
        )
        for p in fallen
    )


def _place(above: int) -> int | None:
    return None if above >= NOT_RETRIEVED else above + 1


def _documents(rows: Sequence[int], query: int, data: RunData, excerpts: Mapping[int, str]) -> tuple[DocumentRow, ...]:
    start, stop = (int(offset) for offset in data.qrels.offsets[query : query + 2])
    grades = dict(zip(data.qrels.rows[start:stop].tolist(), data.qrels.grades[start:stop].tolist(), strict=True))
    return tuple(
        DocumentRow(
            id=data.document_ids.get(row, f"row {row}"),
            title=data.document_titles.get(row, ""),
            grade=grades.get(row),
            text=excerpts.get(row, ""),
        )
        for row in rows
    )
