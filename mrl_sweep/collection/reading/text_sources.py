"""Sources of documents: a text file addressed by byte offset, a table addressed by row number, or several of these in a row.

BEIR's lines are read many at a time by Arrow's JSON reader, in a tenth of the time; but its messages name no line. So a block is
believed only where every line gave one document with a string as id and one as text; from the first other block on, the lines are
read one by one, which accepts what is acceptable and names what is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from mrl_sweep.collection.reading.lines import (
    DEFAULT_MAX_LINE_BYTES,
    NumberedLine,
    Where,
    compression,
    line_number_at,
    read_blocks,
    read_lines,
    unreadable,
)
from mrl_sweep.collection.reading.records import MANY, Batch, Document, Source, in_batches, json_documents
from mrl_sweep.collection.reading.tables import NAMED, BlocksFrom, ColumnNames, RowBlock, documents, plain_documents
from mrl_sweep.errors import InputError
from mrl_sweep.record import record

BLOCK_BYTES: Final = 8 << 20
PIECE_BYTES: Final = 1 << 20
"""The part of a block that each of Arrow's threads reads."""

LEAST_BYTES: Final = 2 << 20
"""A smaller file is read line by line, in less time than importing Arrow takes."""

Parse = Callable[[Iterator[NumberedLine], Path], Iterator[tuple[int, Document]]]


@record
class FileSource:
    """Reads documents in one file of lines; a position is the byte offset of a document's first line.

    `stamp` is the file's size and time, so that a later change is noticed.
    """

    path: Path
    parse: Parse
    max_line_bytes: int
    keep_ends: bool
    stamp: tuple[int, int]
    least_bytes: int = LEAST_BYTES
    block_bytes: int = BLOCK_BYTES

    @classmethod
    def of(
        cls,
        path: Path,
        parse: Parse = json_documents,
        *,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
        keep_ends: bool = False,
    ) -> FileSource:
        """Returns the source of a file as it is now."""
        return cls(path, parse, max_line_bytes, keep_ends, _stamp(path))

    @property
    def label(self) -> str:
        return str(self.path)

    @property
    def seeks(self) -> bool:
        return compression(self.path) is None

    def batches(self, position: int, at_once: int) -> Iterator[Batch]:
        self._refuse_change()
        if self.parse is json_documents and at_once >= MANY and self.stamp[0] >= self.least_bytes:
            return self._blocks(position, at_once)
        return in_batches(self._lines(position), at_once)

    def _blocks(self, position: int, at_once: int) -> Iterator[Batch]:
        """Reads what `json_documents` reads, a block of lines at a time, and `at_once` documents from an odd block on."""
        number = 0
        for block in read_blocks(self.path, offset=position, max_line_bytes=self.max_line_bytes, block_bytes=self.block_bytes):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            begins = np.append(0, ends + 1)[: len(ends) + (not block.endswith(b"\n"))]
            columns = _parse(block, begins, self.max_line_bytes)
            if columns is None:
                yield from in_batches(self._lines(position, number), at_once)
                return
            yield Batch(begins + position, *columns)
            position, number = position + len(block), number + len(begins)

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


@record
class RowSource:
    """Reads documents in a table that keeps its rows by column; a position is a row number, from 0."""

    label: str
    blocks: BlocksFrom
    columns: ColumnNames
    seeks: bool = False

    def batches(self, position: int, at_once: int) -> Iterator[Batch]:
        for block in self.blocks(position, at_once):
            plain = plain_documents(block, self.columns, self.place)
            yield from in_batches(documents(block.rows(), self.columns, self.place), at_once) if plain is None else [plain]

    def place(self, position: int) -> str:
        return f"{self.label} row {position + 1:,}"


@record
class Joined:
    """Reads the documents of several sources, one after the other; reading that begins in one skips those before it.

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

    def batches(self, position: int, at_once: int) -> Iterator[Batch]:
        first, start = divmod(position, 1 << self.BITS)
        for number, source in enumerate(self.sources[first:], first):
            for batch in source.batches(start if number == first else 0, at_once):
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


def _parse(block: bytes, begins: Any, max_line_bytes: int) -> tuple[list[str], list[str], list[str]] | None:
    """Ids, titles and texts of a block's documents, one a line; None where a line needs a closer look."""
    import pyarrow as pa
    from pyarrow import json

    fields = pa.schema([("_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
    longest = int(np.diff(begins, append=len(block)).max())
    if longest > max_line_bytes:
        return None
    try:
        block.decode()
        table = json.read_json(
            pa.BufferReader(block),
            read_options=json.ReadOptions(block_size=max(PIECE_BYTES, 2 * longest)),
            parse_options=json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != len(begins) or table["_id"].null_count or table["text"].null_count:
        return None
    ids, titles, texts = (table[name].to_pylist() for name in ("_id", "title", "text"))
    if "" in ids:
        return None
    if table["title"].null_count:
        titles = [title or "" for title in titles]
    return ids, titles, texts


def is_parquet(path: Path) -> bool:
    """Says whether a file is Parquet, by its first bytes. Errors: InputError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise unreadable(path, error) from error


def parquet_blocks(path: Path, columns: Iterable[str] = ()) -> BlocksFrom:
    """Opens a file's rows from a given one on. Columns of lists (vectors) are left out, unless they have one of the names
    in `columns` or a name that plays a role: a message then says that their type is wrong.

    The reader raises InputError for a file that is no Parquet, or that holds strings that are not UTF-8.
    """
    named = set(columns)
    wanted = NAMED | named | {name.partition(".")[0] for name in named}

    def blocks(position: int, at_once: int) -> Iterator[RowBlock]:
        file, start = _open(path), 0
        names = [field.name for field in file.schema_arrow if _holds_a_value(field.type) or field.name in wanted]
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start + count > position:
                yield from _group(path, file.iter_batches(at_once, row_groups=[group], columns=names), start, position)
            start += count

    return blocks


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.OSFile(os.fsencode(path)))  # bytes: a file's name need not be UTF-8
        file.schema_arrow.names  # noqa: B018 - its columns' names must be, which is seen when they are asked for
        return file
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _group(path: Path, batches: Iterator[Any], start: int, position: int) -> Iterator[RowBlock]:
    """The rows from `position` on of a row group, whose first is `start`."""
    import pyarrow as pa

    row = start
    try:
        for batch in batches:
            if row + batch.num_rows > position:
                first = max(row, position)
                yield RowBlock(first, {name: _values(batch.column(name)[first - row :]) for name in batch.schema.names})
            row += batch.num_rows
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: a string in rows {row + 1:,} and on is not UTF-8: {error.reason}", "write the column as UTF-8"
        ) from error
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values if str(column.type).endswith("string") else [_decoded(value) for value in values]


def _decoded(value: Any) -> Any:
    """Bytes as the text that they hold, since some writers do not say that a column is text; dates and decimals as written."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, date | time):
        return value.isoformat()
    return format(value, "f").removesuffix(".") if isinstance(value, Decimal) else value


def _holds_a_value(kind: Any) -> bool:
    """Whether a column may hold an id, a text, a grade or a metadata value; structs are metadata, lists are vectors."""
    import pyarrow as pa

    return not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
