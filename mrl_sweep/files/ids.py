"""Ids by the million and numbers beside them: in memory while they are few, then in one Arrow IPC file without a name, mapped."""

from __future__ import annotations

import mmap
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import eq
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast, overload

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.types import IntArray, distinct

MAPPED_BYTES: Final = 2**24
"""Bytes of rows that may wait in memory; when there are more, all are written to the file as one batch."""

AT_ONCE: Final = 10_000
"""How many ids are turned into text at a time."""


def is_among(values: IntArray, few: IntArray) -> npt.NDArray[np.bool_]:
    """Returns (n,) bool, whether each value is among `few`: their lowest bits rule nearly all out, without search or sort."""
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
    """Returns (n,) int64, the number that the function `of` gives for each text."""
    return np.fromiter(map(of, texts), np.int64, len(texts))


class _Batch(NamedTuple):
    """Some rows as Arrow has them: the letters of row i's id are ends[i] to ends[i + 1], each column holds a number a row."""

    ends: IntArray
    letters: npt.NDArray[np.uint8]
    columns: dict[str, npt.NDArray[Any]]

    def views(self, record_batch: Any) -> _Batch:
        """Returns the rows of a pyarrow record batch with these columns; nothing is copied."""
        _, ends, letters = record_batch.column("id").buffers()
        buffers = {name: record_batch.column(name).buffers()[1] for name in self.columns}
        columns = {name: np.frombuffer(buffers[name], values.dtype) for name, values in self.columns.items()}
        return _Batch(np.frombuffer(ends, np.int64), np.frombuffer(letters, np.uint8), columns)

    def record_batch(self) -> Any:
        """Returns these arrays as a pyarrow record batch, not copied; an id holds half a surrogate pair as three bytes."""
        import pyarrow as pa

        def array(kind: Any, *buffers: npt.NDArray[Any]) -> Any:  # `pa.array` imports pandas, to see whether it is a Series
            return pa.Array.from_buffers(kind, len(self.ends) - 1, [None, *map(pa.py_buffer, buffers)])

        numbers = {name: array(pa.from_numpy_dtype(values.dtype), values) for name, values in self.columns.items()}
        return pa.record_batch({"id": array(pa.large_string(), self.ends, self.letters), **numbers})

    def texts(self, rows: IntArray) -> list[str]:
        letters = self.letters.data  # Arrow's own `take` imports all of pyarrow.compute
        places = zip(self.ends[rows].tolist(), self.ends[rows + 1].tolist(), strict=True)
        return [str(letters[start:stop], "utf-8", "surrogatepass") for start, stop in places]


def _joined(batches: Sequence[_Batch]) -> _Batch:
    """Joins one or more batches into one."""
    if len(batches) == 1:
        return batches[0]
    sizes = [np.diff(batch.ends) for batch in batches]
    return _Batch(
        np.append(0, np.cumsum(np.concatenate(sizes))),
        np.concatenate([batch.letters for batch in batches]),
        {name: np.concatenate([batch.columns[name] for batch in batches]) for name in batches[0].columns},
    )


