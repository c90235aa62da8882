"""From scores to a verdict: sizes are tested from large to small, and the walk stops at the first that does not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mrl_sweep.decision.judging import Question, judge_each, outcome
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.types import Configuration, IntArray, Judgement, Outcome, Scores, Status, Verdict, full_size

__all__ = ["DecideBy", "Policy", "decide", "judge", "ladder_below"]

_ALL_FIT: Final[Mapping[Configuration, str]] = {}


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
    Sizes below the stop are NOT_TESTED, or FAIL where proven worse; those that would pass by themselves say so.
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
    ladder = ladder_below(scores, full) if candidates is None else sorted({*candidates} - {full}, key=lambda c: -c.dim)
    first, *judged = judge_each(question, [full, *ladder])
    enough = question.units >= policy.min_queries
    proven = _smallest(question, judged, by=DecideBy.BOUND, enough=enough)
    measured = _smallest(question, judged, by=DecideBy.MEAN, enough=True)
    chosen = proven if policy.decide_by is DecideBy.BOUND else measured if enough else None
    walked = _walk(judged)
    return Verdict(
        status=_status(walked, chosen),
        dimension=full.dim if chosen is None else chosen,
        proven=proven,
        measured=measured,
        measure=question.required[0],
        retain=policy.retain,
        alpha=policy.alpha,
        decide_by=str(policy.decide_by),
        judgements=(first, *walked),
        n_queries=int(scores.counted[scores.measures.index(question.required[0])].sum()),
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


def _status(walked: Sequence[Judgement], chosen: int | None) -> Status:
    if chosen is not None:
        return Status.PASS
    return Status.FAIL if walked and walked[0].outcome is Outcome.FAIL else Status.INCONCLUSIVE
