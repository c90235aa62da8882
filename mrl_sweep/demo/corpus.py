"""The documents and queries of `pydocs` by row, made once per process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any, Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.collection.reading.qrels import Judgment, in_columns
from mrl_sweep.collection.reading.records import Document, Query
from mrl_sweep.demo.entries import Entry, known_items, read_questions, resolve
from mrl_sweep.demo.harvest import harvest, harvest_sources, module_names
from mrl_sweep.errors import InputError
from mrl_sweep.types import Advice, Collection
from mrl_sweep.words import plural, printable

KNOWN_ITEM: Final = "known-item"
_FEWEST: Final = 1000


@dataclass(frozen=True, slots=True)
class DemoQuery:
    """A query with the grade of each answer by row."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    grades: Mapping[int, int]

    @property
    def is_known_item(self) -> bool:
        return bool(self.metadata["style"] == KNOWN_ITEM)


@dataclass(frozen=True, slots=True)
class PydocsCorpus:
    """The entries in order of name, their docstrings (without the summary where a query asks with it) and all queries.

    A `Source` of documents whose positions are rows. `absent` judgments are of objects that these versions don't have;
    `unused` counts the summaries that became no query, by reason.
    """

    entries: tuple[Entry, ...]
    bodies: Mapping[int, str]
    queries: tuple[DemoQuery, ...]
    absent: int
    unused: Mapping[str, int]
    facts: Mapping[str, Any]

    @property
    def label(self) -> str:
        return "pydocs"

    @property
    def seeks(self) -> bool:
        return True

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        for row in range(position, len(self.entries)):
            entry = self.entries[row]
            body = self.bodies.get(row, entry.doc)
            yield row, Document(entry.name, entry.name, f"{entry.signature}\n{body}".strip())

    def place(self, position: int) -> str:
        return self.entries[position].name


@cache
def corpus(*, installed: bool) -> PydocsCorpus:
    """Everything of `pydocs`, `installed`: with what the sources of the other installed packages say.

    Errors: InputError where the docstrings were stripped.
    """
    if sys.flags.optimize > 1:
        raise InputError(
            "pydocs is made of docstrings, and this Python strips them", "run without -OO and without PYTHONOPTIMIZE=2"
        )
    entries, absent_modules = harvest(module_names())
    if len(entries) < _FEWEST:
        raise InputError(
            f"pydocs is made of docstrings, and this Python has only {len(entries):,}", "use a Python built with docstrings"
        )
    if installed:
        spoken = {entry.package for entry in entries}
        entries = sorted([*entries, *harvest_sources(exclude=spoken)], key=lambda entry: entry.name)
    row_of = {alias: row for row, entry in enumerate(entries) for alias in entry.aliases}
    row_of |= {entry.name: row for row, entry in enumerate(entries)}
    questions, absent = resolve(read_questions(), row_of)
    judged = frozenset(row for _, grades in questions for row in grades)
    items, bodies, unused = known_items(entries, kept_whole=judged)
    queries = [
        DemoQuery(
            f"{KNOWN_ITEM}:{entries[item.rows[0]].name}",
            item.text,
            {"style": KNOWN_ITEM, **_about(entries[item.rows[0]])},
            dict.fromkeys(item.rows, 1),
        )
        for item in items
    ]
    for question, grades in questions:
        about = _about(entries[max(grades, key=lambda row: grades[row])]) if grades else {}
        queries.append(DemoQuery(question.id, question.text, {"style": question.style, "topic": question.topic, **about}, grades))
    facts = {
        "versions": _versions(entries, packages_distributions() if installed else {}),
        "platform": sys.platform,
        "absent_modules": absent_modules,
    }
    return PydocsCorpus(tuple(entries), bodies, tuple(queries), absent, unused, facts)


def _about(entry: Entry) -> dict[str, str]:
    return {"package": entry.package, "kind": entry.kind}


def _versions(entries: list[Entry], distributions: Mapping[str, list[str]]) -> dict[str, str]:
    """The version of each package that speaks here; Python's own first."""
    versions = {"python": platform.python_version()}
    for package in sorted({entry.package for entry in entries} - {"python"}):
        try:
            versions[package] = version(distributions.get(package, [package])[0])
        except PackageNotFoundError:  # imported from a folder or zip without metadata
            versions[package] = "unknown"
    return versions


SPLITS: Final = ("test", "known-item", "questions")
"""`test` is both query sets; all splits have the same documents."""


def load_pydocs(*, split: str | None = None, options: LoadOptions | None = None, installed: bool = False) -> Collection:
    """What the standard library, numpy, pandas, scipy and this package's other dependencies say of their public objects.

    A document's id and title are a qualified name (`os.replace`, `pandas.DataFrame.merge`); its text is the call with the
    names of its parameters, then the docstring. The same installed versions give the same bytes, in order of name.

    Queries: `known-item`, where a docstring's summary sentence asks for its object and is taken out of the document, and
    `questions`, written by hand with graded answers; split None or `test` is both. Each query's `style` is `known-item` or
    how the question is asked, `topic` (questions only) what it is about, `package` and `kind` those of its best answer.

    `installed` adds the sources of all other installed packages, for measurements that need a larger corpus.
    Errors: InputError for an unknown split, or where docstrings were stripped.
    """
    split = split or "test"
    if split not in SPLITS:
        raise InputError(f"pydocs has no split {printable(split)}", f"--split {' or --split '.join(SPLITS)}")
    pydocs = corpus(installed=installed)
    chosen = [query for query in pydocs.queries if split == "test" or query.is_known_item == (split == "known-item")]
    unanswered = sum(not query.grades for query in chosen)
    collection = assemble(_parts(pydocs, split, [query for query in chosen if query.grades]), options or LoadOptions())
    return _with_absent(collection, 0 if split == "known-item" else pydocs.absent, unanswered)


def _parts(pydocs: PydocsCorpus, split: str, queries: list[DemoQuery]) -> Parts:
    return Parts(
        name="pydocs",
        source="pydocs",
        split=split,
        documents=pydocs,
        queries=[Query(query.id, query.text, query.metadata, number) for number, query in enumerate(queries)],
        queries_label="pydocs",
        queries_place=str,
        judgments=in_columns(
            Judgment(query.id, pydocs.entries[row].name, grade, number)
            for number, query in enumerate(queries)
            for row, grade in query.grades.items()
        ),
        judgments_label="pydocs",
        judgments_place=str,
        facts={**pydocs.facts, "summaries_not_asked": dict(pydocs.unused)},
    )


def _with_absent(collection: Collection, absent: int, unanswered: int) -> Collection:
    """Says what the questions ask for that these versions don't have; the questions it leaves without an answer are out."""
    if not absent:
        return collection
    counts = {"judgments_of_absent_objects": absent} | ({"questions_without_answer": unanswered} if unanswered else {})
    remark = Advice(
        "pydocs-absent",
        f"{plural(absent, 'judged object is', 'judged objects are')} not in these versions of Python and its packages; "
        f"{plural(unanswered, 'question is', 'questions are')} left out",
        "compare figures of pydocs only between runs with the same versions",
    )
    return replace(collection, excluded={**collection.excluded, **counts}, warnings=(*collection.warnings, remark))
