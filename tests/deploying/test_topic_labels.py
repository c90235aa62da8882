"""Planted topics are found again, and too few queries have none."""

from __future__ import annotations

import numpy as np

from mrl_sweep.deploying.indexes.query_topics import topic_labels


def test_planted_topics_are_found_whole() -> None:
    generator = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], 60)
    queries = 10 * np.eye(8, dtype=np.float32)[planted] + generator.standard_normal((180, 8), np.float32)
    labels = topic_labels(queries)
    assert len({(a, b) for a, b in zip(planted.tolist(), labels.tolist(), strict=True)}) == 3


def test_the_same_queries_give_the_same_topics() -> None:
    queries = np.random.default_rng(1).standard_normal((300, 16), np.float32)
    assert topic_labels(queries).tolist() == topic_labels(queries).tolist()


def test_fewer_than_a_hundred_queries_have_no_topics() -> None:
    assert topic_labels(np.ones((99, 4), np.float32)).tolist() == [-1] * 99
