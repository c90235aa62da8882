"""Shortlist and rerank: every funnel of a sweep bounded from the ranks alone, judged, and set beside what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mrl_sweep.decision.walk import judge
from mrl_sweep.deploying.findings import Findings
from mrl_sweep.deploying.funnels import Funnel, bound_ranks, cheapest_proven, funnel_grid, parse_funnel
from mrl_sweep.deploying.indexes.measurement import which_sizes
from mrl_sweep.measures.score import score
from mrl_sweep.pipeline.sweep import Sweep
from mrl_sweep.report.document import FunnelRow, FunnelShare
from mrl_sweep.types import Configuration, Evidence, Judgement, Outcome, Ranks, Scores

SHORTEST: Final = 100
"""The shortest shortlist of the grid where no measure has a cut-off that says."""


def with_funnels(sweep: Sweep) -> Sweep:
    """Every funnel of the sweep bounded from the ranks, judged for every required measure; the cheapest proven one recommended.

    None without judgments: the ranks are those of judged documents. A funnel that is asked for is measured all the same.
    """
    funnels = () if sweep.collection.label_free else _funnels(sweep)
    if not funnels:
        return sweep
    n, bounds = sweep.ranks.n_documents, Bounds.of(sweep, funnels)
    cheaper = [funnel for funnel in funnels if funnel.operations(n) < n * sweep.full.dim]
    recommended = cheapest_proven(cheaper, n, lambda i, share: bounds.proven(cheaper[i], share))
    rows = tuple(_bounded_row(bounds, funnel, recommended=funnel == recommended) for funnel in funnels)
    return replace(sweep, funnels=rows, recommended=recommended)


def funnel_rows(sweep: Sweep, findings: Findings) -> tuple[FunnelRow, ...]:
    """The bounded funnels, with the finding of each that was measured; then those measured at sizes that were not ranked."""
    rows = {row.configuration: row for row in sweep.funnels}
    for one in sweep.indexes:
        funnel = Funnel.of(one.candidate)
        if funnel is not None:
            row = rows.get(str(one.candidate)) or _row(sweep, funnel, str(Outcome.NOT_TESTED), {})
            rows[row.configuration] = _measured_row(sweep, row, findings)
    return tuple(rows.values())


def _funnels(sweep: Sweep) -> tuple[Funnel, ...]:
    """Those of the grid over the sizes that matter, and those asked for whose two sizes were ranked."""
    dims = [size.dim for size in sweep.sizes]
    cutoff = max((measure.cutoff or 0 for measure in sweep.policy.required), default=0) or SHORTEST
    grid = funnel_grid(which_sizes(dims, sweep.verdict.dimension), sweep.ranks.n_documents, cutoff=cutoff)
    asked = [parse_funnel(text) for text in sweep.config.deploy.funnel]
    return tuple(dict.fromkeys((*grid, *(funnel for funnel in asked if {funnel.small, funnel.large} <= set(dims)))))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The scores of full size and of every funnel in its worst and in its best case, under every required measure."""

    sweep: Sweep
    worst: Scores
    best: Scores

    @classmethod
    def of(cls, sweep: Sweep, funnels: Sequence[Funnel]) -> Bounds:
        qrels, table = sweep.collection.qrels, sweep.config.collection
        cases: list[list[Scores]] = [[], []]
        for measure in sweep.policy.required:
            for scored, ranks in zip(cases, bound_ranks(sweep.ranks, qrels, funnels, measure), strict=True):
                scored.append(score(_behind_full(sweep, ranks), qrels, [measure], no_relevant=table.no_relevant.value))
        worst, best = map(_side_by_side, cases)
        return cls(sweep, worst, best)

    def proven(self, funnel: Funnel, share: float) -> bool:
        """Whether even the worst case keeps every required measure, at this share of alpha."""
        return self.judged(self.worst, funnel, share).outcome is Outcome.PASS

    def outcome(self, funnel: Funnel) -> Outcome:
        """PASS where the worst case passes, FAIL where the best case is too low; between them the bounds cannot tell."""
        if self.proven(funnel, 1.0):
            return Outcome.PASS
        return Outcome.FAIL if self.judged(self.best, funnel).outcome is Outcome.FAIL else Outcome.INCONCLUSIVE

    def judged(self, case: Scores, funnel: Funnel, share: float = 1.0) -> Judgement:
        sweep = self.sweep
        rule = replace(sweep.policy, alpha=sweep.policy.alpha * share)
        sizes = [Configuration.exact_prefix(dim) for dim in (funnel.small, funnel.large)]
        why = next((sweep.unfit[size] for size in sizes if size in sweep.unfit), None)
        unfit = {} if why is None else {funnel.configuration: why}
        return judge(case, funnel.configuration, rule, baseline=sweep.full, clusters=sweep.clusters, unfit=unfit)


def _behind_full(sweep: Sweep, case: Ranks) -> Ranks:
    at = sweep.ranks.candidates.index(sweep.full)
    above, tied = (
        np.vstack([whole[at : at + 1], own]) for whole, own in ((sweep.ranks.above, case.above), (sweep.ranks.tied, case.tied))
    )
    return Ranks((sweep.full, *case.candidates), case.n_documents, above, tied)


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
        for measure in bounds.sweep.policy.required
    }
    return replace(_row(bounds.sweep, funnel, str(bounds.outcome(funnel)), shares), recommended=recommended)


def _row(sweep: Sweep, funnel: Funnel, verdict: str, shares: dict[str, FunnelShare]) -> FunnelRow:
    n, measure = sweep.ranks.n_documents, str(sweep.policy.required[0])
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
        full_operations=n * sweep.full.dim,
        hot_bytes=funnel.hot_bytes(n),
        verdict=verdict,
        measures=shares,
    )


def _measured_row(sweep: Sweep, row: FunnelRow, findings: Findings) -> FunnelRow:
    """The row with the funnel's own finding, which says more than any bound; it is recommended only where that passes too."""
    finding = findings[Configuration.parse(row.configuration)]
    evidence = finding.judgement.evidence
    shares = {
        str(measure): _with_measured(row.measures.get(str(measure), FunnelShare()), evidence[measure])
        for measure in sweep.policy.required
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
