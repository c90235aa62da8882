"""Shortlist and rerank: every funnel bounded from the ranks alone, judged, and set beside what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mrl_sweep.decision.walk import judge
from mrl_sweep.deploying.findings import Evaluation, Finding, Findings, which_sizes
from mrl_sweep.deploying.funnels import Funnel, bound_ranks, cheapest_proven, funnel_grid, parse_funnel
from mrl_sweep.measures.measure import score
from mrl_sweep.report.document_rows import FunnelRow, FunnelShare
from mrl_sweep.types import Configuration, Evidence, IntArray, Judgement, Measure, Outcome, Ranks, Scores

SHORTEST: Final = 100
"""The shortest shortlist of the grid where no measure has a cut-off that says."""


def bounded_funnels(evaluation: Evaluation, named: Sequence[str]) -> tuple[FunnelRow, ...]:
    """Every funnel bounded from the ranks, judged for every required measure; the cheapest proven one is recommended.

    Those of the grid over the sizes that matter, and those `named` (`64:200:768`) whose two sizes were ranked. None without
    judgments: the ranks are those of judged documents.
    """
    funnels = () if evaluation.policy.required[0].label_free else _funnels(evaluation, named)
    if not funnels:
        return ()
    n, bounds = evaluation.ranks.n_documents, Bounds.of(evaluation, funnels)
    cheaper = [funnel for funnel in funnels if funnel.operations(n) < n * evaluation.full.dim]
    recommended = cheapest_proven(cheaper, n, lambda i, share: bounds.proven(cheaper[i], share))
    return tuple(_bounded_row(bounds, funnel, recommended=funnel == recommended) for funnel in funnels)


def recommended_funnel(rows: Sequence[FunnelRow]) -> Funnel | None:
    """The funnel that is recommended among these; None where none is."""
    return next((Funnel(row.small, row.shortlist, row.large) for row in rows if row.recommended), None)


def funnel_rows(evaluation: Evaluation, bounded: Sequence[FunnelRow], findings: Findings) -> tuple[FunnelRow, ...]:
    """The bounded funnels, with the finding of each that was measured; then those measured at sizes that were not ranked."""
    rows = {row.configuration: row for row in bounded}
    for configuration, finding in findings.items():
        funnel = Funnel.of(configuration)
        if funnel is not None:
            row = rows.get(str(configuration)) or _row(evaluation, funnel, str(Outcome.NOT_TESTED), {})
            rows[row.configuration] = _measured_row(evaluation, row, finding)
    return tuple(rows.values())


def _funnels(evaluation: Evaluation, asked: Sequence[str]) -> tuple[Funnel, ...]:
    dims = [size.dim for size in evaluation.sizes]
    cutoff = max((measure.cutoff or 0 for measure in evaluation.policy.required), default=0) or SHORTEST
    grid = funnel_grid(which_sizes(dims, evaluation.verdict.dimension), evaluation.ranks.n_documents, cutoff=cutoff)
    named = map(parse_funnel, asked)
    return tuple(dict.fromkeys((*grid, *(funnel for funnel in named if {funnel.small, funnel.large} <= set(dims)))))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The scores of full size and of every funnel in its worst and in its best case, under every required measure."""

    evaluation: Evaluation
    worst: Scores
    best: Scores

    @classmethod
    def of(cls, evaluation: Evaluation, funnels: Sequence[Funnel]) -> Bounds:
        cases: list[list[Scores]] = [[], []]
        for measure in evaluation.policy.required:
            full = _scored(evaluation, _only(evaluation.ranks, evaluation.full), measure)
            bounded = bound_ranks(evaluation.ranks, evaluation.qrels, funnels, measure)
            for scored, case in zip(cases, (bounded.worst, bounded.best), strict=True):
                scored.append(_below(full, _scored(evaluation, case, measure, bounded.pairs)))
        worst, best = map(_side_by_side, cases)
        return cls(evaluation, worst, best)

    def proven(self, funnel: Funnel, share: float) -> bool:
        """Whether even the worst case keeps every required measure, at this share of alpha."""
        return self.judged(self.worst, funnel, share).outcome is Outcome.PASS

    def outcome(self, funnel: Funnel) -> Outcome:
        """PASS where the worst case passes, FAIL where the best case is too low; between them the bounds cannot tell."""
        if self.proven(funnel, 1.0):
            return Outcome.PASS
        return Outcome.FAIL if self.judged(self.best, funnel).outcome is Outcome.FAIL else Outcome.INCONCLUSIVE

    def judged(self, case: Scores, funnel: Funnel, share: float = 1.0) -> Judgement:
        of, unfit = self.evaluation, self.evaluation.unfit
        rule = replace(of.policy, alpha=of.policy.alpha * share)
        sizes = [Configuration.exact_prefix(dim) for dim in (funnel.small, funnel.large)]
        why = next((unfit[size] for size in sizes if size in unfit), None)
        own = {} if why is None else {funnel.configuration: why}
        return judge(case, funnel.configuration, rule, baseline=of.full, clusters=of.clusters, unfit=own)


