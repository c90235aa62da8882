"""Everything besides the ladder of sizes: families judged under one alpha, and the configuration of the fewest bytes proven."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from mrl_sweep.decision.bounds import retained_p
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import DecideBy, Policy, reaches
from mrl_sweep.decision.walk import decide, ladder
from mrl_sweep.types import EXACT, FLAT, Basis, Configuration, IntArray, Judgement, Outcome, Scores, Verdict, full_size
from mrl_sweep.words import asked_share

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
    defects = {c: unfit[one] for c in scores.candidates for one in (c, c.exact) if one in unfit}
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
    own = [members for members in families if not _all_repeat(scores, members)]
    if len(own) < 2 or policy.decide_by is DecideBy.MEAN:
        return {}
    paths = [
        Path(name=str(members[0].family), steps=tuple(ladder(members, question.baseline.dim)), share=1 / len(own))
        for members in own
    ]
    steps = [step for path in paths for step in path.steps]
    proven = walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=policy.alpha)
    why = f"would pass by itself, but {len(own)} indexes and efforts share the error of {asked_share(policy.alpha)}"
    lowered: dict[Configuration, Judgement] = {}
    for path in paths:
        unproven = [c for c in path.steps if judged[c].outcome is Outcome.PASS and c not in proven]
        for place, candidate in enumerate(unproven):
            outcome = Outcome.NOT_TESTED if place else Outcome.INCONCLUSIVE
            lowered[candidate] = replace(judged[candidate], outcome=outcome, reason=why)
    return lowered


def only_alone(
    scores: Scores,
    judged: Mapping[Configuration, Judgement],
    policy: Policy,
    *,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
) -> dict[Configuration, str]:
    """What passes in its own family and not where all families share one alpha, with the reason.

    A budget, a plan or a tenant names one of everything measured: of ten families that miss the margin by a hair, each walked
    at full alpha, some would pass in a third of all samples, and it is these that would be named. Controls are never named.
    """
    full = next(judgement.candidate for judgement in judged.values() if judgement.outcome is Outcome.BASELINE)
    families = _families(c for c in judged if c.basis == full.basis and c != full)
    own = [members for members in families.values() if not _all_repeat(scores, members)]
    if len(own) < 2 or policy.decide_by is DecideBy.MEAN:
        return {}
    defects = {c: unfit[one] for c in scores.candidates for one in (c, c.exact) if one in unfit}
    question = Question(scores=scores, policy=policy, baseline=full, clusters=clusters, unfit=defects)
    paths = [Path(name=str(members[0].family), steps=tuple(ladder(members, full.dim)), share=1 / len(own)) for members in own]
    steps = [step for path in paths for step in path.steps]
    proven = {full, *walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=policy.alpha)}
    stands_for = {c: c.exact for members in families.values() if members not in own for c in members}
    shared = f"{len(own)} kinds of configuration shares the error of {asked_share(policy.alpha)}"
    why = f"passes by itself, but what is chosen among {shared}"
    passed = [c for c, judgement in judged.items() if judgement.outcome is Outcome.PASS and c.basis == full.basis]
    return {c: why for c in passed if stands_for.get(c, c) not in proven}


def _all_repeat(scores: Scores, members: Sequence[Configuration]) -> bool:
    """Whether an index returned what the exact search finds: what is true of that is true of it."""
    return all(c.index != EXACT and _repeats(scores, c, c.exact) for c in members)


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


ONE_BIT: Final = ("rabitq", "binary")
"""Precisions of about one bit a number, the one that loses less first."""

SIDE_BY_SIDE: Final = (0.99, 0.98, 0.95, 0.90)
"""The asked shares at which every report shows the smallest proven size."""

LEAST_SHARE: Final = 0.8
"""The smallest share for which the answers of the grid are known beforehand."""

_NO_GRID: Final[Mapping[Configuration, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class GridAnswer:
    """What the paths prove: `smallest` is the proven configuration of the fewest bytes, None where nothing is proven.

    `proven` are in the order in which they were; `paths` are what was walked, fixed before any score was looked at.
    """

    smallest: Configuration | None
    proven: tuple[Configuration, ...]
    paths: tuple[Path, ...]


def decide_grid(
    scores: Scores,
    policy: Policy,
    *,
    bytes_of: Mapping[Configuration, int],
    basis: str = Basis.PREFIX,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
) -> GridAnswer:
    """The smallest proven configuration among those of `bytes_of` (bytes of a vector in memory) that were scored.

    `bytes_of` names the grid: exhaustive searches of `basis` at any size, precision and rescoring. Each is tested against the
    full size as everywhere, for all required measures; the chance that any proven one is truly below the
    margin is at most alpha in all, because the paths share it. This alpha is beside that of the verdict on sizes alone.
    By mean (`policy.decide_by`) the paths are walked by the measured shares.

    Raises `InputError` where no share is defined: no usable query, or a full size that finds nothing.
    """
    full = full_size(scores.candidates)
    question = Question(scores=scores, policy=policy, baseline=full, clusters=clusters, unfit=unfit)
    grid = {c: size for c, size in bytes_of.items() if c in scores.candidates and c.basis == basis and c != full}
    paths = paths_through(grid, full)
    steps = list(dict.fromkeys(step for path in paths for step in path.steps))
    proven = walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=policy.alpha)
    return GridAnswer(smallest=min(proven, key=lambda c: (grid[c], -c.dim), default=None), proven=proven, paths=paths)


def paths_through(bytes_of: Mapping[Configuration, int], full: Configuration) -> tuple[Path, ...]:
    """The paths through these configurations, from their names and bytes alone.

    * bits first: full size at fewer and fewer bits, then fewer dimensions at one bit;
    * dimensions: fewer and fewer at a middling precision (int4, else int8, else what there is);
    * rescored: fewer and fewer dimensions at one bit, a shortlist of them ordered again.

    A path that is wrong for a model (one bit at full size fails for many) must not be the only one; more than a few cost more
    than they find. Chosen by simulation: tests/decision/test_grid.py.
    """
    plain = {c: size for c, size in bytes_of.items() if not c.rescore}
    rescored = {c: size for c, size in bytes_of.items() if c.rescore}
    named = {
        "bits first": _bits_first(plain, full),
        "dimensions": _by_dimension(plain, full, ("int4", "int8")),
        "rescored": _by_dimension(rescored, full, ("binary", "rabitq")),
    }
    walked = {name: steps for name, steps in named.items() if steps}
    return tuple(Path(name=name, steps=steps, share=1 / len(walked)) for name, steps in walked.items())


def _bits_first(bytes_of: Mapping[Configuration, int], full: Configuration) -> tuple[Configuration, ...]:
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
    families: dict[Configuration, list[Configuration]] = {}
    for c in bytes_of:
        families.setdefault(c.family, []).append(c)
    if not families:
        return ()
    order = [*preferred, *sorted({f.precision for f in families} - {*preferred})]
    chosen = min(families, key=lambda f: (order.index(f.precision), str(f.rescore)))
    return tuple(ladder(families[chosen], full.dim))


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """What is proven to keep `retain`: the smallest size at float32, and the configuration of the fewest bytes.

    Both are full size where nothing below it is proven (`is_full`). Each stands by itself at the policy's alpha: whoever picks
    a share after looking at all of them takes the chance of each.
    """

    retain: float
    dimension: int
    configuration: Configuration
    is_full: bool


def smallest_at(
    scores: Scores,
    policy: Policy,
    retains: Sequence[float] = SIDE_BY_SIDE,
    *,
    bytes_of: Mapping[Configuration, int] = _NO_GRID,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
) -> tuple[Smallest, ...]:
    """For each share the proven answer, in the order given, by bound whatever the policy decides by.

    `bytes_of` names the grid of precisions and rescoring as in `decide_grid`; without it only sizes are looked at. A smaller
    share never has a larger answer. Raises `InputError` where no share is defined, or one lies outside (0, 1].
    """
    return tuple(
        _smallest(scores, replace(policy, retain=retain, decide_by=DecideBy.BOUND), bytes_of, clusters, unfit)
        for retain in retains
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GridByShare:
    """The proven cell of the fewest bytes at every share up to `retain` and above that of the answer before; None: nothing is."""

    retain: float
    configuration: Configuration | None


def grid_by_share(
    scores: Scores,
    policy: Policy,
    *,
    bytes_of: Mapping[Configuration, int],
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _NOTHING,
) -> tuple[GridByShare, ...]:
    """What `decide_grid` answers at each tenth of a percent from `LEAST_SHARE` up, and at the asked share; a row for each answer.

    A smaller share never has a larger answer, so only the places where the answer changes are searched for.
    """
    shares = sorted({*(i / 1000 for i in range(round(1000 * LEAST_SHARE), 1001)), policy.retain})
    answers: dict[int, Configuration | None] = {}

    def answer(at: int) -> Configuration | None:
        if at not in answers:
            rule = replace(policy, retain=shares[at])
            answers[at] = decide_grid(scores, rule, bytes_of=bytes_of, clusters=clusters, unfit=unfit).smallest
        return answers[at]

    def search(low: int, high: int) -> None:
        if high - low > 1 and answer(low) != answer(high):
            middle = (low + high) // 2
            search(low, middle)
            search(middle, high)

    search(0, len(shares) - 1)
    searched = sorted(answers)
    ends = [at for at, following in pairwise(searched) if answers[at] != answers[following]]
    return tuple(GridByShare(retain=shares[at], configuration=answers[at]) for at in [*ends, searched[-1]])


def _smallest(
    scores: Scores,
    policy: Policy,
    bytes_of: Mapping[Configuration, int],
    clusters: IntArray | None,
    unfit: Mapping[Configuration, str],
) -> Smallest:
    full = full_size(scores.candidates)
    size = decide(scores, policy, clusters=clusters, unfit=unfit).dimension
    configuration = Configuration.exact_prefix(size)
    coded = {c: n for c, n in bytes_of.items() if c != full}
    if coded:
        answer = decide_grid(scores, policy, bytes_of=coded, clusters=clusters, unfit=unfit).smallest
        if answer is not None and coded[answer] < coded.get(configuration, 4 * size):
            configuration = answer
    return Smallest(retain=policy.retain, dimension=size, configuration=configuration, is_full=configuration == full)
