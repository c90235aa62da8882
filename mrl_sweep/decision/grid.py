"""The grid of configurations beside the sizes alone: families judged under one alpha, and the proven one of the fewest bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np

from mrl_sweep.decision.bounds import retained_p
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import MIN_QUERIES, DecideBy, reaches
from mrl_sweep.decision.walk import decide, ladder
from mrl_sweep.record import record
from mrl_sweep.types import EXACT, FLAT, Configuration, Judgement, Outcome, Scores, ShareRow, SmallestRow, Verdict
from mrl_sweep.words import asked_share

_NOTHING: Final[Mapping[Configuration, str]] = {}


Path = tuple[Configuration, ...]
"""Configurations from many bytes to few, tested in order until the first that is not proven."""


def judge_all(
    question: Question, verdict: Verdict, *, doubts: Mapping[Configuration, str] = _NOTHING
) -> dict[Configuration, Judgement]:
    """Judges every configuration in the scores, in their order; the verdict's own stay, but for `doubts`.

    Configurations that differ in their size alone are a family, walked from the largest size down by the verdict's own rule
    and against the same full size, so that a row says PASS only where all larger ones of its family do. Families of indexes
    share alpha (`walk_paths`): of several that miss the margin by a hair some would pass, and these would be chosen.
    An index that is exact by construction (`Flat`) has no evidence of its own: it is judged as the exact search it repeats.
    `doubts` gives by configuration why it may not pass although its scores are sound.
    """
    scores = question.scores
    judged = {judgement.candidate: judgement for judgement in verdict.judgements}
    families = _families(c for c in scores.candidates if c not in judged)
    for members in families:
        judged |= {judgement.candidate: judgement for judgement in decide(question, members).judgements[1:]}
    judged |= _sharing_alpha(question, [members for members in families if members[0].index != EXACT], judged)
    for candidate, judgement in judged.items():
        if candidate.index == FLAT and _repeats(scores, candidate) and candidate.exact in judged:
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
    """Lowers what passes at full alpha and not at its family's part: INCONCLUSIVE a family's first, NOT_TESTED those after it."""
    paths = _paths_of(question, families)
    if not paths:
        return {}
    proven = proven_along(question, paths)
    why = f"would pass by itself, but {len(paths)} indexes and efforts share the error of {asked_share(question.policy.alpha)}"
    lowered: dict[Configuration, Judgement] = {}
    for path in paths:
        unproven = [c for c in path if judged[c].outcome is Outcome.PASS and c not in proven]
        for place, candidate in enumerate(unproven):
            outcome = Outcome.NOT_TESTED if place else Outcome.INCONCLUSIVE
            lowered[candidate] = replace(judged[candidate], outcome=outcome, reason=why)
    return lowered


def only_alone(question: Question, judged: Mapping[Configuration, Judgement]) -> dict[Configuration, str]:
    """Finds the configurations that pass in their own family but not where all families share one alpha, each with the reason.

    A budget, a plan or a tenant names one of everything measured: of ten families that miss the margin by a hair, each walked
    at full alpha, some would pass in a third of all samples, and these would be named. Controls are never named.
    """
    full = question.baseline
    families = _families(c for c in judged if c.basis == full.basis and c != full)
    paths = _paths_of(question, families)
    if not paths:
        return {}
    proven = {full, *proven_along(question, paths)}
    stands_for = {c: c.exact for members in families if _all_repeat(question.scores, members) for c in members}
    shared = f"{len(paths)} kinds of configuration shares the error of {asked_share(question.policy.alpha)}"
    why = f"passes by itself, but what is chosen among {shared}"
    passed = [c for c, judgement in judged.items() if judgement.outcome is Outcome.PASS and c.basis == full.basis]
    return {c: why for c in passed if stands_for.get(c, c) not in proven}


def _paths_of(question: Question, families: Sequence[Sequence[Configuration]]) -> tuple[Path, ...]:
    """Returns a path down the sizes of each family; none for fewer than two families, or where the policy decides by mean.

    Families that repeat the exact search take no part: their answer is that of the verdict.
    """
    own = [members for members in families if not _all_repeat(question.scores, members)]
    if len(own) < 2 or question.policy.decide_by is DecideBy.MEAN:
        return ()
    full = question.baseline.dim
    return tuple(tuple(ladder(members, full)) for members in own)


def _all_repeat(scores: Scores, members: Sequence[Configuration]) -> bool:
    """Tells whether every member is an index that found what the exact search finds, and so shares its judgement."""
    return all(c.index != EXACT and _repeats(scores, c) for c in members)


def _repeats(scores: Scores, candidate: Configuration) -> bool:
    """Whether every query has the same value as in the exact search of its codes, under every measure."""
    if candidate.exact not in scores.candidates:
        return False
    a, b = (scores.values[scores.candidates.index(c)] for c in (candidate, candidate.exact))
    return bool((a == b).all())


def _families(candidates: Iterable[Configuration]) -> list[list[Configuration]]:
    """Groups the candidates that differ in their size alone."""
    families: dict[Configuration, list[Configuration]] = {}
    for candidate in candidates:
        families.setdefault(candidate.family, []).append(candidate)
    return list(families.values())


def proven_along(question: Question, paths: Sequence[Path]) -> tuple[Configuration, ...]:
    """Walks `paths` over the question's scores and returns what they prove, in order."""
    steps = list(dict.fromkeys(step for path in paths for step in path))
    return walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=question.policy.alpha)


