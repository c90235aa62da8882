"""The corpus: ids kept compactly in memory, texts left where they lie and read again when asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress, islice, repeat
from typing import Any, BinaryIO, Final, cast, overload

import numpy as np
import numpy.typing as npt

from mrl_sweep.collection.reading.records import Document, Source, batches, is_whole
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.types import FileRows, IntArray, distinct
from mrl_sweep.words import first_offenders, printable

_REPORT_EVERY: Final = 10_000
_AT_ONCE: Final = 500
"""Documents that are taken in at a time; a divisor of `_REPORT_EVERY`."""

HELD_CHARACTERS: Final = 2**24
"""A corpus of no more than this stays in memory: a run asks for its texts twice and for titles once more."""

MAPPED_BYTES: Final = 2**26
"""A column of a corpus (where its documents lie, their ids, lengths, hashes) that is longer lies in a file."""

_EXCERPT: Final = 320
"""Characters of an excerpt."""

_BEGINNINGS: Final = 100_000
"""Of so many documents of a compressed file the beginnings are kept when their titles are read: some 50 MB. Of more, the file
is read once more."""

_DENSE: Final = 16
"""Where at least one row in so many is wanted, reading on is faster than starting anew for each."""

_OF_ITSELF: Final = 256
"""What a document takes besides its text, in characters."""


def is_among(values: IntArray, few: IntArray) -> npt.NDArray[np.bool_]:
    """(n,) whether each of many values is one of a few: their lowest bits rule nearly all out, without a search or a sort."""
    ordered = distinct(few)
    low = (1 << max(16, 4 * len(ordered)).bit_length()) - 1
    ends_alike = np.zeros(low + 1, np.bool_)
    ends_alike[ordered & low] = True
    among: npt.NDArray[np.bool_] = ends_alike[values & low]
    rest = np.flatnonzero(among)
    among[rest] = ordered[np.searchsorted(ordered, values[rest]).clip(max=len(ordered) - 1)] == values[rest]
    return among


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
        """All of them."""
        if self._values is None and self._file is not None:
            self._values = np.memmap(self._file, self._dtype, "r", shape=(self._n,))
        elif self._values is None:
            self._values = np.concatenate([np.empty(0, self._dtype), *self._parts])
            self._parts = [self._values]
        return self._values

    def __getstate__(self) -> dict[str, Any]:
        """As numbers in memory: another process has no such file."""
        return {**self.__dict__, "_parts": [np.array(self.values())], "_file": None, "_values": None}


class Ids(Sequence[str]):
    """Strings as one Arrow array, mapped where it is long: 35 bytes for a ten-letter id where a tuple and a dict need 200."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._bytes, self._ends = LongColumn(np.uint8), LongColumn(np.int64)
        self._ends.extend([0])
        self._hashes: IntArray | None = None
        self._arrow: Any = None
        texts = iter(ids)
        while some := list(islice(texts, _REPORT_EVERY)):
            self.extend(some)

    def append(self, text: str) -> None:
        self.extend([text])

    def extend(self, texts: Sequence[str]) -> None:
        """Appends many at once."""
        joined = "".join(texts)
        if joined.isascii():
            sizes = _each(len, texts)
        else:  # some characters take several bytes
            sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], np.int64)
        self._ends.extend(len(self._bytes) + np.cumsum(sizes))
        self._bytes.extend(np.frombuffer(joined.encode("utf-8", "surrogatepass"), np.uint8))
        self._hashes = self._arrow = None

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            rows = range(*row.indices(len(self)))
            return self.take(rows) if len(rows) < _REPORT_EVERY else _strings(self.arrow()[row])  # pyarrow takes long to import
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self.take([int(row) % len(self)])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _REPORT_EVERY):
            yield from self[start : start + _REPORT_EVERY]

    def arrow(self) -> Any:
        """All of them, nothing copied, as a pyarrow array of large_string; of half a surrogate pair it holds the three bytes."""
        if self._arrow is None:
            import pyarrow as pa

            ends, letters = self._ends.values(), self._bytes.values()
            self._arrow = pa.Array.from_buffers(pa.large_string(), len(self), [None, pa.py_buffer(ends), pa.py_buffer(letters)])
        return self._arrow

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Ids):
            pairs = ((self._ends, other._ends), (self._bytes, other._bytes))
            return all(np.array_equal(mine.values(), theirs.values()) for mine, theirs in pairs)
        return isinstance(other, list | tuple) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((len(self), len(self._bytes)))

    def __getstate__(self) -> dict[str, Any]:
        """Without the hashes: Python salts them anew in each process."""
        return {**self.__dict__, "_hashes": None, "_arrow": None}

    def hashes(self) -> IntArray:
        """(n,) 64-bit hash of each id, good within this process."""
        if self._hashes is None:
            self._hashes = np.fromiter(map(hash, self), np.int64, len(self))
        return self._hashes

    def rows_of(self, wanted: Sequence[str]) -> IntArray:
        """(len(wanted),) the first row of each id, -1 for one that is not here."""
        names = set(wanted)
        codes = np.fromiter(map(hash, names), np.int64, len(names))
        rows = np.flatnonzero(is_among(self.hashes(), codes)).tolist()
        texts = self.take(rows)
        row_of = dict(zip(reversed(texts), reversed(rows), strict=True))
        return np.fromiter(map(row_of.get, wanted, repeat(-1)), np.int64, len(wanted))

    def take(self, rows: Sequence[int]) -> list[str]:
        """The ids of these rows, in that order."""
        wanted, ends = np.asarray(rows, np.int64), self._ends.values()
        letters = self._bytes.values().data  # Arrow's own `take` imports all of pyarrow.compute
        places = zip(ends[wanted].tolist(), ends[wanted + 1].tolist(), strict=True)
        return [str(letters[start:stop], "utf-8", "surrogatepass") for start, stop in places]

    def without(self, rows: Sequence[int]) -> Ids:
        """The other ids, in order."""
        gone = set(rows)
        return Ids(text for row, text in enumerate(self) if row not in gone)


