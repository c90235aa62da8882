"""Known-item queries: a summary sentence asks for the object it was taken from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from mrl_sweep.demo.entries import Entry, split_summary

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
    """All questions of the packaged file, in its order."""
    text = files("mrl_sweep.demo").joinpath("questions.jsonl").read_text(encoding="utf-8")
    return [DemoQuestion(**json.loads(line)) for line in text.split("\n") if line]


def resolve(questions: list[DemoQuestion], row_of: Mapping[str, int]) -> tuple[list[tuple[DemoQuestion, dict[int, int]]], int]:
    """(each question with the grades of its answers by row, how many answers are not there under any name).

    Two answers that are one object here, such as `numpy.concat` and `numpy.concatenate`, are judged once, by the higher grade.
    """
    resolved = []
    absent = 0
    for question in questions:
        grades: dict[int, int] = {}
        for name, grade in question.answers.items():
            row = row_of.get(name)
            if row is None:
                absent += 1
            else:
                grades[row] = max(grade, grades.get(row, 0))
        resolved.append((question, grades))
    return resolved, absent
