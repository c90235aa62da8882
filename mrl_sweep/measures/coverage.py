"""What the first k documents are made of: the share that was judged, and the share that full size returns too."""

from __future__ import annotations

import numpy as np

from mrl_sweep.measures.from_ranks import found
from mrl_sweep.types import BoolArray, Configuration, FloatArray, IntArray, Qrels, Ranks


def judged_share(ranks: Ranks, qrels: Qrels, k: int) -> FloatArray:
    """(n_candidates,) the expected share of the first k documents that have a judgment, of any grade, over all queries.

    In a corpus of fewer than k documents the share is of all of them. Where it falls from one size to the next, smaller sizes
    are scored down for returning documents that nobody judged.
    """
    slots = min(k, ranks.n_documents) * qrels.n_queries
    if slots == 0:
        return np.zeros(len(ranks.candidates))
    totals = [found(above, tied, k).sum() for above, tied in zip(ranks.above, ranks.tied, strict=True)]
    return np.array(totals, np.float64) / slots


def agreement(ranks: Ranks, baseline: Configuration, k: int) -> FloatArray:
    """(n_candidates, n_queries) the share of the baseline's first k documents that each candidate's first k hold, in [0, 1].

    Needs `ranks.top` at least k deep, or as deep as the corpus. Rows of -1 (fewer documents than k) match nothing; a query for
    which the baseline returns nothing has nothing to disagree on and scores 1. Raises ValueError where `ranks.top` is missing
    or not deep enough.
    """
    top = ranks.top
    if top is None or top.depth < min(k, ranks.n_documents):
        raise ValueError(f"agreement at {k} needs the first {k} documents of every ranking")
    full = top.rows[ranks.candidates.index(baseline), :, :k]
    wanted = (full >= 0).sum(axis=1)
    out = np.ones((len(ranks.candidates), full.shape[0]))
    for c, rows in enumerate(top.rows[:, :, :k]):
        np.divide(_common(full, rows), wanted, out=out[c], where=wanted > 0)
    return out


def _common(some: IntArray, others: IntArray) -> IntArray:
    """(n_queries,) how many rows >= 0 both lists of a query hold; neither holds a row twice, so neighbours once sorted."""
    merged = np.sort(np.concatenate([some, others], axis=1), axis=1)
    twice: BoolArray = (merged[:, 1:] == merged[:, :-1]) & (merged[:, 1:] >= 0)
    shared: IntArray = np.count_nonzero(twice, axis=1)
    return shared
