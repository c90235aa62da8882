"""Judgment files, told by content: with or without a header, three columns or TREC's four, tabs or runs of spaces."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from mrl_sweep.collection.reading.lines import Where, is_blank, open_binary, read_lines, skip_to, text_of, unreadable
from mrl_sweep.errors import InputError
from mrl_sweep.words import printable

MAX_GRADE: Final = 2**31 - 1
BLOCK_BYTES: Final = 1 << 20
_MARK: Final = "\ufeff".encode()
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,400}(?:\.0*)?", re.ASCII)
QUERY_NAMES: Final = frozenset({"query-id", "query_id", "queryid", "qid", "q_id", "query", "topic", "topic_id", "topic-id"})
DOCUMENT_NAMES: Final = frozenset(
    {"corpus-id", "corpus_id", "corpusid", "doc-id", "doc_id", "docid", "docno", "document_id", "document-id", "pid"}
    | {"passage_id", "doc", "document", "did"}
)
GRADE_NAMES: Final = frozenset({"score", "grade", "rel", "relevance", "label", "judgment", "judgement", "qrel", "relevancy"})
_LAYOUT: Final = "a line holds query id, document id, grade, or TREC's query id, iteration, document id, grade"


class Judgment(NamedTuple):
    """`number` is its line or row, for messages."""

    query: str
    document: str
    grade: int
    number: int


class _Columns(NamedTuple):
    """How many columns a line has, and which of them is what."""

    width: int
    query: int
    document: int
    grade: int


def read_qrels(path: Path, *, max_line_bytes: int, block_bytes: int = BLOCK_BYTES) -> Iterator[Judgment]:
    """The file's judgments in order. The layout is that of the first line; another further down is refused with its line.

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
    for block in _blocks(path, offset, max_line_bytes=max_line_bytes, block_bytes=block_bytes):
        plain = _plain(block, columns, max_line_bytes)
        if plain is None:
            break
        queries, documents, grades = plain
        numbers = range(n_before + 1, n_before + 1 + len(queries))
        # What Judgment(...) does, without a call of Python for each: it is half of the reading.
        yield from map(tuple.__new__, repeat(Judgment), zip(queries, documents, grades, numbers, strict=True))
        offset, n_before = offset + len(block), n_before + len(queries)
    else:
        return
    yield from _one_by_one(path, columns, max_line_bytes=max_line_bytes, offset=offset, n_before=n_before)


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


def _blocks(path: Path, offset: int, *, max_line_bytes: int, block_bytes: int) -> Iterator[bytes]:
    """The file from `offset` on in blocks of whole lines; the last line of one is cut off where it is too long."""
    try:
        with open_binary(path) as file:
            skip_to(file, offset)
            while block := file.read(block_bytes):
                if not block.endswith(b"\n"):
                    block += file.readline(max_line_bytes + 2)
                yield block
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise unreadable(path, error) from error


def _plain(block: bytes, columns: _Columns, max_line_bytes: int) -> tuple[list[str], list[str], list[int]] | None:
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
    try:
        fields = data.decode().replace("\n", between.decode()).split(between.decode())[:-1]
        grades = {text: grade_of(text, "") for text in set(fields[columns.grade :: width])}
    except (UnicodeDecodeError, InputError):
        return None
    queries, documents = fields[columns.query :: width], fields[columns.document :: width]
    # An empty iteration column matters only between spaces, where two of them count as one.
    if "" in (queries if between == b"\t" else fields) or "" in documents:
        return None
    return queries, documents, list(map(grades.__getitem__, fields[columns.grade :: width]))


def grade_of(value: object, where: object) -> int:
    """A grade as an integer: 2, "2" and 2.0; anything else is refused with its place."""
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
    """Fields between tabs, where ids may hold spaces; else between runs of white space."""
    fields = text.split("\t")
    return fields if len(fields) == count else re.split(r"[ \t]+", text.strip(" \t"))


def _layout(text: str, where: Where) -> tuple[_Columns, bool]:
    """The columns, and whether this first line only names them."""
    tabbed = text.split("\t")
    # Tabs come first: between them an id may be a space, which runs of white space would swallow.
    ways = (tabbed if all(tabbed) else [], _split(text, 3), _split(text, 4))
    fields = next((fields for fields in ways if len(fields) in (3, 4)), None)
    if fields is None:
        raise InputError(f"{where}: {len(_split(text, 3))} columns, 3 or 4 are needed: {printable(text)}", _LAYOUT)
    usual = _Columns(len(fields), 0, len(fields) - 2, len(fields) - 1)
    if _WHOLE.fullmatch(fields[usual.grade].strip()):
        return usual, False
    names = [field.strip().strip('"').lstrip("#").strip().lower() for field in fields]
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
