"""Judgments by id turned into `Qrels` by row, as strictly as `LoadOptions` says: the one path of every loader."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Final

import numpy as np

from mrl_sweep.collection.reading.documents import Ids
from mrl_sweep.collection.reading.lines import DEFAULT_MAX_LINE_BYTES
from mrl_sweep.collection.reading.qrels import Judgment
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.errors import InputError
from mrl_sweep.types import BoolArray, FileRows, MissingDocs, NoRelevant, Qrels, Queries
from mrl_sweep.words import first_offenders, printable, share_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How strictly a collection is read.

    `strict` refuses what is otherwise counted and named: repeated documents and judgments, empty texts, judged documents
    that are missing, queries without a relevant judgment. Queries without any judgment are no fault: a BEIR folder's
    `queries.jsonl` holds those of all splits. `max_line_bytes` bounds one line (or one record) of a file. `distractors` is a
    file of more documents, JSON lines as in corpus.jsonl, that are searched but not judged. `label_free` reads no judgments:
    every query counts, and where there are no queries, documents serve as such.
    """

    missing_docs: MissingDocs = MissingDocs.ERROR
    no_relevant: NoRelevant = NoRelevant.EXCLUDE
    strict: bool = False
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    distractors: Path | None = None
    label_free: bool = False


Grades = Mapping[str, int]
"""The grade of each judged document of one query, in the order of document ids."""


@dataclass(frozen=True, slots=True)
class Judgments:
    """`by_query[query id][document id]` is a grade; `label` is the file for messages; `repeated` counts equal repetitions."""

    label: str
    by_query: Mapping[str, Grades]
    repeated: int


def gather(judgments: Iterable[Judgment], label: str, place: Callable[[int], str]) -> Judgments:
    """Judgments by query. A pair judged twice alike counts once. Errors: InputError where grades differ, or for none."""
    by_query: dict[str, dict[str, int]] = {}
    first_numbers: dict[str, list[int]] = {}
    repeated = 0
    for query, run in groupby(judgments, key=itemgetter(0)):
        _, documents, run_grades, run_numbers = zip(*run, strict=True)
        new = dict(zip(documents, run_grades, strict=True))
        if query not in by_query and len(new) == len(documents):
            by_query[query], first_numbers[query] = new, list(run_numbers)
            continue
        grades, numbers = by_query.setdefault(query, {}), first_numbers.setdefault(query, [])
        for document, grade, number in zip(documents, run_grades, run_numbers, strict=True):
            before = grades.setdefault(document, grade)
            if len(grades) > len(numbers):
                numbers.append(number)
            elif before == grade:
                repeated += 1
            else:
                first = numbers[list(grades).index(document)]
                raise InputError(
                    f"{place(number)}: query {printable(query)}, document {printable(document)} has grade {grade} here "
                    f"and {before} at {place(first)}",
                    "keep one of the two judgments",
                )
    if not by_query:
        raise InputError(f"nothing to evaluate: {label} holds no judgments")
    return Judgments(label, {query: _by_document(grades) for query, grades in by_query.items()}, repeated)


def _by_document(grades: Grades) -> Grades:
    documents = sorted(grades)
    return dict(zip(documents, map(grades.__getitem__, documents), strict=True))


def evaluated(
    queries: Sequence[Query], judgments: Judgments, options: LoadOptions, *, label: str, hint: str
) -> tuple[Queries, dict[str, int]]:
    """The queries that count, in file order, and how many were set aside and why.

    Errors: InputError for a judged query that is not among `queries` (`hint` is added), and where none remains.
    """
    _refuse_unknown(queries, judgments, label=label, hint=hint)
    judged = [row for row, query in enumerate(queries) if query.id in judgments.by_query]
    relevant = [row for row in judged if max(judgments.by_query[queries[row].id].values()) > 0]
    rows = relevant if options.no_relevant == NoRelevant.EXCLUDE else judged
    if not relevant:
        raise InputError(
            f"nothing to evaluate: no judgment in {judgments.label} is above 0", "a grade of 1 or more means relevant"
        )
    excluded = {
        "queries_without_judgments": len(queries) - len(judged),
        "queries_without_relevant": len(judged) - len(rows),
        "repeated_judgments": judgments.repeated,
    }
    keep = [queries[row] for row in rows]
    places = FileRows(np.array(rows, dtype=np.int64), len(queries)) if len(keep) < len(queries) else None
    table = Queries(tuple(q.id for q in keep), tuple(q.text for q in keep), tuple(q.metadata for q in keep), places)
    return table, {reason: count for reason, count in excluded.items() if count}