def _strings(array: Any) -> list[str]:
    with suppress(UnicodeDecodeError):
        return cast(list[str], array.to_pylist())
    return [text.decode("utf-8", "surrogatepass") for text in array.cast("large_binary").to_pylist()]


class StoredDocuments:
    """`Documents` whose texts stay in their source; holds the ids and one position (int64) per document.

    Those of a small corpus are `held`, each as it was read; other processes read them from the source.
    """

    def __init__(
        self,
        ids: Ids,
        positions: IntArray,
        source: Source,
        file_rows: FileRows | None = None,
        held: Sequence[Document] | None = None,
        lengths: IntArray | None = None,
    ) -> None:
        self._ids = ids
        self._positions = positions
        self._source = source
        self._file_rows = file_rows
        self._held = held
        self.lengths = lengths
        """(n,) characters of each text, where they were counted."""
        self._left: list[tuple[int, Iterator[tuple[int, Document]]]] = []
        self._beginnings: dict[int, str] = {}  # of the documents whose titles were read, where reading them again is dear

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None, "_left": [], "_beginnings": {}}

    @property
    def file_rows(self) -> FileRows | None:
        return self._file_rows

    @property
    def ids(self) -> Ids:
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """The documents of rows start to stop, in order, in one sequential read."""
        stop = len(self) if stop is None else min(stop, len(self))
        if start >= stop:
            return
        if self._held is not None:
            yield from self._held[start:stop]
            return
        expected = iter(self._positions[start:stop].tolist())
        wanted = next(expected)
        scan = self._scan_from(start, wanted)
        for position, document in scan:
            if position == wanted:
                yield document
                following = next(expected, None)
                if following is None:
                    self._left = [] if self._source.seeks else [(stop, scan)]
                    return
                wanted = following
        raise InputError(
            f"{self._source.label} has changed since it was read: it ends early", "run again when nothing writes to it"
        )

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        for document in self.records(start, stop):
            yield document.full_text

    def titles(self, rows: Sequence[int]) -> list[str]:
        documents = self.take(rows)
        if self._held is None and not self._source.seeks and len(rows) <= _BEGINNINGS:
            self._beginnings = {int(row): _beginning(one.full_text) for row, one in zip(rows, documents, strict=True)}
        return [document.name for document in documents]

    def excerpts(self, rows: Sequence[int]) -> list[str]:
        if all(int(row) in self._beginnings for row in rows):
            return [self._beginnings[int(row)] for row in rows]
        return [_beginning(document.full_text) for document in self.take(rows)]

    def take(self, rows: Sequence[int]) -> list[Document]:
        """The documents of these rows, in that order; each row is read once, in the order of the file."""
        if self._held is not None:
            return [self._held[int(row)] for row in rows]
        wanted = sorted(set(map(int, rows)))
        text_of = dict(zip(wanted, self._ordered(wanted), strict=True))
        return [text_of[int(row)] for row in rows]

    def place(self, row: int) -> str:
        """Where the document lies, for messages."""
        return self._source.place(int(self._positions[row]))

    def _scan_from(self, row: int, position: int) -> Iterator[tuple[int, Document]]:
        """A scan at `row`: where starting one is dear (a compressed file), that which the last reader left there."""
        try:
            left, scan = self._left.pop()
        except IndexError:
            return self._source.scan(position)
        return scan if left == row else self._source.scan(position)

    def _ordered(self, rows: Sequence[int]) -> Iterator[Document]:
        if self._source.seeks and rows and len(rows) * _DENSE < rows[-1] - rows[0]:
            for row in rows:
                yield from self.records(row, row + 1)
        elif rows:
            wanted = set(rows)
            first = rows[0] if rows[0] > rows[-1] // 2 else 0  # from its beginning a file is read by blocks
            for row, document in enumerate(self.records(first, rows[-1] + 1), first):
                if row in wanted:
                    yield document


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that was read once from end to end.

    `text_hashes` (n,) int64 of the full texts, equal where texts are; `empty` rows have no text; `collapsed` counts
    documents that were there twice, with the same text; `halves` rows hold half of a surrogate pair; `characters` is the
    length of all texts.
    """

    documents: StoredDocuments
    text_hashes: IntArray
    empty: IntArray
    collapsed: int
    halves: IntArray
    characters: int


def read_corpus(source: Source, on_event: OnEvent = ignore) -> Corpus:
    """Reads and checks every document.

    Errors: InputError for none, and for one id with two texts (both places named).
    """
    ids = Ids()
    columns = [LongColumn(np.int64), LongColumn(np.int64), LongColumn(np.int64), LongColumn(np.int32)]
    halves: list[int] = []
    held: list[Document] | None = []
    room = HELD_CHARACTERS
    for batch in batches(source, min(_AT_ONCE, _REPORT_EVERY)):
        texts, n_before = batch.full_texts(), len(ids)
        if not all(map(str.isascii, texts)):
            halves.extend(i for i, text in enumerate(texts, n_before) if not text.isascii() and not is_whole(text))
        ids.extend(batch.ids)
        positions = np.asarray(batch.positions, np.int64)
        lengths = _each(len, texts)
        for column, values in zip(columns, (positions, _each(hash, batch.ids), _each(hash, texts), lengths), strict=True):
            column.extend(values)
        if held is not None:
            held.extend(batch.documents())
            room -= int(lengths.sum()) + _OF_ITSELF * len(texts)
            held = held if room >= 0 else None
        if len(ids) // _REPORT_EVERY > n_before // _REPORT_EVERY:
            on_event(Progress("reading", len(ids), None, "documents"))
    if not len(ids):
        raise InputError(f"nothing to evaluate: {source.label} holds no documents")
    places, ids._hashes, hashes, sizes = (column.values() for column in columns)
    is_half = np.zeros(len(ids), np.bool_)
    is_half[halves] = True
    repeated = _repeated(ids, hashes, places, source)
    file_rows: FileRows | None = None
    if repeated:
        keep = np.ones(len(ids), bool)
        keep[repeated] = False
        file_rows = FileRows(np.flatnonzero(keep), len(ids))
        ids, places, hashes, sizes = ids.without(repeated), places[keep], hashes[keep], sizes[keep]
        is_half = is_half[keep]
        held = None if held is None else list(compress(held, keep))
    documents = StoredDocuments(ids, places, source, file_rows, held, sizes)
    return Corpus(documents, hashes, np.flatnonzero(sizes == 0), len(repeated), np.flatnonzero(is_half), int(sizes.sum()))


def _repeated(ids: Ids, text_hashes: IntArray, positions: IntArray, source: Source) -> list[int]:
    """Rows whose id occurs before, with the same text."""
    ordered = np.sort(ids.hashes())
    twice = distinct(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return []
    first: dict[str, int] = {}
    repeated: list[int] = []
    conflicts: list[int] = []
    for row in np.flatnonzero(is_among(ids.hashes(), twice)).tolist():
        earlier = first.setdefault(ids[row], row)
        if earlier != row:
            (repeated if text_hashes[row] == text_hashes[earlier] else conflicts).append(row)
    if conflicts:
        row = conflicts[0]
        place, there = source.place(int(positions[row])), source.place(int(positions[first[ids[row]]]))
        others = first_offenders([printable(ids[i]) for i in conflicts])
        raise InputError(
            f"{place}: document id {printable(ids[row])} is also at {there}, with another text"
            + (f"; {len(conflicts):,} such ids: {others}" if len(conflicts) > 1 else ""),
            "give each document an id of its own",
        )
    return repeated


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"


def _each(of: Callable[[str], int], texts: Sequence[str]) -> IntArray:
    return np.fromiter(map(of, texts), np.int64, len(texts))
