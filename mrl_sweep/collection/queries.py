"""The queries of a collection: read from topic files, checked and cleaned once, whatever file they come from (FAULTS 61, 66).

Topic files are recognised by content: TREC's tags, XML, or tables. Without judgments every query counts, or documents drawn at
random serve as such.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.collection.reading.documents import Corpus
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.records import Query, is_whole
from mrl_sweep.collection.reading.tables import (
    QUERY_ID_COLUMNS,
    QUERY_TEXT_COLUMNS,
    ColumnNames,
    TsvRows,
    json_rows,
    named,
    queries,
)
from mrl_sweep.errors import InputError
from mrl_sweep.types import SEED, Advice, IntArray, Queries
from mrl_sweep.words import first_offenders, plural, printable

_DEEPEST: Final = 32
"""Metadata nested deeper than this is read as missing: nothing can be sliced by it, and JSON's own readers give up later."""


def checked_queries(
    queries: Iterable[Query], label: str, place: Callable[[int], str], *, strict: bool = False
) -> tuple[list[Query], tuple[Advice, ...]]:
    """Returns the queries with metadata that JSON can hold, and advice on what was set aside of it.

    Raises InputError where there are none, where an id occurs twice, and, where `strict`, for a text with half a character or
    metadata that JSON cannot hold, naming the place.
    """
    whole = list(queries)
    if not whole:
        raise InputError(f"nothing to evaluate: {label} holds no queries")
    _refuse_repeated(whole, place)
    cleaned = [_cleaned(query) for query in whole]
    broken = [query for query in whole if not is_whole(query.text)]
    lost = [(query, after) for query, after in zip(whole, cleaned, strict=True) if after is not query]
    if strict and (broken or lost):
        first = min([*broken, *(query for query, _ in lost)], key=lambda query: query.number)
        fault = "its text holds half a character" if first in broken else "its metadata holds a value that is no number or text"
        raise InputError(
            f"strict: {place(first.number)}: query {printable(first.id)}: {fault}",
            "mend the query, or leave strict mode to go on with such values read as missing",
        )
    return cleaned, (*_broken_advice(broken), *_lost_advice(lost))


def _refuse_repeated(queries: Sequence[Query], place: Callable[[int], str]) -> None:
    seen: dict[str, int] = {}
    for query in queries:
        first = seen.setdefault(query.id, query.number)
        if first != query.number:
            raise InputError(
                f"{place(query.number)}: query id {printable(query.id)} is also at {place(first)}",
                "give each query an id of its own",
            )


def _broken_advice(broken: Sequence[Query]) -> tuple[Advice, ...]:
    if not broken:
        return ()
    names = first_offenders([printable(query.id) for query in broken])
    return (half_characters(len(broken), "query holds", "queries hold", names),)


def half_characters(count: int, one: str, many: str, names: str) -> Advice:
    """Warns that `count` texts hold half of a surrogate pair, which no encoding can write."""
    return Advice(
        "half-characters",
        f"{plural(count, one, many)} half a character, cut inside a surrogate pair, which is read as U+FFFD: {names}",
        "write the whole character or leave it out",
    )


def _lost_advice(lost: Sequence[tuple[Query, Query]]) -> tuple[Advice, ...]:
    if not lost:
        return ()
    fields = sorted({str(name) for before, after in lost for name in _changed(before.metadata, after.metadata)})
    names = first_offenders([printable(query.id) for query, _ in lost])
    return (
        Advice(
            "metadata-missing",
            f"{plural(len(lost), 'query has', 'queries have')} NaN, infinity or another value that JSON cannot hold in the "
            f"metadata ({first_offenders([printable(name, 40) for name in fields])}), read as missing: {names}",
            "write null, or leave the field out",
        ),
    )


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [name for name, value in before.items() if name not in after or after[name] is not value]


def _cleaned(query: Query) -> Query:
    """The query itself where all its metadata can be written as JSON, else one without what cannot."""
    if all(_is_plain(value) for value in query.metadata.values()):
        return query
    metadata = {name: _finite(value, 0) for name, value in query.metadata.items()}
    writable = {name: value for name, value in metadata.items() if value is not None}
    return query if writable == query.metadata else query._replace(metadata=writable)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def _finite(value: Any, depth: int) -> Any:
    """The value as JSON can hold it; None for what it cannot, at any depth."""
    if _is_plain(value):
        return value
    if depth < _DEEPEST and isinstance(value, list | tuple):
        items = [_finite(item, depth + 1) for item in value]
        return [item for item in items if item is not None]
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(name): _finite(item, depth + 1) for name, item in value.items()}
    return None


MOST_DRAWN: Final = 1000
"""So many documents serve as queries at most: their mean agreement is known to about a hundredth."""