def walk_paths(p_values: Mapping[Configuration, float], paths: Sequence[Path], *, alpha: float) -> tuple[Configuration, ...]:
    """Walks each path at an equal part of alpha, handed on by a path that passes to its end; returns what is proven, in order.

    A graphical procedure (Bretz, Maurer, Brannath & Posch 2009): the chance of any false proof is at most alpha.
    """
    left, part = [list(path) for path in paths], [alpha / len(paths) for _ in paths]
    proven: dict[Configuration, None] = {}
    while True:
        for i, steps in enumerate(left):
            while steps and (steps[0] in proven or p_values[steps[0]] <= part[i]):
                proven[steps.pop(0)] = None
        going = [i for i, steps in enumerate(left) if steps]
        freed = sum(part[i] for i, steps in enumerate(left) if not steps)
        part = [part[i] + freed / len(going) if steps else 0.0 for i, steps in enumerate(left)]
        if not freed:
            return tuple(proven)


def p_values_of(question: Question, candidates: Sequence[Configuration]) -> list[float]:
    """Returns the p-value of "keeps less than the asked share" of each candidate: the largest over the required measures.

    By mean it is 0 or 1; it is 1 for unfit candidates, and for all below 30 units of evidence. Raises `InputError` as `decide`.
    """
    if question.units < MIN_QUERIES:
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


ONE_BIT: Final = ("rabitq", "binary")
"""Precisions of about one bit a number, the one that loses less first."""

SIDE_BY_SIDE: Final = (0.99, 0.98, 0.95, 0.90)
"""The asked shares at which a report shows the smallest proven configuration."""

LEAST_SHARE: Final = 0.8
"""The smallest share for which `grid_by_share` gives the answer."""


@record(kw_only=True)
class GridAnswer:
    """Holds what the paths prove: `smallest` is the proven configuration of the fewest bytes, None where nothing is proven.

    `proven` is in the order of proof; `paths` were walked, and were fixed before any score was looked at.
    """

    smallest: Configuration | None
    proven: tuple[Configuration, ...]
    paths: tuple[Path, ...]


def decide_grid(question: Question, bytes_of: Mapping[Configuration, int]) -> GridAnswer:
    """Proves the configuration of the fewest bytes among those of `bytes_of` (bytes of a vector in memory) that were scored.

    `bytes_of` names the grid: exhaustive searches at any size, precision and rescoring. Each is tested against the
    full size as everywhere, for all required measures; the chance that any proven one is truly below the
    margin is at most alpha in all, because the paths share it. This alpha is beside that of the verdict on sizes alone.
    By mean (`policy.decide_by`) the paths are walked by the measured shares.

    Raises `InputError` where no share is defined: no usable query, or a full size that finds nothing.
    """
    full = question.baseline
    grid = {c: size for c, size in bytes_of.items() if c in question.scores.candidates and c != full}
    paths = paths_through(grid, full)
    proven = proven_along(question, paths)
    return GridAnswer(smallest=min(proven, key=lambda c: (grid[c], -c.dim), default=None), proven=proven, paths=paths)


