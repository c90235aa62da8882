"""Judgement of one candidate against the baseline: the evidence per measure, the outcome, and the reason in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

import numpy as np

from mrl_sweep.decision.bounds import PairedBounds, paired_bounds
from mrl_sweep.decision.policy import MIN_QUERIES, DecideBy, Policy, falls_short, outcome_by, reaches
from mrl_sweep.decision.queries_needed import Sample, provable_loss, queries_to_settle
from mrl_sweep.decision.units import cluster_means, count_units
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Configuration, Evidence, FloatArray, IntArray, Judgement, Measure, Outcome, Scores, full_size
from mrl_sweep.words import UNKNOWN, about, asked_share, keeps, percent, queries_of


@record(slots=False)
class Question:
    """A question is everything that a judgement depends on: the scores, the rule, and what is known beforehand.

    `clusters` (n_queries,) makes queries of one label one unit of evidence (`cluster_means`); -1 is a query of its own.
    `unfit` candidates, and whatever searches or reorders their codes, fail for the reason given, whatever their scores (zero
    prefixes, collapsed embeddings).
    """

    scores: Scores
    policy: Policy
    clusters: IntArray | None = None
    unfit: Mapping[Configuration, str] = field(default_factory=dict)

    @cached_property
    def baseline(self) -> Configuration:
        """Full size, with which every candidate is compared."""
        return full_size(self.scores.candidates)

    @property
    def required(self) -> tuple[Measure, ...]:
        """The measures that must pass; the first names the verdict. Raises `InputError` for one that was not measured."""
        required = self.policy.required or self.scores.measures[:1]
        absent = [str(m) for m in required if m not in self.scores.measures]
        if absent:
            measured = ", ".join(map(str, self.scores.measures))
            raise InputError(
                f"{', '.join(absent)} must pass but was not measured (measured: {measured})", "add it with --measure"
            )
        return required

    @property
    def units(self) -> int:
        """The number of units of evidence of the scarcest required measure."""
        return min(self.units_of(measure) for measure in self.required)

    def units_of(self, measure: Measure) -> int:
        """Counts the units of evidence of this measure."""
        counted = self.scores.counted[self.scores.measures.index(measure)]
        return int(counted.sum()) if self.clusters is None else count_units(self.clusters[counted])

    def why_unfit(self, candidate: Configuration) -> str | None:
        """Says why the candidate, its codes or the baseline that it is measured by cannot be certified; None where they can."""
        return next((self.unfit[one] for one in (candidate, candidate.exact, self.baseline) if one in self.unfit), None)

    def values(self, measure: Measure, candidates: Sequence[Configuration]) -> FloatArray:
        """Returns (len(candidates), n_units) float64, the values of this measure by unit of evidence."""
        m = self.scores.measures.index(measure)
        counted = self.scores.counted[m]
        values: FloatArray = self.scores.values[[self.scores.candidates.index(c) for c in candidates], m][:, counted]
        return values if self.clusters is None else cluster_means(values, self.clusters[counted])

    def require_share(self, values: FloatArray, measure: Measure) -> None:
        """Raises `InputError` where `values`, the baseline's first, define no share of this measure."""
        if values.shape[1] == 0:
            raise InputError(
                f"nothing to evaluate: no query has a relevant judgment under {measure}", "check --split and the judgments"
            )
        if not values[0].any():
            raise InputError(
                f"{measure} is 0 at full size ({self.baseline.dim}) for every query, so there is no share of it to keep",
                "check that model, prompts and judgments belong together, or choose a deeper cut-off (--measure R@100)",
            )


def judge_each(question: Question, candidates: Sequence[Configuration]) -> list[Judgement]:
    """Judges each candidate by itself, by the rule in force, in the order given; the baseline is BASELINE.

    Raises `InputError` where a required measure defines no share: no usable query, or a baseline that finds nothing.
    """
    evidence = {m: _evidence(question, m, candidates) for m in question.scores.measures}
    units = question.units
    judged = []
    for i, candidate in enumerate(candidates):
        rows = {m: rows[i] for m, rows in evidence.items()}
        if candidate == question.baseline:
            judged.append(Judgement(candidate, Outcome.BASELINE, rows))
            continue
        result = outcome(question, candidate, rows, by=question.policy.decide_by, enough=units >= MIN_QUERIES)
        judged.append(Judgement(candidate, result, rows, _reason(question, candidate, rows, result, units)))
    return judged


