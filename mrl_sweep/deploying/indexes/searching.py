"""Searching an index with every query: the answers, and the ranks of the judged documents in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mrl_sweep.deploying.indexes.answers import Answers, Search, collect_answers, judged_ranks
from mrl_sweep.deploying.indexes.faiss_index import FaissIndex
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.types import NOT_RETRIEVED, BoolArray, Float32Array, IntArray, Qrels

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """The queries an index is tried on: cut rows, their judgments, their own documents' rows, and how deep lists go."""

    queries: Float32Array
    qrels: Qrels
    own_rows: IntArray | None
    depth: int

    @property
    def k(self) -> int:
        """How many documents one search asks for, so that `depth` are left without the query's own."""
        return self.depth + (self.own_rows is not None)

    def only(self, rows: IntArray) -> Trial:
        """The same for some of the queries, without judgments."""
        own = None if self.own_rows is None else self.own_rows[rows]
        return replace(self, queries=np.ascontiguousarray(self.queries[rows]), own_rows=own)


def search_all(index: FaissIndex, trial: Trial, stage: str, on_event: OnEvent = ignore) -> tuple[IntArray, IntArray, Answers]:
    """`above`, `tied` (n_pairs,) and the answers; a query without direction ties all documents, whatever the index returns.

    Queries whose own document is in the corpus are searched apart, since an index with a shortlist must make it longer.
    """
    n_queries, done = len(trial.queries), 0

    def searching(one: FaissIndex) -> Search:
        def search(queries: Float32Array, k: int) -> tuple[IntArray, Float32Array]:
            nonlocal done
            parts = []
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                parts.append(one.search(queries[start : start + _QUERIES_AT_ONCE], k))
                done = min(done + len(parts[-1][0]), n_queries)
                on_event(Progress(stage, done, n_queries, "queries"))
            return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])

        return search

    has_own: BoolArray = np.zeros(n_queries, np.bool_) if trial.own_rows is None else trial.own_rows >= 0
    rows = np.empty((n_queries, trial.depth), np.int64)
    scores = np.empty((n_queries, trial.depth), np.float32)
    tails: dict[int, IntArray] = {}
    for members, one in ((np.flatnonzero(~has_own), index), (np.flatnonzero(has_own), index.leaving_own_out())):
        some = trial.only(members)
        own = some.own_rows if has_own[members].any() else None
        found = collect_answers(searching(one), some.queries, trial.depth, own_rows=own, n_documents=len(index))
        rows[members], scores[members] = found.rows, found.scores
        tails |= {int(members[query]): tail for query, tail in found.tails.items()}
    answers = Answers(rows, scores, tails)
    above, tied = judged_ranks(answers, trial.qrels)
    without_direction: BoolArray = ~np.any(trial.queries, axis=1)
    if without_direction.any():
        _tie_all(above, tied, trial, without_direction, len(index))
    return above, tied, answers


def _tie_all(above: IntArray, tied: IntArray, trial: Trial, queries: BoolArray, n_documents: int) -> None:
    """Ranks of queries that score 0 with every document: nothing above, everything else tied."""
    query, rows = trial.qrels.queries, trial.qrels.rows
    own = np.full(len(queries), -1) if trial.own_rows is None else trial.own_rows
    there = queries[query] & (rows >= 0) & (rows != own[query])
    above[queries[query]], tied[queries[query]] = NOT_RETRIEVED, 0
    above[there] = 0
    tied[there] = (n_documents - 1 - (own >= 0))[query[there]]
