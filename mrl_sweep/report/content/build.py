"""Builds reports and their rows: one for everything that the other packages measured, judged or worked out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.decision.slices import LosingQuery
from mrl_sweep.deploying.findings import (
    BoundedFunnel,
    Cost,
    Evaluation,
    Fewest,
    Finding,
    Findings,
    Smaller,
    bytes_in_memory,
    bytes_on_disk,
)
from mrl_sweep.deploying.funnels import Funnel
from mrl_sweep.measures.measure import asked_documents
from mrl_sweep.report.content.sentence import bytes_sentence, sentence, smallest_own
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.document_rows import (
    BudgetRow,
    CandidateRow,
    DocumentRow,
    FallenRow,
    FunnelRow,
    FunnelShare,
    GateRow,
    LoserRow,
    ProjectionRow,
    VerdictRow,
)
from mrl_sweep.report.folder import RunData
from mrl_sweep.types import (
    EXACT,
    FLOAT32,
    NOT_RETRIEVED,
    Advice,
    Configuration,
    Evidence,
    Measure,
    Outcome,
    Status,
    Verdict,
    full_size,
)
from mrl_sweep.words import all_of, first_offenders

if TYPE_CHECKING:
    from mrl_sweep.deploying.tenants import Choice
    from mrl_sweep.projection.growth import CorpusSize, Forecast, Growth

_UNKNOWN: Final = Evidence(mean=0.0)
"""The evidence of a funnel that was not bounded or measured: no share, no limit."""


def build_report(
    verdict: Verdict,
    findings: Findings,
    scores: QueryScores,
    *,
    required: Sequence[Measure] = (),
    fewest: Fewest | None = None,
) -> Report:
    """Makes a Report of the verdict on the sizes, with a row for every finding in their order; callers add the rest.

    `required` are the measures that had to pass, besides the verdict's own; `fewest` is what the grid of precisions proves.
    """
    required = tuple(dict.fromkeys((verdict.measure, *required)))
    full, deepest = full_size(findings), asked_documents(required)
    return Report(
        status=str(verdict.status),
        verdict=_verdict_row(verdict, findings, required, fewest),
        candidates=tuple(candidate_row(finding, full, deepest) for finding in findings.values()),
        scores=scores,
    )


def candidate_row(finding: Finding, full: Configuration, deepest: int) -> CandidateRow:
    """Writes a finding as the document holds it.

    The shortlist of a rescored code is a multiple of the `deepest` documents, those of the measures that must pass: measures
    that look deeper are left out.
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
    """Reads a configuration's cost from its row, as `candidate_row` wrote it."""
    p50, p99, docs = row.latency_ms.get("p50"), row.latency_ms.get("p99"), row.smaller.get("docs")
    measured = {one.name: row.smaller.get(one.name) for one in fields(Smaller) if one.name != "docs"}
    smaller = Smaller(docs=int(docs), **measured) if docs else None
    return Cost(p50_ms=p50, p99_ms=p99, smaller=smaller, **row.shared())


def each_once(warnings: Iterable[Advice]) -> tuple[Advice, ...]:
    """Keeps each warning (code and message) once, where it came first: the provider may repeat what the loader warns of."""
    first: dict[tuple[str, str], Advice] = {}
    for warning in warnings:
        first.setdefault((warning.code, warning.message), warning)
    return tuple(first.values())


def _verdict_row(verdict: Verdict, findings: Findings, required: Sequence[Measure], fewest: Fewest | None) -> VerdictRow:
    full, chosen = full_size(findings), findings[Configuration.exact_prefix(verdict.dimension)]
    smallest = smallest_own(verdict, fewest)
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
        required=tuple(map(str, required)),
        configuration=str(smallest),
        bytes_per_vector=bytes_in_memory(smallest),
        bytes_on_disk=bytes_on_disk(smallest, full.dim),
        bytes_sentence=bytes_sentence(verdict, findings, fewest),
        **({} if fewest is None else _of_grid(fewest)),
        by_default=verdict.by_default,
    )


