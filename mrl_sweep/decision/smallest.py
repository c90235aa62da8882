"""The smallest proven size and configuration at any asked share, from scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mrl_sweep.decision.grid import decide_grid
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.types import Configuration, IntArray, Scores, full_size

SIDE_BY_SIDE: Final = (0.99, 0.98, 0.95, 0.90)
"""The asked shares at which every report shows the smallest proven size."""

_ALL_FIT: Final[Mapping[Configuration, str]] = {}
_NO_GRID: Final[Mapping[Configuration, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """What is proven to keep `retain`: the smallest size at float32, and the configuration of the fewest bytes.

    Both are full size where nothing below it is proven (`is_full`). Each stands by itself at the policy's alpha: whoever picks
    a share after looking at all of them takes the chance of each.
    """

    retain: float
    dimension: int
    configuration: Configuration
    is_full: bool


def smallest_at(
    scores: Scores,
    policy: Policy,
    retains: Sequence[float] = SIDE_BY_SIDE,
    *,
    bytes_of: Mapping[Configuration, int] = _NO_GRID,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
) -> tuple[Smallest, ...]:
    """For each share the proven answer, in the order given, by bound whatever the policy decides by.

    `bytes_of` names the grid of precisions and rescoring as in `decide_grid`; without it only sizes are looked at. A smaller
    share never has a larger answer. Raises `InputError` where no share is defined, or one lies outside (0, 1].
    """
    return tuple(
        _smallest(scores, replace(policy, retain=retain, decide_by=DecideBy.BOUND), bytes_of, clusters, unfit)
        for retain in retains
    )


def _smallest(
    scores: Scores,
    policy: Policy,
    bytes_of: Mapping[Configuration, int],
    clusters: IntArray | None,
    unfit: Mapping[Configuration, str],
) -> Smallest:
    full = full_size(scores.candidates)
    size = decide(scores, policy, clusters=clusters, unfit=unfit).dimension
    configuration = Configuration.exact_prefix(size)
    coded = {c: n for c, n in bytes_of.items() if c != full}
    if coded:
        answer = decide_grid(scores, policy, bytes_of=coded, clusters=clusters, unfit=unfit).smallest
        if answer is not None and coded[answer] < coded.get(configuration, 4 * size):
            configuration = answer
    return Smallest(retain=policy.retain, dimension=size, configuration=configuration, is_full=configuration == full)
