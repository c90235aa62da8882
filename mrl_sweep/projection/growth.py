"""Projection to a larger corpus: what each size will keep of its quality there, from the ranks in a random sample of it alone.

Up to the sample's size the expectation is exact. Above it, a relevant document with `c` distractors above it now has
c + Binomial(n - n_s, p) above it then, with p from its posterior under a distribution fitted per size (`population`). R@k,
P@k and nDCG@k are projected: they are sums over the relevant documents, whose order among themselves stays as it is, so that
each one's own rank is all they need. The projection holds for a random sample of the larger corpus, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from math import sqrt
from typing import Any, Final

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
from mrl_sweep.types import NOT_RETRIEVED, Advice, Configuration, FloatArray, IntArray, Measure, Outcome, Qrels, Ranks, full_size
from mrl_sweep.words import queries_of

WARN_BEYOND: Final = 10
REFUSE_BEYOND: Final = 50
LARGEST_CUTOFF: Final = 1000
_CURVE_POINTS: Final = 21
_CURVE_OF_LISTS: Final = 4
"""Shortlists, which take longer, are projected at one in so many points of the curve."""

PROJECTED: Final = ("nDCG", "R", "P")

NEEDS_JUDGMENTS: Final = Advice(
    "projection-refused",
    "no quality is projected: that takes the ranks of judged documents, and a label-free run has none",
    "judge some queries, and run without --label-free",
)


@record(kw_only=True)
class Demand:
    """A demand on the projection names the measure, the share of full size to keep, and alpha, one-sided.

    `units` (n_queries,) numbers the unit of evidence that each query belongs to, where clusters are the units. `lists` has the
    configurations that order a shortlist again, each with its length in documents; they are projected too.
    """

    measure: Measure
    retain: float = 0.98
    alpha: float = 0.05
    units: IntArray | None = None
    lists: Mapping[Configuration, int] = field(default_factory=dict)


@record(kw_only=True)
class Forecast:
    """Holds one candidate's forecast at one corpus size: the measure's mean with its limits, and the share kept of full size's.

    Above the sample `mean` is midway between the two models: at the first ranks the probit one errs upwards and its twin
    downwards. Predicting SciFact and LoCoMo from a tenth (WordLlama, five sizes, three draws), nDCG@10 was off by .010 and .011
    midway against .020 and .021 by probit alone; R@10 by .009 and .004 against .009 and .007.
    `low` and `high` span both, each widened by Student's limits over the units of evidence, at alpha on either side.

    `at_least` and `at_most` are the limits of `kept` by the decision's own bounds (`paired_bounds`), over what each unit adds to
    the two means: in the corpus at hand they are the limits of its verdict. Above the sample there are such limits for each model
    of the candidate's mean with each of full size's. The furthest under one model for both are moved towards the furthest under
    any two by sqrt(1 - r^2), r being the correlation of the two means over units: errors that both have cancel in their share.
    None where the share is undefined. `outcome` is that of a decision: PASS and FAIL are proven, as far as the models hold;
    INCONCLUSIVE is neither.

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
    """Holds all forecasts in a corpus of `n_documents`; `dimension` is the smallest acceptable, None where only full size is.

    `exact` is True up to the size of the sample; `refused` says why there is no forecast, else it is empty.
    """

    n_documents: int
    exact: bool
    refused: str
    dimension: int | None
    forecasts: tuple[Forecast, ...]


@record(kw_only=True)
class Growth:
    """Holds a projection: all candidates `at` each corpus size asked for, and where each stops being acceptable.

    `stops_at` gives the corpus size from which a candidate is no longer proven to keep the asked share, interpolated between
    sizes of which the sample's and those asked for are some: 0 where it is acceptable at none of them, None
    where it still is at the last. Configurations in an index have no entry: what an index loses is not known from ranks.
    """

    measure: Measure
    n_sample: int
    at: tuple[CorpusSize, ...]
    stops_at: Mapping[Configuration, int | None]
    advice: tuple[Advice, ...]


