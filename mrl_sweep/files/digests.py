"""Digests of texts and of files, and the table that finds a text's vector by its digest."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from mrl_sweep.files import replacing
from mrl_sweep.types import IntArray, distinct

Uint64Array = npt.NDArray[np.uint64]
S = TypeVar("S")
T = TypeVar("T")


def side_by_side(work: Callable[[S], T], pieces: Sequence[S], most: int) -> list[T]:
    """Returns what `work` gives for each piece, in order; threads do at most `most` at a time, this thread a single one."""
    if len(pieces) < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(min(len(pieces), most), "mrl_sweep_files") as pool:
        return list(pool.map(work, pieces))


def text_digests(texts: Sequence[str]) -> Uint64Array:
    """Returns (n, 2) uint64: 128 bits of BLAKE2b of each text's UTF-8 bytes (a lone surrogate counts as its three bytes)."""
    digest = hashlib.blake2b
    joined = b"".join([digest(_utf8(text), digest_size=16).digest() for text in texts])
    return np.frombuffer(joined, "<u8").reshape(-1, 2).astype(np.uint64)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def first_rows(digests: Uint64Array) -> IntArray:
    """Returns (m,) ascending, the rows at which each different digest stands first."""
    if len(distinct(digests[:, 0])) == len(digests):  # nearly always, and six times as fast as to compare both halves
        return np.arange(len(digests))
    return np.sort(np.unique(digests, axis=0, return_index=True)[1])


class DigestTable:
    """Maps text digests to locations of vectors. Sorted levels, the smaller ones merged as it grows: 24 bytes a digest."""

    def __init__(self) -> None:
        self._levels: list[tuple[Uint64Array, Uint64Array, IntArray]] = []

    def __len__(self) -> int:
        return sum(len(level[0]) for level in self._levels)

    def put(self, digests: Uint64Array, locations: IntArray) -> None:
        """Puts locations; a digest that is in the table gets its new location, and of equal digests the last counts."""
        new = np.ones(len(digests), bool)
        for stored, hits, at in self._hits(digests):
            stored[at], new[hits] = locations[hits], False
        if not new.any():
            return
        backwards = np.flatnonzero(new)[::-1]  # so that of equal ones the last is met first
        self._levels.append(_sorted(digests[backwards, 0], digests[backwards, 1], locations[backwards]))
        while len(self._levels) > 1 and 2 * len(self._levels[-1][0]) >= len(self._levels[-2][0]):
            newer, older = self._levels.pop(), self._levels.pop()
            self._levels.append(_sorted(*(np.concatenate(pair) for pair in zip(older, newer, strict=True))))

    def find(self, digests: Uint64Array) -> IntArray:
        """Returns (n,) int64, the location of each digest; -1 where there is none."""
        locations = np.full(len(digests), -1, np.int64)
        for stored, hits, at in self._hits(digests):
            locations[hits] = stored[at]
        return locations

    def _hits(self, digests: Uint64Array) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
        """Yields a level's locations, which of the digests it holds, and where. Others may share the first half of a digest."""
        hit_before = np.zeros(len(digests), bool)
        for first, second, locations in self._levels:
            left = np.flatnonzero(~hit_before)
            at = np.searchsorted(first, digests[left, 0])
            while len(left):
                inside = at < len(first)
                left, at = left[inside], at[inside]
                same = first[at] == digests[left, 0]
                left, at = left[same], at[same]
                hit = second[at] == digests[left, 1]
                hit_before[left[hit]] = True
                yield locations, left[hit], at[hit]
                left, at = left[~hit], at[~hit] + 1


def _sorted(first: Uint64Array, second: Uint64Array, locations: IntArray) -> tuple[Uint64Array, Uint64Array, IntArray]:
    order = np.argsort(first, kind="stable")
    return first[order], second[order], locations[order]


class FileDigests:
    """Digests files, and remembers digests by everything the system says of a file, so that gigabytes are read once.

    What is remembered saves a read, never a decision: a file that was written, replaced or renamed since is read again, also
    where its size and its time of modification are as before. A file that changed within `settle_s` is not remembered.
    """

    def __init__(
        self, cache_dir: Path | None, *, algorithm: str = "blake2b", file_name: str = "file-digests.json", settle_s: float = 2.0
    ) -> None:
        self._path = cache_dir / file_name if cache_dir else None
        self._algorithm = algorithm
        self._settle_ns = int(settle_s * 1e9)
        self._written: dict[tuple[Any, ...], str] = {}

    def of(self, files: Iterable[Path], root: Path) -> str:
        """Returns a digest (32 hex digits) of files' names below `root` and contents, in any order. Raises FileNotFoundError."""
        ordered = sorted(files)
        total = hashlib.blake2b(digest_size=16)
        for file, digest in zip(ordered, self.each(ordered), strict=True):
            if digest is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
            total.update(f"{file.relative_to(root).as_posix()}\0{digest}\n".encode("utf-8", "surrogatepass"))
        return total.hexdigest()

    def written(self, file: Path, digest: str) -> None:
        """Remembers, in this process alone, the digest of a file that it has written, as long as the file stays unchanged."""
        self._written[str(file.resolve()), *self._stamp(file)] = digest

    def each(self, files: Sequence[Path]) -> list[str | None]:
        """Returns the digest (32 hex digits) of each file's content; None where there is no such file."""
        remembered, keys = self._read(), [str(file.resolve()) for file in files]
        stamps = [self._stamp(file) for file in files]
        unread = [i for i, key in enumerate(keys) if stamps[i] and not _is_of(remembered.get(key), stamps[i])]

        def digest_of(i: int) -> str | None:
            return self._written.get((keys[i], *stamps[i])) or file_digest(files[i], self._algorithm)

        fresh = dict(zip(unread, side_by_side(digest_of, unread, os.cpu_count() or 1), strict=True))
        now = time.time_ns()
        settled = [i for i in unread if fresh[i] and now - stamps[i][2] > self._settle_ns]
        if settled:
            self._write(remembered | {keys[i]: [*stamps[i], fresh[i]] for i in settled})
        return [fresh[i] if i in fresh else str(remembered[keys[i]][-1]) if stamps[i] else None for i in range(len(files))]

    @staticmethod
    def _stamp(file: Path) -> list[int]:
        """Size, times of modification and of change, inode; empty where there is no such file."""
        try:
            stat = file.stat()
        except FileNotFoundError:
            return []
        return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_bytes()) if self._path else {}
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _write(self, entries: dict[str, Any]) -> None:
        """Writes the cache; where it cannot be written, the next run reads the files again."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as draft:
                draft.write_text(json.dumps(entries, indent=0, sort_keys=True), encoding="utf-8")


def _is_of(entry: Any, stamp: list[int]) -> bool:
    return isinstance(entry, list) and len(entry) == len(stamp) + 1 and entry[:-1] == stamp and isinstance(entry[-1], str)


def file_digest(file: Path, algorithm: str) -> str | None:
    """Digests a file's content to 32 hex digits; None where there is no such file."""
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, _ALGORITHMS[algorithm])
    except FileNotFoundError:
        return None
    return digest.hexdigest()[:32]


_ALGORITHMS: Final[dict[str, Callable[[], Any]]] = {
    "blake2b": lambda: hashlib.blake2b(digest_size=16),
    "sha256": hashlib.sha256,
}
"""sha256 has instructions of its own on today's processors: twice as fast as blake2b on gigabytes."""
