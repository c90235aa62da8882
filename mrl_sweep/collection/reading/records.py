"""Documents and queries as loaders hand them on, and how one is read from a JSON line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, text_of
from mrl_sweep.errors import InputError
from mrl_sweep.types import IntArray
from mrl_sweep.words import first_offenders, printable

_decode = json.JSONDecoder().decode
_OF_A_QUERY: Final = frozenset({"_id", "text", "metadata"})


class Document(NamedTuple):
    """Holds a document as its source has it."""

    id: str
    title: str
    text: str

    @property
    def full_text(self) -> str:
        """The title, one space and the text, stripped."""
        return f"{self.title} {self.text}".strip()

    @property
    def name(self) -> str:
        """A short name: the title, or the beginning of the text; one line of up to 100 characters."""
        return " ".join((self.title.strip() or self.text[:400]).split())[:100]


class Batch(NamedTuple):
    """Holds many documents at a time: the position, id, title and text of each."""

    positions: Sequence[int] | IntArray
    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]

    def documents(self) -> Iterator[Document]:
        return map(Document, self.ids, self.titles, self.texts)

    def pairs(self) -> Iterator[tuple[int, Document]]:
        """Returns each document with its position."""
        return zip(map(int, self.positions), self.documents(), strict=True)

    def full_texts(self) -> list[str]:
        """Returns the full text of each document (`Document.full_text`)."""
        if any(self.titles):
            return [f"{title} {text}".strip() for title, text in zip(self.titles, self.texts, strict=True)]
        return [text.strip() for text in self.texts]


def in_batches(pairs: Iterator[tuple[int, Document]], at_once: int) -> Iterator[Batch]:
    """Puts (position, document) pairs into batches of `at_once`."""
    while some := list(islice(pairs, at_once)):
        positions, documents = zip(*some, strict=True)
        yield Batch(positions, *zip(*documents, strict=True))


class Query(NamedTuple):
    """Holds a query as its source has it; `number` is its line or row, for messages."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    number: int


MANY: Final = 1000
"""Documents that are read at a time where many are wanted."""


class Source(Protocol):
    """Where documents lie, read in order from a position: a byte offset, or a row number."""

    @property
    def label(self) -> str:
        """The source's name in messages: the file, the data set."""
        ...

    @property
    def seeks(self) -> bool:
        """Whether reading may begin anywhere at little cost."""
        ...

    def batches(self, position: int, at_once: int) -> Iterator[Batch]:
        """Reads and checks the documents from `position` on: `at_once` at a time, or as many as lie together."""
        ...

    def place(self, position: int) -> str:
        """Returns the place of a position for messages, as `file:line`; may be slow."""
        ...


def json_object(line: NumberedLine, path: Path) -> dict[str, Any]:
    """Parses the JSON object that the line holds. Errors: InputError naming file, line and column."""
    text = text_of(line, path)
    try:
        fields = _decode(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{Where(path, line.number)}: not JSON: {error.msg} at column {error.colno}: {printable(text[:60])}",
            "each line must hold one whole JSON object (jq -c . puts one on a line); was the file cut off?",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{Where(path, line.number)}: not JSON that can be read: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{Where(path, line.number)}: a JSON object is needed, this is {printable(text[:60])}")
    return fields


def id_of(fields: Mapping[str, Any], key: str, where: object) -> str:
    """Returns the id under `key`: a string, or a whole number as its digits. Raises InputError for others."""
    value = fields.get(key)
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers beside missing ones are floats to pandas
    if key not in fields:
        keys = first_offenders([f'"{printable(str(k), 30)}"' for k in fields])
        raise InputError(f'{where}: no "{key}"; the keys here are {keys or "none"}')
    raise InputError(f'{where}: "{key}" must be a string that is not empty, not {_shown(value)}')


def text_field(fields: Mapping[str, Any], key: str, where: object, *, default: str | None = None) -> str:
    """Returns the string under `key`; `default` where it is absent or null, if that is allowed. Else InputError."""
    value = fields.get(key)
    if isinstance(value, str):
        return value
    if value is None and default is not None:
        return default
    if key not in fields:
        keys = first_offenders([f'"{printable(str(k), 30)}"' for k in fields])
        raise InputError(f'{where}: no "{key}"; the keys here are {keys or "none"}')
    inner = next(iter(value), None) if isinstance(value, dict) else None
    pieces = "join its pieces into one text" if isinstance(value, list) else ""
    hint = f"name what is inside it: {key}.{inner}" if inner else pieces
    raise InputError(f'{where}: "{key}" must be a string, not {_shown(value)}', hint)


def is_whole(text: str) -> bool:
    """Says whether a text is free of halves of surrogate pairs, which JSON can write and no encoding can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_documents(lines: Iterator[NumberedLine], path: Path) -> Iterator[tuple[int, Document]]:
    """Reads BEIR's corpus lines: `_id`, `title` (may be absent), `text`; yields byte offset and document."""
    for line in lines:
        if is_blank(line):
            continue
        fields = json_object(line, path)
        key, title, text = fields.get("_id"), fields.get("title", ""), fields.get("text")
        if not (key and type(key) is str and type(title) is str and type(text) is str):
            where = Where(path, line.number)
            key = id_of(fields, "_id", where)
            title, text = text_field(fields, "title", where, default=""), text_field(fields, "text", where)
        yield line.offset, Document(key, title, text)


def json_queries(lines: Iterator[NumberedLine], path: Path) -> Iterator[Query]:
    """Reads BEIR's query lines: `_id`, `text`, `metadata` (an object, may be absent); plain values beside them are metadata."""
    for line in lines:
        if is_blank(line):
            continue
        fields = json_object(line, path)
        where = Where(path, line.number)
        metadata = fields.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise InputError(f'{where}: "metadata" must be an object, not {_shown(metadata)}')
        beside = {name: value for name, value in fields.items() if name not in _OF_A_QUERY and _is_plain(value)}
        key, text = id_of(fields, "_id", where), text_field(fields, "text", where)
        yield Query(key, text, {**beside, **metadata} if beside else metadata, line.number)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _shown(value: object) -> str:
    return printable(json.dumps(value, default=repr), 60)
