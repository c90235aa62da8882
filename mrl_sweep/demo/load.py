"""`load_pydocs`: the packaged collection under one of its splits."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.collection.reading.qrels import Judgment
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.demo.corpus import Asked, PydocsCorpus, corpus
from mrl_sweep.errors import InputError, printable, several
from mrl_sweep.types import Advice, Collection

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
    found = corpus(installed=installed)
    chosen = [asked for asked in found.asked if split == "test" or asked.is_known_item == (split == "known-item")]
    unanswered = sum(not asked.grades for asked in chosen)
    collection = assemble(_parts(found, split, [asked for asked in chosen if asked.grades]), options or LoadOptions())
    return _with_absent(collection, 0 if split == "known-item" else found.absent, unanswered)


def _parts(found: PydocsCorpus, split: str, asked: list[Asked]) -> Parts:
    return Parts(
        name="pydocs",
        source="pydocs",
        split=split,
        documents=found,
        queries=[Query(query.id, query.text, query.metadata, number) for number, query in enumerate(asked)],
        queries_label="pydocs",
        queries_place=str,
        judgments=[
            Judgment(query.id, found.entries[row].name, grade, number)
            for number, query in enumerate(asked)
            for row, grade in query.grades.items()
        ],
        judgments_label="pydocs",
        judgments_place=str,
        facts={**found.facts, "summaries_not_asked": dict(found.unused)},
    )


def _with_absent(collection: Collection, absent: int, unanswered: int) -> Collection:
    """Says what the questions ask for that these versions don't have; the questions it leaves without an answer are out."""
    if not absent:
        return collection
    counts = {"judgments_of_absent_objects": absent} | ({"questions_without_answer": unanswered} if unanswered else {})
    remark = Advice(
        "pydocs-absent",
        f"{several(absent, 'judged object is', 'judged objects are')} not in these versions of Python and its packages; "
        f"{several(unanswered, 'question is', 'questions are')} left out",
        "compare figures of pydocs only between runs with the same versions",
    )
    return replace(collection, excluded={**collection.excluded, **counts}, warnings=(*collection.warnings, remark))
