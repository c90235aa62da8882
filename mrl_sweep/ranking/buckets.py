"""Many judged pairs a query: documents are placed by a table of where the thresholds of each bucket of scores begin.

A score falls into a bucket by one multiplication, and never into a lower one than a smaller score. So a document beats all
pairs of lower buckets, and of the next two thresholds it is seen without a branch which it beats. Where there are more within
reach, or one is too close, the document is listed and placed by itself.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.compiled import jit
from mrl_sweep.ranking.pass_plan import Targets
from mrl_sweep.ranking.placing import ONE, ZERO, place

BUCKETS_A_PAIR: Final = 4
"""With twice as many, fewer documents are listed, and the table no longer stays in the first-level cache."""

GUARDS: Final = 2
"""Infinite thresholds behind those of a query, so that the next two are always there."""

AT_ONCE: Final = 1024
"""Documents whose buckets are found before they are counted: few enough for the first-level cache."""

TOP_SHARE: Final = 64
"""One threshold in so many lies in the last bucket with all beyond it: a few very near documents do not stretch the others."""

LEAST_RANGE: Final = 1e-30
"""Thresholds that lie closer share a bucket."""


class Buckets(NamedTuple):
    """Tables of the queries that have many judged pairs; those of the others are empty.

    `begins` (n_sizes, n) int32 hold, from offsets[q] up to offsets[q + 1] (n_queries + 1,) int64, how many thresholds of query
    q lie in lower buckets, for each of its buckets. Bucket 1 begins at the lowest threshold, `lows`, and a score is worth
    `rates` buckets (both (n_sizes, n_queries) float32). `limits` (n_sizes, n) float32 are the thresholds of all queries in the
    filter's scale, each query's followed by `GUARDS` infinite ones.
    """

    offsets: Any
    lows: Any
    rates: Any
    begins: Any
    limits: Any

    @property
    def longest(self) -> int:
        """The most entries that a query has; 0 where none has a table."""
        return int(np.diff(self.offsets).max(initial=0))


def make_buckets(targets: Targets, many_pairs: int) -> Buckets:
    """The tables of all queries with at least `many_pairs` (from 1) judged pairs."""
    n_sizes, n_pairs = len(targets.edges) - 1, np.diff(targets.offsets)
    many = np.flatnonzero(n_pairs >= many_pairs)
    lengths = np.zeros(len(n_pairs), np.int64)
    lengths[many] = BUCKETS_A_PAIR * n_pairs[many] + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lows, rates = np.zeros((2, n_sizes, len(n_pairs)), np.float32)
    begins = np.empty((n_sizes, offsets[-1]), np.int32)
    n_limits = targets.offsets[-1] + GUARDS * len(n_pairs) if len(many) else 0
    buckets = Buckets(offsets, lows, rates, begins, np.full((n_sizes, n_limits), np.inf, np.float32))
    if len(many):
        _fill(targets, buckets)
    return buckets


@jit
def _fill(t: Targets, buckets: Buckets) -> None:
    """Fill each table from its first entry on, along the sorted thresholds."""
    offsets, lows, rates, begins, limits = buckets
    for q in range(offsets.shape[0] - 1):
        begin, n_pairs, length = t.offsets[q], t.offsets[q + 1] - t.offsets[q], offsets[q + 1] - offsets[q]
        if length == 0:
            continue
        for a in range(begins.shape[0]):
            own, table = limits[a, begin + GUARDS * q :], begins[a, offsets[q] : offsets[q + 1]]
            for p in range(n_pairs):
                own[p] = np.float32(t.thresholds[a, begin + p] * t.scales[a, q])
            low, width = own[0], own[n_pairs - 1 - n_pairs // TOP_SHARE] - own[0]
            rate = np.float32((length - 2) / width) if width > LEAST_RANGE else ZERO
            lows[a, q], rates[a, q], at = low, rate, 0
            for p in range(n_pairs):
                bucket = np.int64(min((own[p] - low) * rate + ONE, np.float32(length - 1)))
                while at <= bucket:
                    table[at] = p
                    at += 1
            table[at:] = n_pairs


@jit
def count_by_buckets(
    pairs: Any, buckets: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, n: int, room: Any
) -> None:
    """Count the first n documents of a block against the pairs of a query.

    `buckets` are its entries of a `Buckets` at one size. `room` is what is written to: `counts` uint32 zeros, one more than
    there are pairs; `ats` and `listed` (AT_ONCE,) int32.
    """
    (begins, limits, low, rate), (counts, ats, listed) = buckets, room
    placed = pairs[2]
    n_pairs, last = placed.shape[0], np.float32(begins.shape[0] - 1)
    low += band + band  # the band twice: a score may be rounded otherwise than the thresholds were for the table
    for start in range(0, n, AT_ONCE):
        scores, inverses = row[start : min(start + AT_ONCE, n)], inverse[start:]
        for j in range(scores.shape[0]):  # becomes vector code, which look-ups cannot
            at = (scores[j] * inverses[j] - low) * rate + ONE
            at = at if at > ZERO else ZERO
            ats[j] = np.int32(at if at < last else last)
        n_listed = np.uint64(0)  # unsigned numbers are indices as they are: numba looks at the sign of others
        for j in range(scores.shape[0]):
            score = scores[j] * inverses[j]
            lower, upper = score - band, score + band
            first = np.uint64(begins[np.uint32(ats[j])])
            next0, next1 = limits[first], limits[first + np.uint64(1)]
            unsure = (next1 <= upper) | ((next0 >= lower) & (next0 <= upper))
            counts[first + np.uint64(next0 < lower)] += np.uint32(not unsure)
            listed[n_listed] = j
            n_listed += np.uint64(unsure)
        for i in range(n_listed):
            doc = np.int64(listed[i])
            place(pairs, judge, scale, band, start + doc, scores[doc] * inverses[doc], np.int64(begins[ats[doc]]), n_pairs)
    counts[0] = 0  # those below every threshold
    for p in range(n_pairs):
        placed[p] += counts[p + 1]
        counts[p + 1] = 0
