"""Judgment files, recognised by content: with or without a header, three columns or TREC's four, tabs or runs of spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np

from mrl_sweep.collection.reading.lines import Where, is_blank, read_blocks, read_lines, text_of
from mrl_sweep.errors import InputError
from mrl_sweep.types import IntArray
from mrl_sweep.words import printable

MAX_GRADE: Final = 2**31 - 1
BLOCK_BYTES: Final = 1 << 23
ARROW_BYTES: Final = 1 << 18
"""Smaller blocks are not worth pyarrow's reader, which has to be imported first."""

ROWS_AT_ONCE: Final = 10_000
_MARK: Final = "\ufeff".encode()
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,400}(?:\.0*)?", re.ASCII)
QUERY_NAMES: Final = frozenset({"query-id", "query_id", "queryid", "qid", "q_id", "query", "topic", "topic_id", "topic-id"})
DOCUMENT_NAMES: Final = frozenset(
    {"corpus-id", "corpus_id", "corpusid", "doc-id", "doc_id", "docid", "docno", "document_id", "document-id", "pid"}
    | {"passage_id", "doc", "document", "did"}
)
GRADE_NAMES: Final = frozenset({"score", "grade", "rel", "relevance", "label", "judgment", "judgement", "qrel", "relevancy"})
_LAYOUT: Final = "a line holds query id, document id, grade, or TREC's query id, iteration, document id, grade"

_RUN: Final = "six columns are a run, what a search returned; judgments hold query id, document id and grade"


class Judgment(NamedTuple):
    """Holds the grade of a query and a document; `number` is its line or row, for messages."""

    query: str
    document: str
    grade: int
    number: int


class JudgmentColumns(NamedTuple):
    """Holds judgments as columns: millions of judgments take numbers, and a text for each different id.

    `queries` and `documents` are ids, without repetition; `query` and `document` (n,) say which of them each judgment is of.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    query: IntArray
    document: IntArray
    grades: IntArray
    numbers: IntArray

    @classmethod
    def of(cls, queries: Sequence[str], documents: Sequence[str], grades: Sequence[int], numbers: Sequence[int]) -> Self:
        """Returns the columns of so many judgments, each with all four values."""
        query_ids, query = _numbered(queries)
        document_ids, document = _numbered(documents)
        columns = (np.fromiter(values, np.int64, len(queries)) for values in (grades, numbers))
        return cls(query_ids, document_ids, query, document, *columns)


_Names = tuple[list[str], IntArray]


def _numbered(names: Sequence[str]) -> _Names:
    """The different names in the order of their first appearance, and which of them each is."""
    different = list(dict.fromkeys(names))
    number = dict(zip(different, range(len(different)), strict=True))
    return different, np.fromiter(map(number.__getitem__, names), np.int64, len(names))


def in_columns(judgments: Iterable[Judgment]) -> Iterator[JudgmentColumns]:
    """Puts judgments into columns, `ROWS_AT_ONCE` at a time."""
    while several := list(islice(judgments := iter(judgments), ROWS_AT_ONCE)):
        yield JudgmentColumns.of(*zip(*several, strict=True))


class _Columns(NamedTuple):
    """How many columns a line has, and which of them is what."""

    width: int
    query: int
    document: int
    grade: int


def read_qrels(
    path: Path, *, max_line_bytes: int, block_bytes: int = BLOCK_BYTES, arrow_bytes: int = ARROW_BYTES
) -> Iterator[JudgmentColumns]:
    """Reads the file's judgments in order, a block at a time; one of `arrow_bytes` or more by pyarrow.

    The layout is that of the first line; another further down is refused with its line (InputError).
    Lines are read a block at a time; from the first block on that is not plain, one by one, which accepts what is acceptable
    and names what is not.
    """
    lines = read_lines(path, max_line_bytes=max_line_bytes)
    first = next((line for line in lines if not is_blank(line)), None)
    if first is None:
        return
    columns, is_header = _layout(text_of(first, path), Where(path, first.number))
    start = next(lines, None) if is_header else first
    if start is None:
        return
    offset, n_before = start.offset, start.number - 1
    for block in read_blocks(path, offset=offset, max_line_bytes=max_line_bytes, block_bytes=block_bytes):
        plain = _plain(block, columns, max_line_bytes, arrow_bytes)
        if plain is None:
            break
        (queries, query), (documents, document), grades = plain
        numbers = np.arange(n_before + 1, n_before + 1 + len(grades))
        yield JudgmentColumns(queries, documents, query, document, grades, numbers)
        offset, n_before = offset + len(block), n_before + len(grades)
    else:
        return
    yield from in_columns(_one_by_one(path, columns, max_line_bytes=max_line_bytes, offset=offset, n_before=n_before))


def _one_by_one(path: Path, columns: _Columns, *, max_line_bytes: int, offset: int, n_before: int) -> Iterator[Judgment]:
    for line in read_lines(path, max_line_bytes=max_line_bytes, offset=offset, n_before=n_before):
        if is_blank(line):
            continue
        text = text_of(line, path)
        where = Where(path, line.number)
        fields = _split(text, columns.width)
        if len(fields) != columns.width:
            raise InputError(
                f"{where}: {len(fields)} columns where the first line has {columns.width}: {printable(text)}", _LAYOUT
            )
        query, document = fields[columns.query], fields[columns.document]
        if not query or not document:
            raise InputError(f"{where}: an id is empty: {printable(text)}", _LAYOUT)
        yield Judgment(query, document, grade_of(fields[columns.grade], where), line.number)


def _plain(block: bytes, columns: _Columns, max_line_bytes: int, arrow_bytes: int) -> tuple[_Names, _Names, IntArray] | None:
    """Queries, documents and grades of a block, one a line; None where a line needs a closer look.

    Plain are lines with as many columns as the first, all between single tabs or all between single spaces.
    """
    data = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if b"\r" in data or data.startswith(_MARK):
        return None
    data = data if data.endswith(b"\n") else data + b"\n"
    between = b"\t" if b"\t" in data else b" "
    codes = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero((codes == between[0]) | (codes == ord("\n")))
    is_last = codes[ends] == ord("\n")
    width = columns.width
    if len(ends) % width or is_last.sum() * width != len(ends) or not is_last[width - 1 :: width].all():
        return None
    if np.diff(ends[width - 1 :: width], prepend=-1).max() - 1 > max_line_bytes:
        return None
    read = _by_arrow if len(data) >= arrow_bytes else _by_hand
    fields = read(data, between.decode(), width)
    if fields is None:
        return None
    queries, documents, (texts, which) = fields[columns.query], fields[columns.document], fields[columns.grade]
    # An empty iteration column matters only between spaces, where two of them count as one.
    if any("" in names for names, _ in ((queries, documents) if between == b"\t" else fields)):
        return None
    try:
        grades = np.array([grade_of(text, "") for text in texts], np.int64)
    except InputError:
        return None
    return queries, documents, grades[which]


def _by_hand(data: bytes, between: str, width: int) -> list[_Names] | None:
    """Each column of these lines; None where they are not UTF-8."""
    try:
        fields = data.decode().replace("\n", between).split(between)[:-1]
    except UnicodeDecodeError:
        return None
    return [_numbered(fields[column::width]) for column in range(width)]


def _by_arrow(data: bytes, between: str, width: int) -> list[_Names] | None:
    """Does the same as `_by_hand` by pyarrow, which makes a text of each different field, not of every one: six times as fast."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(column) for column in range(width)]
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=between, quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string())), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    chunks = [table.column(name).combine_chunks() for name in names]
    chunks = [chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk for chunk in chunks]
    return [(chunk.dictionary.to_pylist(), chunk.indices.to_numpy().astype(np.int64)) for chunk in chunks]


