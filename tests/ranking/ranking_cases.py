"""Awkward cases for the ranking, and their ranks by brute force."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mrl_sweep.types import NOT_RETRIEVED, Qrels

DIMS = (3, 8, 20, 48)


def float32_scores(docs, queries, dim, cosine):
    x, q = docs[:, :dim].astype(np.float64), queries[:, :dim].astype(np.float64)
    scores = q @ x.T
    if cosine:
        norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
    return scores.astype(np.float32)


def full_sort(docs, queries, qrels, dims, own, cosine):
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


def make_case(seed, *, n_docs=700, dim=48, n_queries=25, most_judgments=40, integers=False):
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
