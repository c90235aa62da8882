"""The counting kernel in numpy alone, for machines where nothing can be compiled: slower, the same integers."""

from __future__ import annotations

import numpy as np

from mrl_sweep.ranking.codes.scalar import rounded
from mrl_sweep.ranking.pass_plan import (
    COSINE,
    HALF,
    LARGEST_NORM2,
    LEAST_NORM,
    ZERO_SQUARED_NORM,
    Tally,
    Targets,
    prefix_norms,
    unit_prefix,
)
from mrl_sweep.types import Float32Array, FloatArray, IntArray

BLOCK_DOCS = 8192
BLOCK_QUERIES = 256


class PortableKernel:
    """`Kernel` in numpy: matrix products by numpy's BLAS, counting by bisection."""

    name = "numpy"

    def pair_scores(self, targets: Targets, docs: Float32Array, doc_rows: IntArray, query_rows: IntArray) -> Float32Array:
        return np.stack([_judge(targets, a, query_rows, docs[doc_rows]) for a in range(len(targets.bands))])

    def tally(self, targets: Targets, tally: Tally, docs: Float32Array, first_row: int) -> int:
        for start in range(0, len(docs), BLOCK_DOCS):
            block = docs[start : start + BLOCK_DOCS]
            norm2 = np.einsum("ij,ij->i", block, block)
            bad = np.flatnonzero(~(norm2 < LARGEST_NORM2))
            if len(bad):
                return first_row + start + int(bad[0])
            tally.zeros[:] += (prefix_norms(block, targets.edges[1:]) == 0).sum(axis=1)
            for q0 in range(0, len(targets.queries), BLOCK_QUERIES):
                _one_block(targets, tally, block, first_row + start, q0, min(q0 + BLOCK_QUERIES, len(targets.queries)))
        return -1


def _judge(targets: Targets, a: int, query_rows: IntArray, docs: Float32Array) -> Float32Array:
    """Returns (n,) float32, the scores of docs[i] for query query_rows[i] at size a, rounded from float64."""
    dim, norms = targets.edges[a + 1], targets.norms[a, query_rows]
    cut = rounded(unit_prefix(docs, dim)) if targets.scoring == HALF else docs[:, :dim]
    rows = cut.astype(np.float64)
    dot = np.einsum("ij,ij->i", rows, targets.queries[query_rows, :dim].astype(np.float64))
    if targets.scoring == HALF:
        dot = np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0)
    elif targets.scoring == COSINE:
        norm2 = np.einsum("ij,ij->i", rows, rows)
        usable = (norm2 >= ZERO_SQUARED_NORM) & (norms > 0)
        dot = np.divide(dot, np.sqrt(norm2) * norms, out=np.zeros_like(dot), where=usable)
    scores: Float32Array = dot.astype(np.float32)
    return scores


def _one_block(t: Targets, tally: Tally, docs: Float32Array, first_row: int, q0: int, q1: int) -> None:
    scores: Float32Array = np.zeros((q1 - q0, len(docs)), np.float32)
    norm2: FloatArray = np.zeros(len(docs))
    own = t.own_rows[q0:q1] - first_row
    mine = np.flatnonzero((own >= 0) & (own < len(docs)))
    for a, (lo, hi) in enumerate(zip(t.edges, t.edges[1:], strict=False)):
        scores += t.queries[q0:q1, lo:hi] @ docs[:, lo:hi].T
        norm2 += np.einsum("ij,ij->i", docs[:, lo:hi], docs[:, lo:hi], dtype=np.float64)
        zero = norm2 < ZERO_SQUARED_NORM
        inverse = np.where(zero, 0.0, 1.0 / np.sqrt(np.where(zero, 1.0, norm2))) if t.scoring else np.ones(len(docs))
        scaled = scores * inverse.astype(np.float32)
        scaled[mine, own[mine]] = -np.inf
        largest = 1.0 if t.scoring else max(float(np.sqrt(norm2.max())), LEAST_NORM)
        for q in range(q0, q1):
            if t.norms[a, q] > 0:
                band = np.float32(t.bands[a] * t.norms[a, q] * largest)
                _count(t, tally, docs, first_row, a, q, scaled[q - q0], band)
                _keep_top(t, tally, docs, first_row, a, q, scaled[q - q0], band)


def _count(
    t: Targets, tally: Tally, docs: Float32Array, first_row: int, a: int, q: int, row: Float32Array, band: np.float32
) -> None:
    pairs = slice(t.offsets[q], t.offsets[q + 1])
    thresholds = (t.thresholds[a, pairs] * t.scales[a, q]).astype(np.float32)
    if not len(thresholds):
        return
    near = np.flatnonzero(row > thresholds[0] - band)
    first = np.searchsorted(thresholds + band, row[near], side="left")
    last = np.searchsorted(thresholds - band, row[near], side="left")
    for i in np.flatnonzero(last > first):
        score = _judge(t, a, np.array([q]), docs[near[i] : near[i] + 1])[0]
        close = slice(pairs.start + first[i], pairs.start + last[i])
        tally.tied[a, close] += (t.thresholds[a, close] == score) & (t.rows[a, close] != first_row + near[i])
        first[i] += (t.thresholds[a, close] < score).sum()
    tally.placed[a, pairs] += np.bincount(first, minlength=len(thresholds) + 1)[1:]


def _keep_top(
    t: Targets, tally: Tally, docs: Float32Array, first_row: int, a: int, q: int, row: Float32Array, band: np.float32
) -> None:
    scores, rows = tally.top_scores[a, q], tally.top_rows[a, q]
    depth = len(scores)
    if not depth:
        return
    low = np.float32(scores[-1] * t.scales[a, q]) - band
    if rows[-1] < 0 and len(row) > depth:  # an empty list would let every document in to be judged
        low = np.partition(row, len(row) - depth)[len(row) - depth] - 2 * band
    near = np.flatnonzero(row > low)
    if not len(near):
        return
    judged = _judge(t, a, np.full(len(near), q), docs[near])
    all_scores, all_rows = np.concatenate([scores, judged]), np.concatenate([rows, first_row + near])
    best = np.lexsort((np.where(all_rows < 0, np.iinfo(np.int64).max, all_rows), -all_scores))[:depth]
    scores[:], rows[:] = all_scores[best], all_rows[best]
