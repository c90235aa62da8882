"""Clusters of queries as units of evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.decision.units import cluster_labels, cluster_means, count_units, unit_of
from mrl_sweep.errors import InputError


def test_a_cluster_counts_once_with_its_mean() -> None:
    values = np.array([[1.0, 0.0, 0.5, 0.25], [0.0, 0.0, 1.0, 1.0]])
    means = cluster_means(values, np.array([7, 7, 3, -1]))
    assert means.tolist() == [[0.5, 0.5, 0.25], [1.0, 0.0, 1.0]]


def test_unlabelled_queries_stay_single() -> None:
    assert unit_of(np.array([-1, 4, -1, 4, 2])).tolist() == [2, 1, 3, 1, 0]
    assert count_units(np.array([-1, 4, -1, 4, 2])) == 4


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=30))
def test_means_equal_a_loop(labels: list[int]) -> None:
    rng = np.random.default_rng(len(labels))
    values = rng.random((2, 3, len(labels)))
    unit = unit_of(np.array(labels))
    expected = np.stack([values[..., unit == u].mean(axis=-1) for u in range(unit.max() + 1)], axis=-1)
    np.testing.assert_allclose(cluster_means(values, np.array(labels)), expected, rtol=1e-12)
    assert count_units(np.array(labels)) == expected.shape[-1]


def test_labels_come_from_a_field_and_queries_without_it_stay_single() -> None:
    assert cluster_labels([{"origin": "b"}, {}, {"origin": "a"}, {"origin": "b"}], "origin").tolist() == [1, -1, 0, 1]
    with pytest.raises(InputError, match="no query has the field orgin") as refused:
        cluster_labels([{"origin": "b"}], "orgin")
    assert refused.value.hint == "did you mean --cluster origin? the fields are origin"
