"""Control for Matryoshka training: the model's own prefix against as many random axes, paired query by query."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np

from mrl_sweep.decision.compare import compare_paired
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import MIN_QUERIES
from mrl_sweep.types import Basis, Configuration, FloatArray, RandomControl

MARGIN: Final = 0.05
"""Random axes are compared where they lose at least this share of full size; a prefix that gains no more on them is no better."""


class AgainstRandom(StrEnum):
    """What the queries prove of a prefix: it beats random axes, it is no better (by `MARGIN` of full size), or neither."""

    BETTER = "better"
    NO_BETTER = "no better"
    OPEN = "cannot tell"


def against_random(question: Question) -> tuple[RandomControl, ...]:
    """Compares the prefix with random axes, by the deciding measure, at every size where those lose at least 5%; largest first.

    Each query (or cluster) is compared with its mean over the draws; the lower limit is the lowest of that comparison and of
    those with each draw. The sizes share alpha, so that the chance of any wrong answer is alpha. Empty
    where no random axes were ranked, or full size finds nothing.
    """
    measure, full = question.required[0], question.baseline
    draws: dict[int, list[Configuration]] = {}
    for candidate in question.scores.candidates:
        if candidate.basis.startswith(Basis.RANDOM) and candidate == candidate.at_float32 and candidate.dim < full.dim:
            draws.setdefault(candidate.dim, []).append(candidate)
    level = float(question.values(measure, [full]).mean()) if draws else 0.0
    pairs: list[tuple[int, FloatArray, FloatArray]] = []  # size, (draws, units) on random axes, (units,) of the prefix
    for dim in sorted(draws, reverse=True):
        prefix = Configuration.exact_prefix(dim)
        if level > 0 and prefix in question.scores.candidates:
            own, *random = question.values(measure, [prefix, *draws[dim]])
            pairs.append((dim, np.array(random), own))
    telling = [pair for pair in pairs if pair[1].mean() <= (1 - MARGIN) * level]
    alpha = question.policy.alpha
    return tuple(_control(*pair, level=level, alpha=alpha / len(telling)) for pair in telling)


def verdict_on_prefixes(controls: Sequence[RandomControl]) -> AgainstRandom:
    """Returns one answer for the model: BETTER where any size proves it, NO_BETTER where every size does, else OPEN."""
    answers = {AgainstRandom(control.answer) for control in controls}
    if AgainstRandom.BETTER in answers:
        return AgainstRandom.BETTER
    return AgainstRandom.NO_BETTER if answers == {AgainstRandom.NO_BETTER} else AgainstRandom.OPEN


def _control(dim: int, draws: FloatArray, own: FloatArray, *, level: float, alpha: float) -> RandomControl:
    random = draws.mean(axis=0)
    compared = [compare_paired(each, own, alpha=2 * alpha) for each in (random, *draws)]
    lows, high = [one.low for one in compared if one.low is not None], compared[0].high
    low = min(lows) / level if lows else None
    high = None if high is None else high / level
    answer = AgainstRandom.OPEN
    if low is not None and high is not None and compared[0].queries >= MIN_QUERIES:
        answer = AgainstRandom.BETTER if low > 0 else AgainstRandom.NO_BETTER if high <= MARGIN else AgainstRandom.OPEN
    return RandomControl(
        dim=dim,
        kept=float(own.mean()) / level,
        kept_by_random=float(random.mean()) / level,
        low=low,
        high=high,
        margin=MARGIN,
        answer=str(answer),
    )
