"""What every candidate keeps in a corpus of some size, with its band and its lower limit, and which size is acceptable there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import special

from mrl_sweep.errors import InputError
from mrl_sweep.projection.distractors import DistractorCounts, Wanted, in_a_sample, standing, wanted
from mrl_sweep.projection.population import Link, Population, Quadrature, fit, quadrature, rounded, scores
from mrl_sweep.types import NOT_RETRIEVED, Configuration, FloatArray, IntArray, Measure, Outcome, Qrels, Ranks, full_size

MIN_QUERIES: Final = 30
UNSEEN: Final = 2
"""Losers, and as their mirror gainers, that join every resample: those of `decision.bounds`, which judges the corpus at hand."""

DRAWS: Final = 500
_CELLS_AT_ONCE: Final = 2**23


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked of the projection: the measure, the share of full size to keep, one-sided alpha, and who full size is.

    `units` (n_queries,) numbers the unit of evidence that each query belongs to, where clusters are the units.
    """

    measure: Measure
    retain: float = 0.98
    alpha: float = 0.05
    baseline: Configuration | None = None
    units: IntArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One candidate at one corpus size: the measure's mean with its band, and the share kept of full size's there.

    Above the sample `mean` is midway between the two models: at the first ranks the probit one errs upwards and its twin
    downwards. Predicting SciFact and LoCoMo from a tenth (WordLlama, five sizes, three draws), nDCG@10 was off by .010 and .011
    midway against .020 and .021 by probit alone; R@10 by .009 and .004 against .009 and .007.
    `low` and `high` span both, each widened by resampling queries to its alpha and 1 - alpha limits.

    A share of two such means is biased: what pulls one of them up need not pull the other (forecast from a tenth of SciFact, 128
    dimensions keep 5 to 10 points more than they do). So `at_least` and `at_most`, the limits of `kept`, reach from the shares
    under one model for both means towards those by either model's full size, the less the two share their queries. None where
    the share is undefined. `outcome` is that of a decision: PASS and FAIL are proven, as far as the models hold; INCONCLUSIVE
    is neither.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSize:
    """All candidates in a corpus of `n_documents`; `dimension` is the smallest acceptable one, None where only full size is.

    `exact` up to the size of the sample; `refused` says why there is no forecast, else it is empty.
    """

    n_documents: int
    exact: bool
    refused: str
    dimension: int | None
    forecasts: tuple[Forecast, ...]


