"""What measuring an index gives, and how it joins the exact ranks; none of this needs FAISS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mrl_sweep.deploying.findings import Cost
from mrl_sweep.deploying.indexes.answers import at_depth
from mrl_sweep.types import Advice, Configuration, Float32Array, IntArray, Ranks, TopDocuments


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexBudget:
    """What measuring one candidate may cost beyond building and searching it once.

    `latency_s` and `throughput_s` are seconds per candidate, raised to `share_of_build` of the build time for indexes that
    take long anyway, at most to `most_latency_s` and `most_throughput_s`: a build of hours, or one that a laptop slept
    through, must not buy hours of searching. Over a small index, 5 ms give the rate that 40 ms give. `checked_queries` is the
    sample on which a Flat index is held against the exact search. `threads` None: as many as FAISS takes. `seed` draws the
    training sample. `max_bytes` refuses an index predicted to be larger.
    """

    latency_s: float = 0.15
    throughput_s: float = 0.005
    share_of_build: float = 0.2
    most_latency_s: float = 20.0
    most_throughput_s: float = 2.0
    checked_queries: int = 32
    threads: int | None = None
    seed: int = 0
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMeasurement:
    """What one index returned and cost.

    `above`, `tied` (n_pairs,) as in `Ranks`, within the returned list; `top_rows`, `top_scores` (n_queries, depth).
    `exact_by_construction`: a Flat index, checked on a sample of queries.
    `hot_bytes`: the part that every query scans, where that is not all of it (a funnel's first stage).
    """

    candidate: Configuration
    above: IntArray
    tied: IntArray
    top_rows: IntArray
    top_scores: Float32Array
    cost: Cost
    exact_by_construction: bool = False
    advice: tuple[Advice, ...] = ()
    hot_bytes: int | None = None


def merge_measurements(exact: Ranks, measured: Sequence[IndexMeasurement]) -> Ranks:
    """The exact ranks with those of the indexes behind them, so that both go through one scorer and one decision."""
    if not measured:
        return exact
    candidates = (*exact.candidates, *(one.candidate for one in measured))
    above = np.vstack([exact.above, *(one.above for one in measured)])
    tied = np.vstack([exact.tied, *(one.tied for one in measured)])
    top = None
    if exact.top is not None:
        depth = exact.top.depth
        rows = np.concatenate([exact.top.rows, np.stack([at_depth(one.top_rows, depth, -1) for one in measured])])
        scores = np.concatenate([exact.top.scores, np.stack([at_depth(one.top_scores, depth, -np.inf) for one in measured])])
        top = TopDocuments(rows, scores)
    zero_prefixes = None
    if exact.zero_prefixes is not None:
        by_candidate = dict(zip(exact.candidates, exact.zero_prefixes, strict=True))
        twins = [by_candidate.get(one.candidate.exact, 0) for one in measured]
        zero_prefixes = np.concatenate([exact.zero_prefixes, np.array(twins, np.int64)])
    return Ranks(candidates, exact.n_documents, above, tied, top, zero_prefixes)