def _shrink(chosen: Configuration, full: Configuration, findings: Findings) -> float:
    """How many times smaller the index is at the chosen size: from one kind of index at both sizes, else from the vectors."""
    for one, finding in findings.items():
        small = findings.get(replace(one, dim=chosen.dim))
        if one.dim == full.dim and one.basis == full.basis and finding.cost.index_bytes and small and small.cost.index_bytes:
            return finding.cost.index_bytes / small.cost.index_bytes
    return full.dim / chosen.dim


def _of_grid(fewest: Fewest) -> dict[str, Any]:
    """What the grid of precisions comes to: at each share that might be asked, and what its paths prove."""
    proven = (str(one) for answer in (fewest.own, fewest.turned) if answer is not None for one in answer.proven)
    return {"smallest": fewest.smallest, "by_share": fewest.by_share, "proven_configurations": tuple(proven)}


def loser_rows(
    losing: Sequence[LosingQuery], data: RunData, *, dim: int, measure: Measure, excerpts: Mapping[int, str]
) -> tuple[LoserRow, ...]:
    """Names the losing queries by their texts, and documents by id, title and the grade that they were given, if any.

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
            grade=int(qrels.grades[p]),
            rank_at_full=_place(int(before[p])),
            rank=_place(int(after[p])),
            **_named(int(qrels.rows[p]), data, excerpts),
        )
        for p in fallen
    )


def _place(above: int) -> int | None:
    return None if above >= NOT_RETRIEVED else above + 1


def _documents(rows: Sequence[int], query: int, data: RunData, excerpts: Mapping[int, str]) -> tuple[DocumentRow, ...]:
    start, stop = (int(offset) for offset in data.qrels.offsets[query : query + 2])
    grades = dict(zip(data.qrels.rows[start:stop].tolist(), data.qrels.grades[start:stop].tolist(), strict=True))
    return tuple(DocumentRow(grade=grades.get(row), **_named(row, data, excerpts)) for row in rows)


def _named(row: int, data: RunData, excerpts: Mapping[int, str]) -> dict[str, str]:
    """Returns the id, title and excerpt of the document in this row of the corpus, as fields of a `DocumentRow`."""
    name = data.document_ids.get(row, f"row {row}")
    return {"id": name, "title": data.document_titles.get(row, ""), "text": excerpts.get(row, "")}


def budget_row(budget: str, choice: Choice, measure: Measure) -> BudgetRow:
    """Makes the row of a `budget`, given in words, with the best configuration within it, or the reason why there is none."""
    best = choice.best
    if best is None:
        return BudgetRow(budget=budget, within=choice.within, reason=choice.reason)
    evidence = best.judgement.evidence[measure]
    return BudgetRow(
        budget=budget,
        dim=best.configuration.dim,
        index=best.configuration.index,
        kept=evidence.kept,
        size_bytes=best.cost.index_bytes,
        p99_ms=best.cost.p99_ms,
        configuration=str(best.configuration),
        quality=evidence.mean,
        at_least=evidence.at_least,
        acceptable=best.acceptable,
        within=choice.within,
    )


def projection_row(growth: Growth, at: CorpusSize, forecast: Forecast, *, acceptable: bool | None) -> ProjectionRow:
    """Makes the row of what one configuration is expected to keep in a corpus of one size."""
    return ProjectionRow(
        dim=forecast.candidate.dim,
        measure=str(growth.measure),
        documents=at.n_documents,
        value=forecast.mean,
        low=forecast.low,
        high=forecast.high,
        kept=forecast.kept,
        kept_low=forecast.at_least,
        kept_high=forecast.at_most,
        configuration=str(forecast.candidate),
        modelled=not at.exact,
        acceptable=acceptable,
        holds_up_to=growth.stops_at.get(forecast.candidate),
    )


def funnel_rows(evaluation: Evaluation, bounded: Sequence[BoundedFunnel], findings: Findings) -> tuple[FunnelRow, ...]:
    """Makes rows of the bounded funnels, with the finding of each that was measured; then of those measured without bounds."""
    bounds = {one.funnel: one for one in bounded}
    measured = {funnel: finding for one, finding in findings.items() if (funnel := Funnel.of(one)) is not None}
    funnels = dict.fromkeys((*bounds, *measured))
    return tuple(_funnel_row(evaluation, funnel, bounds.get(funnel), measured.get(funnel)) for funnel in funnels)


def _funnel_row(evaluation: Evaluation, funnel: Funnel, bounded: BoundedFunnel | None, finding: Finding | None) -> FunnelRow:
    """What is known of a funnel: its own finding says more than any bound, and it is recommended only where that passes too."""
    n, required = evaluation.ranks.n_documents, evaluation.policy.required
    shares = {str(measure): _funnel_share(measure, bounded, finding) for measure in required}
    first = shares[str(required[0])]
    judged = finding.judgement if finding is not None else bounded
    return FunnelRow(
        configuration=str(funnel.configuration),
        small=funnel.small,
        shortlist=funnel.shortlist,
        large=funnel.large,
        measure=str(required[0]),
        kept_low=first.kept_low,
        kept_high=first.kept_high,
        at_least=first.at_least,
        measured_kept=first.measured_kept,
        operations=funnel.operations(n),
        full_operations=n * evaluation.full.dim,
        hot_bytes=funnel.hot_bytes(n),
        verdict=str(judged.outcome if judged is not None else Outcome.NOT_TESTED),
        recommended=bounded is not None and bounded.recommended and (finding is None or finding.acceptable),
        latency_ms={} if finding is None else {"p50": finding.cost.p50_ms, "p99": finding.cost.p99_ms},
        measures=shares,
    )


def _funnel_share(measure: Measure, bounded: BoundedFunnel | None, finding: Finding | None) -> FunnelShare:
    low, high = (bounded.worst.evidence[measure], bounded.best.evidence[measure]) if bounded else (_UNKNOWN, _UNKNOWN)
    own = finding.judgement.evidence[measure] if finding else _UNKNOWN
    at_least = own.at_least if finding else low.at_least
    return FunnelShare(kept_low=low.kept, kept_high=high.kept, at_least=at_least, measured_kept=own.kept)


def gate_row(question: str, configuration: Configuration, answers: Sequence[tuple[Status, str]], *, exit_code: int) -> GateRow:
    """Makes the gate's row of the answers, each a status and a sentence; it takes those of the worst status."""
    status = Status.of_all(one for one, _ in answers)
    return GateRow(
        question=question,
        status=str(status),
        exit_code=exit_code,
        dim=configuration.dim,
        configuration=str(configuration),
        sentence=" ".join(sentence for one, sentence in answers if one is status),
        failures=tuple(sentence for one, sentence in answers if one is not Status.PASS),
    )


def joint_gate_row(gates: Mapping[str, GateRow]) -> GateRow:
    """Makes one row of the gates of several collections: met where each gate is; a failure outweighs an open question."""
    codes = {gate.exit_code for gate in gates.values()}
    code = next(code for code in (1, 4, 0) if code in codes)
    stopped = [name for name, gate in gates.items() if code and gate.exit_code == code]
    sentence = f"The gate is met in {all_of(len(gates), 'collections')}."
    if stopped:
        sentence = f"The gate is not met in {first_offenders(stopped)}. {stopped[0]}: {gates[stopped[0]].sentence}"
    return GateRow(
        question=f"{next(iter(gates.values())).question.removesuffix('?')} in every collection?",
        status=str(Status.of_all(Status(gate.status) for gate in gates.values())),
        exit_code=code,
        dim=max(gate.dim for gate in gates.values()),
        sentence=sentence,
        failures=tuple(f"{name}: {failure}" for name, gate in gates.items() for failure in gate.failures),
    )