class Ids(Sequence[str]):
    """Holds strings, a hash of each and columns of numbers: 26 bytes for a ten-letter id where a tuple and a dict need 200.

    More than `mapped_bytes` of waiting rows are written to an Arrow IPC file, whose batches are memory-mapped.
    """

    def __init__(
        self,
        ids: Iterable[str] = (),
        columns: Mapping[str, npt.DTypeLike] = MappingProxyType({}),
        *,
        mapped_bytes: int = MAPPED_BYTES,
    ) -> None:
        self._dtypes, self._mapped_bytes = dict(columns), mapped_bytes
        nothing = {name: np.empty(0, dtype) for name, dtype in {"hash": np.int64, **columns}.items()}
        self._nothing = _Batch(np.zeros(1, np.int64), np.empty(0, np.uint8), nothing)
        self._waiting, self._waiting_bytes, self._n = [self._nothing], 0, 0
        self._file: Any = None
        self._writer: Any = None
        self._mapped: list[_Batch] = []
        self._starts = [0]
        """The first row of each batch, that of the waiting rows last."""
        texts = iter(ids)
        while some := list(islice(texts, AT_ONCE)):
            self.extend(some)

    def extend(self, texts: Sequence[str], **numbers: npt.ArrayLike) -> None:
        """Appends ids, with a number of each in every column. Raises EnvironmentFault where the file cannot be written."""
        together = "".join(texts)
        if together.isascii():
            sizes = each(len, texts)
        else:  # some characters take several bytes
            sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], np.int64)
        letters = np.frombuffer(together.encode("utf-8", "surrogatepass"), np.uint8)
        values = {"hash": each(hash, texts), **numbers}
        columns: dict[str, npt.NDArray[Any]] = {
            name: np.ascontiguousarray(values[name], empty.dtype) for name, empty in self._nothing.columns.items()
        }
        self._waiting.append(_Batch(np.append(0, np.cumsum(sizes)), letters, columns))
        self._waiting_bytes += sizes.nbytes + len(letters) + sum(some.nbytes for some in columns.values())
        self._n += len(texts)
        if self._waiting_bytes > self._mapped_bytes:
            self._write(_joined(self._waiting).record_batch())
            self._waiting, self._waiting_bytes = [self._nothing], 0

    def _write(self, record_batch: Any) -> None:
        """Appends a record batch to the file, and maps that part of it; what was mapped before stays where it is."""
        import pyarrow as pa

        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="mrl-sweep-")  # noqa: SIM115
                self._writer = pa.ipc.new_stream(self._file, record_batch.schema)
            begin = self._file.tell()
            self._writer.write_batch(record_batch)
            self._file.flush()
            page = begin - begin % mmap.ALLOCATIONGRANULARITY
            content = mmap.mmap(self._file.fileno(), self._file.tell() - page, access=mmap.ACCESS_READ, offset=page)
        except OSError as error:
            place = f"what is known of each document in {tempfile.gettempdir()}"
            raise EnvironmentFault(f"cannot keep {place}: {error.strerror or error}", "set TMPDIR to a larger folder") from error
        reader = pa.BufferReader(pa.py_buffer(content).slice(begin - page))
        while (message := pa.ipc.read_message(reader)).type == "schema":
            pass  # it stands before the first batch
        self._mapped.append(self._nothing.views(pa.ipc.read_record_batch(message, record_batch.schema)))
        self._starts.append(self._n)

    def _batches(self) -> list[_Batch]:
        """Lists all rows: those in the file, then those that wait."""
        self._waiting = [_joined(self._waiting)]
        return [*self._mapped, *self._waiting]

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self.take([int(row) % len(self)])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), AT_ONCE):
            yield from self[start : start + AT_ONCE]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids | list | tuple) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(len(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles ids and numbers, to be hashed anew: Python salts hashes in each process, and another one has no such file."""
        return _made_anew, (list(self), self._dtypes, {name: self.column(name) for name in self._dtypes})

    def table(self, columns: Sequence[str]) -> Any:
        """Returns a pyarrow table of the ids as `id` and these columns; nothing is copied."""
        import pyarrow as pa

        return pa.Table.from_batches([batch.record_batch() for batch in self._batches()]).select(["id", *columns])

    def column(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Returns the numbers of a column in rows start to stop: a view where they lie in one batch, else a copy."""
        stop, first = len(self) if stop is None else stop, bisect_right(self._starts, start) - 1
        some = slice(first, max(bisect_left(self._starts, stop), first + 1))
        pieces = [
            batch.columns[name][max(start - begin, 0) : max(stop - begin, 0)]
            for batch, begin in zip(self._batches()[some], self._starts[some], strict=True)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def hashes(self) -> IntArray:
        """Returns (n,) int64, a hash of each id, good within this process."""
        return self.column("hash")

    def rows_of(self, wanted: Sequence[str], *, at_once: int = AT_ONCE) -> IntArray:
        """Returns (len(wanted),) int64, the first row of each id, -1 for none. Hashes are sorted, no table of texts is made:
        `at_once` ids are compared at a time."""
        codes, hashes = wanted.hashes() if isinstance(wanted, Ids) else each(hash, wanted), self.hashes()
        rows = np.flatnonzero(is_among(hashes, codes))
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        ordered = hashes[rows]
        row_of = np.full(len(codes), -1, np.int64)
        left, at = np.arange(len(codes)), np.searchsorted(ordered, codes)
        while len(left):
            alike = at < len(ordered)
            alike[alike] = ordered[at[alike]] == codes[left[alike]]
            left, at = left[alike], at[alike]
            is_it = np.zeros(len(left), np.bool_)
            for start in range(0, len(left), at_once):
                part = slice(start, start + at_once)
                names = wanted.take(left[part]) if isinstance(wanted, Ids) else [wanted[place] for place in left[part].tolist()]
                is_it[part] = [one == other for one, other in zip(names, self.take(rows[at[part]]), strict=True)]
            row_of[left[is_it]] = rows[at[is_it]]
            left, at = left[~is_it], at[~is_it] + 1  # of another text with the same hash
        return row_of

    def repeated(self) -> dict[int, int]:
        """Returns, for each row whose id stands at an earlier row too, the first row with that id."""
        ordered = np.sort(self.hashes())
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        rows = np.flatnonzero(is_among(self.hashes(), twice)).tolist() if len(twice) else []
        first: dict[str, int] = {}
        pairs = [(row, first.setdefault(name, row)) for row, name in zip(rows, self.take(rows), strict=True)]
        return {row: earlier for row, earlier in pairs if row != earlier}

    def take(self, rows: npt.ArrayLike) -> list[str]:
        """Returns the ids of these rows, in that order."""
        wanted, batches = np.asarray(rows, np.int64), self._batches()
        texts, of_batch = np.empty(len(wanted), object), np.searchsorted(self._starts, wanted, side="right") - 1
        for serial in distinct(of_batch).tolist():
            at = np.flatnonzero(of_batch == serial)
            texts[at] = batches[serial].texts(wanted[at] - self._starts[serial])
        return cast(list[str], texts.tolist())

    def without(self, rows: Sequence[int]) -> Ids:
        """Returns the ids of all other rows with their numbers, in order."""
        others = np.setdiff1d(np.arange(len(self)), rows)
        numbers = {name: self.column(name)[others] for name in self._dtypes}
        made = Ids(columns=self._dtypes, mapped_bytes=self._mapped_bytes)
        for start in range(0, len(others), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            made.extend(self.take(others[part]), **{name: values[part] for name, values in numbers.items()})
        return made


def _made_anew(ids: Sequence[str], dtypes: Mapping[str, npt.DTypeLike], numbers: Mapping[str, npt.NDArray[Any]]) -> Ids:
    made = Ids(columns=dtypes)
    made.extend(ids, **numbers)
    return made
