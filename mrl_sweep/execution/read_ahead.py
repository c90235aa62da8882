"""Asks the system to fetch the documents that come next while the present ones are counted."""

from __future__ import annotations

import mmap
from typing import Any, Final

import numpy as np

from mrl_sweep.execution.places import Mapped, mapped
from mrl_sweep.types import IntArray, Vectors

AHEAD_BYTES: Final = 64 * 2**20
_DENSE: Final = 4
"""Rows in another order are fetched as one stretch of the file unless that is this many times more than what is read."""


class ReadAhead:
    """Told of each shard (rows from, to) as it is drawn, it has the `ahead_bytes` behind it read into the page cache.

    A hint: it copies nothing, does not wait, and does nothing for arrays in memory or where the system takes no such hint.
    """

    def __init__(self, vectors: Vectors, ahead_bytes: int = AHEAD_BYTES) -> None:
        able = hasattr(mmap, "MADV_WILLNEED") and hasattr(mmap.mmap, "madvise")
        places = [mapped(part) if able else None for part in vectors.parts]
        begins = np.cumsum([0, *(len(part) for part in vectors.parts)]).tolist()
        self._parts = list(zip(begins[:-1], begins[1:], places, strict=True))
        self._vectors, self._any = vectors, any(place is not None for place in places)
        self._row_bytes = vectors.dim * vectors.parts[0].itemsize
        self._rows_ahead = max(1, ahead_bytes // self._row_bytes)
        self._asked = 0
        """Rows up to here have been asked for."""

    def __call__(self, shard: tuple[int, int]) -> None:
        """Half of what lies ahead is asked for at a time, so that requests are few and large."""
        start, stop = shard
        begin, end = max(self._asked, start), min(stop + self._rows_ahead, len(self._vectors))
        if not self._any or (end - begin < self._rows_ahead // 2 and end < len(self._vectors)) or end <= begin:
            return
        self._asked = end
        first, last = self._stretch(begin, end)
        for part_begin, part_end, place in self._parts:
            here, until = max(first, part_begin), min(last, part_end)
            if place is not None and here < until:
                _will_need(place, (here - part_begin) * self._row_bytes, (until - part_begin) * self._row_bytes)

    def _stretch(self, begin: int, end: int) -> tuple[int, int]:
        """The rows on disk that hold these corpus rows; none where they lie too far apart."""
        if self._vectors.order is None:
            return begin, end
        wanted: IntArray = self._vectors.order[begin:end]
        first, last = int(wanted.min()), int(wanted.max()) + 1
        return (first, last) if last - first <= _DENSE * (end - begin) else (0, 0)


def _will_need(place: Mapped, begin: int, end: int) -> None:
    size = len(place.memory)
    first = (place.begin + begin) // mmap.PAGESIZE * mmap.PAGESIZE
    length = min(place.begin + end, size) - first
    if length > 0:
        advise: Any = place.memory.madvise
        advise(mmap.MADV_WILLNEED, first, length)
