"""The smallest proven size and configuration at any asked share, from scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from mrl_sweep.decision.grid import decide_grid
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.types import Configuration, IntArray, Scores, full_size

SIDE_BY_SIDE: Final = (0.99, 0.98, 0.95, 0.90)
"""The asked shares at which every report shows the smallest proven size."""

LEAST_SHARE: Final = 0.8
"""The smallest share for which the answers of the grid are known beforehand."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridByShare:
    """The proven cell of the fewest bytes at every share up to `retain` and above that of the answer before; None: nothing is."""

    retain: float
    configuration: Configuration | None


def grid_by_share(
    scores: Scores,
    policy: Policy,
    *,
    bytes_of: Mapping[Configuration, int],
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
) -> tuple[GridByShare, ...]:
    """What `decide_grid` answers at each tenth of a percent from `LEAST_SHARE` up, and at the asked share; a row for each answer.

    A smaller share never has a larger answer, so only the places where the answer changes are searched for.
    """
    shares = sorted({*(i / 1000 for i in range(round(1000 * LEAST_SHARE), 1001)), policy.retain})
    answers: dict[int, Configuration | None] = {}

    def answer(at: int) -> Configuration | None:
        if at not in answers:
            asked = replace(policy, retain=shares[at])
            answers[at] = decide_grid(scores, asked, bytes_of=bytes_of, clusters=clusters, unfit=unfit).smallest
        return answers[at]

    def search(low: int, high: int) -> None:
        if high - low > 1 and answer(low) != answer(high):
            middle = (low + high) // 2
            search(low, middle)
            search(middle, high)

    search(0, len(shares) - 1)
    known = sorted(answers)
    ends = [at for at, following in pairwise(known) if answers[at] != answers[following]]
    return tuple(GridByShare(retain=shares[at], configuration=answers[at]) for at in [*ends, known[-1]])


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
