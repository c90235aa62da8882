"""Searching an index with the queries of a trial, and its answers as ranks of the judged documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Final

import numpy as np

from mrl_sweep.deploying.indexes.faiss_index import FaissIndex
from mrl_sweep.deploying.indexes.measurement import at_depth
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.record import record
from mrl_sweep.types import NOT_RETRIEVED, BoolArray, Float32Array, IntArray, Qrels, Similarity, Vectors

Search = Callable[[Float32Array, int], tuple[IntArray, Float32Array]]
"""(queries, k) -> (rows, scores), best first, row -1 and score -inf where fewer were found."""

SAME_SCORE: Final = 2e-5
"""Two searches of the same codes differ by no more than this share of a query's largest score."""

LONGEST_TIE: Final = 16_384
"""A group of equal scores that straddles the cut-off is followed this deep; beyond, what was returned stands."""

_PAIRS_AT_ONCE: Final = 20_000
_CELLS_AT_ONCE: Final = 4_000_000


@record
class Answers:
    """Answers are the returned documents of each query, best first.

    `rows`, `scores` (n_queries, depth); -1 and -inf where there are fewer.

    `tails` holds, for queries whose last score goes on beyond the depth, the rows of the other documents with that score.
    """

    rows: IntArray
    scores: Float32Array
    tails: Mapping[int, IntArray] = field(default_factory=dict)


def collect_answers(search: Search, queries: Float32Array, depth: int, *, own_rows: IntArray | None, n_documents: int) -> Answers:
    """Collects the best `depth` documents of each query without its own, and all that tie with the last of them.

    An index cuts a group of equal scores by insertion order, which flatters a corpus that lists its relevant documents
    first (sign codes tie in thousands). So a group that straddles the cut-off is fetched whole.
    """
    k = depth + 1 + (own_rows is not None)
    rows, scores, whole = _fetch(search, queries, k, own_rows)
    first = Answers(at_depth(rows, depth, -1), at_depth(scores, depth, -np.inf))
    tails = {}
    pending = np.arange(len(queries))
    while len(pending):
        open_ended = np.zeros(len(pending), np.bool_)
        reaches = (scores[:, depth:] == first.scores[pending, -1:]) & (rows[:, depth:] >= 0)
        for i in np.flatnonzero(reaches.any(axis=1)):
            query = int(pending[i])
            tied = rows[i, (scores[i] == first.scores[query, -1]) & (rows[i] >= 0)]
            tails[query] = np.setdiff1d(tied, first.rows[query])
            open_ended[i] = whole[i] and rows[i, rows[i] >= 0][-1] in tails[query]
        pending = pending[open_ended]
        if k >= min(n_documents, LONGEST_TIE) or not len(pending):
            break
        k = min(4 * k, n_documents, LONGEST_TIE)
        rows, scores, whole = _fetch(search, queries[pending], k, None if own_rows is None else own_rows[pending])
    return Answers(first.rows, first.scores, {query: tail for query, tail in tails.items() if len(tail)})


