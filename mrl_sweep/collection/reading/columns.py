"""Columns as people name them: which one is the id, the text, the title, the grade; and rows turned into records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mrl_sweep.collection.reading.qrels import (
    DOCUMENT_NAMES,
    GRADE_NAMES,
    QUERY_NAMES,
    Judgment,
    JudgmentColumns,
    grade_of,
    in_columns,
)
from mrl_sweep.collection.reading.records import Document, Query, id_of, text_field
from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.words import did_you_mean, first_offenders, printable

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
"""Under this key, which no role has, the columns asked for say of which part they are."""

NAMED: Final = frozenset({*DOCUMENT_ID_COLUMNS, *QUERY_ID_COLUMNS, *TITLE_COLUMNS, *DOCUMENT_TEXT_COLUMNS, *QUERY_TEXT_COLUMNS})
"""Names that play a role wherever they stand: a column of such a name is read whatever its type, so that the type can be told."""


class TableRow(NamedTuple):
    """One record of a table: where it begins (byte offset or row), its number for messages, its fields."""

    position: int
    number: int
    fields: Mapping[str, Any]


Where = Callable[[int], object]
"""A row's number as a place for messages."""


def documents(rows: Iterable[TableRow], columns: ColumnNames, where: Where) -> Iterator[tuple[int, Document]]:
    """Each row's document. Columns are found anew wherever a row has other fields than the one before."""
    names: tuple[str, ...] = ()
    key = text = title = ""
    columns = {**columns, PART: "corpus"}
    for position, number, fields in rows:
        if tuple(fields) != names:
            names = tuple(fields)
            key = column(names, "id", DOCUMENT_ID_COLUMNS, columns, where(number))
            text = column(names, "text", DOCUMENT_TEXT_COLUMNS, columns, where(number))
            title = column(names, "title", TITLE_COLUMNS, columns, where(number), needed=False)
        place = where(number)
        body = text_field(fields, text, place, default="")
        yield position, Document(id_of(fields, key, place), text_field(fields, title, place, default="") if title else "", body)


def queries(rows: Iterable[TableRow], columns: ColumnNames, where: Where) -> Iterator[Query]:
    """Each row's query; `metadata` (an object, or JSON text of one) and other columns of plain values become its metadata."""
    columns = {**columns, PART: "queries"}
    for row in rows:
        names, place = tuple(row.fields), where(row.number)
        key = column(names, "id", QUERY_ID_COLUMNS, columns, place)
        text = column(names, "text", QUERY_TEXT_COLUMNS, columns, place)
        yield Query(
            id_of(row.fields, key, place),
            text_field(row.fields, text, place, default=""),
            _metadata(row.fields, (key, text), place),
            row.number,
        )


def judgments(rows: Iterable[TableRow], columns: ColumnNames, where: Where) -> Iterator[JudgmentColumns]:
    """Each row's judgment; a table without a grade column lists relevant pairs (grade 1)."""
    return in_columns(_judgments(rows, columns, where))


def _judgments(rows: Iterable[TableRow], columns: ColumnNames, where: Where) -> Iterator[Judgment]:
    columns = {**columns, PART: "qrels"}
    for row in rows:
        names, place = tuple(row.fields), where(row.number)
        query = column(names, "query", sorted(QUERY_NAMES), columns, place)
        document = column(names, "document", sorted(DOCUMENT_NAMES), columns, place)
        grade = column(names, "grade", sorted(GRADE_NAMES), columns, place, needed=False)
        value = grade_of(row.fields[grade], place) if grade else 1
        yield Judgment(id_of(row.fields, query, place), id_of(row.fields, document, place), value, row.number)


def column(
    names: Sequence[str], role: str, usual: Sequence[str], columns: ColumnNames, where: object, *, needed: bool = True
) -> str:
    """The name among `names` that plays the role: the one asked for, else the first usual one; "" where none is needed."""
    wanted = columns.get(role)
    if wanted is not None:
        if wanted in names:
            return wanted
        raise InputError(
            f"{where}: no column {printable(wanted)}; the columns are {_listed(names)}",
            did_you_mean(wanted, names, spelt=printable) or f"{columns.get(PART, 'corpus')}.{role}=NAME names the column",
        )
    lowered = {name.strip().lower(): name for name in reversed(names)}
    usual_name = next((lowered[name] for name in usual if name in lowered), "")
    if usual_name or not needed:
        return usual_name
    raise InputError(
        f"{where}: no column is known to hold the {role}; the columns are {_listed(names)}",
        f"name it: {columns.get(PART, 'corpus')}.{role}=NAME (usual names are {', '.join(usual[:5])})",
    )


def named(columns: ColumnNames, role: str, usual: Sequence[str]) -> Sequence[str]:
    """What a header may call the role, in lower case."""
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


@dataclass(frozen=True, slots=True)
class Spec:
    """`folder` (None where every file is named) and the settings given after it."""

    text: str
    folder: Path | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a report calls the collection: the folder, or that of the documents."""
        if self.folder is not None:
            return self.folder.resolve().name
        first = next(iter(self.settings.values()))
        return Path(first).resolve().parent.name

    def path(self, part: str) -> Path | None:
        """The file named for a part, looked for in the folder first; None where the folder must tell."""
        if part not in self.settings:
            return None
        inside = self.folder / self.settings[part] if self.folder is not None else None
        return inside if inside is not None and is_there(inside) else Path(self.settings[part])

    def columns(self, part: str) -> dict[str, str]:
        """The columns named for a part, by role: `queries.text=question` gives {"text": "question"}."""
        return {key.partition(".")[2]: name for key, name in self.settings.items() if key.startswith(f"{part}.")}


def parse_spec(text: str, keys: Iterable[str], usage: str, aliases: Mapping[str, str] = MappingProxyType({})) -> Spec:
    """A folder and the settings after it, a part's other names (`aliases`) turned into its own.

    A folder may hold commas where it exists. Raises InputError for an unknown setting, with the nearest known one.
    """
    if Path(text).is_dir():
        return Spec(text, Path(text))
    known_keys = sorted(keys)
    first, *rest = text.split(",")
    folder = None if "=" in first and not is_there(first) else Path(first)
    settings: dict[str, str] = {}
    for item in rest if folder is not None else [first, *rest]:
        key, equals, value = item.partition("=")
        part, dot, role = key.strip().partition(".")
        key = aliases.get(part, part) + dot + role
        if key not in known_keys:
            raise InputError(
                f"unknown setting {printable(key)} in {printable(text)}",
                f"{did_you_mean(key, [*known_keys, *aliases])} {usage}".lstrip(),
            )
        if not equals or not value:
            raise InputError(f"{key} needs a value in {printable(text)}", usage)
        settings[key] = value
    return Spec(text, folder, settings)