def draw_documents(corpus: Corpus, label: str) -> tuple[Queries, IntArray]:
    """Draws documents with a text to serve as queries under their own ids; returns them and (n_queries,) their rows, ascending.

    Errors: InputError where no document has a text.
    """
    has_text = np.ones(len(corpus.documents), np.bool_)
    has_text[corpus.empty] = False
    pool = np.flatnonzero(has_text)
    if not len(pool):
        raise InputError(f"nothing to evaluate: no document in {label} has a text")
    rows = np.sort(np.random.default_rng(SEED).choice(pool, min(MOST_DRAWN, len(pool)), replace=False))
    texts = tuple(document.full_text for document in corpus.documents.take(rows.tolist()))
    ids = tuple(corpus.documents.ids[row] for row in rows.tolist())
    return Queries(ids, texts, tuple({} for _ in ids)), rows


def documents_as_queries(n_queries: int) -> Advice:
    """Warns that there are no real queries and documents serve as such."""
    return Advice(
        "documents-as-queries",
        f"there are no queries: {plural(n_queries, 'document serves', 'documents serve')} as such, drawn at random, "
        "each left out of its own results",
        "real queries are shorter and may agree more or less: give queries.jsonl as soon as you have some",
    )


FIELDS: Final = ("title", "query", "question", "text", "description", "summary", "note", "narrative")
_LAYOUTS: Final = "topics are <top> blocks, XML <topic> elements, JSON lines, or lines of id and text with a tab between"
_ALIASES: Final = {"desc": "description", "narr": "narrative", "smry": "summary"}
_TAG: Final = re.compile(r"(^[ \t]*)?<(/?)([A-Za-z][\w:.-]*)\b[^<>]*>", re.MULTILINE)
_LABEL: Final = re.compile(r"\s*(?:Number|Topic|Description|Narrative|Summary)\s*:\s*", re.IGNORECASE)
_NUMBERS: Final = ("number", "num", "id", "qid", "topic_id")
_NUMBER: Final = re.compile(r"(?:topic|query|question|doc)?[-_]?(?:id|num|number|no|identifier)")
"""Other names that topics give their number: `identifier`, `topicId`, `docno`."""


def read_topics(path: Path, *, columns: ColumnNames, max_line_bytes: int) -> Iterator[Query]:
    """Reads the topics of a file as queries. `columns["text"]` names the text's part; else it is the first of `FIELDS` there.

    Errors: InputError naming the line (in XML the topic) that has no number, or lacks the part that is named.
    """
    lines = read_lines(path, max_line_bytes=max_line_bytes)
    first = next((line for line in lines if not is_blank(line)), None)
    if first is None:
        return iter(())
    start = text_of(first, path).lstrip()
    lines = chain([first], lines)
    if re.match(r"<top>", start, re.IGNORECASE):
        return _blocks(lines, path, columns)
    if start.startswith("<"):
        return _elements(lines, path, columns)
    if start.startswith("{"):
        return queries(json_rows(lines, path), columns, lambda number: Where(path, number))
    if "\t" in start:
        usual_names = [named(columns, "id", QUERY_ID_COLUMNS), named(columns, "text", QUERY_TEXT_COLUMNS)]
        rows = TsvRows.of(path, {2: ("id", "text")}, usual_names, max_line_bytes=max_line_bytes)
        return queries(rows(lines, path), columns, lambda number: Where(path, number))
    raise InputError(f"{Where(path, first.number)}: not a topic: {printable(start, 60)}", _LAYOUTS)


def _blocks(lines: Iterator[NumberedLine], path: Path, columns: ColumnNames) -> Iterator[Query]:
    """`<top> … </top>`, whose parts may be closed or not."""
    blocks: list[tuple[int, str]] = []
    begun = 0
    gathered: list[str] = []
    for line in lines:
        text = text_of(line, path)
        if begun:
            gathered.append(text)
        elif re.match(r"\s*<top>", text, re.IGNORECASE):
            begun, gathered = line.number, [text]
        elif text.strip():
            raise InputError(f"{Where(path, line.number)}: text outside of a topic: {printable(text.strip(), 60)}", _LAYOUTS)
        if begun and re.search(r"</top>\s*$", text, re.IGNORECASE):
            blocks.append((begun, "\n".join(gathered)))
            begun = 0
    if begun:
        raise InputError(f"{Where(path, begun)}: this topic has no </top>", "was the file cut off?")
    names = _part_names([block for _, block in blocks])
    for number, block in blocks:
        yield _topic(_parts(block, names), columns, Where(path, number), number, {})


def _part_names(blocks: Sequence[str]) -> frozenset[str]:
    """The tags that mark parts: those that begin a line in any topic, or stand in most of them; others are part of a text."""
    at_start: set[str] = set()
    counts: Counter[str] = Counter()
    for block in blocks:
        tags = list(_TAG.finditer(block))
        at_start |= {tag[3].lower() for tag in tags if tag[1] is not None and not tag[2]}
        counts.update({tag[3].lower() for tag in tags})
    return frozenset(at_start | {name for name, count in counts.items() if count > len(blocks) / 2})


