"""Counts the queries that would settle an open case, and what those at hand could prove at all."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, isfinite, sqrt
from typing import Final

from mrl_sweep.decision.bounds import UNSEEN, required_t, skewness_over_root_n
from mrl_sweep.decision.policy import MIN_QUERIES
from mrl_sweep.decision.student import near_t_quantile, normal_quantile, t_quantile
from mrl_sweep.record import record
from mrl_sweep.words import asked_share, count, round_up

POWER: Final = 0.8
_FAR: Final = 30
"""A case that takes more than so many times the queries at hand lies on the margin: the sample cannot tell on which side."""

_MOST: Final = 2**40

_KNOWN_TO: Final = 1e-7
"""So far a provable loss is known, as a share of the baseline's mean; it is shown to a thousandth."""


@record(kw_only=True)
class Sample:
    """Holds what `n` queries showed of one candidate, and the share that was asked of it.

    `sd` and `third` are the standard deviation and the third central moment of x - retain * y; `unseen` is the size of
    an unseen query (`unseen_size`); None means the baseline's mean.
    """

    n: int
    sd: float
    baseline_mean: float
    retain: float
    alpha: float
    third: float = 0.0
    unseen: float | None = None


def queries_needed(sample: Sample, *, share: float = 1.0) -> int | None:
    """Counts the queries that tell a candidate that truly keeps `share` from the margin, with power `POWER`; at least 30.

    Above the margin it is proven good enough, below it proven worse: n = ((z(1 - alpha) + z(power)) sd / gap)^2 with
    gap = mean(y) |share - retain|, with the unseen loser or gainer of `paired_bounds` outweighed and skewness allowed for. None
    where no number suffices.
    """
    if sample.baseline_mean <= 0 or share == sample.retain or not isfinite(sample.sd):
        return None
    return _first(lambda n: _excess(sample, n, share) >= 0, MIN_QUERIES, _MOST)


def queries_to_settle(sample: Sample, *, kept: float) -> int | None:
    """Counts the queries that would settle an inconclusive case, rounded up to two digits: `round_up`.

    It is the number that proves the measured share, good enough or worse; where that is worse, not less than the number that
    proves a candidate which truly keeps everything, for the sample may have been unlucky. None where more queries are
    unlikely to help: the measured share lies so near the margin that thirty times the queries would not tell.
    """
    measured = queries_needed(sample, share=kept)
    if measured is None or measured > _FAR * sample.n:
        return None
    best = queries_needed(sample) if kept < sample.retain < 1 else None
    return round_up(max(measured, best or 0, sample.n + 1))


def provable_loss(sample: Sample) -> float | None:
    """Returns the least distance above the margin that these queries tell with power `POWER`, as a share of the baseline's mean.

    It is the inverse of `queries_needed`: a size that truly loses nothing is proven with that power where the asked share leaves
    at least this much room (1 - retain >= provable_loss). None where the baseline's mean is 0, the spread is unknown, or the
    queries are too few to tell any.
    """
    if sample.baseline_mean <= 0 or not isfinite(sample.sd):
        return None

    def excess(distance: float) -> float:
        return _excess(sample, sample.n, sample.retain + distance)

    low, high, below, above = 0.0, 1.0, excess(0.0), excess(1.0)
    while above < 0:
        low, high, below, above = high, 2 * high, above, excess(2 * high)
        if high > _MOST:
            return None
    side, previous, middle = 0, low, high
    while abs(middle - previous) > _KNOWN_TO:  # the Illinois rule: an end that stays counts half
        previous, middle = middle, high - above * (high - low) / (above - below)
        value = excess(middle)
        if value >= 0:
            high, above, below, side = middle, value, below / 2 if side > 0 else below, 1
        else:
            low, below, above, side = middle, value, above / 2 if side < 0 else above, -1
    return middle


def strictest_share(n: int, *, alpha: float) -> float | None:
    """Returns the largest share that `n` queries could prove of a size which changes nothing; None where they prove nothing.

    With y = mean(y) throughout, n pairs of x = y and one unseen loser have the limit retain = (n - t) / (n + 1), t being what
    Student's t must reach at that skewness: the room that it leaves is some 4.6 / n. Real queries differ, and some change: what
    they prove is less.
    """
    if n < MIN_QUERIES:
        return None
    return (n - required_t(-1.0, t_quantile(alpha, n))) / (n + 1)


def queries_for_share(retain: float, *, alpha: float) -> int | None:
    """Counts the queries below which not even an identical size can be proven to keep `retain`.

    It is the inverse of `strictest_share`; None where no number suffices (`retain` 1).
    """
    return _first(lambda n: (strictest_share(n, alpha=alpha) or 0.0) >= retain, MIN_QUERIES, _MOST) if retain < 1 else None


def strictest_words(n: int, *, noun: str, alpha: float) -> str:
    """Says what `n` units of evidence (`noun`: "judged queries") could prove at the most, as a sentence without its stop."""
    strictest = strictest_share(n, alpha=alpha)
    if strictest is None:
        return f"{count(n)} {noun} prove nothing: it takes {MIN_QUERIES}"
    shown, sure = asked_share(floor(1000 * strictest) / 1000), f"{asked_share(1 - alpha)} confidence"
    return f"{count(n)} {noun} can prove {shown} at the most, and that only of a size that changes nothing ({sure})"


def _excess(sample: Sample, n: int, share: float) -> float:
    """By how much the limit that `n` queries are expected to have, less its chance variation, clears the margin; in sums."""
    level, better = sample.baseline_mean, share > sample.retain
    gap = level * abs(share - sample.retain)
    size = level if sample.unseen is None else sample.unseen
    # where an unseen query stands below the margin: a loser has x = 0, a gainer as much more than the mean
    against = sample.retain * size if better else (1 - sample.retain) * size + share * level
    total = n + UNSEEN
    mean = (n * gap - UNSEEN * against) / total
    met, unmet = gap - mean, -against - mean
    variance = (n * (sample.sd**2 + met**2) + UNSEEN * unmet**2) / total
    third = sample.third if better else -sample.third
    third = (n * (third + 3 * sample.sd**2 * met + met**3) + UNSEEN * unmet**3) / total
    t = required_t(skewness_over_root_n(third, variance, total), near_t_quantile(sample.alpha, total - 1))
    error = t * total * sqrt(variance / (total - 1))
    return n * gap - UNSEEN * against - error - normal_quantile(1 - POWER) * sqrt(n) * sample.sd


def _first(holds: Callable[[int], bool], low: int, most: int) -> int | None:
    """The smallest number from `low` up for which `holds`, which stays true from there on; None where none up to `most` does."""
    if holds(low):
        return low
    high = 2 * low
    while not holds(high):
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
