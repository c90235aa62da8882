"""What one object says of itself, and how a docstring falls into a summary sentence and the rest."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

_CALL = re.compile(r"^[\w.*]+\s*\(.*\)\s*(->.*|--.*)?$|->|^[\w.]+\(")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])[\"')\]]*\s+(?=[A-Z`\"'(*:])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|resp|incl|approx|Eq|Fig|Ref|No|[A-Z])\.)$")
_UNDERLINE = re.compile(r"^\s*([-=~^])\1{2,}\s*$")
_ROLE = re.compile(r":[\w:]+:`~?([^`]*)`")
_MARKUP = re.compile(r"``?|\*\*")
_SPACE = re.compile(r"\s+")
_EXAMPLES = re.compile(r"\n(?:Examples?|References)\n *[-=]{3,}.*?(?=\n[A-Z][A-Za-z ]+\n *-{3,}|\Z)", re.DOTALL)
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")

MIN_WORDS: Final = 3
"""A docstring of fewer words (`ast.IsNot` says "IsNot") is no document."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented object: its qualified name, what it is, its parameters' names and its docstring, cleaned.

    `aliases` are other public names of the very same object.
    """

    name: str
    kind: str
    package: str
    signature: str
    doc: str
    aliases: tuple[str, ...] = field(default=())


def clean(doc: str) -> str:
    """A docstring's prose: without indentation, sections of examples and references, and memory addresses.

    Examples are sessions full of numbers, a quarter of all characters; they say little of what an object is for.
    """
    return _ADDRESS.sub("", _EXAMPLES.sub("", inspect.cleandoc(doc))).strip()


def merged(entries: Iterable[Entry]) -> Iterator[Entry]:
    """One entry for those of a package that say the same under the same last name, as `csr_array.resize` and its siblings do."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.package, entry.name.rpartition(".")[2], entry.doc), []).append(entry)
    for first, *others in groups.values():
        aliases = {*first.aliases, *(name for other in others for name in (other.name, *other.aliases))}
        yield replace(first, aliases=tuple(sorted(aliases)))


def split_summary(doc: str) -> tuple[str, str]:
    """(summary sentence, the rest): the summary is the first sentence of prose, "" where there is none.

    C docstrings open with a line like `S.find(sub) -> int`: that stays in the rest. The summary comes back on one line with
    markup taken off; the rest keeps its words and loses nothing but the summary.
    """
    paragraphs = re.split(r"\n\s*\n", doc)
    for position, paragraph in enumerate(paragraphs[:3]):
        lines = paragraph.split("\n")
        calls = 0
        while calls < len(lines) and _CALL.search(lines[calls].strip()):
            calls += 1
        prose = "\n".join(lines[calls:])
        if not prose.strip() or any(_UNDERLINE.match(line) for line in lines):
            continue
        sentence, after = _first_sentence(prose)
        before = [*paragraphs[:position], "\n".join(lines[:calls])]
        rest = [part for part in [*before, after, *paragraphs[position + 1 :]] if part.strip()]
        return plain(sentence), "\n\n".join(rest)
    return "", doc


def _first_sentence(prose: str) -> tuple[str, str]:
    for end in _SENTENCE_END.finditer(prose):
        if not _ABBREVIATION.search(prose[: end.start()]):
            return prose[: end.start()], prose[end.end() :]
    return prose, ""


def plain(text: str) -> str:
    """Text on one line, without reStructuredText's quotes and roles."""
    return _SPACE.sub(" ", _MARKUP.sub("", _ROLE.sub(r"\1", text))).strip()
