"""Digests of texts, and the table that finds a text's vector by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mrl_sweep.types import IntArray

Uint64Array = npt.NDArray[np.uint64]


def text_digests(texts: Sequence[str]) -> Uint64Array:
    """(n, 2) uint64: 128 bits of BLAKE2b of each text's UTF-8 bytes (a lone surrogate counts as its three bytes)."""
    digest = hashlib.blake2b
    joined = b"".join([digest(_utf8(text), digest_size=16).digest() for text in texts])
    return np.frombuffer(joined, "<u8").reshape(-1, 2).astype(np.uint64)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


class DigestTable:
    """Where the vector of each text digest lies. Sorted numpy levels, the smaller ones merged as it grows: 24 bytes a text."""

    def __init__(self) -> None:
        self._levels: list[tuple[Uint64Array, Uint64Array, IntArray]] = []

    def __len__(self) -> int:
        return sum(len(level[0]) for level in self._levels)

    def put(self, digests: Uint64Array, locations: IntArray) -> None:
        """Digests that are in the table already get the new location; of equal ones the last counts."""
        new = np.ones(len(digests), bool)
        for known, asked, at in self._hits(digests):
            known[at], new[asked] = locations[asked], False
        if not new.any():
            return
        backwards = np.flatnonzero(new)[::-1]  # so that of equal ones the last is met first
        self._levels.append(_sorted(digests[backwards, 0], digests[backwards, 1], locations[backwards]))
        while len(self._levels) > 1 and 2 * len(self._levels[-1][0]) >= len(self._levels[-2][0]):
            newer, older = self._levels.pop(), self._levels.pop()
            self._levels.append(_sorted(*(np.concatenate(pair) for pair in zip(older, newer, strict=True))))

    def find(self, digests: Uint64Array) -> IntArray:
        """(n,) int64 location of each digest, -1 where there is none."""
        locations = np.full(len(digests), -1, np.int64)
        for known, asked, at in self._hits(digests):
            locations[asked] = known[at]
        return locations

    def _hits(self, digests: Uint64Array) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
        """The locations of a level, which of the digests it holds, and where. Others may share the first half of a digest."""
        found = np.zeros(len(digests), bool)
        for first, second, locations in self._levels:
            left = np.flatnonzero(~found)
            at = np.searchsorted(first, digests[left, 0])
            while len(left):
                inside = at < len(first)
                left, at = left[inside], at[inside]
                same = first[at] == digests[left, 0]
                left, at = left[same], at[same]
                hit = second[at] == digests[left, 1]
                found[left[hit]] = True
                yield locations, left[hit], at[hit]
                left, at = left[~hit], at[~hit] + 1


def _sorted(first: Uint64Array, second: Uint64Array, locations: IntArray) -> tuple[Uint64Array, Uint64Array, IntArray]:
    order = np.argsort(first, kind="stable")
    return first[order], second[order], locations[order]
