"""Several families under one alpha; and everything that was measured besides the ladder of sizes, judged by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mrl_sweep.decision.bounds import retained_p
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import DecideBy, Policy, reaches
from mrl_sweep.decision.walk import decide, ladder
from mrl_sweep.types import EXACT, FLAT, Configuration, IntArray, Judgement, Outcome, Scores, Verdict
from mrl_sweep.words import asked

_NOTHING: Final[Mapping[Configuration, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Configurations from many bytes to few, tested in order until the first that is not proven; `share` is its part of alpha."""

    name: str
    steps: tuple[Configuration, ...]
    share: float


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
    and against the same full size, so that a row says PASS only where all larger ones of its family do. Families of indexes
    share alpha (`walk_paths`): of several that miss the margin by a hair some would pass, and a budget or a plan would choose it.
    An index that is exact by construction (`Flat`) has no evidence of its own: it is judged as the exact search it repeats. What
    is true of the exact search is true of its indexes too (`unfit`); `doubts` name what may not pass although nothing is wrong
    with its scores.
    """
    judged = {judgement.candidate: judgement for judgement in verdict.judgements}
    full = next(judgement.candidate for judgement in verdict.judgements if judgement.outcome is Outcome.BASELINE)
    defects = {c: unfit[known] for c in scores.candidates for known in (c, c.exact) if known in unfit}
    families = _families(c for c in scores.candidates if c not in judged)
    for members in families.values():
        walked = decide(scores, policy, baseline=full, candidates=members, clusters=clusters, unfit=defects)
        judged |= {judgement.candidate: judgement for judgement in walked.judgements[1:]}
    question = Question(scores=scores, policy=policy, baseline=full, clusters=clusters, unfit=defects)
    judged |= _sharing_alpha(question, [members for family, members in families.items() if family.index != EXACT], judged)
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


def _sharing_alpha(
    question: Question, families: Sequence[Sequence[Configuration]], judged: Mapping[Configuration, Judgement]
) -> dict[Configuration, Judgement]:
    """Of families that each passed at full alpha, the rows that do not at their part of it; the families are those measured.

    What repeats the exact search takes no part: its answer is that of the verdict.
    """
    scores, policy = question.scores, question.policy
    own = [members for members in families if not all(_repeats(scores, c, c.exact) for c in members)]
    if len(own) < 2 or policy.decide_by is DecideBy.MEAN:
        return {}
    paths = [
        Path(name=str(members[0].family), steps=tuple(ladder(members, question.baseline.dim)), share=1 / len(own))
        for members in own
    ]
    steps = [step for path in paths for step in path.steps]
    proven = walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=policy.alpha)
    why = f"would pass by itself, but {len(own)} indexes and efforts share the error of {asked(policy.alpha)}"
    lowered: dict[Configuration, Judgement] = {}
    for path in paths:
        unproven = [c for c in path.steps if judged[c].outcome is Outcome.PASS and c not in proven]
        for place, candidate in enumerate(unproven):
            outcome = Outcome.NOT_TESTED if place else Outcome.INCONCLUSIVE
            lowered[candidate] = replace(judged[candidate], outcome=outcome, reason=why)
    return lowered


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


def walk_paths(p_values: Mapping[Configuration, float], paths: Sequence[Path], *, alpha: float) -> tuple[Configuration, ...]:
    """What is proven, in order: each path at its part of alpha; one that passes to its end hands that on to those still walked.

    A graphical procedure (Bretz, Maurer, Brannath & Posch 2009): the chance of any false proof is at most alpha.
    """
    part = {path.name: alpha * path.share for path in paths}
    left = {path.name: list(path.steps) for path in paths}
    proven: dict[Configuration, None] = {}
    while True:
        before = len(proven)
        for name, steps in left.items():
            while steps and (steps[0] in proven or p_values[steps[0]] <= part[name]):
                proven[steps.pop(0)] = None
        ended = [name for name, steps in left.items() if not steps and part[name] > 0]
        going = [name for name, steps in left.items() if steps]
        for name in ended:
            for other in going:
                part[other] += part[name] / len(going)
            part[name] = 0.0
        if len(proven) == before and not ended:
            return tuple(proven)


def p_values_of(question: Question, candidates: Sequence[Configuration]) -> list[float]:
    """The p-value of "keeps less than the asked share" of each candidate: the largest over the required measures."""
    if question.units < question.policy.min_queries:
        return [1.0] * len(candidates)
    retain, worst = question.policy.retain, np.zeros(len(candidates))
    for measure in question.required:
        values = question.values(measure, (question.baseline, *candidates))
        question.require_share(values, measure)
        if question.policy.decide_by is DecideBy.MEAN:
            shares = values[1:].mean(axis=1) / values[0].mean()
            p = np.array([0.0 if reaches(float(share), retain) else 1.0 for share in shares])
        else:
            p = retained_p(values[1:], values[0], retain=retain)
        worst = np.maximum(worst, p)
    return [1.0 if question.why_unfit(c) is not None else float(p) for c, p in zip(candidates, worst, strict=True)]
