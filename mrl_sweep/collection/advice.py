"""What a person should know of a collection before trusting a figure: queries that are documents, copies, empty texts."""

from __future__ import annotations

from typing import Final

import numpy as np

from mrl_sweep.collection.queries import half_characters
from mrl_sweep.collection.reading.documents import Corpus, is_among
from mrl_sweep.types import Advice, Collection, IntArray, Qrels, Queries
from mrl_sweep.words import first_offenders, plural, printable

_COMMON: Final = 0.1
_COMPARED: Final = 200


def advice(corpus: Corpus, queries: Queries, qrels: Qrels) -> tuple[Advice, ...]:
    """Every remark that applies, most consequential first."""
    remarks = (
        _own_documents(corpus, queries),
        _copies(corpus, qrels),
        _missing(qrels),
        _empty_documents(corpus),
        _half_documents(corpus),
        _empty_queries(queries),
    )
    return tuple(remark for remark in remarks if remark is not None)


def document_advice(corpus: Corpus) -> tuple[Advice, ...]:
    """The remarks on the documents alone."""
    return tuple(remark for remark in (_empty_documents(corpus), _half_documents(corpus)) if remark is not None)


def own_rows(collection: Collection) -> IntArray:
    """(n_queries,) the row of the document whose id is the query's own, -1 where there is none."""
    ids = collection.documents.ids
    rows_of = getattr(ids, "rows_of", None)
    if rows_of is not None:
        return np.asarray(rows_of(collection.queries.ids), dtype=np.int64)
    wanted = set(collection.queries.ids)
    row_of = {text: row for row, text in enumerate(ids) if text in wanted}
    return np.array([row_of.get(text, -1) for text in collection.queries.ids], dtype=np.int64)


def _own_documents(corpus: Corpus, queries: Queries) -> Advice | None:
    rows = corpus.documents.ids.rows_of(queries.ids)
    own = np.flatnonzero(rows >= 0)
    if len(own) < _COMMON * len(queries):
        return None
    compared = own[:: max(1, len(own) // _COMPARED)]
    documents = corpus.documents.take(rows[compared].tolist())
    alike = sum(_same(queries.texts[q], document.full_text) for q, document in zip(compared, documents, strict=True))
    common = f"{len(own):,} of {len(queries):,} query ids are document ids too"
    if alike * 2 >= len(compared):
        return Advice(
            "queries-are-documents",
            f"{common}, with the same text: each such query finds itself first",
            "--exclude-identical leaves a query's own document out of its results",
        )
    return Advice(
        "queries-are-documents",
        f"{common}, but the texts differ: probably both were numbered from one",
        "use --exclude-identical only if these queries are themselves documents",
    )


def _same(query: str, document: str) -> bool:
    question = " ".join(query.split()).casefold()
    return bool(question) and question in " ".join(document.split()).casefold()


def _copies(corpus: Corpus, qrels: Qrels) -> Advice | None:
    """Documents with the very text of a relevant one that are not judged for its query: finding them counts as a miss."""
    relevant = (qrels.grades > 0) & (qrels.rows >= 0)
    texts = corpus.text_hashes
    is_empty = np.zeros(len(texts), bool)
    is_empty[corpus.empty] = True
    rows, queries = qrels.rows[relevant], qrels.queries[relevant]
    alike = np.flatnonzero(is_among(texts, texts[rows[~is_empty[rows]]]) & ~is_empty)
    shared, counts = np.unique(texts[alike], return_counts=True)
    shared = shared[counts > 1]
    by_text: dict[int, list[int]] = {}
    for row in alike[is_among(texts[alike], shared)].tolist():
        by_text.setdefault(int(texts[row]), []).append(row)
    has_copy = is_among(texts[rows], shared)
    judged: dict[int, set[int]] = {}
    for query in np.unique(queries[has_copy]).tolist():
        judged[query] = set(qrels.rows[qrels.offsets[query] : qrels.offsets[query + 1]].tolist())
    copies: dict[int, None] = {}
    for query, row in zip(queries[has_copy].tolist(), rows[has_copy].tolist(), strict=True):
        copies |= {other: None for other in by_text.get(int(texts[row]), ()) if other not in judged[query]}
    if not copies:
        return None
    names = first_offenders([printable(corpus.documents.ids[row]) for row in list(copies)[:5]], len(copies))
    return Advice(
        "unjudged-copies",
        plural(len(copies), "document has", "documents have")
        + f" exactly the text of a relevant one but no judgment of the same query: {names}",
        "finding such a copy counts as a miss; judge the copies alike, or remove them",
    )


def _missing(qrels: Qrels) -> Advice | None:
    count = int((qrels.rows == Qrels.MISSING).sum())
    if not count:
        return None
    return Advice(
        "missing-documents",
        f"{count:,} of {len(qrels.rows):,} judgments are of documents that are not in the corpus: they count as never found",
        "complete the corpus: the shares kept are sounder where full size can find what is judged",
    )


def _empty_documents(corpus: Corpus) -> Advice | None:
    if not len(corpus.empty):
        return None
    names = first_offenders([printable(corpus.documents.ids[row]) for row in corpus.empty[:5].tolist()], len(corpus.empty))
    return Advice(
        "empty-documents",
        plural(len(corpus.empty), "document has", "documents have") + f" no text: {names}",
        "they cannot be found by what they say; a static model makes zero vectors of them",
    )


def _half_documents(corpus: Corpus) -> Advice | None:
    if not len(corpus.halves):
        return None
    names = first_offenders([printable(corpus.documents.ids[row]) for row in corpus.halves[:5].tolist()], len(corpus.halves))
    return half_characters(len(corpus.halves), "document holds", "documents hold", names)


def _empty_queries(queries: Queries) -> Advice | None:
    empty = [query for query, text in zip(queries.ids, queries.texts, strict=True) if not text.strip()]
    if not empty:
        return None
    names = first_offenders([printable(query) for query in empty])
    return Advice(
        "empty-queries",
        plural(len(empty), "query has", "queries have") + f" no text: {names}",
        "it is no fair question of any size; mend or remove it",
    )
