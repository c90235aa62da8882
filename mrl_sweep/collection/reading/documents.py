"""The corpus: ids kept compactly in memory, texts left where they lie and read again when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np

from mrl_sweep.collection.reading.records import MANY, Document, Source, is_whole
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.files.ids import MAPPED_BYTES, Ids, each
from mrl_sweep.record import record
from mrl_sweep.types import FileRows, IntArray
from mrl_sweep.words import first_offenders, printable

REPORT_EVERY: Final = 10_000

HELD_CHARACTERS: Final = 2**24
"""A corpus of no more than this (with `_OF_ITSELF` a document) stays in memory: a run reads its texts twice, and titles once."""

_EXCERPT: Final = 320
"""Characters of an excerpt."""

BEGINNINGS: Final = 100_000
"""The most documents whose beginnings are kept when their titles are read (some 50 MB), in a file that cannot be read from any
place, as a compressed one. For more, the file is read once more."""

_DENSE: Final = 16
"""Where at least one row in so many is wanted, reading on is faster than starting anew for each."""

_OF_ITSELF: Final = 256
"""The memory that a document takes besides its text, in characters."""


COLUMNS: Final = {"position": np.int64, "characters": np.int32, "text": np.int64}
"""What is known of each document beside its id: where its source has it, how long its text is, and a hash of that."""


class StoredDocuments:
    """Holds the ids of a corpus and, beside them, `COLUMNS`; the texts stay in their source.

    The documents of a small corpus are `held` as they were read; other processes read them from the source.
    """

    def __init__(
        self, ids: Ids, source: Source, file_rows: FileRows | None = None, held: Sequence[Document] | None = None
    ) -> None:
        self._ids = ids
        self._source = source
        self._file_rows = file_rows
        self._held = held
        self._beginnings: dict[int, str] = {}  # of the documents whose titles were read, where reading them again is dear

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None, "_beginnings": {}}

    @property
    def file_rows(self) -> FileRows | None:
        return self._file_rows

    @property
    def ids(self) -> Ids:
        return self._ids

    @property
    def lengths(self) -> IntArray:
        """Returns (n,) the number of characters of each text."""
        return self._ids.column("characters")

    def table(self) -> Any:
        """Returns a pyarrow table of each document's `id`, `position` in the source and `characters`; nothing is copied."""
        return self._ids.table(["position", "characters"])

    def __len__(self) -> int:
        return len(self._ids)

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Document]:
        """Reads the documents of rows start to stop, in order and in one go."""
        stop = len(self) if stop is None else min(stop, len(self))
        if start >= stop:
            return
        if self._held is not None:
            yield from self._held[start:stop]
            return
        positions, row = self._ids.column("position", start, start + 1), start
        for batch in self._source.batches(int(positions[0]), min(stop - start, MANY)):
            positions = self._ids.column("position", row, min(stop, row + len(batch.ids)))
            if np.array_equal(batch.positions, positions):
                yield from batch.documents()
                row += len(positions)
            else:  # repeated documents of the batch were collapsed
                is_wanted = np.isin(batch.positions, positions)
                yield from compress(batch.documents(), is_wanted.tolist())
                row += int(is_wanted.sum())
            if row == stop:
                return
        raise InputError(
            f"{self._source.label} has changed since it was read: it ends early", "run again when nothing writes to it"
        )

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        for document in self.records(start, stop):
            yield document.full_text

    def titles(self, rows: Sequence[int], *, most_beginnings: int = BEGINNINGS) -> list[str]:
        documents = self.take(rows)
        if self._held is None and not self._source.seeks and len(rows) <= most_beginnings:
            self._beginnings = {int(row): _beginning(one.full_text) for row, one in zip(rows, documents, strict=True)}
        return [document.name for document in documents]

    def excerpts(self, rows: Sequence[int]) -> list[str]:
        if all(int(row) in self._beginnings for row in rows):
            return [self._beginnings[int(row)] for row in rows]
        return [_beginning(document.full_text) for document in self.take(rows)]

    def take(self, rows: Sequence[int]) -> list[Document]:
        """Reads the documents of these rows, each once and in the order of the file; returns them in the order of `rows`."""
        if self._held is not None:
            return [self._held[int(row)] for row in rows]
        wanted = sorted(set(map(int, rows)))
        text_of = dict(zip(wanted, self._ordered(wanted), strict=True))
        return [text_of[int(row)] for row in rows]

    def place(self, row: int) -> str:
        """Says where the document lies, for messages."""
        return self._source.place(int(self._ids.column("position", row, row + 1)[0]))

    def _ordered(self, rows: Sequence[int]) -> Iterator[Document]:
        if self._source.seeks and rows and len(rows) * _DENSE < rows[-1] - rows[0]:
            for row in rows:
                yield from self.records(row, row + 1)
        elif rows:
            wanted = set(rows)
            for row, document in enumerate(self.records(rows[0], rows[-1] + 1), rows[0]):
                if row in wanted:
                    yield document


