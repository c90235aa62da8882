"""Description of a collection, for `check`: what it holds, and advice that a person should read before trusting a figure.

Sizes, judgments per query, gaps, text lengths, fields that queries can be sliced by; then the advice: queries that are
documents, copies, empty texts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.collection.queries import half_characters
from mrl_sweep.collection.reading.documents import Corpus
from mrl_sweep.decision.queries_needed import strictest_share, strictest_words
from mrl_sweep.decision.units import cluster_labels, count_units
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.files.ids import is_among
from mrl_sweep.record import record
from mrl_sweep.types import Advice, Collection, IntArray, Qrels, Queries, distinct
from mrl_sweep.words import first_offenders, plural, printable, queries_of, share_of

_BATCH: Final = 1024
_SHOWN_VALUES: Final = 20


@record
class Spread:
    """Says how a quantity is distributed: at most 5% of the values are above `p95`."""

    least: int
    median: float
    mean: float
    p95: int
    most: int

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Spread:
        """Returns the spread of one or more values."""
        array = np.asarray(values, dtype=np.int64)
        p95 = int(np.quantile(array, 0.95, method="inverted_cdf"))
        return cls(int(array.min()), float(np.median(array)), float(array.mean()), p95, int(array.max()))

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,}, median {self.median:,.0f}, mean {self.mean:,.1f}, 95% up to {self.p95:,}"


@record
class Lengths:
    """Holds the spread of texts' lengths, in characters."""

    characters: Spread


@record
class SliceField:
    """Counts a field of the queries' metadata: queries with each value (the 20 most frequent), and those without one."""

    name: str
    values: Mapping[str, int]
    distinct: int
    without: int


@record(kw_only=True)
class Description:
    """Describes a collection in figures; `missing` judgments are of documents that are not in the corpus."""

    name: str
    documents: int
    queries: int
    judgments: int
    relevant: int
    missing: int
    grades: Mapping[int, int]
    judgments_per_query: Spread
    relevant_per_query: Spread
    document_lengths: Lengths
    query_lengths: Lengths
    slices: tuple[SliceField, ...]
    excluded: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[Advice, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    units: int = 0
    strictest_share: float | None = None
    """The largest share that so many `units` of evidence (queries, or clusters of them) could prove; None: they prove nothing."""

    provable: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the description as a dict that JSON can hold."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Returns (name, figure) pairs in words, in the order in which `check` shows them."""
        graded = ", ".join(f"{count:,} x {grade}" for grade, count in self.grades.items())
        rows = [
            ("documents", f"{self.documents:,}"),
            ("characters a document", str(self.document_lengths.characters)),
            ("queries", f"{self.queries:,}"),
            ("characters a query", str(self.query_lengths.characters)),
        ]
        if self.judgments:
            rows += [
                ("judgments", f"{self.judgments:,} (grades: {graded})"),
                ("judgments a query", str(self.judgments_per_query)),
                ("relevant a query", str(self.relevant_per_query)),
                ("judged but missing", f"{self.missing:,} ({share_of(self.missing, self.judgments)})"),
            ]
        else:
            rows.append(("judgments", "none: read label-free"))
        if self.provable:
            rows.append(("provable", self.provable))
        rows += [(reason.replace("_", " "), f"{count:,} set aside") for reason, count in self.excluded.items()]
        return rows + [(f"slice {printable(field.name, 40)}", _values(field)) for field in self.slices]


def describe(
    collection: Collection,
    *,
    cluster: str | None = None,
    alpha: float = 0.05,
    on_event: OnEvent = ignore,
) -> Description:
    """Describes a collection; every text is read once for it, unless its loader counted the characters.

    `cluster` names the field whose values make one unit of evidence, `alpha` the error level of what the units could prove.
    """
    qrels, queries = collection.qrels, collection.queries
    units = count_units(cluster_labels(queries.metadata, cluster)) if cluster else len(queries)
    relevant = np.bincount(qrels.queries, qrels.grades > 0, minlength=len(queries))
    lengths = getattr(collection.documents, "lengths", None)  # loaders have read every text once already
    if lengths is not None:
        documents = Lengths(Spread.of(lengths))
        on_event(Progress("checking", len(lengths), len(lengths), "documents"))
    else:
        documents = _lengths(collection.documents.texts(), len(collection.documents), on_event)
    return Description(
        name=collection.name,
        documents=len(collection.documents),
        queries=len(queries),
        judgments=len(qrels.rows),
        relevant=int(relevant.sum()),
        missing=int((qrels.rows == Qrels.MISSING).sum()),
        grades=dict(sorted(Counter(qrels.grades.tolist()).items(), reverse=True)),
        judgments_per_query=Spread.of(np.diff(qrels.offsets)),
        relevant_per_query=Spread.of(relevant),
        document_lengths=documents,
        query_lengths=_lengths(iter(queries.texts), len(queries), ignore),
        slices=slice_fields(queries.metadata),
        excluded=dict(collection.excluded),
        warnings=collection.warnings,
        facts=dict(collection.facts),
        units=units,
        strictest_share=strictest_share(units, alpha=alpha),
        provable=strictest_words(units, noun=queries_of(collection, clustered=bool(cluster)), alpha=alpha),
    )


def slice_fields(metadata: Sequence[Mapping[str, Any]]) -> tuple[SliceField, ...]:
    """Counts every field that some query has, by name; values that are no plain text are shown as JSON."""
    names = sorted({name for fields in metadata for name in fields})
    fields = []
    for name in names:
        values = Counter(_shown(fields[name]) for fields in metadata if fields.get(name) is not None)
        top = dict(sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_VALUES])
        fields.append(SliceField(name, top, len(values), len(metadata) - values.total()))
    return tuple(fields)


