"""Topics of a query set: k-means of the query vectors, so that a topic whose queries get worse is found unasked."""

from __future__ import annotations

from typing import Final

import faiss
import numpy as np

from mrl_sweep.deploying.indexes.faiss_index import limited_threads
from mrl_sweep.ranking.pass_plan import unit_prefix
from mrl_sweep.types import Float32Array, IntArray

QUERIES_PER_TOPIC: Final = 50
MOST_TOPICS: Final = 12
WORTH_THREADS: Final = 20_000
"""Queries below which starting threads takes longer than the clustering."""


def topic_labels(queries: Float32Array, *, seed: int = 0) -> IntArray:
    """(n_queries,) the topic of each query vector, from 0 on; all -1 where the queries are too few for two topics."""
    n_topics = min(MOST_TOPICS, len(queries) // QUERIES_PER_TOPIC)
    if n_topics < 2:
        return np.full(len(queries), -1, np.int64)
    rows = unit_prefix(queries, queries.shape[1])
    means = faiss.Kmeans(rows.shape[1], n_topics, niter=25, spherical=True, seed=seed, min_points_per_centroid=1)
    with limited_threads(1 if len(rows) < WORTH_THREADS else None):
        means.train(rows)
        labels: IntArray = means.index.search(rows, 1)[1][:, 0].astype(np.int64)
    return labels