def judged_ranks(answers: Answers, qrels: Qrels) -> tuple[IntArray, IntArray]:
    """Counts `above` and `tied` (n_pairs,) of every judgment in its query's list; NOT_RETRIEVED and 0 where it is not there."""
    queries = qrels.queries
    above = np.full(len(queries), NOT_RETRIEVED, np.int64)
    tied = np.zeros(len(queries), np.int64)
    for start in range(0, len(queries), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        rows, scores = answers.rows[queries[part]], answers.scores[queries[part]]
        wanted = qrels.rows[part, None]
        hits = (rows == wanted) & (wanted >= 0)
        listed = hits.any(axis=1)
        score = scores[np.arange(len(scores)), hits.argmax(axis=1)][:, None]
        returned = rows >= 0
        above[part] = np.where(listed, ((scores > score) & returned).sum(axis=1), NOT_RETRIEVED)
        tied[part] = np.where(listed, ((scores == score) & returned).sum(axis=1) - 1, 0)
    for query, tail in answers.tails.items():
        last = answers.scores[query] == answers.scores[query, -1]
        group = np.concatenate([answers.rows[query, last], tail])
        pairs = np.arange(qrels.offsets[query], qrels.offsets[query + 1])
        pairs = pairs[np.isin(qrels.rows[pairs], group)]
        above[pairs], tied[pairs] = len(last) - last.sum(), len(group) - 1
    return above, tied


def agree(answers: Answers, expected: Answers) -> bool:
    """Tells whether two searches returned the same documents, up to those whose scores differ by no more than `SAME_SCORE`.

    Both must hold the same queries; the shorter width counts.
    """
    width = min(answers.rows.shape[1], expected.rows.shape[1])
    if width == 0 or len(expected.rows) == 0:
        return True
    returned = expected.rows[:, :width] >= 0
    if ((answers.rows[:, :width] >= 0) != returned).any():
        return False
    a = np.where(returned, answers.scores[:, :width], 0).astype(np.float64)
    b = np.where(returned, expected.scores[:, :width], 0).astype(np.float64)
    slack = SAME_SCORE * np.abs(b).max(axis=1, keepdims=True)
    if (np.abs(a - b) > slack).any():
        return False
    clear = returned & (b > np.where(returned, b, np.inf).min(axis=1, keepdims=True) + slack)
    present = (expected.rows[:, :width, None] == answers.rows[:, None, :]).any(axis=2)
    return bool((present | ~clear).all())


def without_own(rows: IntArray, own_rows: IntArray | None) -> tuple[IntArray, IntArray]:
    """Takes each query's own document out of its list and moves the rest up, -1 behind them; returns the order too."""
    dropped = rows < 0
    if own_rows is not None:
        dropped = dropped | (rows == own_rows[:, None])
    order = np.argsort(dropped, axis=1, kind="stable")
    return np.take_along_axis(np.where(dropped, -1, rows), order, axis=1), order


def _fetch(search: Search, queries: Float32Array, k: int, own_rows: IntArray | None) -> tuple[IntArray, Float32Array, BoolArray]:
    """Returns lists without each query's own document, and whether the index filled all k places."""
    parts = []
    for start in range(0, len(queries), max(1, _CELLS_AT_ONCE // k)):
        part = slice(start, start + max(1, _CELLS_AT_ONCE // k))
        rows, scores = search(queries[part], k)
        whole = (rows >= 0).all(axis=1)
        if own_rows is not None or not whole.all():
            rows, order = without_own(rows, None if own_rows is None else own_rows[part])
            scores = np.where(rows < 0, np.float32(-np.inf), np.take_along_axis(scores, order, axis=1))
        parts.append((rows, scores, whole))
    if not parts:
        return np.empty((0, k), np.int64), np.empty((0, k), np.float32), np.empty(0, np.bool_)
    rows, scores, whole = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return rows, scores, whole


_QUERIES_AT_ONCE = 256


@record(kw_only=True)
class Trial:
    """A trial is what an index is tried on: documents, queries, judgments, and how deep lists go.

    `queries` (n_queries, dim) are of full size as the documents are, or cut as an index takes them. `own_rows` (n_queries,) are
    the documents that queries do not get back, -1 for none; None where no query has one.
    """

    vectors: Vectors
    queries: Float32Array
    qrels: Qrels
    own_rows: IntArray | None
    depth: int
    similarity: Similarity = Similarity.COSINE

    @property
    def k(self) -> int:
        """Returns how many documents one search asks for, so that `depth` are left without the query's own."""
        return self.depth + (self.own_rows is not None)

    def only(self, rows: IntArray) -> Trial:
        """Keeps only the queries at `rows`; judgments are still those of all."""
        own = None if self.own_rows is None else self.own_rows[rows]
        return replace(self, queries=np.ascontiguousarray(self.queries[rows]), own_rows=own)


def search_all(index: FaissIndex, trial: Trial, stage: str, on_event: OnEvent = ignore) -> tuple[IntArray, IntArray, Answers]:
    """Searches every query; returns `above`, `tied` (n_pairs,) and the answers. A query without direction ties all documents.

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
        group = collect_answers(searching(one), some.queries, trial.depth, own_rows=own, n_documents=len(index))
        rows[members], scores[members] = group.rows, group.scores
        tails |= {int(members[query]): tail for query, tail in group.tails.items()}
    answers = Answers(rows, scores, tails)
    above, tied = judged_ranks(answers, trial.qrels)
    without_direction: BoolArray = ~np.any(trial.queries, axis=1)
    if without_direction.any():
        _tie_all(above, tied, trial, without_direction, len(index))
    return above, tied, answers


def _tie_all(above: IntArray, tied: IntArray, trial: Trial, queries: BoolArray, n_documents: int) -> None:
    """Writes the ranks of queries that score 0 with every document: nothing above, everything else tied."""
    query, rows = trial.qrels.queries, trial.qrels.rows
    own = np.full(len(queries), -1) if trial.own_rows is None else trial.own_rows
    there = queries[query] & (rows >= 0) & (rows != own[query])
    above[queries[query]], tied[queries[query]] = NOT_RETRIEVED, 0
    above[there] = 0
    tied[there] = (n_documents - 1 - (own >= 0))[query[there]]