def paths_through(bytes_of: Mapping[Configuration, int], full: Configuration) -> tuple[Path, ...]:
    """Lays the paths through these configurations, from their names and bytes alone.

    * bits first: full size at fewer and fewer bits, then fewer dimensions at one bit;
    * dimensions: fewer and fewer at a middling precision (int4, else int8, else what there is);
    * rescored: fewer and fewer dimensions at one bit, a shortlist of them ordered again.

    A path that is wrong for a model (one bit at full size fails for many) must not be the only one; more than a few cost more
    than they find. Chosen by simulation: tests/decision/test_grid.py.
    """
    plain = {c: size for c, size in bytes_of.items() if not c.rescore}
    rescored = {c: size for c, size in bytes_of.items() if c.rescore}
    paths = (
        _bits_first(plain, full),
        _by_dimension(plain, full, ("int4", "int8")),
        _by_dimension(rescored, full, ("binary", "rabitq")),
    )
    return tuple(path for path in paths if path)


def _bits_first(bytes_of: Mapping[Configuration, int], full: Configuration) -> Path:
    last = next((p for p in ONE_BIT if any(c.precision == p for c in bytes_of)), None)
    if last is None:
        return ()
    at_full = sorted((c for c in bytes_of if c.dim == full.dim), key=lambda c: -bytes_of[c])
    end = next((i for i, c in enumerate(at_full) if c.precision == last), None)
    if end is None:
        return ()
    return (*at_full[: end + 1], *ladder((c for c in bytes_of if c.precision == last and c.dim < full.dim), full.dim))


def _by_dimension(
    bytes_of: Mapping[Configuration, int], full: Configuration, preferred: Sequence[str]
) -> tuple[Configuration, ...]:
    """The sizes of one family, largest first: of the first preferred precision there is, else of any."""
    precisions = {c.precision for c in bytes_of}
    order = [*preferred, *sorted(precisions - {*preferred})]
    chosen = min(_families(bytes_of), key=lambda own: (order.index(own[0].precision), own[0].rescore), default=[])
    return tuple(ladder(chosen, full.dim))


def smallest_at(question: Question, bytes_of: Mapping[Configuration, int]) -> tuple[SmallestRow, ...]:
    """Finds the proven answer at each of the shares `SIDE_BY_SIDE`, by bound whatever the policy decides by.

    `bytes_of` names the grid of precisions and rescoring as in `decide_grid`. A smaller share never has a larger answer. Raises
    `InputError` where no share is defined.
    """
    smallest = []
    for retain in SIDE_BY_SIDE:
        at_share = replace(question, policy=replace(question.policy, retain=retain, decide_by=DecideBy.BOUND))
        dimension = decide(at_share).dimension
        size = Configuration.exact_prefix(dimension)
        fewest = decide_grid(at_share, bytes_of).smallest
        chosen, n_bytes = size, bytes_of.get(size, 4 * dimension)
        if fewest is not None and bytes_of[fewest] < n_bytes:
            chosen, n_bytes = fewest, bytes_of[fewest]
        smallest.append(SmallestRow(retain=retain, dimension=dimension, configuration=str(chosen), bytes_per_vector=n_bytes))
    return tuple(smallest)


def grid_by_share(question: Question, bytes_of: Mapping[Configuration, int]) -> tuple[ShareRow, ...]:
    """Finds what `decide_grid` answers at each tenth of a percent from `LEAST_SHARE` to 1, and at the asked share.

    Returns a row for each different answer, with the largest share that has it. A smaller share never has a larger answer,
    so only the shares where the answer changes are searched for. Raises `InputError` as `decide_grid` does.
    """
    policy = question.policy
    shares = sorted({*(i / 1000 for i in range(round(1000 * LEAST_SHARE), 1001)), policy.retain})

    @cache
    def answer(at: int) -> Configuration | None:
        return decide_grid(replace(question, policy=replace(policy, retain=shares[at])), bytes_of).smallest

    def ends(low: int, high: int) -> list[int]:
        """Returns the place of the last share of each answer from `low` to `high`, but for that of the last answer."""
        if answer(low) == answer(high):
            return []
        if high - low == 1:
            return [low]
        middle = (low + high) // 2
        return [*ends(low, middle), *ends(middle, high)]

    last = len(shares) - 1
    answers = ((shares[at], answer(at)) for at in [*ends(0, last), last])
    return tuple(
        ShareRow(retain=share, configuration=str(c or ""), bytes_per_vector=bytes_of[c] if c else None) for share, c in answers
    )
