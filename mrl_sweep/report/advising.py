"""Which advice a run gets: the plain facts read off its verdict, scores, ranks and judgments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mrl_sweep.report import advice
from mrl_sweep.types import EXACT, Advice, Basis, Candidate, Outcome, Qrels, Ranks, Scores, Verdict

_PERFECT = 1 - 1e-9


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
        advice.near_zero_measure(measure=str(verdict.measure), full_mean=float(at_full.mean())),
        advice.saturated_measure(measure=str(verdict.measure), perfect_share=float((at_full >= _PERFECT).mean())),
        _judged_share(verdict, full, ranks, qrels),
        advice.prompts_missing(family=known.family, missing=known.missing_prompts),
        _controls(verdict, scores, full),
        advice.pca_reaches_smaller(dimension=verdict.dimension, pca_dimension=known.pca_dimension),
        advice.small_corpus(**size),
        advice.no_loss_tolerated(retain=verdict.retain),
        advice.no_production_size(**size, production_documents=known.production_documents),
    )
    return tuple(one for one in found if one is not None)


def judged_share(ranks: Ranks, qrels: Qrels, candidate: Candidate, depth: int) -> float | None:
    """The share of the top `depth` documents, over all queries, that carry a judgment; None without top documents."""
    if ranks.top is None or candidate not in ranks.candidates:
        return None
    rows = ranks.top.rows[ranks.candidates.index(candidate), :, :depth]
    returned = rows >= 0
    if not returned.any():
        return None
    queries = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    found = np.isin((queries * ranks.n_documents + rows)[returned], qrels.queries * ranks.n_documents + qrels.rows)
    return float(found.mean())


def _few_queries(verdict: Verdict) -> Advice | None:
    below = [j for j in verdict.judgements if j.outcome is not Outcome.BASELINE]
    stop = next((j for j in below if j.outcome is not Outcome.PASS), below[-1] if below else None)
    evidence = stop.evidence.get(verdict.measure) if stop else None
    return advice.few_queries(
        queries=verdict.n_queries,
        retain=verdict.retain,
        provable_loss=evidence.provable_loss if evidence else None,
        queries_needed=evidence.queries_needed if evidence else None,
    )


def _judged_share(verdict: Verdict, full: Candidate, ranks: Ranks, qrels: Qrels) -> Advice | None:
    depth = min(verdict.measure.cutoff or 10, ranks.top.depth if ranks.top else 0)
    chosen = Candidate(full.basis, verdict.dimension, full.index)
    shares = [judged_share(ranks, qrels, candidate, depth) if depth else None for candidate in (chosen, full)]
    if shares[0] is None or shares[1] is None:
        return None
    per_query = len(qrels.rows) / qrels.n_queries
    return advice.judged_share_low(
        dim=verdict.dimension, depth=depth, judged=shares[0], judged_at_full=shares[1], judgments_per_query=per_query
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
