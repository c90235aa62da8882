"""From scores to a verdict: sizes are tested from large to small, and the walk stops at the first that does not pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mrl_sweep.decision.judging import Question, judge_each, outcome
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.types import Configuration, IntArray, Judgement, Outcome, Scores, Status, Verdict, full_size

__all__ = ["DecideBy", "Policy", "decide", "judge", "ladder", "ladder_below"]

_ALL_FIT: Final[Mapping[Configuration, str]] = {}

_MOST_STEPS: Final = 12
"""A sweep of more sizes than this is walked over a ladder fixed beforehand (`ladder`)."""


def decide(
    scores: Scores,
    policy: Policy,
    *,
    baseline: Configuration | None = None,
    candidates: Sequence[Configuration] | None = None,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
) -> Verdict:
    """The smallest acceptable size, proven and measured, with every candidate's evidence.

    `baseline` is full size (default: the largest exact prefix); `candidates` the ladder to walk (default: every other size of
    the baseline's basis and index below it). Sizes are tested from the largest to the smallest, each at full alpha, and the
    walk stops at the first that does not pass: a fixed sequence, which keeps the chance of any false "proven" at alpha.
    Of more than a dozen sizes a part is walked (`ladder`), and the others are a curve. Sizes below the stop, and those beside
    the ladder, are NOT_TESTED, or FAIL where proven worse; those that would pass by themselves say so.
    `clusters` (n_queries,) makes queries of one label one unit of evidence (`cluster_means`); -1 is a query of its own.
    `unfit` candidates fail for the reason given, whatever their scores (zero prefixes, collapsed embeddings).

    `proven` is the smallest size that the walk by bounds reaches, `measured` the smallest that the same walk by means
    reaches, so a size behind a dip in the curve counts for neither; None where no size below the baseline is reached.
    `dimension` is the one of the rule in force, and the baseline's where there is none. `status` is PASS where a size below
    the baseline is acceptable; else it is what stopped the walk: FAIL where the largest size was proven worse (or measured
    so, by mean), INCONCLUSIVE where the queries cannot tell, are fewer than `min_queries`, or no size was there to test.

    Raises `InputError` where no share is defined: no usable query, or a baseline that finds nothing.
    """
    question = Question(
        scores=scores, policy=policy, baseline=baseline or full_size(scores.candidates), clusters=clusters, unfit=unfit
    )
    full = question.baseline
    sizes = ladder_below(scores, full) if candidates is None else sorted({*candidates} - {full}, key=lambda c: -c.dim)
    first, *judged = judge_each(question, [full, *sizes])
    steps = set(ladder(sizes, full.dim))
    on_ladder = [j for j in judged if j.candidate in steps]
    enough = question.units >= policy.min_queries
    proven = _smallest(question, on_ladder, by=DecideBy.BOUND, enough=enough)
    measured = _smallest(question, on_ladder, by=DecideBy.MEAN, enough=True)
    chosen = proven if policy.decide_by is DecideBy.BOUND else measured if enough else None
    walked = _walk(on_ladder)
    return Verdict(
        status=_status(walked, chosen),
        dimension=full.dim if chosen is None else chosen,
        proven=proven,
        measured=measured,
        measure=question.required[0],
        retain=policy.retain,
        alpha=policy.alpha,
        decide_by=str(policy.decide_by),
        judgements=(first, *_with_curve(judged, walked)),
        n_queries=int(scores.counted[scores.measures.index(question.required[0])].sum()),
        n_clusters=None if clusters is None else question.units_of(question.required[0]),
        by_default=policy.by_default,
    )


def judge(
    scores: Scores,
    candidate: Configuration,
    policy: Policy,
    *,
    baseline: Configuration | None = None,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
) -> Judgement:
    """One candidate named beforehand against the baseline: a single test at full alpha, without a walk.

    For the size in production (`gate --dim`), an index candidate, or a control. The baseline itself is BASELINE.
    """
    question = Question(
        scores=scores, policy=policy, baseline=baseline or full_size(scores.candidates), clusters=clusters, unfit=unfit
    )
    return judge_each(question, [candidate])[0]


def ladder_below(scores: Scores, baseline: Configuration) -> list[Configuration]:
    """The baseline's other sizes below it, largest first: alike in all but their dimension."""
    same = [c for c in scores.candidates if c.family == baseline.family and c.dim < baseline.dim]
    return sorted(same, key=lambda c: -c.dim)


def ladder(candidates: Iterable[Configuration], full_dim: int) -> list[Configuration]:
    """The sizes of one family that a walk tests, largest first: all of up to a dozen, else some fixed by their dimension alone.

    These are the eighths of full size, the powers of two and three times those, each the smallest size at hand that is not
    below it; whatever size a known family of models publishes is among them. A walk stops at the first size that does not
    pass: over a hundred of them, mostly between two good ones, it would stop early, and a fine sweep would answer worse than
    its own coarse part.
    """
    sizes = sorted(candidates, key=lambda c: -c.dim)
    if len(sizes) <= _MOST_STEPS:
        return sizes
    powers = [2**k for k in range(full_dim.bit_length())]
    wanted = {full_dim * i // 8 for i in range(1, 8)} | {*powers} | {3 * p for p in powers}
    reached = {min((c.dim for c in sizes if c.dim >= dim), default=0) for dim in wanted if dim < full_dim}
    return [c for c in sizes if c.dim in reached]


def _smallest(question: Question, judged: Sequence[Judgement], *, by: DecideBy, enough: bool) -> int | None:
    """The last size of an unbroken walk of passes."""
    smallest = None
    for j in judged:
        if outcome(question, j.candidate, j.evidence, by=by, enough=enough) is not Outcome.PASS:
            break
        smallest = j.candidate.dim
    return smallest


def _walk(judged: Sequence[Judgement]) -> list[Judgement]:
    """The judgements by fixed sequence: below the first that does not pass, what is not proven worse becomes NOT_TESTED.

    The sequence guards what is called good enough; a size whose own upper limit lies below the margin is too low wherever it
    stands.
    """
    stop = next((i for i, j in enumerate(judged) if j.outcome is not Outcome.PASS), len(judged))
    walked = list(judged[: stop + 1])
    for j in judged[stop + 1 :]:
        if j.outcome is Outcome.FAIL:
            walked.append(j)
            continue
        would_pass = j.outcome is Outcome.PASS
        reason = f"would pass by itself, but {judged[stop].candidate.dim} did not: the walk stops there" if would_pass else ""
        walked.append(Judgement(j.candidate, Outcome.NOT_TESTED, j.evidence, reason))
    return walked


def _with_curve(judged: Sequence[Judgement], walked: Sequence[Judgement]) -> list[Judgement]:
    """All sizes in order: those of the ladder as `walked`, the others untested but for what is proven too low."""
    by_size = {j.candidate: j for j in walked}
    return [by_size.get(j.candidate) or _beside_the_ladder(j) for j in judged]


def _beside_the_ladder(judgement: Judgement) -> Judgement:
    if judgement.outcome is Outcome.FAIL:
        return judgement
    would_pass = judgement.outcome is Outcome.PASS
    reason = "would pass by itself, but the walk goes over other sizes, fixed beforehand" if would_pass else ""
    return Judgement(judgement.candidate, Outcome.NOT_TESTED, judgement.evidence, reason)


def _status(walked: Sequence[Judgement], chosen: int | None) -> Status:
    if chosen is not None:
        return Status.PASS
    return Status.FAIL if walked and walked[0].outcome is Outcome.FAIL else Status.INCONCLUSIVE
