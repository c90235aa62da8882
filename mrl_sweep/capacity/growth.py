"""A larger corpus: what each size will keep of its quality there, from the ranks in a sample of it alone.

Below the sample the expectation is exact. Above it, a relevant document with `c` distractors above it now has
c + Binomial(n - n_s, p) above it then, with p from its posterior under a distribution fitted per size (`population`). R@k,
P@k and nDCG@k are projected: they are sums over the relevant documents, whose order among themselves stays as it is, so that
each one's own rank is all they need. It holds for a random sample of the larger corpus, and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.capacity.distractors import Standing, Wanted, in_a_sample, standing, wanted
from mrl_sweep.capacity.growing import Grower
from mrl_sweep.capacity.population import Link
from mrl_sweep.errors import InputError
from mrl_sweep.types import EXACT, NOT_RETRIEVED, Advice, Basis, Candidate, FloatArray, IntArray, Measure, Qrels, Ranks

WARN_BEYOND: Final = 10
REFUSE_BEYOND: Final = 50
MIN_QUERIES: Final = 30
FEW_CHANGED: Final = 20
LARGEST_CUTOFF: Final = 1000
DRAWS: Final = 500
_CURVE_POINTS: Final = 21

PROJECTED: Final = ("nDCG", "R", "P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the projection: the measure, the share of full size to keep, one-sided alpha, and who full size is."""

    measure: Measure
    retain: float = 0.98
    alpha: float = 0.05
    baseline: Candidate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """One candidate at one corpus size: the measure's mean with its band, and the share kept of full size's there.

    `low` and `high` span both models, each widened by resampling queries to its alpha and 1 - alpha limits; `at_least` is the
    lower limit of `kept`, the worse of both models. None where the share is undefined.
    """

    candidate: Candidate
    mean: float
    low: float
    high: float
    kept: float | None
    at_least: float | None
    acceptable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSize:
    """All candidates in a corpus of `n_documents`; `dimension` is the smallest acceptable one, None where only full size is.

    `exact` below the sample; `refused` says why there is no forecast, else it is empty.
    """

    n_documents: int
    exact: bool
    refused: str
    dimension: int | None
    forecasts: tuple[Forecast, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The projection: `at` each corpus size asked for, and where each candidate stops being acceptable.

    `stops_at` gives the corpus size from which a candidate is no longer proven to keep the asked share, interpolated between
    the sizes `looked_at`; the first of these means nowhere, None that it is still acceptable at the last. `excluded` counts
    the candidates that are not projected, by reason.
    """

    measure: Measure
    n_sample: int
    n_queries: int
    at: tuple[CorpusSize, ...]
    looked_at: tuple[int, ...]
    stops_at: Mapping[Candidate, int | None]
    advice: tuple[Advice, ...]
    excluded: Mapping[str, int]


def project(
    ranks: Ranks, qrels: Qrels, question: Question, corpus_sizes: Sequence[int], *, generator: np.random.Generator
) -> Growth:
    """The measure at every exact candidate for each of `corpus_sizes`, and the size of corpus that each one bears.

    A size beyond fifty times the sample (ten times at k = 1) is refused and one beyond ten times comes with a warning, both as
    data. Raises InputError for a measure that ranks alone cannot project, and where no query has a relevant document.
    """
    _check(question.measure)
    model = _Model.of(ranks, qrels, question, generator)
    reach = _reach(question.measure)
    at = tuple(model.corpus_size(n) if n <= reach * model.n_sample else model.refusal(n, reach) for n in corpus_sizes)
    curve = np.unique(np.geomspace(max(1, model.n_sample / 20), reach * model.n_sample, _CURVE_POINTS).astype(np.int64))
    points = [model.corpus_size(int(n)) for n in curve]
    names = [forecast.candidate for forecast in points[0].forecasts]
    stops = {name: _stops(name, points, question.retain) for name in names if name != model.baseline}
    left_out = len(ranks.candidates) - len(model.candidates)
    return Growth(
        measure=question.measure,
        n_sample=model.n_sample,
        n_queries=model.n_queries,
        at=at,
        looked_at=tuple(int(n) for n in curve),
        stops_at=stops,
        advice=_advice(model, corpus_sizes, reach),
        excluded={"candidates with an index that is not exact are not projected": left_out} if left_out else {},
    )


def _check(measure: Measure) -> None:
    if measure.name not in PROJECTED or measure.cutoff is None or measure.cutoff > LARGEST_CUTOFF:
        raise InputError(
            f"{measure} cannot be projected to a larger corpus",
            f"project nDCG@k, R@k or P@k with k up to {LARGEST_CUTOFF}: --measure nDCG@10",
        )


def _full_size(candidates: Sequence[Candidate]) -> Candidate:
    prefixes = [candidate for candidate in candidates if candidate.basis == Basis.PREFIX]
    if not prefixes:
        raise InputError("nothing to project: no exact prefix was ranked", "rank the full size too: --dims auto")
    return max(prefixes, key=lambda candidate: candidate.dim)


def _reach(measure: Measure) -> int:
    return WARN_BEYOND if measure.cutoff == 1 else REFUSE_BEYOND


def _advice(model: _Model, corpus_sizes: Sequence[int], reach: int) -> tuple[Advice, ...]:
    advice = []
    if any(n > model.n_sample for n in corpus_sizes):
        advice.append(
            Advice(
                "random_sample",
                f"the projection takes these {model.n_sample:,} documents for a random sample of the larger corpus; taken from"
                " the oldest tenth, recall was measured to be off by .04, from a single topic by .17",
                "draw the evaluated corpus at random from the larger one",
            )
        )
    far = [n for n in corpus_sizes if WARN_BEYOND * model.n_sample < n <= reach * model.n_sample]
    if far:
        advice.append(
            Advice(
                "far_projection",
                f"{max(far):,} documents are {max(far) / model.n_sample:.0f} times the {model.n_sample:,} at hand: beyond"
                f" {WARN_BEYOND} times the projection grows uncertain",
                f"evaluate on at least {max(far) // WARN_BEYOND:,} documents: --distractors adds unjudged ones",
            )
        )
    if model.n_queries < MIN_QUERIES:
        advice.append(
            Advice(
                "few_queries",
                f"{model.n_queries} judged queries are too few to accept a size in a larger corpus; {MIN_QUERIES} is the least",
                "judge more queries",
            )
        )
    return tuple(advice)


def _stops(candidate: Candidate, points: Sequence[CorpusSize], retain: float) -> int | None:
    """The corpus size at which the lower limit first crosses the asked share, linear in the logarithm between two points."""
    before: tuple[int, float] | None = None
    for point in points:
        forecast = next(f for f in point.forecasts if f.candidate == candidate)
        limit = -1.0 if forecast.at_least is None else forecast.at_least
        if not forecast.acceptable:
            if before is None or limit >= retain:
                return point.n_documents
            share = (before[1] - retain) / (before[1] - limit)
            return int(before[0] * (point.n_documents / before[0]) ** share)
        before = point.n_documents, limit
    return None


@dataclass(frozen=True, slots=True)
class _Model:
    """Everything that does not depend on the corpus size asked for."""

    candidates: tuple[Candidate, ...]
    baseline: Candidate
    question: Question
    n_sample: int
    counted: FloatArray
    wanted: Wanted
    standings: tuple[Standing, ...]
    growers: tuple[Grower, ...]
    changed: IntArray
    draws: FloatArray

    @property
    def n_queries(self) -> int:
        return int(self.counted.sum())

    @classmethod
    def of(cls, ranks: Ranks, qrels: Qrels, question: Question, generator: np.random.Generator) -> _Model:
        exact = [c for c, candidate in enumerate(ranks.candidates) if candidate.index == EXACT]
        candidates = tuple(ranks.candidates[c] for c in exact)
        baseline = question.baseline or _full_size(candidates)
        sought = wanted(qrels, question.measure)
        counted = (sought.n_relevant > 0).astype(np.float64)
        if not counted.any():
            raise InputError("nothing to project: no query has a relevant document", "check the judgments: --split")
        if not all((ranks.above[c, sought.columns] < NOT_RETRIEVED).any() for c in exact):
            raise InputError("nothing to project: no relevant document is in the corpus", "check the judgments: --split")
        standings = tuple(standing(sought, ranks.above[c], ranks.tied[c]) for c in exact)
        n_sample = ranks.n_documents
        n_distractors = n_sample - round(float(standings[0].found[counted > 0].mean()))
        growers = tuple(Grower.of(link, standings, n_distractors) for link in Link)
        here = np.stack([s.by_query(_rewards(s, sought.reward)) for s in standings])
        changed = (np.abs(here - here[candidates.index(baseline)]) > 1e-12).sum(axis=1)
        units = np.flatnonzero(counted)
        draws = generator.multinomial(len(units) + 1, np.full(len(units) + 1, 1 / (len(units) + 1)), DRAWS).astype(np.float64)
        return cls(candidates, baseline, question, n_sample, counted, sought, standings, growers, changed, draws)

    def refusal(self, n_documents: int, reach: int) -> CorpusSize:
        at_one = " at a cut-off of 1" if reach < REFUSE_BEYOND else ""
        reason = f"{n_documents:,} documents are more than {reach} times the {self.n_sample:,} at hand: no projection{at_one}"
        return CorpusSize(n_documents=n_documents, exact=False, refused=reason, dimension=None, forecasts=())

    def corpus_size(self, n_documents: int) -> CorpusSize:
        """All candidates in a corpus of `n_documents`."""
        if n_documents <= self.n_sample:
            sampled = [in_a_sample(s, self.wanted.reward, n_documents=self.n_sample, n_kept=n_documents) for s in self.standings]
            values = np.stack(sampled)
            forecasts = self._forecasts(values.sum(axis=1) / self.n_queries, values[None])
        else:
            extra = n_documents - self.n_sample
            both = [grower.grown(self.wanted.reward, extra) for grower in self.growers]
            means = both[0][0].sum(axis=1) / self.n_queries
            forecasts = self._forecasts(means, np.stack([influence for _, influence in both]))
        walked = self._walk(forecasts)
        return CorpusSize(
            n_documents=n_documents, exact=n_documents <= self.n_sample, refused="", dimension=walked, forecasts=forecasts
        )

    def _forecasts(self, means: FloatArray, influence: FloatArray) -> tuple[Forecast, ...]:
        """`means` (n_candidates,) of the model; `influence` (n_models, n_candidates, n_queries), whose resampled means vary as
        the estimate does when queries are drawn anew."""
        question, base = self.question, self.candidates.index(self.baseline)
        weights, guard = self.draws[:, :-1], self.draws[:, -1]
        sums = influence[:, :, self.counted > 0] @ weights.T
        drawn = sums / weights.sum(axis=1)
        low, high = np.quantile(drawn, [question.alpha, 1 - question.alpha], axis=2)
        few = (self.changed < FEW_CHANGED)[None, :, None] * guard
        full = sums[:, base, None] + few
        shares = np.divide(sums, full, out=np.zeros_like(sums), where=full > 0)
        at_least = np.quantile(shares, question.alpha, axis=2).min(axis=0)
        forecasts = []
        for c, candidate in enumerate(self.candidates):
            defined = means[base] > 0
            kept = float(means[c] / means[base]) if defined else None
            limit = float(min(at_least[c], means[c] / means[base])) if defined else None
            itself = c == base
            forecasts.append(
                Forecast(
                    candidate=candidate,
                    mean=float(means[c]),
                    low=float(min(low[:, c].min(), means[c])),
                    high=float(max(high[:, c].max(), means[c])),
                    kept=kept,
                    at_least=kept if itself else limit,
                    acceptable=itself or (limit is not None and limit >= question.retain and self.n_queries >= MIN_QUERIES),
                )
            )
        return tuple(forecasts)

    def _walk(self, forecasts: Sequence[Forecast]) -> int | None:
        """The smallest size that an unbroken walk of acceptable ones from full size down reaches."""
        ladder = [f for f in forecasts if f.candidate.basis == self.baseline.basis and f.candidate.dim < self.baseline.dim]
        smallest = None
        for forecast in sorted(ladder, key=lambda f: -f.candidate.dim):
            if not forecast.acceptable:
                break
            smallest = forecast.candidate.dim
        return smallest


def _rewards(standing: Standing, reward: FloatArray) -> FloatArray:
    """What each document brings in the sample itself."""
    rewards: FloatArray = np.append(reward, 0.0)[np.minimum(standing.distractors + standing.relevant, len(reward))]
    return rewards