def to_rows(queries: Queries, judgments: Judgments, ids: Ids, options: LoadOptions, *, label: str) -> Qrels:
    """The judgments of `queries` by document row, those of a query in the order of document ids.

    Errors: InputError for judged documents that are not in the corpus, unless they are to be counted and some are there.
    """
    graded = [judgments.by_query[query_id] for query_id in queries.ids]
    judged = list(chain.from_iterable(graded))
    rows = ids.rows_of(judged)
    if (rows < 0).all() or (options.missing_docs == MissingDocs.ERROR and (rows < 0).any()):
        _refuse_missing(judged, rows < 0, judgments, ids, label)
    offsets = np.cumsum([0, *map(len, graded)], dtype=np.int64)
    return Qrels(offsets, rows, np.fromiter(chain.from_iterable(grades.values() for grades in graded), np.int64, len(judged)))


def _refuse_unknown(queries: Sequence[Query], judgments: Judgments, *, label: str, hint: str) -> None:
    query_ids = {query.id for query in queries}
    unknown = [query for query in judgments.by_query if query not in query_ids]
    if not unknown:
        return
    documents = {document for grades in judgments.by_query.values() for document in grades}
    swapped = len(unknown) == len(judgments.by_query) and len(documents & query_ids) * 2 > len(documents)
    cause = (
        f"the columns of {judgments.label} look swapped: its document column holds query ids"
        if swapped
        else likely_cause(unknown, query_ids, judgments.label, label) or hint
    )
    share = share_of(len(unknown), len(judgments.by_query))
    raise InputError(
        f"{len(unknown):,} of {len(judgments.by_query):,} judged queries ({share}) in {judgments.label} are not in {label}: "
        f"{first_offenders([printable(query) for query in unknown])}",
        cause,
    )


def _refuse_missing(judged: Sequence[str], is_missing: BoolArray, judgments: Judgments, ids: Ids, label: str) -> None:
    missing = list(dict.fromkeys(judged[i] for i in np.flatnonzero(is_missing).tolist()))
    total = len(set(judged))
    cause = likely_cause(missing, ids, judgments.label, label)
    share = share_of(len(missing), total)
    raise InputError(
        f"{len(missing):,} of {total:,} judged documents ({share}) in {judgments.label} are not in {label}: "
        f"{first_offenders([printable(document) for document in missing])}",
        f"{cause}; " * bool(cause) + "--missing-docs count keeps them as relevant documents that no search can find",
    )


_SAMPLE: Final = 1000
_SCANNED: Final = 1_000_000


def _whole(text: str) -> str:
    digits = text.strip().removesuffix(".0")
    return digits.lstrip("0") or "0" if digits.isascii() and digits.isdigit() else text


_CAUSES: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("white space around the id", str.strip),
    ("leading zeros or a decimal point", _whole),
    ("the Unicode form (NFC against NFD)", lambda text: unicodedata.normalize("NFC", text)),
    ("letter case", str.casefold),
    ("quotation marks around the id", lambda text: text.strip("\"'")),
    ("the folder or ending of a file name", lambda text: text.replace("\\", "/").rpartition("/")[2].partition(".")[0]),
)


def likely_cause(missing: Sequence[str], present: Iterable[str], missing_in: str, present_in: str) -> str:
    """The one difference that would explain at least half of the missing ids, with an example; "" where none does.

    Looks at the first 1,000 missing ids against the first million present ones.
    """
    sample = missing[:_SAMPLE]
    scanned = list(islice(present, _SCANNED))
    for name, normalise in _CAUSES:
        wanted = {normalise(text): text for text in sample}
        matches = {wanted[key]: text for text in scanned if (key := normalise(text)) in wanted}
        if len(matches) * 2 >= len(sample):
            ours, theirs = next(iter(matches.items()))
            return f"the ids differ by {name}: {_quoted(ours)} in {missing_in}, {_quoted(theirs)} in {present_in}"
    return ""


def _quoted(text: str) -> str:
    """In quotes, every character that is not plain ASCII escaped, so that two forms of one letter look different."""
    return '"' + printable(text).encode("ascii", "backslashreplace").decode() + '"'
