"""The configuration of the fewest bytes that is proven, at one asked share or at several: few paths share one alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from mrl_sweep.decision.families import Path, p_values_of, walk_paths
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.decision.walk import decide, ladder
from mrl_sweep.types import Basis, Configuration, IntArray, Scores, full_size

_ALL_FIT: Final[Mapping[Configuration, str]] = {}

ONE_BIT: Final = ("rabitq", "binary")
"""Precisions of about one bit a number, the one that loses less first."""

SIDE_BY_SIDE: Final = (0.99, 0.98, 0.95, 0.90)
"""The asked shares at which every report shows the smallest proven size."""

LEAST_SHARE: Final = 0.8
"""The smallest share for which the answers of the grid are known beforehand."""

_NO_GRID: Final[Mapping[Configuration, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class GridAnswer:
    """What the paths prove: `smallest` is the proven configuration of the fewest bytes, None where nothing is proven.

    `proven` are in the order in which they were; `paths` are what was walked, fixed before any score was looked at.
    """

    smallest: Configuration | None
    proven: tuple[Configuration, ...]
    paths: tuple[Path, ...]


def decide_grid(
    scores: Scores,
    policy: Policy,
    *,
    bytes_of: Mapping[Configuration, int],
    baseline: Configuration | None = None,
    basis: str = Basis.PREFIX,
    clusters: IntArray | None = None,
    unfit: Mapping[Configuration, str] = _ALL_FIT,
) -> GridAnswer:
    """The smallest proven configuration among those of `bytes_of` (bytes of a vector in memory) that were scored.

    `bytes_of` names the grid: exhaustive searches of `basis` at any size, precision and rescoring. Each is tested against the
    baseline (default: full size) as everywhere, for all required measures; the chance that any proven one is truly below the
    margin is at most alpha in all, because the paths share it. This alpha is beside that of the verdict on sizes alone.
    By mean (`policy.decide_by`) the paths are walked by the measured shares.

    Raises `InputError` where no share is defined: no usable query, or a baseline that finds nothing.
    """
    full = baseline or full_size(scores.candidates)
    question = Question(scores=scores, policy=policy, baseline=full, clusters=clusters, unfit=unfit)
    grid = {c: size for c, size in bytes_of.items() if c in scores.candidates and c.basis == basis and c != full}
    paths = paths_through(grid, full)
    steps = list(dict.fromkeys(step for path in paths for step in path.steps))
    proven = walk_paths(dict(zip(steps, p_values_of(question, steps), strict=True)), paths, alpha=policy.alpha)
    return GridAnswer(smallest=min(proven, key=lambda c: (grid[c], -c.dim), default=None), proven=proven, paths=paths)


def paths_through(bytes_of: Mapping[Configuration, int], full: Configuration) -> tuple[Path, ...]:
    """The paths through these configurations, from their names and bytes alone.

    * bits first: full size at fewer and fewer bits, then fewer dimensions at one bit;
    * dimensions: fewer and fewer at a middling precision (int4, else int8, else what there is);
    * rescored: fewer and fewer dimensions at one bit, a shortlist of them ordered again.

    A path that is wrong for a model (one bit at full size fails for many) must not be the only one; more than a few cost more
    than they find. Chosen by simulation: tests/decision/test_grid.py.
    """
    plain = {c: size for c, size in bytes_of.items() if not c.rescore}
    rescored = {c: size for c, size in bytes_of.items() if c.rescore}
    named = {
        "bits first": _bits_first(plain, full),
        "dimensions": _by_dimension(plain, full, ("int4", "int8")),
        "rescored": _by_dimension(rescored, full, ("binary", "rabitq")),
    }
    walked = {name: steps for name, steps in named.items() if steps}
    return tuple(Path(name=name, steps=steps, share=1 / len(walked)) for name, steps in walked.items())


def _bits_first(bytes_of: Mapping[Configuration, int], full: Configuration) -> tuple[Configuration, ...]:
    last = next((p for p in ONE_BIT if any(c.precision == p for c in bytes_of)), None)
    if last is None:
        return ()
    at_full = sorted((c for c in bytes_of if c.dim == full.dim), key=lambda c: -bytes_of[c])
    end = next((i for i, c in enumerate(at_full) if c.precision == last), None)
    if end is None:
        return ()
    return (*at_full[: end + 1], *ladder((c for c in bytes_of if c.precision == last and c.dim < full.dim), full.dim))


def _by_dimension(
    bytes_of: Mapping[Configuration, int], full: Configuration, preferred: Sequence[str]
) -> tuple[Configuration, ...]:
    """The sizes of one family, largest first: of the first preferred precision there is, else of any."""
    families: dict[Configuration, list[Configuration]] = {}
    for c in bytes_of:
        families.setdefault(c.family, []).append(c)
    if not families:
        return ()
    order = [*preferred, *sorted({f.precision for f in families} - {*preferred})]
    chosen = min(families, key=lambda f: (order.index(f.precision), str(f.rescore)))
    return tuple(ladder(families[chosen], full.dim))


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
            rule = replace(policy, retain=shares[at])
            answers[at] = decide_grid(scores, rule, bytes_of=bytes_of, clusters=clusters, unfit=unfit).smallest
        return answers[at]

    def search(low: int, high: int) -> None:
        if high - low > 1 and answer(low) != answer(high):
            middle = (low + high) // 2
            search(low, middle)
            search(middle, high)

    search(0, len(shares) - 1)
    looked_at = sorted(answers)
    ends = [at for at, following in pairwise(looked_at) if answers[at] != answers[following]]
    return tuple(GridByShare(retain=shares[at], configuration=answers[at]) for at in [*ends, looked_at[-1]])


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
