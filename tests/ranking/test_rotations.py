"""Rotations turn nothing at full size, and put what varies most first."""

from __future__ import annotations

import numpy as np
import pytest

from mrl_sweep.ranking.exact import join, rank
from mrl_sweep.ranking.ranked_space import pca_rotation, random_rotation, rotations
from mrl_sweep.ranking.task import Rotation
from mrl_sweep.types import Configuration, Qrels, Vectors


def test_rotations_are_orthogonal() -> None:
    sample = np.random.default_rng(0).standard_normal((50, 24), np.float32)
    for rotation in (pca_rotation(sample), random_rotation(24, np.random.default_rng(1))):
        np.testing.assert_allclose(rotation.T.astype(np.float64) @ rotation, np.eye(24), atol=1e-6)


def test_pca_finds_a_planted_order_of_axes_again() -> None:
    generator = np.random.default_rng(0)
    axes = random_rotation(16, generator)
    scale = 2.0 ** -np.arange(16)
    sample = (generator.standard_normal((5000, 16)) * scale @ axes.T).astype(np.float32)
    found = np.abs(np.sum(pca_rotation(sample) * axes, axis=0))
    assert (found[:4] > 0.99).all()


def test_the_first_pca_axis_is_that_of_a_singular_value_decomposition() -> None:
    sample = np.random.default_rng(3).standard_normal((200, 8), np.float32) + 1
    unit = sample.astype(np.float64) / np.linalg.norm(sample, axis=1, keepdims=True)
    strongest = np.linalg.svd(unit)[2][0]
    np.testing.assert_allclose(np.abs(pca_rotation(sample)[:, 0]), np.abs(strongest), atol=1e-5)


def test_control_names_tell_seeds_apart_and_the_same_generator_gives_the_same_axes() -> None:
    vectors = Vectors((np.random.default_rng(0).standard_normal((60, 8), np.float32),))
    one = dict(rotations(("prefix", "pca", "random"), vectors, np.random.default_rng(7)))
    two = dict(rotations(("prefix", "pca", "random"), vectors, np.random.default_rng(7)))
    assert list(one) == ["pca", "random-0", "random-1", "random-2"]
    for name, rotation in one.items():
        np.testing.assert_array_equal(rotation, two[name])
    assert not np.array_equal(one["random-0"], one["random-1"])


def test_joined_passes_keep_each_candidates_ranks() -> None:
    generator = np.random.default_rng(0)
    docs, queries = generator.standard_normal((40, 8), np.float32), generator.standard_normal((3, 8), np.float32)
    qrels = Qrels(np.array([0, 1, 2, 3]), np.array([5, 6, 7]), np.ones(3, np.int64))
    parts = [rank(Vectors((docs,)), queries, qrels, dims) for dims in ((4, 8), (2,))]
    whole = join(parts)
    assert whole.candidates == (Configuration("prefix", 4), Configuration("prefix", 8), Configuration("prefix", 2))
    np.testing.assert_array_equal(whole.above[2], parts[1].above[0])
    np.testing.assert_array_equal(whole.top.rows[1], parts[0].top.rows[1])


@pytest.mark.parametrize("dim", [48, 300])
def test_a_row_is_turned_alike_wherever_it_stands(dim: int) -> None:
    rng = np.random.default_rng(dim)
    rows = (rng.standard_normal((531, dim)) * 10.0 ** rng.integers(-12, 12, (531, 1))).astype(np.float32)
    rows[7] = 0
    turn = Rotation(random_rotation(dim, rng)[:, :40].copy())
    turned, order = turn(rows), rng.permutation(531)
    np.testing.assert_array_equal(turn(rows[order]), turned[order])
    np.testing.assert_array_equal(np.concatenate([turn(rows[i : i + 1]) for i in range(40)]), turned[:40])
    exact = rows.astype(np.float64) @ turn.matrix.astype(np.float64)
    assert (abs(turned - exact) <= 2.0**-21 * np.linalg.norm(rows, axis=1, keepdims=True)).all()
