"""A larger corpus: what each size will keep of its quality there, from the ranks in a sample of it alone.

Below the sample the expectation is exact. Above it, a relevant document with `c` distractors above it now has
c + Binomial(n - n_s, p) above it then, with p from its posterior under a distribution fitted per size (`population`). R@k,
P@k and nDCG@k are projected: they are sums over the relevant documents, whose order among themselves stays as it is, so that
each one's own rank is all they need. It holds for a random sample of the larger corpus, and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from mrl_sweep.decision.policy import MIN_QUERIES
from mrl_sweep.errors import InputError
from mrl_sweep.projection.forecasts import CorpusSize, Demand, Forecast, GrowthModel
from mrl_sweep.record import record
from mrl_sweep.types import Advice, Configuration, Measure, Qrels, Ranks

__all__ = ["CorpusSize", "Demand", "Forecast", "Growth", "project", "refuse_unprojectable"]

WARN_BEYOND: Final = 10
REFUSE_BEYOND: Final = 50
LARGEST_CUTOFF: Final = 1000
_CURVE_POINTS: Final = 21
_CURVE_OF_LISTS: Final = 4
"""Shortlists, which take longer, are looked at in one of so many points."""

PROJECTED: Final = ("nDCG", "R", "P")

NEEDS_JUDGMENTS: Final = Advice(
    "projection-refused",
    "no quality is projected: that takes the ranks of judged documents, and a label-free run has none",
    "judge some queries, and run without --label-free",
)


@record(kw_only=True)
class Growth:
    """A projection has all candidates `at` each corpus size asked for, and where each stops being acceptable.

    `stops_at` gives the corpus size from which a candidate is no longer proven to keep the asked share, interpolated between
    sizes of which the sample's and those asked for are some: 0 where it is acceptable at none of these, None where
    it still is at the last. Configurations in an index have none: what it loses is not known from ranks.
    """

    measure: Measure
    n_sample: int
    at: tuple[CorpusSize, ...]
    stops_at: Mapping[Configuration, int | None]
    advice: tuple[Advice, ...]


def project(ranks: Ranks, qrels: Qrels, question: Demand, corpus_sizes: Sequence[int], *, curve: bool = True) -> Growth:
    """Projects the measure at every exact candidate to each of `corpus_sizes`, and the size of corpus that each one bears.

    So at the shortlists of `question.lists`, in corpora no smaller than this one. Without `curve` nothing is looked at but these
    sizes and the sample, for those who do not ask where a candidate stops.
    A size beyond fifty times the sample (ten times at k = 1) is refused and one beyond ten times comes with a warning, both as
    data. Raises InputError for a measure that ranks alone cannot project, and where no query has a relevant document.
    """
    refuse_unprojectable(question.measure)
    model = GrowthModel.of(ranks, qrels, question)
    reach = _reach(question.measure)
    within = [n for n in corpus_sizes if n <= reach * model.n_sample]
    sizes = np.geomspace(max(1, model.n_sample / 20), reach * model.n_sample, _CURVE_POINTS if curve else 0).astype(np.int64)
    coarse = {*sizes[::_CURVE_OF_LISTS].tolist(), model.n_sample, *within}
    points = [model.at(n, lists=n in coarse) for n in np.unique([*sizes, model.n_sample, *within]).tolist()]
    by_size = {point.n_documents: point for point in points}
    at = tuple(by_size[n] if n in by_size else _refusal(n, model.n_sample, reach) for n in corpus_sizes)
    names = (*model.candidates, *model.listed)
    stops = {name: _stops(name, points, question.retain) for name in names if name != model.baseline}
    return Growth(
        measure=question.measure,
        n_sample=model.n_sample,
        at=at,
        stops_at=stops,
        advice=_advice(model, corpus_sizes, reach),
    )


def refuse_unprojectable(measure: Measure) -> None:
    """Raises InputError for a measure that ranks alone cannot project; to be asked before the work starts."""
    if measure.name not in PROJECTED or measure.cutoff is None or measure.cutoff > LARGEST_CUTOFF:
        raise InputError(
            f"{measure} cannot be projected to a larger corpus",
            f"project nDCG@k, R@k or P@k with k up to {LARGEST_CUTOFF}: --measure nDCG@10",
        )


def _reach(measure: Measure) -> int:
    return WARN_BEYOND if measure.cutoff == 1 else REFUSE_BEYOND


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
        noun = "judged queries" if model.n_units == len(model.counted) else "clusters of judged queries"
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
