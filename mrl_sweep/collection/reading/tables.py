"""Tables: rows of text files, streamed, and which of their columns plays which role.

JSON lines, CSV and TSV with quoted fields, plain TSV without.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.qrels import (
    DOCUMENT_NAMES,
    GRADE_NAMES,
    QUERY_NAMES,
    Judgment,
    JudgmentColumns,
    grade_of,
    in_columns,
)
from mrl_sweep.collection.reading.records import MANY, Batch, Document, Query, id_of, json_object, text_field
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.words import did_you_mean, first_offenders, plural, printable

ColumnNames = Mapping[str, str]
"""The column a user names for a role: {"id": "sku", "text": "description"}."""

DOCUMENT_ID_COLUMNS: Final = (
    "_id",
    "id",
    "docno",
    "doc_id",
    "docid",
    "doc-id",
    "corpus-id",
    "corpus_id",
    "document_id",
    "pid",
    "passage_id",
)
QUERY_ID_COLUMNS: Final = ("_id", "id", "query_id", "query-id", "qid", "topic_id", "topic-id", "topic", "number", "num")
TITLE_COLUMNS: Final = ("title", "headline", "heading")
DOCUMENT_TEXT_COLUMNS: Final = ("text", "contents", "content", "body", "passage", "segment", "abstract", "document")
QUERY_TEXT_COLUMNS: Final = ("text", "query", "question", "title", "description", "contents")
METADATA: Final = "metadata"
PART: Final = ""
"""The key, no role's own, under which the named columns hold the part that they are of, for messages."""

NAMED: Final = frozenset({*DOCUMENT_ID_COLUMNS, *QUERY_ID_COLUMNS, *TITLE_COLUMNS, *DOCUMENT_TEXT_COLUMNS, *QUERY_TEXT_COLUMNS})
"""Names that play a role wherever they stand: a column of such a name is read whatever its type, so that a message names it."""


class TableRow(NamedTuple):
    """Holds one record of a table: where it begins (byte offset or row), its number for messages, its fields."""

    position: int
    number: int
    fields: Mapping[str, Any]


class RowBlock(NamedTuple):
    """Holds consecutive rows of a table by column: the number of the first, from 0, and the values of each column."""

    start: int
    columns: Mapping[str, Sequence[Any]]

    def rows(self) -> Iterator[TableRow]:
        for number, values in enumerate(zip(*self.columns.values(), strict=True), self.start):
            yield TableRow(number, number, dict(zip(self.columns, values, strict=True)))


BlocksFrom = Callable[[int, int], Iterator[RowBlock]]
"""Reads the rows of a table from a given one on, at most so many at a time."""


def rows_of(blocks: BlocksFrom) -> Iterator[TableRow]:
    """Returns all rows of the table, one by one."""
    return (row for block in blocks(0, MANY) for row in block.rows())


PlaceOf = Callable[[int], object]
"""Turns a row's number into a place for messages."""


def documents(rows: Iterable[TableRow], columns: ColumnNames, where: PlaceOf) -> Iterator[tuple[int, Document]]:
    """Reads each row's position and document. Columns are found anew wherever a row has other fields than the one before."""
    names: tuple[str, ...] = ()
    key = text = title = ""
    for position, number, fields in _reached(rows, columns):
        place = where(number)
        if tuple(fields) != names:
            names = tuple(fields)
            key, title, text = _document_columns(names, columns, place)
        body = text_field(fields, text, place, default="")
        yield position, Document(id_of(fields, key, place), text_field(fields, title, place, default="") if title else "", body)


def _document_columns(names: Sequence[str], columns: ColumnNames, where: object) -> tuple[str, str, str]:
    """The columns of a document's id, title ("" for none) and text."""
    columns = {**columns, PART: "corpus"}
    key = column(names, "id", DOCUMENT_ID_COLUMNS, columns, where)
    text = column(names, "text", DOCUMENT_TEXT_COLUMNS, columns, where)
    return key, column(names, "title", TITLE_COLUMNS, columns, where, needed=False), text


