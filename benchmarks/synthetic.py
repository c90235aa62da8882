"""Vectors with a Matryoshka-like spectrum and judged documents at depths as real collections have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrl_sweep.ranking.exact import RankOptions, coded_spaces, join, rank_in, zeros_of_float32
from mrl_sweep.ranking.ranked_space import RankedSpace
from mrl_sweep.types import Float32Array, Qrels, Ranks, Vectors


@dataclass(frozen=True, slots=True)
class Workload:
    """Documents, queries and judgments of one measurement."""

    docs: Float32Array
    queries: Float32Array
    qrels: Qrels

    @property
    def vectors(self) -> Vectors:
        return Vectors((self.docs,))


def spectrum(dim: int) -> Float32Array:
    """Standard deviations that fall along the axes."""
    return (1 / np.sqrt(1 + np.arange(dim) / 32)).astype(np.float32)


def documents(n: int, dim: int, generator: np.random.Generator) -> Float32Array:
    """(n, dim) float32, drawn in blocks so that no temporary doubles the memory."""
    docs = np.empty((n, dim), np.float32)
    for start in range(0, n, 50_000):
        block = docs[start : start + 50_000]
        generator.standard_normal(out=block, dtype=np.float32)
        block *= spectrum(dim)
    return docs


def single(docs: Float32Array, n_queries: int, generator: np.random.Generator) -> Workload:
    """One judged document a query: the document and noise make the query."""
    rows = generator.choice(len(docs), n_queries, replace=False)
    queries = docs[rows] + 0.9 * documents(n_queries, docs.shape[1], generator)
    return Workload(docs, queries, Qrels(np.arange(n_queries + 1), rows.astype(np.int64), np.ones(n_queries, np.int64)))


def several(docs: Float32Array, n_queries: int, judged: int, generator: np.random.Generator) -> Workload:
    """`judged` documents a query, from near to far: each holds a share of the query, from 60% down to 15% of its length.

    The documents are changed in place; that leaves them distributed as the others are.
    """
    queries = documents(n_queries, docs.shape[1], generator)
    rows = generator.choice(len(docs), (n_queries, judged), replace=False)
    for j, share in enumerate(np.linspace(0.6, 0.15, judged)):
        docs[rows[:, j]] = np.float32(share) * queries + np.float32(np.sqrt(1 - share**2)) * docs[rows[:, j]]
    qrels = Qrels(np.arange(n_queries + 1) * judged, rows.ravel().astype(np.int64), np.ones(rows.size, np.int64))
    return Workload(docs, queries, qrels)


def rank_grid(
    spaces: Sequence[RankedSpace],
    precisions: Sequence[str],
    vectors: Vectors,
    queries: Float32Array,
    qrels: Qrels,
    options: RankOptions,
) -> Ranks:
    """The exact ranks of every float32 space, then of its prefixes at every other precision."""
    codes = coded_spaces(spaces, precisions, vectors)
    return zeros_of_float32(join([rank_in(space, vectors, queries, qrels, options) for space in (*spaces, *codes)]))
