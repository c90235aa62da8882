"""What every candidate keeps in a corpus of some size, with its band and its lower limit, and which size is acceptable there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from math import sqrt
from typing import Any

import numpy as np

from mrl_sweep.decision.bounds import paired_bounds
from mrl_sweep.decision.judging import or_none
from mrl_sweep.decision.policy import MIN_QUERIES, outcome_by
from mrl_sweep.decision.student import t_quantile
from mrl_sweep.decision.units import cluster_means, count_units
from mrl_sweep.errors import InputError
from mrl_sweep.projection.growers import Grower
from mrl_sweep.projection.population import DistractorCounts, Link, Wanted, in_a_sample, standing, wanted
from mrl_sweep.projection.shortlists import ListGrower, Shortlist
from mrl_sweep.record import record
from mrl_sweep.types import NOT_RETRIEVED, Configuration, FloatArray, IntArray, Measure, Outcome, Qrels, Ranks, full_size


@record(kw_only=True)
class Demand:
    """A demand is what is asked of the projection: the measure, the share of full size to keep, and alpha, one-sided.

    `units` (n_queries,) numbers the unit of evidence that each query belongs to, where clusters are the units. `lists` has the
    configurations that order a shortlist again, each with how many candidates; they are projected too.
    """

    measure: Measure
    retain: float = 0.98
    alpha: float = 0.05
    units: IntArray | None = None
    lists: Mapping[Configuration, int] = field(default_factory=dict)


@record(kw_only=True)
class Forecast:
    """One candidate at one corpus size: the measure's mean with its band, and the share kept of full size's there.

    Above the sample `mean` is midway between the two models: at the first ranks the probit one errs upwards and its twin
    downwards. Predicting SciFact and LoCoMo from a tenth (WordLlama, five sizes, three draws), nDCG@10 was off by .010 and .011
    midway against .020 and .021 by probit alone; R@10 by .009 and .004 against .009 and .007.
    `low` and `high` span both, each widened by Student's limits over the units of evidence, at alpha on either side.

    `at_least` and `at_most` are the limits of `kept` by the decision's own bounds (`paired_bounds`), over what each unit adds to
    the two means: in the corpus at hand they are the limits of its verdict. What pulls one of two forecast means up need not pull
    the other, so above the sample they reach from the shares under one model for both means towards those by either model's
    full size, the less the two share their queries. None where the share is undefined. `outcome` is that of a decision: PASS
    and FAIL are proven, as far as the models hold; INCONCLUSIVE is neither.

    A single tenth's share is off by several points either way, all together by less than one, and the limits hold
    (`benchmarks/projection.py`, docs/limits.md).
    """

    candidate: Configuration
    mean: float
    low: float
    high: float
    kept: float | None
    at_least: float | None
    at_most: float | None
    outcome: Outcome

    @property
    def acceptable(self) -> bool | None:
        """True where proven to keep the asked share there (or full size itself), False where proven not to, else None."""
        return None if self.outcome is Outcome.INCONCLUSIVE else self.outcome is not Outcome.FAIL


@record(kw_only=True)
class CorpusSize:
    """All candidates in a corpus of `n_documents`; `dimension` is the smallest acceptable one, None where only full size is.

    `exact` up to the size of the sample; `refused` says why there is no forecast, else it is empty.
    """

    n_documents: int
    exact: bool
    refused: str
    dimension: int | None
    forecasts: tuple[Forecast, ...]


@record
class GrowthModel:
    """A growth model holds everything that does not depend on the corpus size: who was counted, how each candidate grows.

    `listed` are the configurations of the `shortlists`, and `list_growers` (n_links, n_lists) what grows them. `units`
    (n_counted,) labels the unit of evidence of each counted query; None where each is one.
    """

    candidates: tuple[Configuration, ...]
    baseline: Configuration
    question: Demand
    n_sample: int
    counted: IntArray
    wanted: Wanted
    standings: tuple[DistractorCounts, ...]
    growers: tuple[Grower, ...]
    units: IntArray | None
    listed: tuple[Configuration, ...]
    shortlists: tuple[Shortlist, ...]
    list_growers: tuple[tuple[ListGrower, ...], ...]

    @property
    def n_units(self) -> int:
        """How many units of evidence there are: queries, or clusters of them."""
        return len(self.counted) if self.units is None else count_units(self.units)

    @classmethod
    def of(cls, ranks: Ranks, qrels: Qrels, question: Demand) -> GrowthModel:
        """Fits every exact candidate and every shortlist to the ranks. InputError where these hold no relevant document."""
        exact = [c for c, candidate in enumerate(ranks.candidates) if candidate.is_exact]
        candidates = tuple(ranks.candidates[c] for c in exact)
        baseline = full_size(candidates)
        sought = wanted(qrels, question.measure)
        counted = np.flatnonzero(sought.n_relevant)
        if not len(counted):
            raise InputError("nothing to project: no query has a relevant document", "check the judgments: --split")
        if not all((ranks.above[c, sought.columns] < NOT_RETRIEVED).any() for c in exact):
            raise InputError("nothing to project: no relevant document is in the corpus", "check the judgments: --split")
        standings = tuple(standing(sought, ranks.above[c], ranks.tied[c]) for c in exact)
        n_distractors = max(1, ranks.n_documents - round(float(standings[0].n_retrieved[counted].mean())))
        listed, shortlists = _shortlists(ranks, sought, question.lists, candidates, baseline)
        ordered = [one.standing for one in shortlists]
        growers = tuple(Grower.of(link, standings, n_distractors, ordered) for link in Link)
        return cls(
            candidates=candidates,
            baseline=baseline,
            question=question,
            n_sample=ranks.n_documents,
            counted=counted,
            wanted=sought,
            standings=standings,
            growers=growers,
            units=None if question.units is None else question.units[counted],
            listed=listed,
            shortlists=shortlists,
            list_growers=tuple(tuple(ListGrower.of(one, grower, len(sought.reward)) for one in shortlists) for grower in growers),
        )

    def at(self, n_documents: int, *, lists: bool = True) -> CorpusSize:
        """Forecasts all candidates in a corpus of this size.

        Shortlists take longer, and are left out without `lists`; and below the sample, where they would hold what they miss here.
        """
        lists = lists and n_documents >= self.n_sample
        means, influence = self._estimate(n_documents, lists=lists)
        forecasts = self._forecasts((*self.candidates, *(self.listed if lists else ())), means, influence)
        return CorpusSize(
            n_documents=n_documents,
            exact=n_documents <= self.n_sample,
            refused="",
            dimension=self._walk(forecasts),
            forecasts=forecasts,
        )

    def _estimate(self, n_documents: int, *, lists: bool) -> tuple[FloatArray, FloatArray]:
        """(n_candidates,) means, and the influence (n_links, n_candidates, n_units) of each unit under each link.

        What is exact needs no model: it is its own influence, once.
        """
        extra, reward = n_documents - self.n_sample, self.wanted.reward
        if extra <= 0:
            standings = (*self.standings, *(one.standing for one in (self.shortlists if lists else ())))
            kept = [in_a_sample(s, reward, n_documents=self.n_sample, n_kept=n_documents) for s in standings]
            exact = self._by_unit(np.stack(kept)[:, self.counted])
            return exact.mean(axis=1), exact[None]
        grown = [
            _together(grower.grown(reward, extra), [one.grown(reward, extra) for one in (own if lists else ())])
            for grower, own in zip(self.growers, self.list_growers, strict=True)
        ]
        values, influence = (self._by_unit(np.stack(each)[..., self.counted]) for each in zip(*grown, strict=True))
        return values.mean(axis=(0, 2)), influence

    def _by_unit(self, values: FloatArray) -> FloatArray:
        """(…, n_units) the mean of each unit's queries, from (…, n_counted)."""
        return values if self.units is None else cluster_means(values, self.units)

    def _own_error(self, influence: FloatArray) -> FloatArray:
        """(n_candidates,) how much of a model's error full size does not share: sqrt(1 - r^2) of their units' correlation r."""
        away = influence - influence.mean(axis=1, keepdims=True)
        full = away[self.candidates.index(self.baseline)]
        norms = np.sqrt((away**2).sum(axis=1) * (full**2).sum())
        r = np.divide(away @ full, norms, out=np.ones(len(away)), where=norms > 0)
        return np.asarray(np.sqrt(np.clip(1 - r**2, 0, 1)))

    def _forecasts(self, candidates: Sequence[Configuration], means: FloatArray, influence: FloatArray) -> tuple[Forecast, ...]:
        """Of these candidates, from `means` (n_candidates,) and `influence` (n_links, n_candidates, n_units)."""
        links, n, full = len(influence), influence.shape[2], self.candidates.index(self.baseline)
        error = t_quantile(self.question.alpha, n - 1) * influence.std(axis=2, ddof=1) / sqrt(n) if n > 1 else np.inf
        low, high = (influence.mean(axis=2) - error).min(axis=0), (influence.mean(axis=2) + error).max(axis=0)
        limits = np.empty((2, links, links, len(candidates)))  # by full size's link and the candidate's own
        for link, own in np.ndindex(links, links):
            limits[:, link, own] = self._limits(influence[own], influence[link])
        own_error = self._own_error(influence.mean(axis=0))
        at_least, at_most = _widened(limits[0], own_error, np.min), _widened(limits[1], own_error, np.max)
        kept = means / means[full] if means[full] > 0 else np.full(len(means), np.nan)
        at_least[full] = at_most[full] = kept[full]
        return tuple(
            Forecast(
                candidate=one,
                mean=float(means[c]),
                low=max(float(min(low[c], means[c])), 0.0),
                high=min(float(max(high[c], means[c])), 1.0),
                kept=or_none(kept[c]),
                at_least=or_none(at_least[c]),
                at_most=or_none(at_most[c]),
                outcome=Outcome.BASELINE if one == self.baseline else self._outcome(or_none(at_least[c]), or_none(at_most[c])),
            )
            for c, one in enumerate(candidates)
        )

    def _limits(self, values: FloatArray, full: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n_candidates,) the lower and the upper limit of the share, NaN where there is none."""
        base = full[self.candidates.index(self.baseline)]
        if values.shape[1] < 2 or base.mean() <= 0:
            return (np.full(len(values), np.nan),) * 2
        bounds = paired_bounds(values, base, retain=self.question.retain, alpha=self.question.alpha)
        return bounds.at_least, bounds.at_most

    def _outcome(self, at_least: float | None, at_most: float | None) -> Outcome:
        return Outcome.INCONCLUSIVE if self.n_units < MIN_QUERIES else outcome_by(at_least, at_most, self.question.retain)

    def _walk(self, forecasts: Sequence[Forecast]) -> int | None:
        """The smallest size that an unbroken walk of acceptable ones from full size down reaches."""
        ladder = [f for f in forecasts if f.candidate.family == self.baseline.family and f.candidate.dim < self.baseline.dim]
        smallest = None
        for forecast in sorted(ladder, key=lambda f: -f.candidate.dim):
            if not forecast.acceptable:
                break
            smallest = forecast.candidate.dim
        return smallest


def _widened(limits: FloatArray, own_error: FloatArray, furthest: Callable[..., Any]) -> FloatArray:
    """(n_candidates,) from limits by full size's link and the candidate's own, (n_links, n_links, n_candidates).

    The furthest under one link for both, and from there towards the furthest under any two as far as errors are not shared.
    """
    alike = furthest(np.diagonal(limits), axis=1)
    return np.asarray(alike + own_error * (furthest(limits, axis=(0, 1)) - alike))


def _shortlists(
    ranks: Ranks, sought: Wanted, lists: Mapping[Configuration, int], exact: Sequence[Configuration], full: Configuration
) -> tuple[tuple[Configuration, ...], tuple[Shortlist, ...]]:
    """Those of `lists` that found something, and of which the orders by codes and by vectors are both among `exact`."""
    rows, where = {one: row for row, one in enumerate(exact)}, {one: row for row, one in enumerate(ranks.candidates)}
    made = {}
    for one, length in lists.items():
        _, _, dim = one.rescore.partition("@")
        vectors = replace(full, dim=int(dim)) if dim else full
        own = standing(sought, ranks.above[where[one]], ranks.tied[where[one]]) if one in where else None
        if own is not None and len(own.pairs) and one.exact in rows and vectors in rows:
            made[one] = Shortlist(own, rows[one.exact], rows[vectors], length)
    return tuple(made), tuple(made.values())


def _together(exact: tuple[FloatArray, FloatArray], lists: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, ...]:
    """Values and influence (n_candidates, n_queries) of the exact candidates and of the shortlists, one below the other."""
    return tuple(
        np.vstack([first, *more]) for first, more in zip(exact, zip(*lists, strict=True) if lists else ((), ()), strict=True)
    )