@dataclass(frozen=True, slots=True)
class GrowthModel:
    """Everything that does not depend on the corpus size asked for.

    `units` (n_counted,) numbers the unit of evidence of each counted query; `draws` (n_draws, n_units + 2) is how often each unit
    is drawn anew, and with them two that were not met.
    """

    candidates: tuple[Configuration, ...]
    baseline: Configuration
    question: Demand
    n_sample: int
    counted: IntArray
    wanted: Wanted
    standings: tuple[DistractorCounts, ...]
    growers: tuple[Grower, ...]
    units: IntArray
    draws: FloatArray

    @property
    def n_units(self) -> int:
        return int(self.draws.shape[1]) - UNSEEN

    @classmethod
    def of(cls, ranks: Ranks, qrels: Qrels, question: Demand, generator: np.random.Generator) -> GrowthModel:
        exact = [c for c, candidate in enumerate(ranks.candidates) if candidate.is_exact]
        candidates = tuple(ranks.candidates[c] for c in exact)
        baseline = question.baseline or full_size(candidates)
        sought = wanted(qrels, question.measure)
        counted = np.flatnonzero(sought.n_relevant)
        if not len(counted):
            raise InputError("nothing to project: no query has a relevant document", "check the judgments: --split")
        if not all((ranks.above[c, sought.columns] < NOT_RETRIEVED).any() for c in exact):
            raise InputError("nothing to project: no relevant document is in the corpus", "check the judgments: --split")
        standings = tuple(standing(sought, ranks.above[c], ranks.tied[c]) for c in exact)
        n_distractors = max(1, ranks.n_documents - round(float(standings[0].found[counted].mean())))
        growers = tuple(Grower.of(link, standings, n_distractors) for link in Link)
        labels = counted if question.units is None else question.units[counted]
        units = np.unique(labels, return_inverse=True)[1]
        even = np.full(int(units.max()) + 1 + UNSEEN, 1 / (int(units.max()) + 1 + UNSEEN))
        draws = generator.multinomial(len(even), even, DRAWS).astype(np.float64)
        return cls(candidates, baseline, question, ranks.n_documents, counted, sought, standings, growers, units, draws)

    def at(self, corpus_sizes: Sequence[int]) -> list[CorpusSize]:
        """All candidates in a corpus of each size."""
        step = max(1, _CELLS_AT_ONCE // (len(Link) * len(self.candidates) * self.n_units))
        return [one for i in range(0, len(corpus_sizes), step) for one in self._together(corpus_sizes[i : i + step])]

    def _together(self, corpus_sizes: Sequence[int]) -> Iterator[CorpusSize]:
        """Some corpus sizes whose resampled sums are one matrix product."""
        estimates = [self._estimate(n) for n in corpus_sizes]
        influence = np.stack([each for _, each in estimates])
        sums = (influence.reshape(-1, self.n_units) @ self.draws[:, :-UNSEEN].T).reshape(*influence.shape[:-1], DRAWS)
        for n, (means, each), drawn in zip(corpus_sizes, estimates, sums, strict=True):
            forecasts = self._forecasts(means, drawn, self._own_error(each.mean(axis=0)))
            yield CorpusSize(
                n_documents=n, exact=n <= self.n_sample, refused="", dimension=self._walk(forecasts), forecasts=forecasts
            )

    def _estimate(self, n_documents: int) -> tuple[FloatArray, FloatArray]:
        """(n_candidates,) means, and the influence (n_links, n_candidates, n_units) of each unit under each link."""
        if n_documents <= self.n_sample:
            exact = self._by_unit(
                np.stack(
                    [
                        in_a_sample(s, self.wanted.reward, n_documents=self.n_sample, n_kept=n_documents)[self.counted]
                        for s in self.standings
                    ]
                )
            )
            return exact.mean(axis=1), np.broadcast_to(exact, (len(Link), *exact.shape))
        grown = [grower.grown(self.wanted.reward, n_documents - self.n_sample) for grower in self.growers]
        values, influence = (self._by_unit(np.stack(each)[..., self.counted]) for each in zip(*grown, strict=True))
        return values.mean(axis=(0, 2)), influence

    def _by_unit(self, values: FloatArray) -> FloatArray:
        """(…, n_units) the mean of each unit's queries, from (…, n_counted)."""
        if self.n_units == len(self.counted):
            return values
        flat, sizes = values.reshape(-1, values.shape[-1]), np.bincount(self.units)
        means = np.stack([np.bincount(self.units, row, len(sizes)) for row in flat]) / sizes
        return np.asarray(means.reshape(*values.shape[:-1], len(sizes)))

    def _own_error(self, influence: FloatArray) -> FloatArray:
        """(n_candidates,) how much of a model's error full size does not share: sqrt(1 - r^2) of their units' correlation r."""
        away = influence - influence.mean(axis=1, keepdims=True)
        full = away[self.candidates.index(self.baseline)]
        norms = np.sqrt((away**2).sum(axis=1) * (full**2).sum())
        r = np.divide(away @ full, norms, out=np.ones(len(away)), where=norms > 0)
        return np.asarray(np.sqrt(np.clip(1 - r**2, 0, 1)))

    def _forecasts(self, means: FloatArray, sums: FloatArray, own_error: FloatArray) -> tuple[Forecast, ...]:
        """From `means` (n_candidates,), resampled sums (n_links, n_candidates, n_draws), and `own_error` (n_candidates,)."""
        alpha, base = self.question.alpha, self.candidates.index(self.baseline)
        spread = sums / np.maximum(self.draws[:, :-UNSEEN].sum(axis=1), 1)
        low, high = np.quantile(spread, [alpha, 1 - alpha], axis=2)
        unseen = self.draws[:, -UNSEEN:].sum(axis=1)
        full = (sums[:, base] + unseen * means[base])[:, None, None]  # links of full size, one more axis for those of x
        gained = sums + unseen * (means[:, None] + means[base])
        shares, gains = (np.divide(x, full, out=np.zeros((*x.shape[:1], *x.shape)), where=full > 0) for x in (sums, gained))
        at_least = _widened(np.quantile(shares, alpha, axis=3), own_error, np.min)
        at_most = _widened(np.quantile(gains, 1 - alpha, axis=3), own_error, np.max)
        return tuple(
            self._forecast(c, means, (float(low[:, c].min()), float(high[:, c].max())), (float(at_least[c]), float(at_most[c])))
            for c in range(len(self.candidates))
        )

    def _forecast(self, c: int, means: FloatArray, band: tuple[float, float], limits: tuple[float, float]) -> Forecast:
        mean, full = float(means[c]), float(means[self.candidates.index(self.baseline)])
        kept = mean / full if full > 0 else None
        itself = self.candidates[c] == self.baseline
        at_least = None if kept is None else kept if itself else min(limits[0], kept)
        at_most = None if kept is None else kept if itself else max(limits[1], kept)
        return Forecast(
            candidate=self.candidates[c],
            mean=mean,
            low=max(min(band[0], mean), 0.0),
            high=min(max(band[1], mean), 1.0),
            kept=kept,
            at_least=at_least,
            at_most=at_most,
            outcome=Outcome.BASELINE if itself else self._outcome(at_least, at_most),
        )

    def _outcome(self, at_least: float | None, at_most: float | None) -> Outcome:
        if at_least is None or at_most is None or self.n_units < MIN_QUERIES:
            return Outcome.INCONCLUSIVE
        retain = self.question.retain
        return Outcome.PASS if at_least >= retain else Outcome.FAIL if at_most < retain else Outcome.INCONCLUSIVE

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


@dataclass(frozen=True, slots=True)
class Fitted:
    """One candidate: its population, and `pull` (n_queries, 2), what a query's weight of one more does to the parameters."""

    population: Population
    pull: FloatArray


@dataclass(frozen=True, slots=True)
class Grower:
    """All candidates under one link, fitted to where their relevant documents stand among `n_distractors`."""

    standings: tuple[DistractorCounts, ...]
    nodes: Quadrature
    fitted: tuple[Fitted, ...]

    @classmethod
    def of(cls, link: Link, standings: Sequence[DistractorCounts], n_distractors: int) -> Grower:
        counts = [np.minimum(rounded(s.distractors), n_distractors) for s in standings]
        nodes = quadrature(link, np.concatenate(counts), n_distractors)
        return cls(tuple(standings), nodes, tuple(_fit(nodes, c, s) for c, s in zip(counts, standings, strict=True)))

    def grown(self, reward: FloatArray, extra: int) -> tuple[FloatArray, FloatArray]:
        """Each query's expected measure with `extra` more documents, and its influence; both (n_candidates, n_queries).

        The influence is the expectation plus the query's effect on everyone's through the fit: its mean over resampled queries
        varies as the whole estimate does, without fitting again (the infinitesimal jackknife of Jaeckel 1972).
        """
        k = len(reward)
        near = [np.flatnonzero(s.distractors + s.relevant < k) for s in self.standings]
        codes = [s.distractors[i] * k + s.distractors[i] + s.relevant[i] for s, i in zip(self.standings, near, strict=True)]
        unique, which = np.unique(np.concatenate(codes), return_inverse=True)
        nodes = self.nodes.only(self.nodes.rows(np.minimum(unique // k, self.nodes.counts[-1])))
        rewards = _expected_rewards(nodes, unique % k, reward, extra)
        starts = np.cumsum([0, *(len(code) for code in codes)])
        pairs = [(i, which[a:b]) for i, a, b in zip(near, starts[:-1], starts[1:], strict=True)]
        answers = [
            _of_candidate(s, one, nodes, rewards, *pair) for s, one, pair in zip(self.standings, self.fitted, pairs, strict=True)
        ]
        return np.stack([value for value, _ in answers]), np.stack([influence for _, influence in answers])


def _fit(nodes: Quadrature, counts: IntArray, standing: DistractorCounts) -> Fitted:
    present, which = np.unique(nodes.rows(counts), return_inverse=True)
    own = nodes.only(present)
    population = fit(own, np.bincount(which, standing.weight).astype(np.float64))
    each = scores(population.posterior(own))[which] * standing.weight[:, None]
    by_query = np.stack([np.bincount(standing.queries, column, len(standing.found)) for column in each.T], axis=1)
    return Fitted(population, by_query @ np.linalg.inv(population.information))


def _expected_rewards(nodes: Quadrature, places: IntArray, reward: FloatArray, extra: int) -> FloatArray:
    """(n_rows, n_nodes) E[reward at place + B], B ~ Binomial(extra, p of the node), for one place below k and one count a row.

    Rows of one count share their nodes and lie together.
    """
    padded = np.append(reward, np.zeros(len(reward)))
    out = np.empty(nodes.x.shape)
    starts = np.flatnonzero(np.diff(nodes.counts, prepend=-1))
    for start, stop in itertools.pairwise([*starts.tolist(), len(out)]):
        ahead = np.arange(min(len(reward) - int(places[start:stop].min()), extra + 1))
        log_p, log_q = nodes.link.logs(nodes.x[start])
        ways = special.gammaln(extra + 1.0) - special.gammaln(ahead + 1.0) - special.gammaln(extra - ahead + 1.0)
        chances = np.exp(ways + ahead * log_p[:, None] + (extra - ahead) * log_q[:, None])
        out[start:stop] = padded[places[start:stop, None] + ahead] @ chances.T
    return out


def _of_candidate(
    standing: DistractorCounts, fitted: Fitted, nodes: Quadrature, rewards: FloatArray, pairs: IntArray, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The expectation and the influence of each query; `pairs` are the documents within reach of the first k, at these `rows`."""
    used, where = np.unique(rows, return_inverse=True)
    mean, slope = fitted.population.posterior(nodes.only(used)).expectation(rewards[used])
    worth = standing.worth[pairs]
    value = np.bincount(standing.queries[pairs], worth * mean[where], len(standing.found)).astype(np.float64)
    return value, value + fitted.pull @ (worth @ slope[where])