def grade_of(value: object, where: object) -> int:
    """Returns a grade as an integer, from 2, "2", 2.0 or true; raises InputError with the place for anything else."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if not _WHOLE.fullmatch(text):
        shown = f'"{printable(text, 40)}"' if text else "empty"
        raise InputError(f"{where}: a grade must be a whole number, this one is {shown}", _LAYOUT)
    grade = int(text.partition(".")[0])
    if abs(grade) > MAX_GRADE:
        raise InputError(
            f"{where}: the grade {printable(text, 40)} is beyond {MAX_GRADE:,}; are the columns in another order?", _LAYOUT
        )
    return grade


def _split(text: str, count: int) -> Sequence[str]:
    """Fields between tabs, where ids may hold spaces; else between runs of white space, or between commas."""
    fields = text.split("\t")
    if len(fields) == count:
        return fields
    parted = re.split(r"[ \t]+", text.strip(" \t"))
    between_commas = [field.strip(' "') for field in text.split(",")]
    return between_commas if len(parted) != count == len(between_commas) else parted


def is_judgment(text: str) -> bool:
    """Says whether a line with commas between its fields is a judgment and no header."""
    fields = text.split(",")
    return len(fields) in (3, 4) and _WHOLE.fullmatch(fields[-1].strip()) is not None


def _layout(text: str, where: Where) -> tuple[_Columns, bool]:
    """The columns, and whether this first line only names them."""
    tabbed = text.split("\t")
    # Tabs come first: between them an id may be a space, which runs of white space would swallow.
    ways = (tabbed if all(tabbed) else [], _split(text, 3), _split(text, 4))
    fields = next((fields for fields in ways if len(fields) in (3, 4)), None)
    if fields is None:
        count = len(_split(text, 3))
        raise InputError(f"{where}: {count} columns, 3 or 4 are needed: {printable(text)}", _RUN if count == 6 else _LAYOUT)
    usual = _Columns(len(fields), 0, len(fields) - 2, len(fields) - 1)
    if _WHOLE.fullmatch(fields[usual.grade].strip()):
        return usual, False
    names = [field.strip().strip('"').lstrip("#").strip().lower().replace(" ", "-") for field in fields]
    roles = (QUERY_NAMES, DOCUMENT_NAMES, GRADE_NAMES)
    places_of = [[i for i, name in enumerate(names) if name in usual_names] for usual_names in roles]
    if all(len(places) == 1 for places in places_of):
        return _Columns(len(fields), *(places[0] for places in places_of)), True
    if not any(places_of):
        grade_of(fields[usual.grade], where)
    raise InputError(
        f"{where}: neither a judgment nor a header that is understood: {printable(text)}",
        f"{_LAYOUT}; a header, if any, reads query-id, corpus-id, score",
    )
