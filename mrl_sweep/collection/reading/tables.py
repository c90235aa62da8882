"""Text files of rows, streamed: JSON lines, CSV and TSV with quoted fields, plain TSV without."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mrl_sweep.collection.reading.columns import NAMED, TableRow
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of, unreadable
from mrl_sweep.collection.reading.records import json_object
from mrl_sweep.errors import InputError
from mrl_sweep.words import plural, printable

_DELIMITERS: Final = (",", ";", "\t", "|")


def json_rows(lines: Iterator[NumberedLine], path: Path) -> Iterator[TableRow]:
    """One object a line."""
    for line in lines:
        if not is_blank(line):
            yield TableRow(line.offset, line.number, json_object(line, path))


@dataclass(frozen=True, slots=True)
class TsvRows:
    """Rows of a plain TSV file: fields between tabs as they stand, with or without a header, told by content."""

    names: tuple[str, ...]
    header_offset: int | None

    @classmethod
    def of(
        cls, path: Path, usual: Mapping[int, tuple[str, ...]], usual_names: Sequence[Container[str]], *, max_line_bytes: int
    ) -> TsvRows:
        """Looks at the first line. It is a header if it has a name of each of the `known` sets; else `usual` gives the names
        by their count."""
        first = next((line for line in read_lines(path, max_line_bytes=max_line_bytes) if not is_blank(line)), None)
        if first is None:
            raise InputError(f"nothing to evaluate: {path} is empty")
        fields = [field.strip() for field in text_of(first, path).split("\t")]
        if len(set(fields)) == len(fields) and all(any(field.lower() in names for field in fields) for names in usual_names):
            return cls(tuple(fields), first.offset)
        if len(fields) not in usual:
            counts = " or ".join(f"{count} ({', '.join(names)})" for count, names in usual.items())
            raise InputError(
                f"{Where(path, first.number)}: {plural(len(fields), 'column', 'columns')} between tabs; expected {counts}",
                "a header line may name other columns",
            )
        return cls(usual[len(fields)], None)

    def __call__(self, lines: Iterator[NumberedLine], path: Path) -> Iterator[TableRow]:
        for line in lines:
            if is_blank(line) or line.offset == self.header_offset:
                continue
            text = text_of(line, path)
            fields = text.split("\t")
            if len(fields) != len(self.names):
                raise InputError(
                    f"{Where(path, line.number)}: {len(fields)} columns where {len(self.names)} are expected "
                    f"({', '.join(map(printable, self.names))}): {printable(text)}",
                    "a text must hold no tab; write such texts as JSON lines",
                )
            yield TableRow(line.offset, line.number, dict(zip(self.names, fields, strict=True)))


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Rows of a CSV or TSV file with a header; fields in quotes may hold delimiters and line feeds.

    Quotation is strict: a stray quotation mark is refused with its line rather than guessed at. `quoted` False takes
    every character as it stands (no field may then hold the delimiter).
    """

    path: Path
    delimiter: str
    names: tuple[str, ...]
    header_offset: int
    max_line_bytes: int
    quoted: bool = True

    @classmethod
    def of(cls, path: Path, *, max_line_bytes: int, quoted: bool = True, delimiter: str | None = None) -> CsvRows:
        """Reads the header. The delimiter is a tab in a file named .tsv, else the one that splits the header most."""
        lines = (line for line in read_lines(path, max_line_bytes=max_line_bytes) if not is_blank(line))
        header = next(lines, None)
        if header is None:
            raise InputError(f"nothing to evaluate: {path} is empty", "its first line names the columns")
        text = text_of(header, path)
        if delimiter is None:
            delimiter = "\t" if ".tsv" in path.suffixes else max(_DELIMITERS, key=text.count)
        try:
            names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter, quoting=_quoting(quoted)))]
        except csv.Error as error:
            raise InputError(f"{Where(path, header.number)}: not a header: {error}", "its first line names columns") from error
        if len(set(names)) < len(names):
            raise InputError(f"{Where(path, header.number)}: a column name occurs twice: {printable(text)}")
        return cls(path, delimiter, tuple(names), header.offset, max_line_bytes, quoted)

    def __call__(self, lines: Iterator[NumberedLine], path: Path) -> Iterator[TableRow]:
        """The rows among `lines` (with their ends), which begin with the header or with any row."""
        csv.field_size_limit(max(csv.field_size_limit(), self.max_line_bytes))
        feed = _Feed(lines, path, self.max_line_bytes)
        reader = csv.reader(feed, delimiter=self.delimiter, quoting=_quoting(self.quoted), strict=True)
        while True:
            feed.begin()
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise InputError(
                    f"{Where(path, feed.first.number if feed.first else 0)}: {error}",
                    "a field with a quotation mark must be quoted and the mark doubled; quotes=none takes marks as they stand",
                ) from error
            if fields is None:
                return
            start = feed.first
            is_blank = len(fields) <= 1 and not "".join(fields).strip()
            if start is None or start.offset == self.header_offset or is_blank:
                continue
            if len(fields) != len(self.names):
                raise InputError(
                    f"{Where(path, start.number)}: {len(fields)} fields where the header has {len(self.names)}: "
                    f"{printable(self.delimiter.join(fields))}"
                )
            yield TableRow(start.offset, start.number, dict(zip(self.names, fields, strict=True)))