def project(ranks: Ranks, qrels: Qrels, question: Demand, corpus_sizes: Sequence[int], *, curve: bool = True) -> Growth:
    """Projects the measure at every exact candidate to `corpus_sizes`, and finds the size at which each stops being acceptable.

    The shortlists of `question.lists` are projected too, in corpora no smaller than the sample. Without `curve` only these sizes
    and the sample are looked at, for callers that do not need `stops_at`.
    A size beyond fifty times the sample (ten times at k = 1) is refused and one beyond ten times comes with a warning, both as
    data. Raises InputError for a measure that ranks alone cannot project, and where no relevant document is in the corpus.
    """
    refuse_unprojectable(question.measure)
    model = GrowthModel.of(ranks, qrels, question)
    reach = WARN_BEYOND if question.measure.cutoff == 1 else REFUSE_BEYOND
    within = [n for n in corpus_sizes if n <= reach * model.n_sample]
    sizes = np.geomspace(max(1, model.n_sample / 20), reach * model.n_sample, _CURVE_POINTS if curve else 0).astype(np.int64)
    coarse = {*sizes[::_CURVE_OF_LISTS].tolist(), model.n_sample, *within}
    points = [model.at(n, lists=n in coarse) for n in np.unique([*sizes, model.n_sample, *within]).tolist()]
    by_size = {point.n_documents: point for point in points}
    at = tuple(by_size[n] if n in by_size else _refusal(n, model.n_sample, reach) for n in corpus_sizes)
    names = (*model.candidates, *model.shortlists)
    stops = {name: _stops(name, points, question.retain) for name in names if name != model.baseline}
    return Growth(
        measure=question.measure,
        n_sample=model.n_sample,
        at=at,
        stops_at=stops,
        advice=_advice(model, corpus_sizes, reach),
    )


def refuse_unprojectable(measure: Measure) -> None:
    """Raises InputError for a measure that ranks alone cannot project; call it before the work starts."""
    if measure.name not in PROJECTED or measure.cutoff is None or measure.cutoff > LARGEST_CUTOFF:
        raise InputError(
            f"{measure} cannot be projected to a larger corpus",
            f"decide and require by nDCG@k, R@k or P@k with k up to {LARGEST_CUTOFF} alone, or leave out --project-docs",
        )


def _refusal(n_documents: int, n_sample: int, reach: int) -> CorpusSize:
    at_one = " at a cut-off of 1" if reach < REFUSE_BEYOND else ""
    reason = f"{n_documents:,} documents are more than {reach} times the {n_sample:,} at hand: no projection{at_one}"
    return CorpusSize(n_documents=n_documents, exact=False, refused=reason, dimension=None, forecasts=())


def _advice(model: GrowthModel, corpus_sizes: Sequence[int], reach: int) -> tuple[Advice, ...]:
    advice = []
    if any(n > model.n_sample for n in corpus_sizes):
        advice.append(
            Advice(
                "random-sample",
                f"the projection takes these {model.n_sample:,} documents for a random sample of the larger corpus; where"
                " they were its oldest tenth instead, projected recall was off by .04, where a single topic by .17",
                "draw the evaluated corpus at random from the larger one",
            )
        )
    far = [n for n in corpus_sizes if WARN_BEYOND * model.n_sample < n <= reach * model.n_sample]
    if far:
        advice.append(
            Advice(
                "far-projection",
                f"{max(far):,} documents are {max(far) / model.n_sample:.0f} times the {model.n_sample:,} at hand: beyond"
                f" {WARN_BEYOND} times the projection grows uncertain",
                f"evaluate on at least {max(far) // WARN_BEYOND:,} documents: --distractors adds unjudged ones",
            )
        )
    if model.n_units < MIN_QUERIES:
        noun = queries_of(model.question.measure, clustered=model.units is not None)
        advice.append(
            Advice(
                "few-queries",
                f"{model.n_units} {noun} are too few to accept a size in a larger corpus; {MIN_QUERIES} is the least",
                "judge more queries",
            )
        )
    return tuple(advice)


def _stops(candidate: Configuration, points: Sequence[CorpusSize], retain: float) -> int | None:
    """Where the lower limit crosses the asked share for the last time, linear in the logarithm between two points."""
    own = [(point.n_documents, f) for point in points for f in point.forecasts if f.candidate == candidate]
    held = [i for i, (_, forecast) in enumerate(own) if forecast.acceptable]
    if not held:
        return 0
    last = held[-1]
    if last == len(own) - 1:
        return None
    (smaller, forecast), (larger, too_large) = own[last : last + 2]
    before, after = forecast.at_least, too_large.at_least
    if before is None or after is None or before <= after:
        return smaller
    return int(smaller * (larger / smaller) ** min(1.0, max(0.0, (before - retain) / (before - after))))