def _parts(block: str, names: frozenset[str]) -> dict[str, str]:
    """Each part's text by its tag's name: from the tag to the next of `names`, opening or closing."""
    import html

    tags = [tag for tag in _TAG.finditer(block) if tag[3].lower() in names]
    parts: dict[str, str] = {}
    for tag, following in zip(tags, [*tags[1:], None], strict=True):
        if tag[2]:
            continue
        text = block[tag.end() : following.start() if following else len(block)]
        name = _ALIASES.get(tag[3].lower(), tag[3].lower())
        content = " ".join(html.unescape(_LABEL.sub("", text, count=1) if _LABEL.match(text) else text).split())
        if content:
            parts.setdefault(name, content)
    return parts


def _elements(lines: Iterator[NumberedLine], path: Path, columns: ColumnNames) -> Iterator[Query]:
    """`<topic number="1">` elements, whatever they lie in; other attributes become metadata."""
    import xml.etree.ElementTree as ET

    text = "\n".join(text_of(line, path) for line in lines)
    text = re.sub(
        r"<\?xml.*?\?>|<!DOCTYPE[^>\[]*(?:\[.*?\])?[^>]*>", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL
    )
    # As web pages have them: a lone ampersand, and letters by the names that HTML knows.
    text = re.sub(r"&(?!#|(?:amp|lt|gt|quot|apos);)\w*;?", _character, text)
    try:
        root = ET.fromstring(f"<all>{text}</all>")
    except ET.ParseError as error:
        raise InputError(f"{path}:{error.position[0]}: not XML: {error}", _LAYOUTS) from error
    topics = [element for element in root.iter() if element.tag.lower() in ("topic", "top")] or _repeated(root)
    if not topics:
        raise InputError(f"nothing to evaluate: {path} holds no <topic> element", _LAYOUTS)
    for number, element in enumerate(topics, 1):
        parts = {
            _ALIASES.get(child.tag.lower(), child.tag.lower()): " ".join("".join(child.itertext()).split()) for child in element
        }
        if not len(element) and element.text:
            parts["text"] = " ".join(element.text.split())
        attributes = dict(element.attrib)
        key = next((attributes.pop(name) for name in _NUMBERS if name in attributes), None)
        if key is not None:
            parts["num"] = key
        yield _topic(parts, columns, f"{path} topic {number}", number, attributes)


def _character(name: re.Match[str]) -> str:
    import html

    character = html.unescape(name[0])
    return character if character != name[0] else f"&amp;{name[0][1:]}"


def _repeated(root: Any) -> list[Any]:
    """The elements of one name that lie side by side, as deep as they lie alone: `<parameters><query>`, `<DOC>`."""
    inside = list(root)
    while len(inside) == 1:
        inside = list(inside[0])
    return inside if len({element.tag for element in inside}) == 1 else []


def _topic(parts: dict[str, str], columns: ColumnNames, where: object, number: int, metadata: dict[str, Any]) -> Query:
    usual = (*_NUMBERS, *(name for name in parts if _NUMBER.fullmatch(name)))
    wanted_id = columns.get("id", "").lower()
    key = next(
        (parts[name] for name in ([wanted_id] if wanted_id else (_like(parts, name) for name in usual)) if parts.get(name)), None
    )
    if key is None:
        listing = ", ".join(map(printable, sorted(parts))) or "none"
        hint = f"name it: queries.id={min(parts)}" if parts else _LAYOUTS
        raise InputError(f"{where}: this topic has no {printable(wanted_id) or 'number'}; its parts are {listing}", hint)
    wanted = columns.get("text")
    lowered = wanted.lower() if wanted else None
    wanted = (
        _ALIASES.get(lowered, lowered) if lowered else next((name for name in (_like(parts, f) for f in FIELDS) if name), None)
    )
    if wanted is None or wanted not in parts:
        named = sorted(parts.keys() - set(_NUMBERS))
        listing = ", ".join(map(printable, named)) or "none"
        hint = f"name one: queries.text={named[0]}" if named else _LAYOUTS
        raise InputError(f"{where}: topic {printable(key)} has no {printable(wanted or 'text')}; its parts are {listing}", hint)
    return Query(key, parts[wanted], metadata, number)


def _like(parts: Mapping[str, str], name: str) -> str:
    """The part of this name, or the only one whose name ends in it after a language or a prefix (`en-title`); "" for none."""
    if parts.get(name):
        return name
    alike = [part for part in parts if parts[part] and _ALIASES.get(last := re.split(r"[-_:.]", part)[-1], last) == name]
    return alike[0] if len(alike) == 1 else ""
