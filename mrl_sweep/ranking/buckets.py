"""Many judged pairs a query: documents are placed by a table of where the thresholds of each bucket of scores begin.

A score falls into a bucket by one multiplication, and never into a lower one than a smaller score. A bucket that no threshold
comes near says at once which pairs a document beats; a document of any other is listed, and placed by itself.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.compiled import jit
from mrl_sweep.ranking.pass_plan import Targets
from mrl_sweep.ranking.placing import ONE, ZERO, place
from mrl_sweep.types import Float32Array

BUCKETS_A_PAIR: Final = 8
BUCKETS_A_PAIR_OF_FEW: Final = 12
"""With more, fewer documents are listed, and the tables grow beyond the second-level cache; small ones may have more."""

SMALL_TABLE: Final = 4096
"""Up to so many entries, 8 KB in the first-level cache, a table has `BUCKETS_A_PAIR_OF_FEW`."""

AT_ONCE: Final = 1024
"""Documents whose buckets are found before they are counted: few enough for the first-level cache."""

TOP_SHARE: Final = 64
"""One threshold in so many lies in the last bucket with all beyond it: a few very near documents do not stretch the others."""

NEAR: Final = np.uint16(1 << 15)
"""Set in the table for a bucket that a threshold comes near."""

MOST_PAIRS: Final = 2**15 - 1
"""Of a query with a table: what an entry can count. Those of longer ones are counted by runs."""

WIDTH_IN_BANDS: Final = 64.0
"""The buckets of a query reach at least so many bands: thresholds that lie closer together are told apart by the judge alone."""


class Buckets(NamedTuple):
    """Tables of the queries that have many judged pairs; those of the others are empty.

    `begins` (n_sizes, n) uint16 hold, from offsets[q] up to offsets[q + 1] (n_queries + 1,) int64, for each bucket of query q
    how many of its thresholds lie in lower buckets, with `NEAR` where one may lie in it. Bucket 1 begins below the lowest
    threshold, at `lows`, and a score is worth `rates` buckets (both (n_sizes, n_queries) float32). `bands` (n_sizes,) float64:
    how far around a threshold a bucket is near it, for unit vectors: good for blocks whose band is at most half as wide.
    """

    offsets: Any
    lows: Any
    rates: Any
    begins: Any
    bands: Any

    @property
    def longest(self) -> int:
        """The most entries that a query has; 0 where none has a table."""
        return int(np.diff(self.offsets).max(initial=0))


def make_buckets(targets: Targets, many_pairs: int, unit_bands: Any) -> Buckets:
    """The tables of all queries with at least `many_pairs` (from 1) judged pairs, for bands (n_sizes,) of unit queries."""
    n_sizes, n_pairs = len(targets.edges) - 1, np.diff(targets.offsets)
    many = np.flatnonzero((n_pairs >= many_pairs) & (n_pairs <= MOST_PAIRS))
    lengths = np.zeros(len(n_pairs), np.int64)
    lengths[many] = np.maximum(BUCKETS_A_PAIR * n_pairs[many], np.minimum(BUCKETS_A_PAIR_OF_FEW * n_pairs[many], SMALL_TABLE)) + 2
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    lows: Float32Array
    rates: Float32Array
    lows, rates = np.zeros((2, n_sizes, len(n_pairs)), np.float32)
    buckets = Buckets(offsets, lows, rates, np.empty((n_sizes, offsets[-1]), np.uint16), 2.0 * np.asarray(unit_bands, np.float64))
    if len(many):
        _fill(targets, buckets)
    return buckets


@jit
def _bucket(score: Any, low: Any, rate: Any, last: Any) -> Any:
    """The bucket of a score, as `count_by_buckets` finds it."""
    at = (score - low) * rate + ONE
    at = at if at > ZERO else ZERO
    return np.int64(at if at < last else last)


@jit
def _fill(t: Targets, buckets: Buckets) -> None:
    """Fill each table from its first entry on, along the sorted thresholds."""
    offsets, lows, rates, begins, bands = buckets
    for q in range(offsets.shape[0] - 1):
        begin, n_pairs, length = t.offsets[q], t.offsets[q + 1] - t.offsets[q], offsets[q + 1] - offsets[q]
        if length == 0:
            continue
        last = np.float32(length - 1)
        for a in range(begins.shape[0]):
            scale, thresholds = t.scales[a, q], t.thresholds[a, begin : begin + n_pairs]
            band = np.float32(bands[a] * t.norms[a, q])
            table = begins[a, offsets[q] : offsets[q + 1]]
            low = np.float32(thresholds[0] * scale) - band - band
            width = np.float32(thresholds[n_pairs - 1 - n_pairs // TOP_SHARE] * scale) + band + band - low
            width = max(width, np.float32(WIDTH_IN_BANDS * band))
            rate = np.float32((length - 2) / width) if width > ZERO else ZERO
            lows[a, q], rates[a, q] = low, rate
            p = 0
            for bucket in range(length):
                while p < n_pairs and _bucket(np.float32(thresholds[p] * scale) + band, low, rate, last) < bucket:
                    p += 1
                entry = np.uint16(p)
                if p < n_pairs and _bucket(np.float32(thresholds[p] * scale) - band, low, rate, last) <= bucket:
                    entry |= NEAR
                table[bucket] = entry


@jit
def count_by_buckets(
    pairs: Any, buckets: Any, judge: Any, scale: float, band: Any, row: Any, inverse: Any, n: int, room: Any
) -> None:
    """Count the first n documents of a block against the pairs of a query.

    `buckets` are its entries of a `Buckets` at one size. `room` is what is written to: `counts` uint32 zeros, one more than
    there are pairs; `ats` and `listed` (AT_ONCE,) int32.
    """
    (begins, low, rate), (counts, ats, listed) = buckets, room
    placed = pairs[2]
    n_pairs, last = placed.shape[0], np.float32(begins.shape[0] - 1)
    for start in range(0, n, AT_ONCE):
        scores, inverses = row[start : min(start + AT_ONCE, n)], inverse[start:]
        for j in range(scores.shape[0]):  # becomes vector code, which look-ups cannot
            at = (scores[j] * inverses[j] - low) * rate + ONE
            at = at if at > ZERO else ZERO
            ats[j] = np.int32(at if at < last else last)
        n_listed = np.uint64(0)  # unsigned numbers are indices as they are: numba looks at the sign of others
        for j in range(scores.shape[0]):
            entry = np.uint32(begins[np.uint32(ats[j])])
            is_near = entry >> np.uint32(15)
            counts[entry & np.uint32(MOST_PAIRS)] += np.uint32(1) - is_near
            listed[n_listed] = j
            n_listed += np.uint64(is_near)
        for i in range(n_listed):
            doc = np.int64(listed[i])
            first = np.int64(begins[ats[doc]] & np.uint16(MOST_PAIRS))
            place(pairs, judge, scale, band, start + doc, scores[doc] * inverses[doc], first, n_pairs)
    counts[0] = 0  # those below every threshold
    for p in range(n_pairs):
        placed[p] += counts[p + 1]
        counts[p + 1] = 0
