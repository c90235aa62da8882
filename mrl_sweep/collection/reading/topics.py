"""TREC topics in their usual layouts, told by content: `<top>` blocks, XML, JSON lines, tab-separated lines."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from mrl_sweep.collection.reading.columns import QUERY_ID_COLUMNS, QUERY_TEXT_COLUMNS, ColumnNames, named, queries
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.collection.reading.tables import TsvRows, json_rows
from mrl_sweep.errors import InputError
from mrl_sweep.words import printable

FIELDS: Final = ("title", "query", "question", "text", "description", "summary", "note", "narrative")
_LAYOUTS: Final = "topics are <top> blocks, XML <topic> elements, JSON lines, or lines of id and text with a tab between"
_ALIASES: Final = {"desc": "description", "narr": "narrative", "smry": "summary"}
_TAG: Final = re.compile(r"(^[ \t]*)?<(/?)([A-Za-z][\w:.-]*)\b[^<>]*>", re.MULTILINE)
_LABEL: Final = re.compile(r"\s*(?:Number|Topic|Description|Narrative|Summary)\s*:\s*", re.IGNORECASE)
_NUMBERS: Final = ("number", "num", "id", "qid", "topic_id")


def read_topics(path: Path, *, columns: ColumnNames, max_line_bytes: int) -> Iterator[Query]:
    """The topics of a file. `asked["text"]` names the part that is the question; unasked, the first of `FIELDS` a topic has.

    Errors: InputError naming the line (in XML the topic) that has no number, or not the part asked for.
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
    try:
        root = ET.fromstring(f"<all>{text}</all>")
    except ET.ParseError as error:
        raise InputError(f"{path}:{error.position[0]}: not XML: {error}", _LAYOUTS) from error
    topics = [element for element in root.iter() if element.tag.lower() in ("topic", "top")]
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


def _topic(parts: dict[str, str], columns: ColumnNames, where: object, number: int, metadata: dict[str, Any]) -> Query:
    key = next((parts[name] for name in (_like(parts, usual) for usual in _NUMBERS) if name), None)
    if key is None:
        raise InputError(f"{where}: this topic has no number", _LAYOUTS)
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
