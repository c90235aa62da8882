"""What one object says of itself, and the known-item queries: a summary sentence asks for the object it was taken from."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
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


LIMIT: Final = 2000
"""How many known-item queries are drawn: enough to prove a loss of a few percent, few enough to stay quick."""

_WORDS: Final = range(5, 36)
_MIN_REST_WORDS: Final = 15
_MAX_SHARED: Final = 4
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A query and the rows of all objects that have this very summary; each of them is an answer."""

    text: str
    rows: tuple[int, ...]


def known_items(
    entries: list[Entry], *, kept_whole: frozenset[int], limit: int = LIMIT
) -> tuple[list[KnownItem], Mapping[int, str], dict[str, int]]:
    """(queries in row order, the docstring without its summary by row, how many summaries were not used, by reason).

    A summary is used when it is a sentence of 5 to 35 words that names none of its objects, when enough is left of each
    docstring to be found by, and when it doesn't come back there. `kept_whole` are rows whose docstring stays as it is.
    Which ones are drawn depends on nothing but the name of the first object.
    """
    split = [split_summary(entry.doc) for entry in entries]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, (summary, _) in enumerate(split):
        groups.setdefault(words(summary), []).append(row)
    unused: dict[str, int] = {}
    usable: list[list[int]] = []
    for key, rows in groups.items():
        reason = _unusable(key, [entries[row] for row in rows], [split[row][1] for row in rows])
        reason = reason or ("judged by a question" if not kept_whole.isdisjoint(rows) else "")
        if reason:
            unused[reason] = unused.get(reason, 0) + len(rows)
        else:
            usable.append(rows)
    drawn = sorted(sorted(usable, key=lambda rows: _lot(entries[rows[0]].name))[:limit])
    unused["not drawn"] = sum(map(len, usable)) - sum(map(len, drawn))
    queries = [KnownItem(split[rows[0]][0], tuple(rows)) for rows in drawn]
    return queries, {row: split[row][1] for rows in drawn for row in rows}, unused


def words(text: str) -> tuple[str, ...]:
    """A text's words, without case and punctuation: what two writings of one sentence have in common."""
    return tuple(_WORD.findall(text.casefold()))


def _unusable(summary: tuple[str, ...], entries: Iterable[Entry], rests: list[str]) -> str:
    if len(summary) not in _WORDS:
        return "summary too short or too long"
    if len(rests) > _MAX_SHARED:
        return "summary shared by many"
    if "deprecated" in summary or "alias" in summary:
        return "alias or deprecated"
    if any(_names(summary, name) for entry in entries for name in (entry.name, *entry.aliases)):
        return "summary names its object"
    joined = f" {' '.join(summary)} "
    for rest in map(words, rests):
        if len(rest) < _MIN_REST_WORDS:
            return "too little left without the summary"
        if joined in f" {' '.join(rest)} ":
            return "summary repeated further down"
    return ""


def _names(summary: tuple[str, ...], name: str) -> bool:
    """Whether a sentence holds the last part of a qualified name, as a run of words."""
    own = words(name.rpartition(".")[2].replace("_", " "))
    return bool(own) and f" {' '.join(own)} " in f" {' '.join(summary)} "


def _lot(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """A question and its answers by qualified name: grade 2 answers it, grade 1 helps.

    `style` is how it is asked: goal, symptom (an error or a surprise), keyword, comparison, concept.
    """

    id: str
    text: str
    style: str
    topic: str
    answers: Mapping[str, int]


def read_questions() -> list[DemoQuestion]:
    """All questions that were written by hand, in their order."""
    text = Path(__file__).with_name("questions.jsonl").read_text(encoding="utf-8")
    return [DemoQuestion(**json.loads(line)) for line in text.split("\n") if line]


def grades_of(question: DemoQuestion, row_of: Mapping[str, int]) -> dict[int, int]:
    """The grade of each answer by row. Errors: KeyError for an object that these versions don't have.

    Two answers that are one object, such as `numpy.concat` and `numpy.concatenate`, are judged once, by the higher grade.
    """
    grades: dict[int, int] = {}
    for name, grade in question.answers.items():
        row = row_of[name]
        grades[row] = max(grade, grades.get(row, 0))
    return grades
