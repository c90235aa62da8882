"""A small corpus with planted neighbours, and exact ranks by a full sort in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.indexes.answers import Trial
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Float32Array, IntArray, Qrels, Ranks, TopDocuments, Vectors

ExactRanks = Callable[..., Ranks]


@dataclass(frozen=True)
class Corpus:
    vectors: Vectors
    queries: Float32Array
    qrels: Qrels

    def trial(self, **changes: Any) -> Trial:
        """Ten documents a query, without changes."""
        usual = Trial(vectors=self.vectors, queries=self.queries, qrels=self.qrels, own_rows=None, depth=10)
        return replace(usual, **changes)


def make_corpus(n_documents: int, dim: int, n_queries: int, *, judged: int = 2, seed: int = 0) -> Corpus:
    """Documents whose variance falls along the axes; each query is a noisy copy of its first judged document."""
    rng = np.random.default_rng(seed)
    fall = (1 / np.sqrt(1 + np.arange(dim) / 8)).astype(np.float32)
    documents = rng.standard_normal((n_documents, dim), dtype=np.float32) * fall
    rows = rng.integers(0, n_documents, (n_queries, judged))
    queries = documents[rows[:, 0]] + 0.7 * rng.standard_normal((n_queries, dim), dtype=np.float32) * fall
    offsets = np.arange(0, judged * n_queries + 1, judged)
    return Corpus(Vectors((documents,)), queries, Qrels(offsets, rows.ravel(), np.ones(judged * n_queries, np.int64)))


def full_sort(corpus: Corpus, dims: tuple[int, ...], *, depth: int = 10, own_rows: IntArray | None = None) -> Ranks:
    """The oracle: float64 cosine of every pair, rounded to float32."""
    documents, n = corpus.vectors.read(0, len(corpus.vectors)), len(corpus.vectors)
    own = np.full(len(corpus.queries), -1) if own_rows is None else own_rows
    above, tied, top_rows, top_scores = [], [], [], []
    for dim in dims:
        q, x = corpus.queries[:, :dim].astype(np.float64), documents[:, :dim].astype(np.float64)
        norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)[None]
        scores = np.where(norms > 1e-15, (q @ x.T) / np.where(norms > 1e-15, norms, 1), 0).astype(np.float32)
        scores[np.flatnonzero(own >= 0), own[own >= 0]] = -np.inf
        of = corpus.qrels.queries
        mine = np.where(corpus.qrels.rows >= 0, scores[of, corpus.qrels.rows], -np.inf)
        lost = ~np.isfinite(mine)
        above.append(np.where(lost, NOT_RETRIEVED, (scores[of] > mine[:, None]).sum(axis=1)))
        tied.append(np.where(lost, 0, (scores[of] == mine[:, None]).sum(axis=1) - 1))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
        best = np.take_along_axis(scores, order, axis=1)
        top_rows.append(np.where(np.isfinite(best), order, -1))
        top_scores.append(best)
    candidates = tuple(Configuration("prefix", dim) for dim in dims)
    top = TopDocuments(np.stack(top_rows), np.stack(top_scores))
    return Ranks(candidates, n, np.stack(above), np.stack(tied), top)


@pytest.fixture
def corpus() -> Corpus:
    return make_corpus(2000, 32, 60)


@pytest.fixture
def exact_ranks() -> ExactRanks:
    return full_sort


@pytest.fixture
def new_corpus() -> Callable[..., Corpus]:
    return make_corpus