class _Feed:
    """Lines for `csv.reader` as text with their ends, remembering where the current record began and bounding its size."""

    def __init__(self, lines: Iterator[NumberedLine], path: Path, max_bytes: int) -> None:
        self._lines = lines
        self._path = path
        self._max_bytes = max_bytes
        self._size = 0
        self.first: NumberedLine | None = None

    def begin(self) -> None:
        self.first = None
        self._size = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.first = self.first or line
        self._size += len(line.data)
        if self._size > self._max_bytes:
            raise InputError(
                f"{Where(self._path, self.first.number)}: this record is longer than max_line_bytes = {self._max_bytes:,}",
                "is a quotation mark left open? quotes=none takes marks as they stand",
            )
        return text_of(line, self._path)


def _quoting(quoted: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE


_BATCH_ROWS: Final = 1024


def is_parquet(path: Path) -> bool:
    """By its first bytes. Errors: InputError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise unreadable(path, error) from error


def parquet_rows(paths: Sequence[Path], columns: Iterable[str] = ()) -> Callable[[int], Iterator[TableRow]]:
    """A reader of the rows from a given one on, over all files in order; lists (vectors) are left out unless their name is one
    that is `asked` for or plays a role: then it is told that its type is wrong.

    The reader raises InputError for a file that is no Parquet, or that holds strings that are not UTF-8.
    """
    wanted = NAMED | set(columns)

    def rows(position: int = 0) -> Iterator[TableRow]:
        start = 0
        for path in paths:
            file = _open(path)
            names = [field.name for field in file.schema_arrow if _is_plain(field.type) or field.name in wanted]
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if start + count > position:
                    yield from _group(file, path, group, names, start, position)
                start += count

    return rows


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.OSFile(os.fsencode(path)))  # bytes: a file's name need not be UTF-8
        file.schema_arrow.names  # noqa: B018 - its columns' names must be, which is seen when they are asked for
        return file
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _group(file: Any, path: Path, group: int, names: list[str], start: int, position: int) -> Iterator[TableRow]:
    import pyarrow as pa

    row = start
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
            if row + batch.num_rows > position:
                wanted = batch.slice(max(0, position - row))
                for i, fields in enumerate(wanted.to_pylist(), max(row, position)):
                    yield TableRow(i, i, {name: _decoded(value) for name, value in fields.items()})
            row += batch.num_rows
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: a string in rows {row + 1:,} and on is not UTF-8: {error.reason}", "write the column as UTF-8"
        ) from error
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _decoded(value: Any) -> Any:
    """Bytes as the text that they hold: some writers do not say that a column is text."""
    return value.decode() if isinstance(value, bytes) else value


def _is_plain(kind: Any) -> bool:
    """Whether a column may hold an id, a text, a grade or a metadata value; structs are metadata, lists are vectors."""
    import pyarrow as pa

    return not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
