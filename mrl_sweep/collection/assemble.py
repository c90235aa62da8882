"""Documents, queries and judgments of any layout put together into one checked `Collection`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from mrl_sweep.collection.describe import advice, document_advice
from mrl_sweep.collection.judgments import LoadOptions, evaluated, gather, judgments_digest, no_judgments, table_of, to_rows
from mrl_sweep.collection.queries import checked_queries, documents_as_queries, draw_documents
from mrl_sweep.collection.reading.documents import Corpus, read_corpus
from mrl_sweep.collection.reading.qrels import JudgmentColumns
from mrl_sweep.collection.reading.records import Query, Source
from mrl_sweep.collection.reading.text_sources import FileSource, Joined
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.record import record
from mrl_sweep.types import Advice, Collection, IntArray, Qrels, Queries, distinct
from mrl_sweep.words import counted, first_offenders, printable

Place = Callable[[int], str]


@record(kw_only=True)
class Parts:
    """Holds what a loader reads. Labels name files in messages; `*_place` turn a line or row number into `file:line`.

    `queries` is None where there are none, which only a label-free reading accepts; that reading never looks at `judgments`.

    `facts` holds the loader's own (files, sizes); `hint` says what to try when judged queries are unknown (another split?).
    """

    name: str
    source: str
    split: str
    documents: Source
    queries: Iterable[Query] | None
    queries_label: str
    queries_place: Place
    judgments: Iterable[JudgmentColumns]
    judgments_label: str
    judgments_place: Place
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def assemble(parts: Parts, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """Checks the parts and puts them together; label-free, every query counts, or documents serve as queries.

    Small files come first, so that a fault in them is reported before a large corpus is read. Raises InputError.
    """
    judgments = None if options.label_free else gather(parts.judgments, parts.judgments_label, parts.judgments_place)
    checked: list[Query] = []
    remarks: tuple[Advice, ...] = ()
    excluded: dict[str, int] = {}
    if parts.queries is not None:
        checked, remarks = checked_queries(parts.queries, parts.queries_label, parts.queries_place, strict=options.strict)
    if judgments is None:
        queries = table_of(checked)
    else:
        queries, excluded = evaluated(checked, judgments, options, label=parts.queries_label, hint=parts.hint)
    corpus = _corpus(parts.documents, options, on_event)
    drawn: IntArray | None = None
    if parts.queries is None:
        queries, drawn = draw_documents(corpus, parts.documents.label)
    judged = no_judgments(queries) if judgments is None else judgments.of(queries.ids)
    qrels = to_rows(judged, corpus.documents.ids, options, label=parts.documents.label)
    set_aside = {
        "repeated_documents": corpus.collapsed,
        "missing_documents": len(distinct(judged.document[qrels.rows == Qrels.MISSING])),
    }
    excluded |= {reason: count for reason, count in set_aside.items() if count}
    if options.strict:
        _refuse(excluded, corpus, queries)
    noticed = advice(corpus, queries, qrels) if drawn is None else (documents_as_queries(len(queries)), *document_advice(corpus))
    return Collection(
        name=parts.name,
        documents=corpus.documents,
        queries=queries,
        qrels=qrels,
        excluded=excluded,
        warnings=(*noticed, *remarks),
        facts={
            "source": parts.source,
            "split": parts.split,
            "documents": len(corpus.documents),
            "document_characters": corpus.characters,
            "queries": len(queries),
            "judgments": len(qrels.rows),
            "relevant": int((qrels.grades > 0).sum()),
            "judgments_digest": judgments_digest(queries, judged),
            **parts.facts,
            **({"queries_are": "queries" if drawn is None else "documents"} if options.label_free else {}),
        },
        query_rows=drawn,
    )


def _corpus(documents: Source, options: LoadOptions, on_event: OnEvent) -> Corpus:
    """Reads the documents, and after them those that are searched but not judged."""
    if options.distractors is not None:
        files = documents.sources if isinstance(documents, Joined) else (documents,)
        documents = Joined((*files, FileSource.of(options.distractors, max_line_bytes=options.max_line_bytes)))
    return read_corpus(documents, on_event, held_characters=options.held_characters, mapped_bytes=options.mapped_bytes)


def _refuse(excluded: Mapping[str, int], corpus: Corpus, queries: Queries) -> None:
    """Refuses, where reading is strict, what was set aside (but for queries of other splits), and empty or broken texts."""
    reasons = [counted(count, reason) for reason, count in excluded.items() if reason != "queries_without_judgments"]
    empty = [printable(name) for name, text in zip(queries.ids, queries.texts, strict=True) if not text.strip()]
    named = (
        ("documents without text", _names(corpus, corpus.empty), len(corpus.empty)),
        ("documents with half a character", _names(corpus, corpus.halves), len(corpus.halves)),
        ("queries without text", empty, len(empty)),
    )
    reasons += [f"{counted(count, what)} ({first_offenders(names, count)})" for what, names, count in named if count]
    if reasons:
        raise InputError(
            f"strict: {', '.join(reasons)}", "mend the collection, or leave strict mode to go on with these counted in the report"
        )


def _names(corpus: Corpus, rows: IntArray) -> list[str]:
    return [printable(corpus.documents.ids[row]) for row in rows[:5].tolist()]