def _scored(evaluation: Evaluation, ranks: Ranks, measure: Measure, pairs: IntArray | None = None) -> Scores:
    return score(ranks, evaluation.qrels, [measure], no_relevant=evaluation.no_relevant, pairs=pairs)


def _only(ranks: Ranks, candidate: Configuration) -> Ranks:
    at = ranks.candidates.index(candidate)
    return Ranks((candidate,), ranks.n_documents, ranks.above[at : at + 1], ranks.tied[at : at + 1])


def _below(first: Scores, second: Scores) -> Scores:
    """Scores of different candidates under the same measures, as one."""
    candidates = (*first.candidates, *second.candidates)
    return replace(first, candidates=candidates, values=np.concatenate([first.values, second.values]))


def _side_by_side(scored: Sequence[Scores]) -> Scores:
    """Scores under one measure each, of the same candidates, as one."""
    return Scores(
        scored[0].candidates,
        tuple(measure for one in scored for measure in one.measures),
        np.concatenate([one.values for one in scored], axis=1),
        np.concatenate([one.counted for one in scored]),
    )


def _bounded_row(bounds: Bounds, funnel: Funnel, *, recommended: bool) -> FunnelRow:
    low, high = (bounds.judged(case, funnel).evidence for case in (bounds.worst, bounds.best))
    shares = {
        str(measure): FunnelShare(kept_low=low[measure].kept, kept_high=high[measure].kept, at_least=low[measure].at_least)
        for measure in bounds.evaluation.policy.required
    }
    return replace(_row(bounds.evaluation, funnel, str(bounds.outcome(funnel)), shares), recommended=recommended)


def _row(evaluation: Evaluation, funnel: Funnel, verdict: str, shares: dict[str, FunnelShare]) -> FunnelRow:
    n, measure = evaluation.ranks.n_documents, str(evaluation.policy.required[0])
    first = shares.get(measure, FunnelShare())
    return FunnelRow(
        configuration=str(funnel.configuration),
        small=funnel.small,
        shortlist=funnel.shortlist,
        large=funnel.large,
        measure=measure,
        kept_low=first.kept_low,
        kept_high=first.kept_high,
        at_least=first.at_least,
        operations=funnel.operations(n),
        full_operations=n * evaluation.full.dim,
        hot_bytes=funnel.hot_bytes(n),
        verdict=verdict,
        measures=shares,
    )


def _measured_row(evaluation: Evaluation, row: FunnelRow, finding: Finding) -> FunnelRow:
    """The row with the funnel's own finding, which says more than any bound; it is recommended only where that passes too."""
    evidence = finding.judgement.evidence
    shares = {
        str(measure): _with_measured(row.measures.get(str(measure), FunnelShare()), evidence[measure])
        for measure in evaluation.policy.required
    }
    return replace(
        row,
        verdict=str(finding.judgement.outcome),
        recommended=row.recommended and finding.acceptable,
        at_least=shares[row.measure].at_least,
        measured_kept=shares[row.measure].measured_kept,
        latency_ms={"p50": finding.cost.p50_ms, "p99": finding.cost.p99_ms},
        measures=shares,
    )


def _with_measured(share: FunnelShare, evidence: Evidence) -> FunnelShare:
    return replace(share, measured_kept=evidence.kept, at_least=evidence.at_least)
