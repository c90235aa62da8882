"""Places of vectors: the file that an array is mapped from, reading ahead in it, and vectors as a value to send to a cluster."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files.object_store import connect
from mrl_sweep.ranking.task import Span
from mrl_sweep.record import record
from mrl_sweep.settings.paths import original_of
from mrl_sweep.store.store import copy_of
from mrl_sweep.types import IntArray, Vectors, distinct

AHEAD_BYTES: Final = 64 * 2**20
_DENSE: Final = 4
"""Rows in another order are fetched as one stretch of the file unless that is this many times more than what is read."""


@record
class Mapped:
    """An array whose first byte lies at `begin` of the mapped `memory`, of the file `filename`; None where that is not known."""

    memory: mmap.mmap
    begin: int
    filename: str | None


def mapped(array: npt.NDArray[Any]) -> Mapped | None:
    """Finds where a C-contiguous array of rows is mapped; None where it is not mapped, not contiguous, or empty."""
    filename = getattr(array, "filename", None)
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or not array.flags.c_contiguous or not array.size:
        return None
    address = np.frombuffer(base, np.uint8, 1).__array_interface__["data"][0]
    return Mapped(base, array.__array_interface__["data"][0] - address, None if filename is None else str(filename))


@record
class ArrayPlace:
    """An array that lies in a file: C-contiguous rows from byte `begin` of the file at the absolute `path`.

    Where `path` is this machine's copy of an object in an object store, `address` says from where other machines fetch it.
    """

    path: str
    begin: int
    shape: tuple[int, ...]
    dtype: str
    address: str = ""

    @property
    def end(self) -> int:
        """The byte behind the array."""
        return self.begin + int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize

    def open(self) -> npt.NDArray[Any]:
        """Maps the array, read-only. Raises OSError or ValueError where the file is not there, or too short."""
        path = copy_of(self.address) if self.address else self.path
        return np.memmap(path, dtype=self.dtype, mode="r", offset=self.begin, shape=self.shape)

    def absent(self) -> npt.NDArray[Any]:
        """Returns an array of the same shape and type, all zeros, for rows that are not to be read."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)


@record
class VectorPlaces:
    """`Vectors` as a value: what lies in files by place, what lies in memory by content."""

    parts: tuple[ArrayPlace | npt.NDArray[Any], ...]
    order: IntArray | None

    @property
    def files(self) -> dict[str, int]:
        """The files and objects of the vectors, each with the bytes that it must hold at least."""
        ends: dict[str, int] = {}
        for part in self.parts:
            if isinstance(part, ArrayPlace):
                name = part.address or part.path
                ends[name] = max(ends.get(name, 0), part.end)
        return ends

    def open(self, rows: Sequence[Span]) -> Vectors:
        """Opens the vectors, of which only these rows may be read: other files are neither mapped nor fetched."""
        begins = np.cumsum([0, *(part.shape[0] for part in self.parts)])
        needed: set[int] = set()
        for start, stop in rows:
            stored = np.arange(start, stop) if self.order is None else self.order[start:stop]
            needed.update(distinct(np.searchsorted(begins, stored, side="right") - 1).tolist())
        return Vectors(tuple(_opened(part, number in needed) for number, part in enumerate(self.parts)), self.order)


def places_of(vectors: Vectors) -> VectorPlaces:
    """Returns the vectors as a value: a part that is mapped from a file that has a name is not copied."""
    return VectorPlaces(tuple(_place_of(part) for part in vectors.parts), vectors.order)


def unreadable(files: Sequence[tuple[str, int]]) -> list[str]:
    """Lists the files and objects (path or address, least bytes) that this machine cannot read, or not to that length."""
    bad = []
    for path, n_bytes in files:
        try:
            if (_object_bytes(path) if "://" in path else _readable_bytes(Path(path))) < n_bytes:
                bad.append(path)
        except (OSError, EnvironmentFault):
            bad.append(path)
    return bad


def _object_bytes(address: str) -> int:
    folder, _, name = address.rpartition("/")
    return connect(folder).size(name) or 0


def _readable_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return file.seek(0, 2)


def _opened(part: ArrayPlace | npt.NDArray[Any], needed: bool) -> npt.NDArray[Any]:
    if isinstance(part, np.ndarray):
        return part
    return part.open() if needed else part.absent()


def _place_of(part: npt.NDArray[Any]) -> ArrayPlace | npt.NDArray[Any]:
    place = mapped(part)
    if place is None or place.filename is None:
        return np.asarray(part)
    path = Path(place.filename)
    return ArrayPlace(str(path.resolve()), place.begin, part.shape, part.dtype.str, original_of(path))


class ReadAhead:
    """Has the `ahead_bytes` behind each shard (rows from, to) read into the page cache as the shard is drawn.

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
        """Asks for at least half of what lies ahead at a time, so that requests are few and large."""
        begin, end = max(self._asked, shard[0]), min(shard[1] + self._rows_ahead, len(self._vectors))
        if not self._any or (end - begin < self._rows_ahead // 2 and end < len(self._vectors)) or end <= begin:
            return
        self._asked = end
        first, last = self._stretch(begin, end)
        for part_begin, part_end, place in self._parts:
            start, stop = max(first, part_begin), min(last, part_end)
            if place is not None and start < stop:
                _will_need(place, (start - part_begin) * self._row_bytes, (stop - part_begin) * self._row_bytes)

    def _stretch(self, begin: int, end: int) -> tuple[int, int]:
        """Returns the rows on disk that hold these corpus rows; (0, 0) where they lie too far apart."""
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
