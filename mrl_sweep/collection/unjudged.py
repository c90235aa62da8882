"""Collections without judgments: every query counts, or documents drawn at random stand in for queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mrl_sweep.collection.reading.documents import Corpus
from mrl_sweep.collection.reading.records import Query
from mrl_sweep.errors import InputError
from mrl_sweep.types import SEED, Advice, IntArray, Qrels, Queries
from mrl_sweep.words import plural

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
