"""Everything that was measured besides the ladder of sizes, judged: controls, codes, indexes and what is ordered again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.types import FLAT, Configuration, IntArray, Judgement, Outcome, Scores, Verdict

_NOTHING: Final[Mapping[Configuration, str]] = {}


def judge_all(
    scores: Scores,
    verdict: Verdict,
    policy: Policy,
    *,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
    doubts: Mapping[Configuration, str] = _NOTHING,
) -> dict[Configuration, Judgement]:
    """The judgement of every configuration in `scores`, in their order; those of the verdict as it gives them.

    Configurations that differ in their size alone are a family, walked from the largest size down by the verdict's own rule
    and against the same full size, so that a row says PASS only where all larger ones of its family do. An index that is exact
    by construction (`Flat`) has no evidence of its own: it is judged as the exact search it repeats. What is true of the exact
    search is true of its indexes too (`unfit`); `doubts` name what may not pass although nothing is wrong with its scores.
    """
    judged = {judgement.candidate: judgement for judgement in verdict.judgements}
    full = next(judgement.candidate for judgement in verdict.judgements if judgement.outcome is Outcome.BASELINE)
    defects = {c: unfit[known] for c in scores.candidates for known in (c, c.exact) if known in unfit}
    for members in _families(c for c in scores.candidates if c not in judged).values():
        walked = decide(scores, policy, baseline=full, candidates=members, clusters=clusters, unfit=defects)
        judged |= {judgement.candidate: judgement for judgement in walked.judgements[1:]}
    for candidate, judgement in judged.items():
        if candidate.index == FLAT and _repeats(scores, candidate, candidate.exact) and candidate.exact in judged:
            twin = judged[candidate.exact]
            judged[candidate] = replace(judgement, outcome=twin.outcome, reason=twin.reason)
        elif candidate in doubts:
            passed = judgement.outcome is Outcome.PASS
            judged[candidate] = replace(
                judgement, outcome=Outcome.INCONCLUSIVE if passed else judgement.outcome, reason=doubts[candidate]
            )
    return {candidate: judged[candidate] for candidate in scores.candidates}


def _families(candidates: Iterable[Configuration]) -> dict[Configuration, list[Configuration]]:
    families: dict[Configuration, list[Configuration]] = {}
    for candidate in candidates:
        families.setdefault(candidate.family, []).append(candidate)
    return families


def _repeats(scores: Scores, candidate: Configuration, twin: Configuration) -> bool:
    """Whether every query has the same value at both, under every measure."""
    if twin not in scores.candidates:
        return False
    a, b = (scores.values[scores.candidates.index(c)] for c in (candidate, twin))
    return bool((a == b).all())
