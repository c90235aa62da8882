"""What a collection holds, for `check`: sizes, judgments per query, gaps, text lengths, fields that queries can be sliced by."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.decision.queries_needed import strictest_share, strictest_words
from mrl_sweep.decision.units import cluster_labels, count_units
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.types import Advice, Collection, Qrels
from mrl_sweep.words import printable, share_of

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, as the model counts them."""

_BATCH: Final = 1024
_SHOWN_VALUES: Final = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity is distributed; at most 5% of the values are above `p95`."""

    least: int
    median: float
    mean: float
    p95: int
    most: int

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Spread:
        """Of one or more values."""
        array = np.asarray(values, dtype=np.int64)
        p95 = int(np.quantile(array, 0.95, method="inverted_cdf"))
        return cls(int(array.min()), float(np.median(array)), float(array.mean()), p95, int(array.max()))

    def __str__(self) -> str:
        return f"{self.least:,} to {self.most:,}, median {self.median:,.0f}, mean {self.mean:,.1f}, 95% up to {self.p95:,}"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of texts, in characters, and in tokens where a model counts them; `truncated` texts are above its maximum."""

    characters: Spread
    tokens: Spread | None = None
    truncated: int | None = None


@dataclass(frozen=True, slots=True)
class SliceField:
    """A field of the queries' metadata: how many queries have each value (the 20 most frequent), how many have none."""

    name: str
    values: Mapping[str, int]
    distinct: int
    without: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A collection in figures; `missing` judgments are of documents that are not in the corpus."""

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
        """For JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """What and how much, for people, in order."""
        graded = ", ".join(f"{count:,} x {grade}" for grade, count in self.grades.items())
        rows = [
            ("documents", f"{self.documents:,}"),
            ("characters a document", str(self.document_lengths.characters)),
            *_token_rows("document", self.document_lengths, self.documents),
            ("queries", f"{self.queries:,}"),
            ("characters a query", str(self.query_lengths.characters)),
            *_token_rows("query", self.query_lengths, self.queries),
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
    count_tokens: CountTokens | None = None,
    max_tokens: int | None = None,
    cluster: str | None = None,
    alpha: float = 0.05,
    on_event: OnEvent = ignore,
) -> Description:
    """Reads every text once. `count_tokens` and `max_tokens` are the model's, where the lengths it will cut are wanted.

    `cluster` names the field whose values make one unit of evidence, `alpha` the error level of what the units could prove.
    """
    qrels, queries = collection.qrels, collection.queries
    units = count_units(cluster_labels(queries.metadata, cluster)) if cluster else len(queries)
    noun = "queries" if collection.label_free else "judged queries"
    relevant = np.bincount(qrels.queries, qrels.grades > 0, minlength=len(queries))
    lengths = getattr(collection.documents, "lengths", None)  # loaders have read every text once already
    if lengths is not None and count_tokens is None:
        documents = Lengths(Spread.of(lengths))
        on_event(Progress("checking", len(lengths), len(lengths), "documents"))
    else:
        documents = _lengths(collection.documents.texts(), len(collection.documents), count_tokens, max_tokens, on_event)
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
        query_lengths=_lengths(iter(queries.texts), len(queries), count_tokens, max_tokens, ignore),
        slices=slice_fields(queries.metadata),
        excluded=dict(collection.excluded),
        warnings=collection.warnings,
        facts=dict(collection.facts),
        units=units,
        strictest_share=strictest_share(units, alpha=alpha),
        provable=strictest_words(units, noun=f"clusters of {noun}" if cluster else noun, alpha=alpha),
    )


def slice_fields(metadata: Sequence[Mapping[str, Any]]) -> tuple[SliceField, ...]:
    """Every field that some query has, by name; values that are no plain text are shown as JSON."""
    names = sorted({name for fields in metadata for name in fields})
    fields = []
    for name in names:
        values = Counter(_shown(fields[name]) for fields in metadata if fields.get(name) is not None)
        top = dict(sorted(values.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_VALUES])
        fields.append(SliceField(name, top, len(values), len(metadata) - values.total()))
    return tuple(fields)


def _lengths(
    texts: Iterator[str], total: int, count_tokens: CountTokens | None, max_tokens: int | None, on_event: OnEvent
) -> Lengths:
    characters = np.empty(total, np.int64)
    tokens = np.empty(total, np.int64)
    done = 0
    while batch := list(islice(texts, _BATCH)):
        characters[done : done + len(batch)] = [len(text) for text in batch]
        if count_tokens is not None:
            tokens[done : done + len(batch)] = count_tokens(batch)
        done += len(batch)
        on_event(Progress("checking", done, total, "documents"))
    if count_tokens is None:
        return Lengths(Spread.of(characters))
    truncated = int((tokens > max_tokens).sum()) if max_tokens is not None else None
    return Lengths(Spread.of(characters), Spread.of(tokens), truncated)


def _token_rows(noun: str, lengths: Lengths, total: int) -> list[tuple[str, str]]:
    if lengths.tokens is None:
        return []
    cut = (
        ""
        if lengths.truncated is None
        else f"; {lengths.truncated:,} ({share_of(lengths.truncated, total)}) longer than the model reads"
    )
    return [(f"tokens a {noun}", f"{lengths.tokens}{cut}")]


def _values(field: SliceField) -> str:
    shown = ", ".join(f"{printable(value, 40)} {count:,}" for value, count in list(field.values.items())[:6])
    more = f" and {field.distinct - 6:,} more values" if field.distinct > 6 else ""
    return f"{shown}{more}" + (f"; {field.without:,} queries without" if field.without else "")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
