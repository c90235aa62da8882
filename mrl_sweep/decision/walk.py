"""The walk from scores to a verdict: sizes are tested from large to small, and the walk stops at the first that does not pass."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

from mrl_sweep.decision.judging import Question, judge_each, outcome
from mrl_sweep.decision.policy import MIN_QUERIES, DecideBy
from mrl_sweep.types import Configuration, Judgement, Outcome, Status, Verdict, exact_prefixes

_MOST_STEPS: Final = 12
"""A sweep of more sizes than this is walked over a ladder fixed beforehand (`ladder`)."""


def decide(question: Question, candidates: Iterable[Configuration] | None = None) -> Verdict:
    """Finds the smallest acceptable size, proven and measured, with every candidate's evidence.

    `candidates` are the ladder to walk (default: every size below full, as it is). Sizes are tested from the largest to the
    smallest, each at full alpha, and the walk stops at the first that does not pass: a fixed sequence, which keeps the chance
    of any false "proven" at alpha. Of more than a dozen sizes a part is walked (`ladder`), and the others are a curve. Sizes
    below the stop, and those beside the ladder, are NOT_TESTED, or FAIL where proven worse; those that would pass by themselves
    say so.

    `proven` is the smallest size that the walk by bounds reaches, `measured` the smallest that the same walk by means
    reaches, so a size behind a dip in the curve counts for neither; None where no size below the baseline is reached.
    `dimension` is the one of the rule in force, and the baseline's where there is none. `status` is PASS where a size below
    the baseline is acceptable; else it is what stopped the walk: FAIL where the largest size was proven worse (or measured
    so, by mean), INCONCLUSIVE where the queries cannot tell, are fewer than 30, or no size was there to test.

    Raises `InputError` where no share is defined: no usable query, or a baseline that finds nothing.
    """
    full, scores, policy, measure = question.baseline, question.scores, question.policy, question.required[0]
    sizes = sorted({*(exact_prefixes(scores.candidates) if candidates is None else candidates)} - {full}, key=lambda c: -c.dim)
    first, *judged = judge_each(question, [full, *sizes])
    steps = set(ladder(sizes, full.dim))
    on_ladder = [j for j in judged if j.candidate in steps]
    enough = question.units >= MIN_QUERIES
    proven = _smallest(question, on_ladder, by=DecideBy.BOUND, enough=enough)
    measured = _smallest(question, on_ladder, by=DecideBy.MEAN, enough=True)
    chosen = proven if policy.decide_by is DecideBy.BOUND else measured if enough else None
    failed = bool(on_ladder) and on_ladder[0].outcome is Outcome.FAIL
    return Verdict(
        status=Status.PASS if chosen is not None else Status.FAIL if failed else Status.INCONCLUSIVE,
        dimension=full.dim if chosen is None else chosen,
        proven=proven,
        measured=measured,
        measure=measure,
        retain=policy.retain,
        alpha=policy.alpha,
        decide_by=str(policy.decide_by),
        judgements=(first, *_walked(judged, steps)),
        n_queries=int(scores.counted[scores.measures.index(measure)].sum()),
        n_clusters=None if question.clusters is None else question.units_of(measure),
        by_default=policy.by_default,
    )


def ladder(candidates: Iterable[Configuration], full_dim: int) -> list[Configuration]:
    """Picks the sizes of one family that a walk tests, largest first: all of up to a dozen, else some fixed by dimension alone.

    Fixed are the eighths of full size, the powers of two and three times those; for each, the smallest size at hand not below
    it is tested. The sizes that known families of models publish are among them. A walk stops at the first size that does not
    pass: over a hundred sizes, mostly between two good ones, it would stop early, and a fine sweep would answer worse
    than its own coarse part.
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


def _walked(judged: Sequence[Judgement], steps: Container[Configuration]) -> Iterator[Judgement]:
    """The judgements by fixed sequence over the `steps`: what the walk does not reach, and is not proven worse, is NOT_TESTED.

    The sequence guards what is called good enough; a size whose own upper limit lies below the margin is too low wherever it
    stands.
    """
    stop = None
    for j in judged:
        reached = j.candidate in steps and stop is None
        if reached or j.outcome is Outcome.FAIL:
            yield j
        else:
            beside = "the walk goes over other sizes, fixed beforehand"
            why = f"{stop} did not: the walk stops there" if j.candidate in steps else beside
            reason = f"would pass by itself, but {why}" if j.outcome is Outcome.PASS else ""
            yield Judgement(j.candidate, Outcome.NOT_TESTED, j.evidence, reason)
        if reached and j.outcome is not Outcome.PASS:
            stop = j.candidate.dim
