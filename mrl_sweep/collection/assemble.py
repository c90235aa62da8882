"""Documents, queries and judgments of any layout put together into one checked `Collection`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mrl_sweep.collection.advice import advice, document_advice
from mrl_sweep.collection.judgments import check_queries, evaluated, gather, to_rows
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.collection.reading.documents import Corpus, read_corpus
from mrl_sweep.collection.reading.qrels import Judgment
from mrl_sweep.collection.reading.records import Document, Query, Source
from mrl_sweep.collection.reading.text_sources import FileSource
from mrl_sweep.collection.unjudged import documents_ask, draw_documents, every_query, no_judgments
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection, Qrels, Queries

Place = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a loader found. Labels name files in messages; `*_place` turn a line or row number into `file:line`.

    `queries` None: there are none, which only a label-free reading accepts; that never looks at `judgments`.

    `facts` of the loader's own (files, sizes); `hint` says what to try when judged queries are unknown (another split?).
    """

    name: str
    source: str
    split: str
    documents: Source
    queries: Iterable[Query] | None
    queries_label: str
    queries_place: Place
    judgments: Iterable[Judgment]
    judgments_label: str
    judgments_place: Place
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def assemble(parts: Parts, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The checked collection. Small files first, so that a fault in them is told before a large corpus is read."""
    if options.label_free:
        return _unjudged(parts, options, on_event)
    judgments = gather(parts.judgments, parts.judgments_label, parts.judgments_place)
    all_queries = list(parts.queries or ())
    check_queries(all_queries, parts.queries_label, parts.queries_place)
    queries, excluded = evaluated(all_queries, judgments, options, label=parts.queries_label, hint=parts.hint)
    corpus = read_corpus(_extended(parts.documents, options), on_event)
    qrels = to_rows(queries, judgments, corpus.documents.ids, options, label=parts.documents.label)
    excluded |= {
        reason: count
        for reason, count in (
            ("repeated_documents", corpus.collapsed),
            ("missing_documents", len(_missing(queries, judgments.by_query, qrels))),
        )
        if count
    }
    if options.strict:
        _refuse(excluded, corpus, queries)
    return Collection(
        name=parts.name,
        documents=corpus.documents,
        queries=queries,
        qrels=qrels,
        excluded=excluded,
        warnings=advice(corpus, queries, qrels),
        facts={
            **_facts(parts, corpus, queries, qrels),
            "judgments_digest": judgments_digest(queries, judgments.by_query),
            **parts.facts,
        },
    )


def _unjudged(parts: Parts, options: LoadOptions, on_event: OnEvent) -> Collection:
    """The collection without its judgments: every query, or documents in their place."""
    asked = None if parts.queries is None else every_query(parts.queries, parts.queries_label, parts.queries_place)
    corpus = read_corpus(_extended(parts.documents, options), on_event)
    queries, drawn = (asked, None) if asked is not None else draw_documents(corpus, parts.documents.label)
    excluded = {"repeated_documents": corpus.collapsed} if corpus.collapsed else {}
    if options.strict:
        _refuse(excluded, corpus, queries)
    qrels = no_judgments(len(queries))
    return Collection(
        name=parts.name,
        documents=corpus.documents,
        queries=queries,
        qrels=qrels,
        excluded=excluded,
        warnings=advice(corpus, queries, qrels) if drawn is None else (documents_ask(len(queries)), *document_advice(corpus)),
        facts={
            **_facts(parts, corpus, queries, qrels),
            "judgments_digest": judgments_digest(queries, {name: {} for name in queries.ids}),
            **parts.facts,
            "queries_are": "queries" if drawn is None else "documents",
        },
        query_rows=drawn,
    )


def _extended(documents: Source, options: LoadOptions) -> Source:
    if options.distractors is None:
        return documents
    return Extended(documents, FileSource.of(options.distractors, max_line_bytes=options.max_line_bytes))


def judgments_digest(queries: Queries, by_query: Mapping[str, Mapping[str, int]]) -> str:
    """Of what was asked and judged (ids, texts, grades), whatever the order: equal digests mean comparable figures."""
    digest = hashlib.blake2b(digest_size=16)
    for row in sorted(range(len(queries)), key=queries.ids.__getitem__):
        judged = sorted(by_query[queries.ids[row]].items())
        digest.update(json.dumps([queries.ids[row], queries.texts[row], judged]).encode("ascii"))
    return digest.hexdigest()


def _missing(queries: Queries, by_query: Mapping[str, Mapping[str, int]], qrels: Qrels) -> set[str]:
    judged: Sequence[str] = [document for query in queries.ids for document in sorted(by_query[query])]
    return {judged[i] for i in np.flatnonzero(qrels.rows == Qrels.MISSING).tolist()}


def _facts(parts: Parts, corpus: Corpus, queries: Queries, qrels: Qrels) -> dict[str, Any]:
    return {
        "source": parts.source,
        "split": parts.split,
        "documents": len(corpus.documents),
        "document_characters": corpus.characters,
        "queries": len(queries),
        "judgments": len(qrels.rows),
        "relevant": int((qrels.grades > 0).sum()),
    }


def _refuse(excluded: Mapping[str, int], corpus: Corpus, queries: Queries) -> None:
    """Strict: nothing is set aside but the queries of other splits."""
    faults = {reason: count for reason, count in excluded.items() if reason != "queries_without_judgments"}
    empty_queries = sum(not text.strip() for text in queries.texts)
    faults |= {"documents_without_text": len(corpus.empty)} if len(corpus.empty) else {}
    faults |= {"queries_without_text": empty_queries} if empty_queries else {}
    if faults:
        found = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in faults.items())
        raise InputError(
            f"strict: {found}", "mend the collection, or leave strict mode to go on with these counted in the report"
        )


_BEHIND: Final = 2**62
"""Positions from here on lie in the second source; no file is that long."""


@dataclass(frozen=True, slots=True)
class Extended:
    """A `Source` of one source's documents and then another's."""

    first: Source
    second: Source

    @property
    def label(self) -> str:
        return f"{self.first.label} and {self.second.label}"

    @property
    def seeks(self) -> bool:
        return self.first.seeks and self.second.seeks

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        if position < _BEHIND:
            yield from self.first.scan(position)
        for place, document in self.second.scan(max(0, position - _BEHIND)):
            yield place + _BEHIND, document

    def place(self, position: int) -> str:
        return self.first.place(position) if position < _BEHIND else self.second.place(position - _BEHIND)
