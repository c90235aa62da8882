"""The fewest proven bytes: the paths, how alpha is shared and handed on, and how often what is named is truly too low."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mrl_sweep.decision.bounds import retained_p
from mrl_sweep.decision.grid import decide_grid, paths_through, walk_paths
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.errors import InputError
from mrl_sweep.types import Configuration, FloatArray, Measure, Scores

DIMS = (1536, 1024, 768, 512, 384, 256, 128)
BITS = {"float32": 32, "int8": 8, "int4": 4, "rabitq": 1}
NDCG = Measure("nDCG", 10)
FULL = Configuration("prefix", 1536)


def cell(dim: int, precision: str, rescore: str = "") -> Configuration:
    return Configuration("prefix", dim, precision=precision, rescore=rescore)


def grid_bytes(*, rescored: bool = False) -> dict[Configuration, int]:
    """Bytes of every cell but full size."""
    plain = {cell(dim, name): dim * bits // 8 for dim in DIMS for name, bits in BITS.items()}
    again = {cell(dim, "rabitq", "4x"): dim // 8 for dim in DIMS} if rescored else {}
    return {c: size for c, size in (plain | again).items() if c != FULL}


def names(steps: tuple[Configuration, ...]) -> list[str]:
    return [str(step) for step in steps]


def test_the_paths_are_few_and_fixed_by_names_and_bytes() -> None:
    bits, dimensions, rescored = paths_through(grid_bytes(rescored=True), FULL)
    assert names(bits)[:4] == ["1536:int8", "1536:int4", "1536:rabitq", "1024:rabitq"]
    assert names(bits)[-1] == "128:rabitq"
    assert names(dimensions)[:2] == ["1536:int4", "1024:int4"]
    assert names(rescored)[:2] == ["1536:rabitq:exact:rescore=4x", "1024:rabitq:exact:rescore=4x"]


def test_sizes_alone_are_one_path_at_full_alpha() -> None:
    sizes = {cell(dim, "float32"): 4 * dim for dim in DIMS[1:]}
    (only,) = paths_through(sizes, FULL)
    assert names(only) == ["1024", "768", "512", "384", "256", "128"]
    assert walk_paths(dict.fromkeys(only, 0.05), [only], alpha=0.05) == only


def test_a_path_that_passes_to_its_end_hands_its_alpha_on() -> None:
    a, b, c, d = (cell(dim, "int8") for dim in (8, 6, 4, 2))
    paths = [(a, b), (c, d)]
    assert walk_paths({a: 0.02, b: 0.025, c: 0.04, d: 0.05}, paths, alpha=0.05) == (a, b, c, d)
    assert walk_paths({a: 0.02, b: 0.026, c: 0.04, d: 0.05}, paths, alpha=0.05) == (a,)
    assert walk_paths({a: 0.03, b: 0.0, c: 0.03, d: 0.0}, paths, alpha=0.05) == ()
    shared = [(a, b), (a, d)]
    assert walk_paths({a: 0.02, b: 1.0, d: 0.01}, shared, alpha=0.05) == (a, d)


def planted(shares: dict[Configuration, float], n: int, generator: np.random.Generator) -> Scores:
    y = generator.uniform(0.4, 0.8, n)
    rows = [np.clip(y * share + generator.normal(0, 0.02, n), 0, 1) for share in shares.values()]
    return Scores((FULL, *shares), (NDCG,), np.stack([y, *rows])[:, None], np.ones((1, n), bool))


def test_the_planted_smallest_configuration_is_found() -> None:
    """4 bits lose nothing, one bit loses too much below 768 dimensions, float32 below 256."""
    share = {"float32": 256, "int8": 256, "int4": 384, "rabitq": 768}
    shares = {c: 0.999 if c.dim >= share[c.precision] else 0.9 for c in grid_bytes()}
    scores = planted(shares, 600, np.random.default_rng(0))
    answer = decide_grid(Question(scores, Policy(retain=0.97)), grid_bytes())
    assert str(answer.smallest) == "768:rabitq"
    assert cell(384, "int4") in answer.proven
    assert cell(256, "float32") not in answer.proven, "on no path"
    by_mean = decide_grid(Question(scores, Policy(retain=0.97, decide_by=DecideBy.MEAN)), grid_bytes())
    assert by_mean.smallest == answer.smallest


def test_every_required_measure_counts_and_what_is_unfit_is_never_named() -> None:
    scores = planted(dict.fromkeys(grid_bytes(), 0.999), 600, np.random.default_rng(0))
    other = Measure("R", 100)
    values = np.concatenate([scores.values, scores.values], axis=1)
    values[1:, 1] *= 0.9
    both = Scores(scores.candidates, (NDCG, other), values, np.ones((2, 600), bool))
    assert decide_grid(Question(both, Policy(required=(NDCG, other))), grid_bytes()).smallest is None
    assert str(decide_grid(Question(both, Policy(required=(NDCG,))), grid_bytes()).smallest) == "128:rabitq"
    unfit = {cell(128, "rabitq"): "zero prefixes"}
    assert str(decide_grid(Question(scores, Policy(), unfit=unfit), grid_bytes()).smallest) == "256:rabitq"
    few = planted(dict.fromkeys(grid_bytes(), 1.0), 29, np.random.default_rng(0))
    assert decide_grid(Question(few, Policy(retain=0.5)), grid_bytes()).proven == ()
    values[0] = 0
    with pytest.raises(InputError, match="nDCG@10 is 0 at full size"):
        decide_grid(Question(Scores(both.candidates, both.measures, values, both.counted), Policy()), grid_bytes())


def test_what_orders_codes_again_is_unfit_where_they_are() -> None:
    cells = grid_bytes(rescored=True)
    scores = planted(dict.fromkeys(cells, 1.0), 300, np.random.default_rng(3))
    codes, again = cell(128, "rabitq"), cell(128, "rabitq", "4x")
    assert again in decide_grid(Question(scores, Policy(retain=0.9)), cells).proven
    unfit = decide_grid(Question(scores, Policy(retain=0.9), unfit={codes: "collapsed"}), cells)
    assert not {codes, again} & {*unfit.proven}


Truth = Callable[[Configuration], float]


def one_at_a_time(c: Configuration) -> float:
    """Full size at one bit and every second size at four lie exactly at the margin, and what lies beyond them below."""
    return 0.95 if c.precision == "rabitq" or c.dim <= 768 else 1.0


def staircase(c: Configuration) -> float:
    """A border through the grid: the fewer bits, the earlier a size falls to the margin."""
    return 0.95 if c.dim <= {"float32": 256, "int8": 384, "int4": 512, "rabitq": 1024}[c.precision] else 0.985


def dips(c: Configuration) -> float:
    """Every other size lies at the margin, those between are as good as full size."""
    return 0.95 if DIMS.index(c.dim) % 2 else 1.0


def everywhere(_: Configuration) -> float:
    return 0.95


@pytest.mark.parametrize("truth", [one_at_a_time, staircase, dips, everywhere])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_what_is_named_is_truly_too_low_in_at_most_five_and_a_half_percent(truth: Truth, correlation: float) -> None:
    """A hair below the margin that is asked; noise of the cells independent of each other, or mostly shared."""
    generator, asked = np.random.default_rng(12), 0.95 + 1e-9
    bytes_of = grid_bytes(rescored=True)
    shares = np.array([truth(c) for c in bytes_of])
    paths = paths_through(bytes_of, FULL)
    for n in (100, 400):
        named_bad, repetitions = 0, 600
        for _ in range(repetitions):
            y = generator.choice([0.0, 0.3869, 0.5, 0.6309, 1.0], n, p=[0.1, 0.2, 0.2, 0.2, 0.3])
            noise = np.sqrt(correlation) * generator.normal(0, 1, n) + np.sqrt(1 - correlation) * generator.normal(
                0, 1, (len(shares), n)
            )
            x: FloatArray = shares[:, None] * y + 0.05 * noise
            p = dict(zip(bytes_of, retained_p(x, y, retain=asked), strict=True))
            proven = walk_paths(p, paths, alpha=0.05)
            named_bad += bool(proven) and truth(min(proven, key=lambda c: bytes_of[c])) < asked
        assert named_bad / repetitions <= 0.055
