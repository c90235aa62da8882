"""The queries of a collection, checked and cleaned once, whatever file they come from (FAULTS 61, 66).

Without judgments every query counts, or documents drawn at random stand in for queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from mrl_sweep.collection.reading.documents import Corpus
from mrl_sweep.collection.reading.records import Query, is_whole
from mrl_sweep.errors import InputError
from mrl_sweep.types import SEED, Advice, IntArray, Qrels, Queries
from mrl_sweep.words import first_offenders, plural, printable

_DEEPEST: Final = 32
"""Metadata nested deeper than this is read as missing: nothing can be sliced by it, and JSON's own readers give up later."""


def checked_queries(
    queries: Iterable[Query], label: str, place: Callable[[int], str], *, strict: bool = False
) -> tuple[list[Query], tuple[Advice, ...]]:
    """The queries with metadata that JSON can hold, and what was set aside of it.

    Raises InputError where there are none, where an id occurs twice, and, where `strict`, for a text with half a character or
    a number that is none, naming its place.
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
    """That texts hold half of a surrogate pair, which no encoding can write."""
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


def every_query(queries: Sequence[Query]) -> Queries:
    """All queries of the file, in order."""
    return Queries(tuple(q.id for q in queries), tuple(q.text for q in queries), tuple(q.metadata for q in queries))


def draw_documents(corpus: Corpus, label: str) -> tuple[Queries, IntArray]:
    """Documents in the place of queries, under their own ids, and (n_queries,) their rows, ascending; none without text.

    Errors: InputError where no document has a text to ask with.
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


def no_judgments(n_queries: int) -> Qrels:
    """Qrels in which no query has a judgment."""
    return Qrels(np.zeros(n_queries + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def documents_ask(n_queries: int) -> Advice:
    """That no real query was asked."""
    return Advice(
        "documents-as-queries",
        f"there are no queries: {plural(n_queries, 'document serves', 'documents serve')} as such, drawn at random, "
        "each left out of its own results",
        "real queries are shorter and may agree more or less: give queries.jsonl as soon as you have some",
    )
