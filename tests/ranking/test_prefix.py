"""Truncate, then renormalise."""

from __future__ import annotations

import numpy as np

from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.types import Similarity


def test_the_slice_is_normalised_not_the_whole_row() -> None:
    rows = np.array([[3, 4, 12], [0, 2, 1]], np.float32)
    np.testing.assert_allclose(unit_prefix(rows, 2), np.array([[0.6, 0.8], [0, 1]]), rtol=1e-7)


def test_a_zero_prefix_stays_zero() -> None:
    rows = np.array([[0, 0, 1], [1e-20, 0, 1]], np.float32)
    assert unit_prefix(rows, 2).tolist() == [[0, 0], [0, 0]]


def test_dot_keeps_lengths() -> None:
    rows = np.array([[3, 4, 12]], np.float32)
    assert unit_prefix(rows, 2, similarity=Similarity.DOT).tolist() == [[3, 4]]


def test_the_argument_is_never_written_to() -> None:
    rows = np.array([[3, 4]], np.float32)
    rows.setflags(write=False)
    for similarity in Similarity:
        prefix = unit_prefix(rows, 2, similarity=similarity)
        assert prefix.flags.c_contiguous
        assert not np.shares_memory(prefix, rows)


def test_tiny_and_huge_rows_become_unit_length() -> None:
    rows = np.array([[1e-14, 0], [3e18, 4e18]], np.float32)
    np.testing.assert_allclose(unit_prefix(rows, 2), np.array([[1, 0], [0.6, 0.8]]), rtol=1e-6)