def outcome(
    question: Question, candidate: Configuration, evidence: Mapping[Measure, Evidence], *, by: DecideBy, enough: bool
) -> Outcome:
    """Returns PASS if every required measure passes, FAIL if one is proven (or, by mean, measured) worse, else INCONCLUSIVE."""
    if question.why_unfit(candidate) is not None:
        return Outcome.FAIL
    if not enough:
        return Outcome.INCONCLUSIVE
    rows = [evidence[m] for m in question.required]
    limits = [(e.kept, e.kept) if by is DecideBy.MEAN else (e.at_least, e.at_most) for e in rows]
    each = {outcome_by(*one, question.policy.retain) for one in limits}
    return next(one for one in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS) if one in each)


def _evidence(question: Question, measure: Measure, candidates: Sequence[Configuration]) -> list[Evidence]:
    values = question.values(measure, (question.baseline, *candidates))
    if measure in question.required:
        question.require_share(values, measure)
    if values.shape[1] == 0:
        nothing = Evidence(mean=0.0, lost=0, gained=0, unchanged=0)
        return [nothing] * len(candidates)
    bounds = paired_bounds(values[1:], values[0], retain=question.policy.retain, alpha=question.policy.alpha)
    return [_row(bounds, i, question.policy, is_baseline=c == question.baseline) for i, c in enumerate(candidates)]


def _row(bounds: PairedBounds, i: int, policy: Policy, *, is_baseline: bool) -> Evidence:
    evidence = Evidence(
        mean=float(bounds.mean[i]),
        kept=or_none(bounds.kept[i]),
        lost=int(bounds.lost[i]),
        gained=int(bounds.gained[i]),
        unchanged=int(bounds.unchanged[i]),
    )
    if is_baseline:
        return evidence
    at_least, at_most = or_none(bounds.at_least[i]), or_none(bounds.at_most[i])
    sample = Sample(
        n=bounds.n,
        sd=float(bounds.sd[i]),
        baseline_mean=float(bounds.baseline_mean[i]),
        retain=policy.retain,
        alpha=policy.alpha,
        third=float(bounds.third[i]),
        unseen=float(bounds.unseen[i]),
    )
    is_open = bounds.n < MIN_QUERIES or outcome_by(at_least, at_most, policy.retain) is Outcome.INCONCLUSIVE
    return replace(
        evidence,
        at_least=at_least,
        at_most=at_most,
        provable_loss=provable_loss(sample),
        queries_needed=queries_to_settle(sample, kept=evidence.kept) if is_open and evidence.kept is not None else None,
    )


def _reason(
    question: Question, candidate: Configuration, evidence: Mapping[Measure, Evidence], result: Outcome, units: int
) -> str:
    policy, retain = question.policy, question.policy.retain
    if (unfit := question.why_unfit(candidate)) is not None:
        return unfit
    if units < MIN_QUERIES:
        noun = queries_of(question.required[0], units, clustered=question.clusters is not None)
        return f"only {units} {noun}; fewer than {MIN_QUERIES} prove nothing"
    for measure in question.required:
        e = evidence[measure]
        if result is Outcome.FAIL and policy.decide_by is DecideBy.MEAN and not reaches(e.kept, retain):
            return f"{keeps(measure, percent(e.kept, limit=retain, unknown=UNKNOWN))}; {asked_share(retain)} was asked"
        if result is Outcome.FAIL and falls_short(e.at_most, retain):
            return f"{keeps(measure, f'at most {percent(e.at_most, limit=retain)}')}; {asked_share(retain)} was asked"
        if result is Outcome.INCONCLUSIVE and not reaches(e.at_least, retain):
            return _undecided(question, measure, e)
    return ""


def _undecided(question: Question, measure: Measure, e: Evidence) -> str:
    retain, noun = question.policy.retain, queries_of(measure, clustered=question.clusters is not None)
    needed = f"; more {noun} are unlikely to tell, so near the margin it lies"
    if e.queries_needed:
        needed = f"; about {about(e.queries_needed)} {noun} would tell (there are {question.units_of(measure):,})"
    if e.at_least is None or e.at_most is None:
        return f"{measure} at full size cannot be told from 0, so no share of it can be proven"
    between = f"between {percent(e.at_least, limit=retain)} and {percent(e.at_most, limit=retain)}"
    return f"{keeps(measure, between)}; {asked_share(retain)} was asked{needed}"


def or_none(value: float) -> float | None:
    """Returns None for NaN, and any other value as a float."""
    return None if np.isnan(value) else float(value)