def plain_documents(block: RowBlock, columns: ColumnNames, where: PlaceOf) -> Batch | None:
    """Returns the documents of a block, read by column, where all ids are strings or all whole numbers and every text is a string
    or missing; None where a row needs a closer look."""
    if not block.columns.keys() >= {*columns.values()}:
        return None
    key, title, text = _document_columns(tuple(block.columns), columns, where(block.start))
    ids = block.columns[key]
    if all(type(value) is int for value in ids):
        ids = list(map(str, ids))
    titles, texts = (_or_empty(block.columns.get(name, [None] * len(ids))) for name in (title, text))
    if not all(ids) or not all(type(value) is str for value in chain(ids, titles, texts)):
        return None
    return Batch(range(block.start, block.start + len(ids)), ids, titles, texts)


def _or_empty(values: Sequence[Any]) -> list[Any]:
    return ["" if value is None else value for value in values]


def queries(rows: Iterable[TableRow], columns: ColumnNames, where: PlaceOf) -> Iterator[Query]:
    """Reads each row's query; `metadata` (an object, or JSON of one) and other columns of plain values become its metadata."""
    columns = {**columns, PART: "queries"}
    for row in _reached(rows, columns):
        names, place = tuple(row.fields), where(row.number)
        key = column(names, "id", QUERY_ID_COLUMNS, columns, place)
        text = column(names, "text", QUERY_TEXT_COLUMNS, columns, place)
        yield Query(
            id_of(row.fields, key, place),
            text_field(row.fields, text, place, default=""),
            _metadata(row.fields, (key, text), place),
            row.number,
        )


def judgments(rows: Iterable[TableRow], columns: ColumnNames, where: PlaceOf) -> Iterator[JudgmentColumns]:
    """Reads each row's judgment; a table without a grade column lists relevant pairs (grade 1)."""
    return in_columns(_judgments(rows, columns, where))


def _judgments(rows: Iterable[TableRow], columns: ColumnNames, where: PlaceOf) -> Iterator[Judgment]:
    columns = {**columns, PART: "qrels"}
    for row in _reached(rows, columns):
        names, place = tuple(row.fields), where(row.number)
        if row.fields and all(isinstance(value, dict) for value in row.fields.values()):  # {query: {document: grade}}
            for name, grades in row.fields.items():
                yield from (Judgment(name, of, grade_of(value, place), row.number) for of, value in grades.items())
            continue
        query = column(names, "query", sorted(QUERY_NAMES), columns, place)
        document = column(names, "document", sorted(DOCUMENT_NAMES), columns, place)
        grade = column(names, "grade", sorted(GRADE_NAMES), columns, place, needed=False)
        value = grade_of(row.fields[grade], place) if grade else 1
        key, several = id_of(row.fields, query, place), row.fields[document]
        for one in several if isinstance(several, list) else [several]:  # a query with all that is relevant to it
            yield Judgment(key, id_of({document: one}, document, place), value, row.number)


def _reached(rows: Iterable[TableRow], columns: ColumnNames) -> Iterator[TableRow]:
    """The rows, with what `doc.id` names beside their own fields: the field `id` of the object `doc`."""
    paths = [name for name in columns.values() if "." in name]
    for row in rows:
        inner = {path: _inside(row.fields, path.split(".")) for path in paths if path not in row.fields} if paths else {}
        reached = {path: value for path, value in inner.items() if value is not None}
        yield row._replace(fields={**row.fields, **reached}) if reached else row


