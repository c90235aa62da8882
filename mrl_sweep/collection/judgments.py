"""Judgments by id, checked as strictly as `LoadOptions` says and turned into `Qrels` by row, for every loader."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Self

import numpy as np

from mrl_sweep.collection.reading.documents import HELD_CHARACTERS
from mrl_sweep.collection.reading.lines import DEFAULT_MAX_LINE_BYTES
from mrl_sweep.collection.reading.qrels import JudgmentColumns
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.errors import InputError
from mrl_sweep.files.ids import MAPPED_BYTES, Ids
from mrl_sweep.record import record
from mrl_sweep.types import BoolArray, FileRows, IntArray, MissingDocs, NoRelevant, Qrels, Queries
from mrl_sweep.words import first_offenders, printable, share_of


@record(kw_only=True)
class LoadOptions:
    """Says how strictly a collection is read, and how much of it stays in memory.

    `strict` refuses what is otherwise counted and named: repeated documents and judgments, empty texts, judged documents
    that are missing, queries without a relevant judgment. Queries without any judgment are no fault: a BEIR folder's
    `queries.jsonl` holds those of all splits. `max_line_bytes` bounds one line (or one record) of a file. `distractors` is a
    file of more documents, JSON lines as in corpus.jsonl, that are searched but not judged. `label_free` reads no judgments:
    every query counts, and where there are no queries, documents serve as such. The texts of a corpus of no more than
    `held_characters` stay in memory; what is kept of each document beside its text is mapped beyond `mapped_bytes`.
    """

    missing_docs: MissingDocs = MissingDocs.ERROR
    no_relevant: NoRelevant = NoRelevant.EXCLUDE
    strict: bool = False
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    distractors: Path | None = None
    label_free: bool = False
    held_characters: int = HELD_CHARACTERS
    mapped_bytes: int = MAPPED_BYTES


@record(slots=False)
class Judgments:
    """Holds all judgments of a split: those of query q lie at offsets[q]:offsets[q + 1], in the order of document ids.

    `queries` in the order in which they were first judged; `document` (n,) holds places in `documents`, the ids in order.
    `label` is the file for messages; `repeated` counts equal repetitions.
    """

    label: str
    queries: tuple[str, ...]
    documents: Sequence[str]
    offsets: IntArray
    document: IntArray
    grades: IntArray
    repeated: int = 0

    @property
    def judged(self) -> IntArray:
        """The documents that have a judgment, as places in `documents`."""
        return np.flatnonzero(np.bincount(self.document, minlength=len(self.documents)))

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """The place of each query in `queries`."""
        return {name: number for number, name in enumerate(self.queries)}

    @cached_property
    def has_relevant(self) -> BoolArray:
        """Returns (n_queries,) bool, whether any grade of the query is above 0."""
        return np.maximum.reduceat(self.grades, self.offsets[:-1]) > 0

    def of(self, queries: Sequence[str]) -> Self:
        """Returns the judgments of `queries`, in their order; each must have some."""
        chosen = np.array([self.number_of[name] for name in queries], np.int64)
        lengths = np.diff(self.offsets)[chosen]
        offsets = np.append(0, np.cumsum(lengths))
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], lengths)
        return replace(self, queries=tuple(queries), offsets=offsets, document=self.document[at], grades=self.grades[at])


def no_judgments(queries: Queries) -> Judgments:
    """Returns the judgments of a label-free collection: no query has one."""
    nothing = np.empty(0, np.int64)
    return Judgments("", queries.ids, (), np.zeros(len(queries) + 1, np.int64), nothing, nothing)


def gather(blocks: Iterable[JudgmentColumns], label: str, place: Callable[[int], str]) -> Judgments:
    """Gathers judgments by query; a pair judged twice alike counts once.

    Errors: InputError where two grades of a pair differ, and where there is no judgment.
    """
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    columns: list[tuple[IntArray, ...]] = []
    for block in blocks:
        query, document = _numbers(block.queries, queries)[block.query], _numbers(block.documents, documents)[block.document]
        columns.append((query, document, block.grades, block.numbers))
    if not columns:
        raise InputError(f"nothing to evaluate: {label} holds no judgments")
    query, document, grades, numbers = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    names = sorted(documents)
    rank = np.empty(len(names), np.int64)
    rank[[documents[name] for name in names]] = np.arange(len(names))
    document = rank[document]
    keys = query * len(names) + document
    order = np.argsort(keys, kind="stable")  # files are sorted by query, mostly: the other kinds know no use of it
    again = keys[order[1:]] == keys[order[:-1]]
    if again.any():
        first = order[np.maximum.accumulate(np.where(np.append(False, again), 0, np.arange(len(order))))]
        differs = np.flatnonzero(grades[order] != grades[first])
        if len(differs):
            at = differs[np.argmin(order[differs])]
            both = [int(order[at]), int(first[at])]
            pair = (list(queries)[int(query[both[0]])], names[int(document[both[0]])])
            _refuse_contradiction(pair, *zip(*((int(grades[i]), place(int(numbers[i]))) for i in both), strict=True))
        order = order[np.append(True, ~again)]
    offsets = np.searchsorted(query[order], np.arange(len(queries) + 1))
    return Judgments(label, tuple(queries), names, offsets, document[order], grades[order], int(again.sum()))


def _numbers(names: Sequence[str], numbers: dict[str, int]) -> IntArray:
    """(len(names),) the number of each name; names without one get the next."""
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def table_of(queries: Sequence[Query]) -> Queries:
    """Turns `queries`, all that their file holds, into `Queries`."""
    return Queries(tuple(q.id for q in queries), tuple(q.text for q in queries), tuple(q.metadata for q in queries))


def evaluated(
    queries: Sequence[Query], judgments: Judgments, options: LoadOptions, *, label: str, hint: str
) -> tuple[Queries, dict[str, int]]:
    """Returns the queries that count, in file order, and how many were set aside and why.

    Errors: InputError for a judged query that is not among `queries` (`hint` is added), and where none remains.
    """
    _refuse_unknown(queries, judgments, label=label, hint=hint)
    number_of, has_relevant = judgments.number_of, judgments.has_relevant
    judged = [row for row, query in enumerate(queries) if query.id in number_of]
    relevant = [row for row in judged if has_relevant[number_of[queries[row].id]]]
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
    return replace(table_of(keep), file_rows=places), {reason: count for reason, count in excluded.items() if count}


def to_rows(judgments: Judgments, ids: Ids, options: LoadOptions, *, label: str) -> Qrels:
    """Turns the judgments of the evaluated queries into document rows, those of a query in the order of document ids.

    Errors: InputError for judged documents that are not in the corpus, unless `missing_docs` counts them and others are there.
    """
    used = judgments.judged
    row_of = np.full(len(judgments.documents), Qrels.MISSING, np.int64)
    row_of[used] = ids.rows_of([judgments.documents[number] for number in used.tolist()])
    rows = row_of[judgments.document]
    if len(rows) and ((rows < 0).all() or (options.missing_docs == MissingDocs.ERROR and (rows < 0).any())):
        _refuse_missing(judgments, rows < 0, ids, label)
    return Qrels(judgments.offsets, rows, judgments.grades)


def judgments_digest(queries: Queries, judgments: Judgments) -> str:
    """Digests queries and judgments (ids, texts, grades) in any order: where digests are equal, figures can be compared.

    Returns 32 hex digits, of the JSON of [id, text, [[document, grade], ...]] for each query, put together from its parts' JSON.
    """
    names = np.array([f"[{name}, " for name in _as_json(judgments.documents)], object)
    grades, which = np.unique(judgments.grades, return_inverse=True)
    parts = np.empty(2 * len(judgments.grades), object)
    parts[0::2], parts[1::2] = names[judgments.document], np.array([f"{grade}], " for grade in grades.tolist()], object)[which]
    digest = hashlib.blake2b(digest_size=16)
    for row in sorted(range(len(queries)), key=queries.ids.__getitem__):
        judged = "".join(parts[2 * judgments.offsets[row] : 2 * judgments.offsets[row + 1]].tolist()).removesuffix(", ")
        digest.update(f"{json.dumps([queries.ids[row], queries.texts[row]])[:-1]}, [{judged}]]".encode("ascii"))
    return digest.hexdigest()


def _as_json(texts: Sequence[str]) -> list[str]:
    """Each text as JSON has it: encoded at once, with a character between them that JSON escapes in a text."""
    return json.dumps(texts, separators=("\n", ":"))[1:-1].split("\n") if texts else []


def _refuse_contradiction(pair: tuple[str, str], grades: tuple[int, int], places: tuple[str, str]) -> None:
    """Refuses two grades of one pair of query and document: the later and the first, and where they stand."""
    query, document = map(printable, pair)
    raise InputError(
        f"{places[0]}: query {query}, document {document} has grade {grades[0]} here and {grades[1]} at {places[1]}",
        "keep one of the two judgments",
    )


def _refuse_unknown(queries: Sequence[Query], judgments: Judgments, *, label: str, hint: str) -> None:
    query_ids = {query.id for query in queries}
    unknown = [query for query in judgments.queries if query not in query_ids]
    if not unknown:
        return
    documents = set(judgments.documents)
    swapped = len(unknown) == len(judgments.queries) and len(documents & query_ids) * 2 > len(documents)
    cause = (
        f"the columns of {judgments.label} look swapped: its document column holds query ids"
        if swapped
        else likely_cause(unknown, query_ids, judgments.label, label) or hint
    )
    share = share_of(len(unknown), len(judgments.queries))
    raise InputError(
        f"{len(unknown):,} of {len(judgments.queries):,} judged queries ({share}) in {judgments.label} are not in {label}: "
        f"{first_offenders([printable(query) for query in unknown])}",
        cause,
    )


def _refuse_missing(judgments: Judgments, is_missing: BoolArray, ids: Ids, label: str) -> None:
    numbers = dict.fromkeys(judgments.document[is_missing].tolist())
    missing = [judgments.documents[number] for number in numbers]
    total = len(judgments.judged)
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
    """Names the one difference that would explain at least half of the missing ids, with an example; "" where none does.

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