def _lengths(texts: Iterator[str], total: int, on_event: OnEvent) -> Lengths:
    """Reads so many texts and returns how long they are."""
    characters, done = np.empty(total, np.int64), 0
    while batch := list(islice(texts, _BATCH)):
        characters[done : done + len(batch)] = [len(text) for text in batch]
        done += len(batch)
        on_event(Progress("checking", done, total, "documents"))
    return Lengths(Spread.of(characters))


def _values(field: SliceField) -> str:
    shown = ", ".join(f"{printable(value, 40)} {count:,}" for value, count in list(field.values.items())[:6])
    more = f" and {field.distinct - 6:,} more values" if field.distinct > 6 else ""
    return f"{shown}{more}" + (f"; {plural(field.without, 'query', 'queries')} without" if field.without else "")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_COMMON: Final = 0.1
_COMPARED: Final = 200


def advice(corpus: Corpus, queries: Queries, qrels: Qrels) -> tuple[Advice, ...]:
    """Returns all advice that applies, most consequential first."""
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
    """Returns the advice on the documents alone."""
    return tuple(remark for remark in (_empty_documents(corpus), _half_documents(corpus)) if remark is not None)


def _own_documents(corpus: Corpus, queries: Queries) -> Advice | None:
    """Warns where query ids are document ids, and says whether their texts agree, by comparing some of them."""
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
    """Warns of documents with the very text of a relevant one but no judgment of its query: finding them counts as a miss."""
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
    for query in distinct(queries[has_copy]).tolist():
        judged[query] = set(qrels.rows[qrels.offsets[query] : qrels.offsets[query + 1]].tolist())
    copies: dict[int, None] = {}
    for query, row in zip(queries[has_copy].tolist(), rows[has_copy].tolist(), strict=True):
        copies |= {other: None for other in by_text.get(int(texts[row]), ()) if other not in judged[query]}
    if not copies:
        return None
    names = _names(corpus, list(copies))
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
    return Advice(
        "empty-documents",
        plural(len(corpus.empty), "document has", "documents have") + f" no text: {_names(corpus, corpus.empty)}",
        "they cannot be found by what they say; a static model makes zero vectors of them",
    )


def _half_documents(corpus: Corpus) -> Advice | None:
    if not len(corpus.halves):
        return None
    return half_characters(len(corpus.halves), "document holds", "documents hold", _names(corpus, corpus.halves))


def _names(corpus: Corpus, rows: Sequence[int] | IntArray) -> str:
    """The first of these documents by their ids, for a message."""
    return first_offenders([printable(name) for name in corpus.documents.ids.take(rows[:5])], len(rows))


def _empty_queries(queries: Queries) -> Advice | None:
    empty = [query for query, text in zip(queries.ids, queries.texts, strict=True) if not text.strip()]
    if not empty:
        return None
    names = first_offenders([printable(query) for query in empty])
    return Advice(
        "empty-queries",
        plural(len(empty), "query has", "queries have") + f" no text: {names}",
        "without a text nothing can be found, at any size; mend or remove it",
    )
