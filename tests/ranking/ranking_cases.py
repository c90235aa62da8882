"""Awkward cases for the ranking, and their ranks by brute force."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Qrels, Similarity, Vectors

DIMS = (3, 8, 20, 48)


def float32_scores(docs: Any, queries: Any, dim: int, cosine: Any) -> Any:
    x, q = docs[:, :dim].astype(np.float64), queries[:, :dim].astype(np.float64)
    scores = q @ x.T
    if cosine:
        norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
    return scores.astype(np.float32)


def full_sort(docs: Any, queries: Any, qrels: Any, dims: Any, own: Any, cosine: Any) -> Any:
    """Above and tied of every judgment by looking at every document, float64 rounded to float32."""
    above, tied = [], []
    for dim in dims:
        scores = float32_scores(docs, queries, dim, cosine)
        for q, (lo, hi) in enumerate(pairwise(qrels.offsets)):
            others = np.delete(scores[q], own[q]) if own[q] >= 0 else scores[q]
            for row in qrels.rows[lo:hi]:
                missing = row < 0 or row == own[q]
                above.append(NOT_RETRIEVED if missing else int((others > scores[q, row]).sum()))
                tied.append(0 if missing else int((others == scores[q, row]).sum()) - 1)
    shape = (len(dims), len(qrels.rows))
    return np.array(above).reshape(shape), np.array(tied).reshape(shape)


def make_case(
    seed: int, *, n_docs: int = 700, dim: int = 48, n_queries: int = 25, most_judgments: Any = 40, integers: Any = False
) -> Any:
    """Documents with exact duplicates, scaled copies, zero vectors and zero prefixes, and queries of every awkward kind."""
    rng = np.random.default_rng(seed)
    docs = rng.integers(-1, 2, (n_docs, dim)).astype(np.float32) if integers else rng.standard_normal((n_docs, dim), np.float32)
    docs[50:90] = docs[0]
    docs[90:95] = 4 * docs[0]
    docs[95] = 0
    docs[100:140, :8] = docs[1, :8]
    docs[140:150, :3] = 0
    docs[150:160] = docs[2] * (1 + 3e-7 * rng.standard_normal((10, 1), np.float32))
    source = rng.integers(0, n_docs, n_queries)
    noise = np.zeros((n_queries, dim), np.float32) if integers else 0.7 * rng.standard_normal((n_queries, dim), np.float32)
    queries = docs[source] + noise
    queries[3, :8] = 0
    counts = rng.integers(0, most_judgments, n_queries)
    counts[:3] = (1, 1, 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.concatenate([rng.choice(np.arange(-1, n_docs), count, replace=False) for count in counts]).astype(np.int64)
    rows[0], rows[1] = 51, 95
    own = np.where(rng.random(n_queries) < 0.4, source, -1)
    return docs, queries.astype(np.float32), Qrels(offsets, rows, np.ones(len(rows), np.int64)), own


def assert_counts_of_a_full_sort(kernel: Any, similarity: Any, *, integers: Any) -> None:
    docs, queries, qrels, own = make_case(0, integers=integers)
    above, tied = full_sort(docs, queries, qrels, DIMS, own, similarity == Similarity.COSINE)
    got = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(similarity=similarity, own_rows=own, kernel=kernel))
    np.testing.assert_array_equal(got.above, above, err_msg=kernel.name)
    np.testing.assert_array_equal(got.tied, tied, err_msg=kernel.name)
    assert got.candidates == tuple(Configuration("prefix", dim) for dim in DIMS)


def assert_best_of_a_full_sort(kernel: Any) -> None:
    """Ties by row."""
    docs, queries, qrels, own = make_case(5)
    top = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, kernel=kernel, depth=7)).top
    for a, dim in enumerate(DIMS):
        scores = float32_scores(docs, queries, dim, cosine=True)
        for q in range(len(queries)):
            ranked = [row for row in np.lexsort((np.arange(len(docs)), -scores[q])) if row != own[q]][:7]
            assert top.rows[a, q].tolist() == ranked
            np.testing.assert_array_equal(top.scores[a, q], scores[q, ranked])


def assert_longer_list_is_padded(kernel: Any) -> None:
    """Than the corpus, which is three documents."""
    docs, queries = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:1]
    qrels = Qrels(np.array([0, 1]), np.array([2]), np.array([1]))
    for depth, rows, scores in ((5, [0, 1, 2, -1, -1], [1, 0, 0, -np.inf, -np.inf]), (2, [0, 1], [1, 0])):
        top = rank(Vectors((docs,)), queries, qrels, (3,), RankOptions(depth=depth, kernel=kernel)).top
        assert top.rows[0, 0].tolist() == rows
        assert top.scores[0, 0].tolist() == scores
