"""Prefixes against random axes: planted models of both kinds, and what too few queries can tell."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.decision.compare import compare_paired
from mrl_sweep.decision.controls import AgainstRandom, against_random, verdict_on_prefixes
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.types import Configuration, FloatArray, Measure, Scores

NDCG = Measure("nDCG", 10)
DOCUMENTS, DIM = 300, 32
SIZES = (32, 24, 16, 8)


def ndcg(documents: FloatArray, queries: FloatArray) -> FloatArray:
    """1 / log2(rank + 1) of the one document that each query is about: query i about document i."""
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (documents, queries)]
    scores = units[1] @ units[0].T
    above = (scores > scores[np.arange(len(queries)), np.arange(len(queries))][:, None]).sum(axis=1)
    return np.where(above < 10, 1 / np.log2(above + 2), 0.0)


def question(decay: float, n_queries: int = 300, clusters: int | None = None) -> Question:
    """Axis i of the model has the spread decay^i; three random rotations beside its prefixes."""
    rng = np.random.default_rng(7)
    scale = decay ** np.arange(DIM)
    documents = rng.standard_normal((DOCUMENTS, DIM)) * scale
    queries = documents[:n_queries] + 0.9 * rng.standard_normal((n_queries, DIM)) * scale
    values = {f"{dim}": ndcg(documents[:, :dim], queries[:, :dim]) for dim in SIZES}
    for seed in range(3):
        turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
        values |= {f"random-{seed}:{dim}": ndcg((documents @ turn)[:, :dim], (queries @ turn)[:, :dim]) for dim in SIZES[1:]}
    scores = Scores(
        tuple(map(Configuration.parse, values)), (NDCG,), np.stack([*values.values()])[:, None], np.ones((1, n_queries), bool)
    )
    labels = None if clusters is None else np.arange(n_queries) // (n_queries // clusters)
    return Question(scores, Policy(), clusters=labels)


def test_a_model_whose_first_axes_carry_most_beats_random_at_every_size() -> None:
    found = against_random(question(decay=0.85))
    assert [control.dim for control in found] == [24, 16, 8][-len(found) :]
    assert {control.answer for control in found} == {AgainstRandom.BETTER}
    assert all(control.low is not None and 0 < control.low < control.kept - control.kept_by_random for control in found)
    assert verdict_on_prefixes(found) is AgainstRandom.BETTER


def test_a_model_whose_axes_are_alike_beats_random_at_none() -> None:
    found = against_random(question(decay=1.0))
    assert [control.dim for control in found] == [24, 16, 8][-len(found) :]
    assert AgainstRandom.BETTER not in {control.answer for control in found}
    assert verdict_on_prefixes(found) is not AgainstRandom.BETTER


def test_no_better_is_proven_within_five_percent_of_full_size() -> None:
    n = 2_000
    rng = np.random.default_rng(1)
    full = np.full(n, 0.5)
    random = np.clip(full - 0.1 + rng.normal(0, 0.05, n), 0, 1)
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2")))
    for gain, answer in ((0.0, "no better"), (0.01, "better"), (0.001, "no better"), (-0.05, "no better")):
        own = random + gain + rng.normal(0, 0.02, n)
        scores = Scores(names, (NDCG,), np.stack([full, own, random])[:, None], np.ones((1, n), bool))
        (control,) = against_random(Question(scores, Policy()))
        limits = compare_paired(random, own, alpha=0.1)
        assert (control.low, control.high) == (limits.low / 0.5, limits.high / 0.5)  # type: ignore[operator]
        assert control.answer == answer
        if answer == "no better":
            assert control.high is not None
            assert control.high <= 0.05


def test_few_queries_cannot_tell_and_clusters_are_the_units() -> None:
    assert {control.answer for control in against_random(question(decay=0.9, n_queries=29))} == {AgainstRandom.OPEN}
    assert {control.answer for control in against_random(question(decay=0.9, clusters=20))} == {AgainstRandom.OPEN}


def test_where_random_axes_lose_nothing_there_is_nothing_to_tell() -> None:
    full = np.full(100, 0.5)
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2")))
    scores = Scores(names, (NDCG,), np.stack([full, full, full * 0.96])[:, None], np.ones((1, 100), bool))
    assert against_random(Question(scores, Policy())) == ()
    assert verdict_on_prefixes(()) is AgainstRandom.OPEN


def test_where_full_size_finds_nothing_there_is_nothing_to_tell() -> None:
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2")))
    scores = Scores(names, (NDCG,), np.zeros((3, 1, 100)), np.ones((1, 100), bool))
    assert against_random(Question(scores, Policy())) == ()


@pytest.mark.parametrize(("lost", "tells"), [(0.0499, False), (0.0501, True)])
def test_random_axes_tell_something_where_they_lose_a_twentieth(lost: float, tells: bool) -> None:
    full = np.full(100, 0.5)
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2")))
    scores = Scores(names, (NDCG,), np.stack([full, full, full * (1 - lost)])[:, None], np.ones((1, 100), bool))
    assert bool(against_random(Question(scores, Policy()))) == tells


@pytest.mark.parametrize(("spread", "answer"), [(0.272, "no better"), (0.299, "cannot tell")])
def test_no_better_takes_a_limit_within_a_twentieth_of_full_size(spread: float, answer: str) -> None:
    """The limit lies just within it, and just beyond it."""
    full, turn = np.full(400, 0.5), np.tile([1.0, -1.0], 200)
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2")))
    values = np.stack([full, full - 0.1 + spread * turn, full - 0.1])[:, None]
    (control,) = against_random(Question(Scores(names, (NDCG,), values, np.ones((1, 400), bool)), Policy()))
    assert control.high == pytest.approx(0.05, abs=0.005)
    assert control.answer == answer


def test_the_printed_limit_is_that_of_the_best_draw() -> None:
    """The prefix beats the mean of three draws and two of them, and not the third: its lower limit says so."""
    n, rng = 2_000, np.random.default_rng(1)
    full = np.full(n, 0.5)
    draws = [full - lost + rng.normal(0, 0.02, n) for lost in (0.16, 0.16, 0.1)]
    own = full - 0.1 + rng.normal(0, 0.02, n)
    names = tuple(map(Configuration.parse, ("4", "2", "random-0:2", "random-1:2", "random-2:2")))
    scores = Scores(names, (NDCG,), np.stack([full, own, *draws])[:, None], np.ones((1, n), bool))
    (control,) = against_random(Question(scores, Policy()))
    against_mean, against_best = (compare_paired(random, own, alpha=0.1) for random in (np.mean(draws, axis=0), draws[2]))
    assert against_mean.low is not None
    assert against_best.low is not None
    assert against_mean.low > 0.03
    assert control.low == against_best.low / 0.5 < 0
    assert control.high == (against_mean.high or 0.0) / 0.5
    assert control.answer == AgainstRandom.OPEN
