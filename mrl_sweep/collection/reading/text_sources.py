"""Where documents lie: a text file addressed by byte offset, a table addressed by row number, or several of these in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from mrl_sweep.collection.options import DEFAULT_MAX_LINE_BYTES
from mrl_sweep.collection.reading.columns import Asked, TableRow, documents
from mrl_sweep.collection.reading.json_blocks import LEAST_BYTES, block_batches
from mrl_sweep.collection.reading.lines import NumberedLine, Where, compression, line_number_at, read_lines, unreadable
from mrl_sweep.collection.reading.records import Batch, Document, Source, batches, in_batches, json_documents
from mrl_sweep.errors import InputError

LINES_AT_ONCE: Final = 50
"""Of a scan, which may be left after a few."""

Parse = Callable[[Iterator[NumberedLine], Path], Iterator[tuple[int, Document]]]


@dataclass(frozen=True, slots=True)
class FileSource:
    """Documents in one file of lines; a position is the byte offset of a document's first line."""

    path: Path
    parse: Parse
    max_line_bytes: int
    keep_ends: bool
    stamp: tuple[int, int]

    @classmethod
    def of(
        cls,
        path: Path,
        parse: Parse = json_documents,
        *,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        keep_ends: bool = False,
    ) -> FileSource:
        """The source, which remembers the file's size and time so that a later change is noticed."""
        return cls(path, parse, max_line_bytes, keep_ends, _stamp(path))

    @property
    def label(self) -> str:
        return str(self.path)

    @property
    def seeks(self) -> bool:
        return compression(self.path) is None

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        if position == 0:
            return (
                pair for batch in self.batches(LINES_AT_ONCE) for pair in zip(batch.positions, batch.documents(), strict=True)
            )
        self._refuse_change()
        return self._lines(position)

    def batches(self, at_once: int) -> Iterator[Batch]:
        self._refuse_change()
        if self.parse is json_documents and self.stamp[0] >= LEAST_BYTES:
            return block_batches(self.path, max_line_bytes=self.max_line_bytes, rest=self._lines, at_once=at_once)
        return in_batches(self._lines(0), at_once)

    def _refuse_change(self) -> None:
        if _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} has changed since it was read", "run again when nothing writes to it")

    def _lines(self, position: int, n_before: int = 0) -> Iterator[tuple[int, Document]]:
        """The documents from a byte offset on, line by line; `n_before` lines come before it."""
        lines = read_lines(
            self.path, offset=position, max_line_bytes=self.max_line_bytes, keep_ends=self.keep_ends, n_before=n_before
        )
        return self.parse(lines, self.path)

    def place(self, position: int) -> str:
        return str(Where(self.path, line_number_at(self.path, position)))


@dataclass(frozen=True, slots=True)
class RowSource:
    """Documents in a table of rows; a position is a row number, from 0. `rows` yields those from a position on."""

    label: str
    rows: Callable[[int], Iterator[TableRow]]
    asked: Asked
    seeks: bool = False

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        return documents(self.rows(position), self.asked, self.place)

    def place(self, position: int) -> str:
        return f"{self.label} row {position + 1:,}"


@dataclass(frozen=True, slots=True)
class Joined:
    """The documents of several sources, one source after the other, each read where it is needed.

    A position holds the number of its source above `BITS` bits of the position there; no file is that long.
    """

    sources: tuple[Source, ...]

    BITS: ClassVar[int] = 48

    @property
    def label(self) -> str:
        return " and ".join([self.sources[0].label, *(["others"] if len(self.sources) > 2 else []), self.sources[-1].label])

    @property
    def seeks(self) -> bool:
        return all(source.seeks for source in self.sources)

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        first, start = divmod(position, 1 << self.BITS)
        for number, source in enumerate(self.sources[first:], first):
            for place, document in source.scan(start if number == first else 0):
                yield place + (number << self.BITS), document

    def batches(self, at_once: int) -> Iterator[Batch]:
        for number, source in enumerate(self.sources):
            for batch in batches(source, at_once):
                yield batch._replace(positions=np.asarray(batch.positions) + (number << self.BITS))

    def place(self, position: int) -> str:
        number, start = divmod(position, 1 << self.BITS)
        return self.sources[number].place(start)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns
