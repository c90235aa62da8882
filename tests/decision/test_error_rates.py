"""What the rule promises, simulated on real per-query nDCG@10.

`data/ndcg10.npz` holds this project's own figures: per-query nDCG@10 of WordLlama on SciFact, Cranfield and CISI (256, 240,
224, 208, 192, 176, 160, 144, 128, 96, 64, 32 dimensions) and of text-embedding-3-small on LoCoMo turns (1536, 1280, 1024, 768,
640, 512, 384, 256, 192, 128); (n_sizes, n_queries) each.
Queries are resampled, and the asked share is the population's true one, so that every pass is a false one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mrl_sweep.decision.bounds import paired_bounds
from mrl_sweep.decision.walk import Policy, decide
from mrl_sweep.types import Basis, Configuration, FloatArray, Measure, Scores

REPETITIONS = 3_000
QUERIES = (50, 200, 1_000)
REAL = {"scifact": (4, 8, 9), "cranfield": (4, 8, 9), "cisi": (4, 9), "locomo": (2, 7)}


@pytest.fixture(scope="module")
def real() -> dict[str, FloatArray]:
    with np.load(Path(__file__).parent / "data" / "ndcg10.npz", allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays}


def populations(real: dict[str, FloatArray]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """(x, y) of each population; `rare`: nothing changes but 2% of the queries, which are wiped out."""
    found = {f"{name}-{size}": (real[name][size], real[name][0]) for name, sizes in REAL.items() for size in sizes}
    for name in ("scifact", "cranfield"):
        y = np.repeat(real[name][0], 50)
        wiped = np.random.default_rng(1).random(len(y)) < 0.02
        found[f"rare-{name}"] = (np.where(wiped, 0.0, y), y)
    return found


def test_false_acceptance_and_false_failure_at_the_margin(real: dict[str, FloatArray]) -> None:
    rng = np.random.default_rng(20)
    accepted, failed = [], []
    for x, y in populations(real).values():
        retain = float(x.mean() / y.mean())
        for n in QUERIES:
            drawn = rng.integers(0, len(x), (REPETITIONS, n))
            bounds = paired_bounds(x[drawn], y[drawn], retain=retain, alpha=0.05)
            accepted.append(float((bounds.at_least >= retain).mean()))
            failed.append(float((bounds.at_most < retain).mean()))
    assert len(accepted) == 36
    for rates in (np.array(accepted), np.array(failed)):
        assert rates.max() <= 0.085
        assert (rates <= 0.06).mean() >= 0.8


def test_without_the_guard_rare_losses_would_pass_often(real: dict[str, FloatArray]) -> None:
    """The guard earns its place: at 50 queries a plain t bound passes a third of the time; with it, never."""
    x, y = populations(real)["rare-scifact"]
    retain = float(x.mean() / y.mean())
    drawn = np.random.default_rng(3).integers(0, len(x), (REPETITIONS, 50))
    d = x[drawn] - retain * y[drawn]
    plain = d.mean(axis=1) >= 1.6765509 * d.std(axis=1, ddof=1) / np.sqrt(50)  # t(0.95, 49)
    assert plain.mean() > 0.3
    assert (paired_bounds(x[drawn], y[drawn], retain=retain, alpha=0.05).at_least >= retain).mean() == 0


@pytest.mark.parametrize("name", ["scifact", "cranfield", "cisi", "locomo"])
def test_the_walk_chooses_a_truly_bad_size_in_at_most_five_percent(real: dict[str, FloatArray], name: str) -> None:
    """With 98% asked; and with the asked share a hair above that of the first bad size, where alpha itself is reached."""
    rng, whole = np.random.default_rng(8), real[name]
    shares = whole.mean(axis=1) / whole[0].mean()
    hardest = float(shares[np.flatnonzero(shares < 0.985)[0]]) + 1e-6
    for retain, at_most in ((0.98, 0.05), (hardest, 0.06)):
        truly_bad = shares[1:] < retain
        for n in QUERIES:
            drawn = rng.integers(0, whole.shape[1], (1_000, n))
            y = whole[0][drawn]
            passes = np.array([paired_bounds(x[drawn], y, retain=retain, alpha=0.05).at_least >= retain for x in whole[1:]])
            reached = np.logical_and.accumulate(passes).sum(axis=0)
            chosen_bad = (reached > 0) & truly_bad[reached - 1]
            assert chosen_bad.mean() <= at_most
            for i in range(5):
                assert decide(sample(whole[:, drawn[i]]), Policy(retain=retain)).proven == (
                    100 - reached[i] if reached[i] else None
                )


def sample(values: FloatArray) -> Scores:
    """Scores of one draw: the sizes are called 100 (full), 99, 98 …"""
    candidates = tuple(Configuration(Basis.PREFIX, 100 - i) for i in range(len(values)))
    return Scores(candidates, (Measure("nDCG", 10),), values[:, None], np.ones((1, values.shape[1]), bool))
