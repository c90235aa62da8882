"""Ranking measures from ranks alone: expectations over the orders of tied documents (McSherry & Najork, ECIR 2008).

A judged document with `above` documents strictly higher and `tied` others at its score belongs to a tie group of
t = tied + 1 members that fill the ranks above + 1 ... above + t in every order alike. All relevant documents of one query
with the same `above` are of one group. Without ties each formula below is trec_eval's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Final, Self, TypeVar

import numpy as np
import numpy.typing as npt

from mrl_sweep.record import record
from mrl_sweep.types import NOT_RETRIEVED, FloatArray, IntArray, Qrels

Number = TypeVar("Number", np.float64, np.int64)


@record(slots=False)
class Relevant:
    """The relevant pairs of all queries: those of query q lie at offsets[q]:offsets[q + 1] of these arrays.

    `columns` are their places among all judgments, `gains` their grades as float64, `queries` their query rows. Judged
    documents that are missing from the corpus are among them: they count in R and are never retrieved. `whole` holds all
    relevant pairs where these are only some (the others add nothing to any sum): R and the ideal ranking come from all.
    """

    columns: IntArray
    queries: IntArray
    offsets: IntArray
    gains: FloatArray
    whole: Relevant | None = None

    @classmethod
    def of(cls, qrels: Qrels, rel: int) -> Self:
        """Selects the pairs whose grade is `rel` or higher (rel >= 1: unjudged, zero and negative grades are not relevant)."""
        columns = np.flatnonzero(qrels.grades >= rel)
        offsets = np.searchsorted(columns, qrels.offsets)
        queries = np.repeat(np.arange(qrels.n_queries), np.diff(offsets))
        return cls(columns, queries, offsets, qrels.grades[columns].astype(np.float64))

    def among(self, chosen: IntArray) -> Self:
        """Keeps the pairs at the places `chosen` (ascending, into `columns`); R and the ideal ranking stay those of all pairs."""
        offsets = np.searchsorted(chosen, self.offsets)
        return replace(
            self,
            columns=self.columns[chosen],
            queries=self.queries[chosen],
            offsets=offsets,
            gains=self.gains[chosen],
            whole=self.whole or self,
        )

    def of_columns(self, values: IntArray) -> IntArray:
        """Returns (..., n_pairs), those of (..., n_judgments) `values` that are relevant pairs'; `values` itself if all are."""
        return values if len(self.columns) == values.shape[-1] else values[..., self.columns]

    @cached_property
    def counts(self) -> IntArray:
        """R (n_queries,), the number of relevant documents of each query."""
        return np.diff((self.whole or self).offsets)

    def sum_by_query(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Sums (..., n_pairs) `values` over each query's pairs to (..., n_queries), 0 for a query without any."""
        return self._reduce(np.add, values, 0)

    def min_by_query(self, values: IntArray, without: int) -> IntArray:
        """Returns (..., n_queries), each query's smallest of (..., n_pairs) `values`, `without` for a query without any."""
        return self._reduce(np.minimum, values, without)

    def _reduce(self, ufunc: np.ufunc, values: npt.NDArray[Number], without: float) -> npt.NDArray[Number]:
        filled = np.diff(self.offsets) > 0
        if len(filled) == len(self.columns) and filled.all():
            return values
        out = np.full((*values.shape[:-1], len(filled)), without, values.dtype)
        if len(self.columns):
            out[..., filled] = ufunc.reduceat(values, self.offsets[:-1][filled], axis=-1)
        return out

    @cached_property
    def _best_first(self) -> tuple[FloatArray, IntArray]:
        """Each query's gains from high to low, and the places, from 0, that they take."""
        gains, alike = self.gains, not len(self.gains) or self.gains.min() == self.gains.max()
        ordered = gains if alike else gains[np.lexsort((-gains, self.queries))]
        return ordered, np.arange(len(self.columns)) - self.offsets[self.queries]

    def ideal(self, weights: FloatArray) -> FloatArray:
        """Returns (n_queries,), the DCG of each query's best ranking; weights[i] is the weight of rank i + 1, the last one 0."""
        whole = self.whole or self
        gains, places = whole._best_first
        return whole.sum_by_query(gains * weights[np.minimum(places, len(weights) - 1)])


@record
class Group:
    """Groups of tied documents: how many stand `above` each, its `size` t, and how many members are `relevant`; of one shape."""

    above: IntArray
    size: IntArray
    relevant: IntArray


@record(slots=False)
class Standing:
    """The places of the relevant documents at some candidates: `above` and `tied` are (n_candidates, n_pairs) int64."""

    relevant: Relevant
    above: IntArray
    tied: IntArray

    @cached_property
    def has_ties(self) -> bool:
        """Whether any relevant document ties with another document: else every formula is trec_eval's."""
        return bool(self.tied.any())

    @cached_property
    def depth(self) -> int:
        """The lowest rank that a retrieved relevant document can take, at least 1: no table needs to be longer."""
        ends = np.where(self.above < NOT_RETRIEVED, self.above + self.tied, 0)
        return int(ends.max(initial=0)) + 1

    @cached_property
    def first(self) -> Group:
        """The highest group of each query that holds a relevant document, (n_candidates, n_queries)."""
        above = self.relevant.min_by_query(self.above, NOT_RETRIEVED)
        if not self.has_ties:
            ones = np.broadcast_to(np.ones(1, np.int64), above.shape)
            return Group(above, ones, ones)
        members = self.above == above[:, self.relevant.queries]
        count = self.relevant.sum_by_query(members.astype(np.int64))
        others = self.relevant.sum_by_query(np.where(members, self.tied, 0)) // np.maximum(count, 1)
        return Group(above, others + 1, np.maximum(count, 1))

    @cached_property
    def ordered(self) -> tuple[Group, IntArray]:
        """Each pair's group, best first within a query, and the relevant ones in higher groups: all (n_candidates, n_pairs)."""
        key = self.relevant.queries * np.int64(NOT_RETRIEVED + 1) + self.above
        place = np.arange(key.shape[1])
        start = self.relevant.offsets[self.relevant.queries]
        if not self.has_ties:
            above = np.sort(key, axis=1) & NOT_RETRIEVED
            ones = np.broadcast_to(np.ones(1, np.int64), above.shape)
            return Group(above, ones, ones), np.broadcast_to(place - start, above.shape)
        order = np.argsort(key, axis=1)
        above = np.take_along_axis(self.above, order, axis=1)
        size = np.take_along_axis(self.tied, order, axis=1) + 1
        key = np.take_along_axis(key, order, axis=1)
        changes = np.diff(key, axis=1, prepend=-1) != 0
        first = np.maximum.accumulate(np.where(changes, place, 0), axis=1)
        ends = np.concatenate([changes[:, 1:], np.ones((len(key), 1), np.bool_)], axis=1)
        last = np.minimum.accumulate(np.where(ends, place, len(place))[:, ::-1], axis=1)[:, ::-1]
        return Group(above, size, last - first + 1), first - start


def chance_in_first(above: IntArray, tied: IntArray, k: int) -> FloatArray:
    """Returns each document's chance to be among the first k, clip(k - above, 0, t) / t with t = tied + 1, in the given shape."""
    if not tied.any():
        return (above < _limit(k)).astype(np.float64)
    size = tied + 1
    return np.clip(_limit(k) - above, 0, size) / size


def recall(standing: Standing, k: int) -> FloatArray:
    """Returns (n_candidates, n_queries), the share of all R relevant documents expected in the first k, in [0, 1]."""
    hits = standing.relevant.sum_by_query(chance_in_first(standing.above, standing.tied, k))
    return hits / np.maximum(standing.relevant.counts, 1)


def precision(standing: Standing, k: int) -> FloatArray:
    """Returns (n_candidates, n_queries), the relevant documents expected in the first k over k, even where fewer are returned."""
    return standing.relevant.sum_by_query(chance_in_first(standing.above, standing.tied, k)) / k


def ndcg(standing: Standing, k: int | None) -> FloatArray:
    """Returns (n_candidates, n_queries), nDCG@k in [0, 1]: linear gain, discount 1 / log2(rank + 1), ideal of all judgments.

    Jaervelin & Kekaelaeinen (TOIS 2002) with trec_eval's discount. k None: no cut-off. A judged query that retrieves nothing,
    or has no grade above 0, scores 0.
    """
    relevant = standing.relevant
    depth = standing.depth if k is None else k
    weigh = discounts(depth)
    candidate, pair = np.divmod(np.flatnonzero(standing.above < depth), standing.above.shape[1] or 1)  # the others weigh nothing
    above, tied = standing.above[candidate, pair], standing.tied[candidate, pair]
    weights = weigh[above]
    if tied.any():
        totals = np.concatenate([[0.0], np.cumsum(weigh[:-1])])
        end = totals[np.minimum(above + tied + 1, depth)]
        weights = np.where(tied > 0, (end - totals[above]) / (tied + 1), weights)
    place = candidate * len(relevant.counts) + relevant.queries[pair]
    shape = (len(standing.above), len(relevant.counts))
    gained = np.bincount(place, relevant.gains[pair] * weights, minlength=shape[0] * shape[1]).reshape(shape)
    longest = int(relevant.counts.max(initial=1))
    ideal = relevant.ideal(discounts(longest if k is None else min(k, longest)))
    return gained / np.where(ideal > 0, ideal, 1.0)


def discounts(depth: int) -> FloatArray:
    """Returns (depth + 1,), 1 / log2(rank + 1) for ranks 1 ... depth, then one 0 for all lower ranks."""
    return np.append(1.0 / np.log2(np.arange(2, depth + 2)), 0.0)


def reciprocal_rank(standing: Standing, k: int | None) -> FloatArray:
    """Returns (n_candidates, n_queries), the expectation of 1 / (rank of the first relevant document), which is 0 past rank k."""
    group, limit = standing.first, _limit(k)
    above, size, relevant = group.above, group.size, group.relevant
    out = np.where(above < limit, 1.0 / (above + 1.0), 0.0)
    if standing.has_ties:
        alone = (size > 1) & (relevant == 1) & (above < limit)
        reach = np.minimum(size[alone], limit - above[alone])
        out[alone] = harmonic_sum(above[alone], reach) / size[alone]
        several = (size > 1) & (relevant > 1) & (above < limit)
        cases, which = np.unique(np.stack([above[several], size[several], relevant[several]]), axis=1, return_inverse=True)
        values = [_first_of_several(int(g), int(t), int(n), limit) for g, t, n in cases.T]
        out[several] = np.array(values, np.float64)[which.ravel()]
    return out


def _first_of_several(g: int, t: int, n: int, limit: int) -> float:
    """E[1 / (g + J); g + J <= limit], J the first of n relevant among t: P(J = j) = C(t - j, n - 1) / C(t, n).

    Where no cut-off stops a huge group, a recursion over n replaces the sum, from
    C(t - j, n - 1) = C(t - j, n - 2) (t - j - n + 2) / (n - 1) and t - j - n + 2 = (t + g - n + 2) - (g + j);
    it loses at most four digits within these limits.
    """
    terms = min(t - n + 1, limit - g)
    if terms == t - n + 1 > 10_000 and g <= t and n <= 10:
        expected = float(harmonic_sum(np.array([g]), np.array([t]))[0]) / t
        for i in range(2, n + 1):
            expected = i / ((i - 1) * (t - i + 1)) * ((t + g - i + 2) * expected - 1)
        return expected
    j = np.arange(1, terms + 1, dtype=np.float64)
    chances = np.empty(terms)
    chances[0] = n / t
    chances[1:] = (t - j[:-1] - n + 1) / (t - j[:-1])
    return float((np.cumprod(chances) / (g + j)).sum())


def average_precision(standing: Standing, k: int | None) -> FloatArray:
    """Returns (n_candidates, n_queries), the expectation of AP@k: the precision at each relevant document in the first k, over R.

    In a group below `b` relevant documents, rank g + j holds a relevant one with chance n / t, and then (j - 1) (n - 1) / (t - 1)
    of those before it in the group are expected to be relevant too. So each relevant member adds
    1/t * sum_{j=1..m} (b + 1 + c (j - 1)) / (g + j), with c = (n - 1) / (t - 1) and m = clip(k - g, 0, t).
    """
    group, before = standing.ordered
    above, size, limit = group.above, group.size, _limit(k)
    shares = np.where(above < limit, (before + 1.0) / (above + 1.0), 0.0)
    if standing.has_ties:
        tied = (size > 1) & (above < limit)
        g, t, b = above[tied], size[tied], before[tied]
        m = np.minimum(t, limit - g)
        c = (group.relevant[tied] - 1) / (t - 1)
        shares[tied] = ((b + 1 - c * (g + 1)) * harmonic_sum(g, m) + c * m) / t
    return standing.relevant.sum_by_query(shares) / np.maximum(standing.relevant.counts, 1)


def success(standing: Standing, k: int) -> FloatArray:
    """Returns (n_candidates, n_queries), the chance that at least one relevant document is among the first k."""
    group = standing.first
    out = (group.above < k).astype(np.float64)
    if standing.has_ties:
        partly = (group.above < k) & (group.above + group.size > k)
        out[partly] = 1.0 - _none_drawn(group.size[partly], group.relevant[partly], k - group.above[partly])
    return out


def _none_drawn(t: IntArray, n: IntArray, m: IntArray) -> FloatArray:
    """C(t - n, m) / C(t, m): the chance that m draws from t documents miss all n; by symmetry the shorter product of the two."""
    fewer, more = np.minimum(n, m), np.maximum(n, m)
    out = np.ones(len(t))
    for i in range(int(fewer.max(initial=0))):
        out *= np.where(i < fewer, np.maximum(t - more - i, 0) / np.maximum(t - i, 1), 1.0)
    return out


def _limit(k: int | None) -> int:
    """The first rank index that no longer counts: NOT_RETRIEVED where there is no cut-off."""
    return NOT_RETRIEVED if k is None else min(k, NOT_RETRIEVED)


_EXACT: Final = 256
_HARMONIC: Final = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _EXACT + 1))])


def harmonic_sum(start: IntArray, count: IntArray) -> FloatArray:
    """Returns 1/(start + 1) + ... + 1/(start + count), elementwise, to some 15 digits; the cost does not depend on `count`.

    Up to rank 256 from a table, beyond it from psi(x + 1/2) = ln x + 1/(24 x^2) - 7/(960 x^4) + 31/(8064 x^6) - ...
    (DLMF 5.11.7 at a = 1/2), whose difference is taken term by term.
    """
    end = start + count
    table = _HARMONIC[np.minimum(end, _EXACT)] - _HARMONIC[np.minimum(start, _EXACT)]
    low, high = np.maximum(start, _EXACT) + 0.5, np.maximum(end, _EXACT) + 0.5
    out: FloatArray = table + np.log1p((high - low) / low) + _correction(high) - _correction(low)
    return out


def _correction(x: FloatArray) -> FloatArray:
    square = 1.0 / (x * x)
    return square * (1 / 24 - square * 7 / 960)
