"""Who is on a shortlist: what the ranks at a small and a large size tell for certain, and what they leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from mrl_sweep.types import NOT_RETRIEVED, BoolArray, Candidate, Float32Array, IntArray, Qrels, Ranks

_STEP = np.int64(2**40)


@dataclass(frozen=True, slots=True)
class Membership:
    """Of each relevant pair, (n_pairs,): its rank at the large size and what is known of the shortlist above it.

    `above`, `tied`: at the large size. `inside`, `outside`: the document is certainly on the shortlist, certainly not.
    `in_above`, `out_above`: how many of the documents above it at the large size certainly are, certainly are not.
    `whole`: all that tie with it at the large size are certainly on the shortlist.
    """

    above: IntArray
    tied: IntArray
    inside: BoolArray
    outside: BoolArray
    in_above: IntArray
    out_above: IntArray
    whole: BoolArray


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The two rankings as far as `Ranks` holds them.

    Of relevant pairs: `query`, and above/tied at both sizes. Of the large ranking's first documents (n_queries, depth): their
    place in the small ranking's list (-1: not in it), whether there is one, and which relevant pair each is (-1: none).
    `small_scores` (n_queries, depth + 1) are the small ranking's scores with one -inf behind them.
    """

    query: IntArray
    small: tuple[IntArray, IntArray]
    large: tuple[IntArray, IntArray]
    places: IntArray
    there: BoolArray
    pair_of: IntArray
    small_scores: Float32Array
    n_documents: int

    @classmethod
    def of(cls, ranks: Ranks, qrels: Qrels, relevant: IntArray, small: Candidate, large: Candidate) -> Self:
        """For the pairs `relevant` (columns of the ranks); without `ranks.top` nothing is known but their own ranks."""
        a, b = ranks.candidates.index(small), ranks.candidates.index(large)
        n_queries, query = qrels.n_queries, qrels.queries[relevant]
        if ranks.top is None:
            rows = small_rows = np.empty((n_queries, 0), np.int64)
            scores = np.empty((n_queries, 0), np.float32)
        else:
            rows, small_rows, scores = ranks.top.rows[b], ranks.top.rows[a], ranks.top.scores[a]
        depth = rows.shape[1]
        keys = _keys(rows)
        flat = _find(keys, _keys(small_rows).ravel())
        places = np.where((flat >= 0) & (rows >= 0), flat % max(depth, 1), -1)
        pair_of = np.where(rows >= 0, _find(keys, query * _STEP + np.maximum(qrels.rows[relevant], -1)), -1)
        padded = np.concatenate([scores, np.full((n_queries, 1), -np.inf, np.float32)], axis=1)
        at = [(ranks.above[c, relevant], ranks.tied[c, relevant]) for c in (a, b)]
        return cls(query, at[0], at[1], places, rows >= 0, pair_of, padded, ranks.n_documents)

    def at(self, shortlist: int) -> Membership:
        """What is known when the shortlist holds so many documents."""
        above, tied = self.small
        inside = (above < NOT_RETRIEVED) & (above + tied < shortlist)
        outside = above >= shortlist
        listed_in, listed_out = self._listed(shortlist)
        known = self.pair_of >= 0
        listed_in = np.where(known, inside[self.pair_of], listed_in) if len(inside) else listed_in
        listed_out = np.where(known, outside[self.pair_of], listed_out) if len(outside) else listed_out
        large_above, large_tied = self.large
        depth = self.there.shape[1]
        start, end = np.minimum(large_above, depth), np.minimum(large_above + large_tied + 1, depth)
        n_in, n_out = _cumulated(listed_in), _cumulated(listed_out)
        group = n_in[self.query, end] - n_in[self.query, start]
        return Membership(
            above=large_above,
            tied=large_tied,
            inside=inside,
            outside=outside,
            in_above=n_in[self.query, start] + self._beyond(inside),
            out_above=n_out[self.query, start] + self._beyond(outside),
            whole=inside & (group == large_tied + 1),
        )

    def _listed(self, shortlist: int) -> tuple[BoolArray, BoolArray]:
        """Whether the large ranking's first documents are certainly inside, certainly outside, from the small ranking's list.

        A document of the list is inside when it scores above the first score that may be cut off (behind a list that is
        shorter than the shortlist, documents may tie with its last); one that is not in the list is outside only if the list
        goes on below the cut.
        """
        depth = self.there.shape[1]
        if shortlist >= self.n_documents:
            return self.there, np.zeros_like(self.there)
        cut = min(shortlist, depth)
        first_out = self.small_scores[:, [cut if cut < depth else max(depth - 1, 0)]]
        own = np.take_along_axis(self.small_scores, np.where(self.places >= 0, self.places, depth), axis=1)
        listed = self.places >= 0
        inside = listed & (own > first_out)
        if shortlist >= depth:
            return inside, np.zeros_like(inside)
        last_in = self.small_scores[:, [cut - 1]]
        below = np.where(listed, own, self.small_scores[:, [depth - 1]]) < last_in
        return inside, self.there & below

    def _beyond(self, flag: BoolArray) -> IntArray:
        """(n_pairs,) how many flagged relevant documents stand above each pair at the large size, of those behind the list."""
        above = self.large[0]
        counted = (flag & (above >= self.there.shape[1]) & (above < NOT_RETRIEVED)).astype(np.int64)
        key = self.query * _STEP + above
        order = np.argsort(key)
        total = np.concatenate([[0], np.cumsum(counted[order])])
        begin = np.searchsorted(key[order], self.query * _STEP)
        count: IntArray = total[np.searchsorted(key[order], key)] - total[begin]
        return count


def _keys(rows: IntArray) -> IntArray:
    """A number for each (query, row); those of empty places are alike within a query and match no row."""
    return np.arange(len(rows))[:, None] * _STEP + np.where(rows < 0, _STEP - 1, rows)


def _find(wanted: IntArray, among: IntArray) -> IntArray:
    """The index in `among` of each wanted key, -1 where it is not there."""
    if not len(among):
        return np.full(wanted.shape, -1, np.int64)
    order = np.argsort(among, kind="stable")
    at = np.minimum(np.searchsorted(among[order], wanted), len(among) - 1)
    found = order[at]
    return np.where(among[found] == wanted, found, -1)


def _cumulated(flags: BoolArray) -> IntArray:
    """(n, depth) -> (n, depth + 1): how many of the first p are set."""
    return np.concatenate([np.zeros((len(flags), 1), np.int64), np.cumsum(flags, axis=1)], axis=1)
