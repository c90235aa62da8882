"""The policy of a decision: which share of which measures must be kept, and how much evidence that takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Measure, Outcome
from mrl_sweep.words import LAST_BITS

MIN_QUERIES: Final = 30
"""Below this many units of evidence (queries, or clusters of queries) nothing is certified."""


class DecideBy(StrEnum):
    """What makes a size acceptable: the confidence bound (proven) or the mean alone (measured only)."""

    BOUND = "bound"
    MEAN = "mean"


@record(kw_only=True)
class Policy:
    """A policy asks a candidate to keep at least `retain` of each required measure, at error level `alpha` (one-sided).

    `required` empty means the first measure of the scores; the first required measure is the one the verdict names. `by_default`
    is True where nobody chose `retain`. Raises `InputError` for a share or a level out of range.
    """

    required: tuple[Measure, ...] = ()
    retain: float = 0.98
    alpha: float = 0.05
    decide_by: DecideBy = DecideBy.BOUND
    by_default: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.retain <= 1:
            raise InputError(f"retain is {self.retain}, not a share above 0 and up to 1", "write --retain 0.98 or --retain 98%")
        if not 0 < self.alpha < 0.5:
            raise InputError(f"alpha is {self.alpha}, not between 0 and 0.5", "write --alpha 0.05 for 95% confidence")


def reaches(share: float | None, limit: float) -> bool:
    """Says whether the share is at or above the limit: unrounded, but for the last bits of a sum; an unknown share is not."""
    return share is not None and share >= limit - LAST_BITS


def falls_short(share: float | None, limit: float) -> bool:
    """Says whether the share is below the limit; an unknown share is not known to be."""
    return share is not None and not reaches(share, limit)


def outcome_by(at_least: float | None, at_most: float | None, retain: float) -> Outcome:
    """Returns PASS where a share's lower limit reaches `retain`, FAIL where its upper one falls short, else INCONCLUSIVE."""
    if reaches(at_least, retain):
        return Outcome.PASS
    return Outcome.FAIL if falls_short(at_most, retain) else Outcome.INCONCLUSIVE
