"""Ids by the million, as one Arrow array: kept in memory while they are few, mapped from a file without a name after that."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO, Final, cast, overload

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.types import IntArray, distinct

MAPPED_BYTES: Final = 2**26
"""A column that is longer lies in a file."""

_AT_ONCE: Final = 10_000
"""Ids that are turned into text at a time."""


def is_among(values: IntArray, few: IntArray) -> npt.NDArray[np.bool_]:
    """(n,) whether each of many values is one of a few: their lowest bits rule nearly all out, without a search or a sort."""
    ordered = distinct(few)
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    low = (1 << max(16, 4 * len(ordered)).bit_length()) - 1
    ends_alike = np.zeros(low + 1, np.bool_)
    ends_alike[ordered & low] = True
    among: npt.NDArray[np.bool_] = ends_alike[values & low]
    rest = np.flatnonzero(among)
    among[rest] = ordered[np.searchsorted(ordered, values[rest]).clip(max=len(ordered) - 1)] == values[rest]
    return among


def each(of: Callable[[str], int], texts: Sequence[str]) -> IntArray:
    """(n,) what a function gives for each text."""
    return np.fromiter(map(of, texts), np.int64, len(texts))


def arrow_of(values: npt.NDArray[Any]) -> Any:
    """These numbers as a pyarrow array, nothing copied. (`pa.array` imports pandas, to see whether they are a Series.)"""
    import pyarrow as pa

    own = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(own.dtype), len(own), [None, pa.py_buffer(own)])


class LongColumn:
    """Numbers that come some at a time: in memory while they are few, then in a file without a name, which is mapped."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype, self._n = np.dtype(dtype), 0
        self._parts: list[npt.NDArray[Any]] = []
        self._file: BinaryIO | None = None
        self._values: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return self._n

    def extend(self, values: npt.ArrayLike) -> None:
        """Raises EnvironmentFault where the disk is full."""
        self._parts.append(np.ascontiguousarray(values, self._dtype))
        self._values, self._n = None, self._n + len(self._parts[-1])
        if self._file is None and self._n * self._dtype.itemsize <= MAPPED_BYTES:
            return
        try:
            self._file = self._file or cast(BinaryIO, tempfile.TemporaryFile(prefix="mrl-sweep-"))  # noqa: SIM115
            for part in self._parts:
                self._file.write(part.data)
            self._file.flush()
        except OSError as error:
            place = f"what is known of each document in {tempfile.gettempdir()}"
            raise EnvironmentFault(f"cannot keep {place}: {error.strerror or error}", "set TMPDIR to a larger folder") from error
        self._parts = []

    def values(self) -> npt.NDArray[Any]:
        """All of them; of a long column what is mapped."""
        if self._values is None and self._file is not None:
            self._values = np.memmap(self._file, self._dtype, "r", shape=(self._n,))
        elif self._values is None:
            self._values = np.concatenate([np.empty(0, self._dtype), *self._parts])
            self._parts = [self._values]
        return self._values


class Ids(Sequence[str]):
    """Strings as one Arrow array, and a hash of each: 35 bytes for a ten-letter id where a tuple and a dict need 200."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._bytes, self._ends, self._hashes = LongColumn(np.uint8), LongColumn(np.int64), LongColumn(np.int64)
        self._ends.extend([0])
        texts = iter(ids)
        while some := list(islice(texts, _AT_ONCE)):
            self.extend(some)

    def extend(self, texts: Sequence[str]) -> None:
        """Appends these."""
        joined = "".join(texts)
        if joined.isascii():
            sizes = each(len, texts)
        else:  # some characters take several bytes
            sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], np.int64)
        self._ends.extend(len(self._bytes) + np.cumsum(sizes))
        self._bytes.extend(np.frombuffer(joined.encode("utf-8", "surrogatepass"), np.uint8))
        self._hashes.extend(each(hash, texts))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            rows = range(*row.indices(len(self)))
            return self.take(rows) if len(rows) < _AT_ONCE else _strings(self.arrow()[row])  # pyarrow takes long to import
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self.take([int(row) % len(self)])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def arrow(self) -> Any:
        """All of them, nothing copied, as a pyarrow array of large_string; of half a surrogate pair it holds the three bytes."""
        import pyarrow as pa

        ends, letters = self._ends.values(), self._bytes.values()
        return pa.Array.from_buffers(pa.large_string(), len(self), [None, pa.py_buffer(ends), pa.py_buffer(letters)])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Ids):
            pairs = ((self._ends, other._ends), (self._bytes, other._bytes))
            return all(np.array_equal(mine.values(), theirs.values()) for mine, theirs in pairs)
        return isinstance(other, list | tuple) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((len(self), len(self._bytes)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Made anew where it is unpickled: Python salts hashes anew in each process, and another one has no such file."""
        return Ids, (list(self),)

    def hashes(self) -> IntArray:
        """(n,) 64-bit hash of each id, good within this process."""
        return self._hashes.values()

    def rows_of(self, wanted: Sequence[str]) -> IntArray:
        """(len(wanted),) the first row of each id, -1 for one that is not here. Sorts numbers, and makes no table of texts."""
        codes = wanted.hashes() if isinstance(wanted, Ids) else each(hash, wanted)
        rows = np.flatnonzero(is_among(self.hashes(), codes))
        rows = rows[np.argsort(self.hashes()[rows], kind="stable")]
        ordered = self.hashes()[rows]
        row_of = np.full(len(codes), -1, np.int64)
        left, at = np.arange(len(codes)), np.searchsorted(ordered, codes)
        while len(left):
            alike = at < len(ordered)
            alike[alike] = ordered[at[alike]] == codes[left[alike]]
            left, at = left[alike], at[alike]
            is_it = np.zeros(len(left), np.bool_)
            for start in range(0, len(left), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                names = wanted.take(left[part]) if isinstance(wanted, Ids) else [wanted[place] for place in left[part].tolist()]
                is_it[part] = [one == other for one, other in zip(names, self.take(rows[at[part]]), strict=True)]
            row_of[left[is_it]] = rows[at[is_it]]
            left, at = left[~is_it], at[~is_it] + 1  # of another text with the same hash
        return row_of

    def repeated(self) -> dict[int, int]:
        """The rows whose id stands at an earlier row, and the first of these."""
        ordered = np.sort(self.hashes())
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        rows = np.flatnonzero(is_among(self.hashes(), twice)).tolist() if len(twice) else []
        first: dict[str, int] = {}
        pairs = [(row, first.setdefault(name, row)) for row, name in zip(rows, self.take(rows), strict=True)]
        return {row: earlier for row, earlier in pairs if row != earlier}

    def take(self, rows: npt.ArrayLike) -> list[str]:
        """The ids of these rows, in that order."""
        wanted, ends = np.asarray(rows, np.int64), self._ends.values()
        letters = self._bytes.values().data  # Arrow's own `take` imports all of pyarrow.compute
        places = zip(ends[wanted].tolist(), ends[wanted + 1].tolist(), strict=True)
        return [str(letters[start:stop], "utf-8", "surrogatepass") for start, stop in places]

    def without(self, rows: Iterable[int]) -> Ids:
        """The other ids, in order."""
        gone = set(rows)
        return Ids(text for row, text in enumerate(self) if row not in gone)


def _strings(array: Any) -> list[str]:
    with suppress(UnicodeDecodeError):
        return cast(list[str], array.to_pylist())
    return [text.decode("utf-8", "surrogatepass") for text in array.cast("large_binary").to_pylist()]
