"""Which advice a run gets: the plain facts read off its verdict, scores, ranks and judgments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mrl_sweep.measures.coverage import judged_share
from mrl_sweep.report.content import advice
from mrl_sweep.types import EXACT, Advice, Basis, Candidate, FloatArray, Outcome, Qrels, Ranks, Scores, Verdict

_PERFECT = 1 - 1e-9
_DEPTH = 10
"""Where the measure has no cut-off of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the run's own figures do not say.

    `family` and `missing_prompts` (by role) where a model was run without the prompts it was trained with; `pca_dimension` the
    smallest size at which the PCA control is acceptable; `production_documents` the corpus size that was asked about.
    """

    family: str = ""
    missing_prompts: Mapping[str, str] = field(default_factory=dict)
    pca_dimension: int | None = None
    production_documents: int | None = None


def advise(
    verdict: Verdict, scores: Scores, ranks: Ranks, qrels: Qrels, surroundings: Surroundings | None = None
) -> tuple[Advice, ...]:
    """Every advice that applies, what matters most first."""
    known = surroundings or Surroundings()
    full = next(j for j in verdict.judgements if j.outcome is Outcome.BASELINE).candidate
    size = {"dimension": verdict.dimension, "full_dimension": full.dim, "documents": ranks.n_documents}
    at_full = scores.of(full, verdict.measure)
    found = (
        _few_queries(verdict),
        *(() if verdict.measure.label_free else _quality(verdict, at_full)),
        None if verdict.measure.label_free else _judged_share(verdict, full, ranks, qrels),
        advice.prompts_missing(family=known.family, missing=known.missing_prompts),
        _controls(verdict, scores, full),
        advice.pca_reaches_smaller(dimension=verdict.dimension, pca_dimension=known.pca_dimension),
        advice.small_corpus(**size),
        advice.no_loss_tolerated(retain=verdict.retain),
        advice.no_production_size(**size, production_documents=known.production_documents),
    )
    return tuple(one for one in found if one is not None)


def _quality(verdict: Verdict, at_full: FloatArray) -> tuple[Advice | None, ...]:
    """Is full size itself any good at it, and too good to tell? Agreement with itself is always whole, and says nothing."""
    measure = str(verdict.measure)
    return (
        advice.near_zero_measure(measure=measure, full_mean=float(at_full.mean())),
        advice.saturated_measure(measure=measure, perfect_share=float((at_full >= _PERFECT).mean())),
    )


def _few_queries(verdict: Verdict) -> Advice | None:
    below = [j for j in verdict.judgements if j.outcome is not Outcome.BASELINE]
    stop = next((j for j in below if j.outcome is not Outcome.PASS), below[-1] if below else None)
    evidence = stop.evidence.get(verdict.measure) if stop else None
    return advice.few_queries(
        queries=verdict.n_queries,
        retain=verdict.retain,
        provable_loss=evidence.provable_loss if evidence else None,
        queries_needed=evidence.queries_needed if evidence else None,
        label_free=verdict.measure.label_free,
    )


def _judged_share(verdict: Verdict, full: Candidate, ranks: Ranks, qrels: Qrels) -> Advice | None:
    chosen = Candidate(full.basis, verdict.dimension, full.index)
    if chosen not in ranks.candidates or full not in ranks.candidates or not qrels.n_queries:
        return None
    depth = verdict.measure.cutoff or _DEPTH
    shares = judged_share(ranks, qrels, depth)
    return advice.judged_share_low(
        dim=chosen.dim,
        depth=depth,
        judged=float(shares[ranks.candidates.index(chosen)]),
        judged_at_full=float(shares[ranks.candidates.index(full)]),
        judgments_per_query=len(qrels.rows) / qrels.n_queries,
    )


def _controls(verdict: Verdict, scores: Scores, full: Candidate) -> Advice | None:
    """The prefix against random axes of the same number; controls are named `random` or `random` and a seed."""
    base = float(scores.of(full, verdict.measure).mean())
    if base <= 0:
        return None
    kept: dict[int, float] = {}
    by_random: dict[int, list[float]] = {}
    for candidate in scores.candidates:
        if candidate.index != EXACT or candidate.dim >= full.dim:
            continue
        share = float(scores.of(candidate, verdict.measure).mean()) / base
        if candidate.basis == Basis.PREFIX:
            kept[candidate.dim] = share
        elif candidate.basis.startswith(Basis.RANDOM):
            by_random.setdefault(candidate.dim, []).append(share)
    return advice.not_matryoshka(kept=kept, kept_by_random=by_random)