def _inside(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def column(
    names: Sequence[str], role: str, usual: Sequence[str], columns: ColumnNames, where: object, *, needed: bool = True
) -> str:
    """Finds the name that plays the role: the user's, else the first usual one; "" where none is needed, else InputError."""
    wanted = columns.get(role)
    if wanted is not None:
        if wanted in names:
            return wanted
        raise InputError(
            f"{where}: no column {printable(wanted)}; the columns are {_listed(names)}",
            did_you_mean(wanted, names, spelt=printable) or f"{columns.get(PART, 'corpus')}.{role}=NAME names the column",
        )
    lowered = {name.strip().lower().replace(" ", "_"): name for name in reversed(names)}
    usual_name = next((lowered[name] for name in usual if name in lowered), "")
    if usual_name or not needed:
        return usual_name
    raise InputError(
        f"{where}: no column is known to hold the {role}; the columns are {_listed(names)}",
        f"name it: {columns.get(PART, 'corpus')}.{role}=NAME (usual names are {', '.join(usual[:5])})",
    )


def named(columns: ColumnNames, role: str, usual: Sequence[str]) -> Sequence[str]:
    """Returns the names that a header may have for the role, in lower case."""
    return [*usual, columns.get(role, usual[0]).lower()]


def _listed(names: Sequence[str]) -> str:
    return first_offenders([printable(name, 40) for name in names], limit=12) or "none"


def _metadata(fields: Mapping[str, Any], taken: tuple[str, ...], where: object) -> dict[str, Any]:
    given = fields.get(METADATA) or {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise InputError(f"{where}: {METADATA} is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InputError(f"{where}: {METADATA} must be an object, not {printable(str(given), 60)}")
    others = {
        name.removeprefix(METADATA + "."): value
        for name, value in fields.items()
        if name not in (*taken, METADATA) and isinstance(value, str | int | float) and value != ""
    }
    return {**others, **{name: value for name, value in given.items() if value is not None}}


_DELIMITERS: Final = (",", ";", "\t", "|")


def json_rows(lines: Iterator[NumberedLine], path: Path) -> Iterator[TableRow]:
    """Reads each line's JSON object as a row."""
    for line in lines:
        if not is_blank(line):
            yield TableRow(line.offset, line.number, json_object(line, path))


@record
class TsvRows:
    """Reads the rows of a plain TSV file: fields between tabs as they stand, with or without a header, recognised by content."""

    names: tuple[str, ...]
    header_offset: int | None

    @classmethod
    def of(
        cls, path: Path, usual: Mapping[int, tuple[str, ...]], usual_names: Sequence[Container[str]], *, max_line_bytes: int
    ) -> TsvRows:
        """Looks at the first line. It is a header if it has a name out of each of `usual_names`; else `usual` names the columns
        by their count. Raises InputError for an empty file, or a count that is not among them."""
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


@record
class CsvRows:
    """Reads the rows of a CSV or TSV file with a header; fields in quotes may hold delimiters and line feeds.

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
        if header is not None and (stated := re.fullmatch(rb"(?:\xef\xbb\xbf)?sep=(.)", header.data.strip(), re.I)):
            delimiter, header = stated[1].decode("ascii", "replace"), next(lines, None)  # as Excel writes it
        if header is None:
            raise InputError(f"nothing to evaluate: {path} is empty", "its first line names the columns")
        text = text_of(header, path)
        if delimiter is None:
            delimiter = "\t" if ".tsv" in path.suffixes else max(_DELIMITERS, key=text.count)
        try:
            names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter, quoting=_quoting(quoted)))]
        except csv.Error as error:
            raise InputError(f"{Where(path, header.number)}: not a header: {error}", "its first line names columns") from error
        named_columns = [name for name in names if name]  # spreadsheets leave columns without a name behind the last
        if len(set(named_columns)) < len(named_columns):
            raise InputError(f"{Where(path, header.number)}: a column name occurs twice: {printable(text)}")
        return cls(path, delimiter, tuple(names), header.offset, max_line_bytes, quoted)

    def __call__(self, lines: Iterator[NumberedLine], path: Path) -> Iterator[TableRow]:
        """Reads the rows among `lines` (with their ends), which begin with the header or with any row."""
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
            if start is None or start.offset <= self.header_offset or is_blank:
                continue
            if len(fields) != len(self.names):
                raise InputError(
                    f"{Where(path, start.number)}: {len(fields)} fields where the header has {len(self.names)}: "
                    f"{printable(self.delimiter.join(fields))}",
                    f"a text that holds {self.delimiter!r} must stand in quotation marks",
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