@record
class Corpus:
    """Holds a corpus as one reading found it: its documents, and what is known of their texts.

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


def read_corpus(
    source: Source,
    on_event: OnEvent = ignore,
    *,
    held_characters: int = HELD_CHARACTERS,
    mapped_bytes: int = MAPPED_BYTES,
    report_every: int = REPORT_EVERY,
) -> Corpus:
    """Reads and checks every document; a corpus of up to `held_characters` stays in memory.

    Errors: InputError where there is no document, and for one id with two texts (both places named).
    """
    ids = Ids(columns=COLUMNS, mapped_bytes=mapped_bytes)
    halves: list[int] = []
    held: list[Document] | None = []
    room = held_characters
    for batch in source.batches(0, min(MANY, report_every)):
        texts, n_before = batch.full_texts(), len(ids)
        if not all(map(str.isascii, texts)):
            halves.extend(i for i, text in enumerate(texts, n_before) if not text.isascii() and not is_whole(text))
        lengths = each(len, texts)
        ids.extend(batch.ids, position=batch.positions, characters=lengths, text=each(hash, texts))
        if held is not None:
            held.extend(batch.documents())
            room -= int(lengths.sum()) + _OF_ITSELF * len(texts)
            held = held if room >= 0 else None
        if len(ids) // report_every > n_before // report_every:
            on_event(Progress("reading", len(ids), None, "documents"))
    if not len(ids):
        raise InputError(f"nothing to evaluate: {source.label} holds no documents")
    is_half = np.zeros(len(ids), np.bool_)
    is_half[halves] = True
    documents = StoredDocuments(ids, source, None, held)
    repeated = _repeated(documents)
    if repeated:
        keep = np.ones(len(ids), bool)
        keep[repeated] = False
        ids, is_half = ids.without(repeated), is_half[keep]
        held = None if held is None else list(compress(held, keep))
        documents = StoredDocuments(ids, source, FileRows(np.flatnonzero(keep), len(keep)), held)
    sizes = documents.lengths
    return Corpus(
        documents=documents,
        text_hashes=ids.column("text"),
        empty=np.flatnonzero(sizes == 0),
        collapsed=len(repeated),
        halves=np.flatnonzero(is_half),
        characters=int(sizes.sum()),
    )


def _repeated(documents: StoredDocuments) -> list[int]:
    """Rows whose id occurs before, with the same text. Raises InputError where one occurs with another."""
    earlier = documents.ids.repeated()
    if not earlier:
        return []
    hashes = documents.ids.column("text")
    conflicts = [row for row, first in earlier.items() if hashes[row] != hashes[first]]
    if conflicts:
        row = conflicts[0]
        others = first_offenders([printable(documents.ids[i]) for i in conflicts])
        raise InputError(
            f"{documents.place(row)}: document id {printable(documents.ids[row])} is also at {documents.place(earlier[row])}, "
            "with another text" + (f"; {len(conflicts):,} such ids: {others}" if len(conflicts) > 1 else ""),
            "give each document an id of its own",
        )
    return list(earlier)


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
