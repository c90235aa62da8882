"""How much evidence is enough: the queries a question needs, and what the queries at hand could have shown."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, isfinite, sqrt
from typing import Final

from mrl_sweep.decision.bounds import RARE_CHANGES
from mrl_sweep.decision.student import normal_quantile

MIN_QUERIES: Final = 30
"""Below this many judged queries nothing is certified."""

POWER: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a query set showed of one candidate: `sd` of x - retain * y over `n` queries, `changed` of which changed at all."""

    n: int
    changed: int
    sd: float
    baseline_mean: float
    retain: float
    alpha: float


def queries_needed(sample: Sample, *, share: float = 1.0, power: float = POWER) -> int | None:
    """How many judged queries tell a candidate that truly keeps `share` from the margin, with this power; at least 30.

    n = ((z(1 - alpha) + z(power)) sd / (mean(y) |share - retain|))^2; where so many queries would still show fewer than 20
    changed ones, the pseudo-query of `paired_bounds` has to be outweighed too. None where no number suffices.
    """
    gap = sample.baseline_mean * abs(share - sample.retain)
    if gap <= 0:
        return None
    z2 = _z(sample.alpha, power) ** 2
    plain = z2 * sample.sd**2 / gap**2
    rate = sample.changed / sample.n
    if rate * plain < RARE_CHANGES:
        # n gap - retain = z sqrt(n sd^2 + retain^2), solved for n
        r = sample.retain
        b = 2 * gap * r + z2 * sample.sd**2
        guarded = (b + sqrt(max(b * b - 4 * gap**2 * r**2 * (1 - z2), 0.0))) / (2 * gap**2)
        plain = min(guarded, max(plain, RARE_CHANGES / rate if rate else inf))
    return max(ceil(plain - 1e-9), MIN_QUERIES) if isfinite(plain) else None


def provable_loss(sample: Sample, *, power: float = POWER) -> float | None:
    """The smallest distance from the margin, as a share of the baseline's mean, that this query set tells with this power.

    The inverse of `queries_needed`: a size that truly loses nothing is proven with this power when the asked share leaves at
    least this much room (1 - retain >= provable_loss). None where the baseline's mean is 0 or the spread is unknown.
    """
    if sample.baseline_mean <= 0 or not isfinite(sample.sd):
        return None
    r = sample.retain if sample.changed < RARE_CHANGES else 0.0
    z = _z(sample.alpha, power)
    return (r + z * sqrt(sample.n * sample.sd**2 + r**2)) / (sample.n * sample.baseline_mean)


def queries_to_settle(sample: Sample, *, kept: float) -> int | None:
    """How many judged queries would settle an inconclusive case.

    The best case first: the number that proves a size which truly keeps everything. A query set that has so many already, and
    still could not tell, needs the number that settles the share it measured, whichever way that falls.
    """
    best = queries_needed(sample) if sample.retain < 1 else None
    if best is not None and best > sample.n:
        return best
    settling = queries_needed(sample, share=kept)
    return None if settling is None else max(settling, sample.n + 1)


def _z(alpha: float, power: float) -> float:
    return normal_quantile(alpha) + normal_quantile(1 - power)