@record
class GrowthModel:
    """A growth model holds all that does not depend on the corpus size: which queries count, how each candidate grows.

    `growers` are one for each link, and `list_growers` (n_links, n_lists) grow the `shortlists`. `units` (n_counted,) labels the
    unit of evidence of each counted query; None where each is one.
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
    shortlists: Mapping[Configuration, Shortlist]
    list_growers: tuple[tuple[ListGrower, ...], ...]

    @property
    def n_units(self) -> int:
        """The number of units of evidence: queries, or clusters of them."""
        return len(self.counted) if self.units is None else count_units(self.units)

    @classmethod
    def of(cls, ranks: Ranks, qrels: Qrels, question: Demand) -> GrowthModel:
        """Fits every exact candidate and shortlist to the ranks. Raises InputError where these hold no relevant document."""
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
        shortlists = _shortlists(ranks, sought, question.lists, candidates, baseline)
        ordered = [one.standing for one in shortlists.values()]
        growers = tuple(Grower.of(link, standings, n_distractors, ordered) for link in Link)
        first = len(sought.reward)
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
            shortlists=shortlists,
            list_growers=tuple(tuple(ListGrower.of(one, grower, first) for one in shortlists.values()) for grower in growers),
        )

    def at(self, n_documents: int, *, lists: bool = True) -> CorpusSize:
        """Forecasts all candidates in a corpus of this size.

        Shortlists take longer: they are left out without `lists`, and in a corpus smaller than the sample, where a list
        would hold documents that it misses in the sample.
        """
        lists = lists and n_documents >= self.n_sample
        means, influence = self._estimate(n_documents, lists=lists)
        forecasts = self._forecasts((*self.candidates, *(self.shortlists if lists else ())), means, influence)
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
            standings = [*self.standings, *(one.standing for one in self.shortlists.values() if lists)]
            kept = [in_a_sample(s, reward, n_documents=self.n_sample, n_kept=n_documents) for s in standings]
            exact = self._by_unit(np.stack(kept)[:, self.counted])
            return exact.mean(axis=1), exact[None]
        grown = []  # by link: values and influence, both (n_candidates, n_queries)
        for grower, list_growers in zip(self.growers, self.list_growers, strict=True):
            own = [grower.grown(reward, extra), *(one.grown(reward, extra) for one in list_growers if lists)]
            grown.append([np.vstack(each) for each in zip(*own, strict=True)])
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
        """Forecasts these candidates, from `means` (n_candidates,) and `influence` (n_links, n_candidates, n_units)."""
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
                outcome=self._outcome(one, or_none(at_least[c]), or_none(at_most[c])),
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

    def _outcome(self, one: Configuration, at_least: float | None, at_most: float | None) -> Outcome:
        if one == self.baseline:
            return Outcome.BASELINE
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
    """Returns (n_candidates,) limits from those by full size's link and the candidate's own, (n_links, n_links, n_candidates).

    From the furthest under one link for both they go towards the furthest under any two, by the part `own_error` of the way.
    """
    alike = furthest(np.diagonal(limits), axis=1)
    return np.asarray(alike + own_error * (furthest(limits, axis=(0, 1)) - alike))


def _shortlists(
    ranks: Ranks, sought: Wanted, lists: Mapping[Configuration, int], exact: Sequence[Configuration], full: Configuration
) -> dict[Configuration, Shortlist]:
    """Those of `lists` that found something, and of which the orders by codes and by vectors are both among `exact`."""
    rows, where = {one: row for row, one in enumerate(exact)}, {one: row for row, one in enumerate(ranks.candidates)}
    made = {}
    for one, length in lists.items():
        _, _, dim = one.rescore.partition("@")
        vectors = replace(full, dim=int(dim)) if dim else full
        own = standing(sought, ranks.above[where[one]], ranks.tied[where[one]]) if one in where else None
        if own is not None and len(own.pairs) and one.exact in rows and vectors in rows:
            made[one] = Shortlist(own, rows[one.exact], rows[vectors], length)
    return made
