"""Digests: of texts, of rows of vectors and of model files, and the table that finds a text's vector by its digest."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrl_sweep.types import IntArray

Uint64Array = npt.NDArray[np.uint64]
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


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


def row_checksums(rows: npt.NDArray[Any], digests: Uint64Array, positions: npt.ArrayLike) -> Uint64Array:
    """(n,) uint64: a weighted sum of each row's words, its text's digest and its place; any one changed word changes it."""
    width = rows.shape[1] * rows.dtype.itemsize
    word = np.dtype("<u8") if width % 8 == 0 else np.dtype("<u4") if width % 4 == 0 else np.dtype("<u2")
    words = np.ascontiguousarray(rows).view(word)
    sums = words.astype(np.uint64, copy=False) @ _weights(words.shape[1])
    place = np.asarray(positions).astype(np.uint64) + np.uint64(1)
    return np.asarray(sums + digests @ _weights(2) + place * np.uint64(_GOLDEN), dtype=np.uint64)


@functools.cache
def _weights(n: int) -> Uint64Array:
    """n odd multipliers (splitmix64), the same on every machine: an odd one is invertible, so no change is lost."""
    weights = []
    for i in range(1, n + 1):
        z = (i * _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        weights.append((z ^ (z >> 31)) | 1)
    return np.array(weights, dtype=np.uint64)


class DigestTable:
    """Where the vector of each text digest lies. Sorted numpy levels, the smaller ones merged as it grows: 24 bytes a text."""

    def __init__(self) -> None:
        self._levels: list[tuple[Uint64Array, Uint64Array, IntArray]] = []

    def __len__(self) -> int:
        return sum(len(level[0]) for level in self._levels)

    def add(self, digests: Uint64Array, locations: IntArray) -> None:
        """Digests that are in the table already keep their first location."""
        if not len(digests):
            return
        self._levels.append(_sorted(digests[:, 0], digests[:, 1], locations))
        while len(self._levels) > 1 and 2 * len(self._levels[-1][0]) >= len(self._levels[-2][0]):
            newer, older = self._levels.pop(), self._levels.pop()
            merged = [np.concatenate(pair) for pair in zip(older, newer, strict=True)]
            self._levels.append(_sorted(*merged))

    def find(self, digests: Uint64Array) -> IntArray:
        """(n,) int64 location of each digest, -1 where there is none."""
        found = np.full(len(digests), -1, np.int64)
        for first, second, locations in self._levels:
            open_ = np.flatnonzero(found < 0)
            at = np.searchsorted(first, digests[open_, 0])
            while len(open_):
                inside = at < len(first)
                open_, at = open_[inside], at[inside]
                same = first[at] == digests[open_, 0]
                open_, at = open_[same], at[same]
                hit = second[at] == digests[open_, 1]
                found[open_[hit]] = locations[at[hit]]
                open_, at = open_[~hit], at[~hit] + 1
        return found


def _sorted(first: Uint64Array, second: Uint64Array, locations: IntArray) -> tuple[Uint64Array, Uint64Array, IntArray]:
    order = np.argsort(first, kind="stable")
    return first[order], second[order], locations[order]


class FileDigests:
    """Digests of files, remembered by path, size and time of change, so that gigabytes of weights are read once."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._path = cache_dir / "file-digests.json" if cache_dir else None

    def of(self, files: Iterable[Path], root: Path) -> str:
        """One digest (32 hex digits) over the names (relative to root) and contents of these files, in any order."""
        known = self._read()
        fresh: dict[str, list[Any]] = {}
        total = hashlib.blake2b(digest_size=16)
        for file in sorted(files):
            stat = file.stat()
            key = str(file.resolve())
            # A time of change can be set; the inode and the time of its last change cannot, so a replaced file is read again.
            stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            entry = known.get(key)
            if not (isinstance(entry, list) and entry[:-1] == stamp):
                entry = fresh[key] = [*stamp, _file_digest(file)]
            total.update(f"{file.relative_to(root).as_posix()}\0{entry[-1]}\n".encode("utf-8", "surrogatepass"))
        if fresh:
            self._write(known | fresh)
        return total.hexdigest()

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_bytes()) if self._path else {}
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _write(self, entries: dict[str, Any]) -> None:
        """A cache: where it cannot be written, the next run reads the files again."""
        if self._path is None:
            return
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(entries, indent=0, sort_keys=True), encoding="utf-8")
            temporary.replace(self._path)


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
