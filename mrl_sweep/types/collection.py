"""A corpus, its queries and their judgments, with ids turned into rows once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from mrl_sweep.record import record
from mrl_sweep.types.common import Advice, IntArray


@record
class FileRows:
    """Where the rows that were kept stood in their file: (n,) `rows`, ascending, of the `count` records the file holds.

    Vectors made elsewhere lie in file order, also for duplicates that were collapsed and queries that are not evaluated.
    """

    rows: IntArray = field(compare=False)
    count: int


class Documents(Protocol):
    """The corpus: ids in memory, texts read when asked for, so that a corpus may be larger than memory."""

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def file_rows(self) -> FileRows | None:
        """Where the documents stood in the corpus file; None where every record of the file is a document, in order."""
        ...

    def __len__(self) -> int: ...

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yields the documents' full texts (title, one space, text, stripped) of rows start to stop, in order."""
        ...

    def titles(self, rows: Sequence[int]) -> list[str]:
        """Returns a short name of each document: its title, or the beginning of its text; one line each."""
        ...

    def excerpts(self, rows: Sequence[int]) -> list[str]:
        """Returns the beginnings of these documents' full texts, one line each."""
        ...


@record
class Queries:
    """The queries that are evaluated, in file order; `metadata[i]` holds the fields of query i that slices use."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    metadata: tuple[Mapping[str, Any], ...]
    file_rows: FileRows | None = None
    """Where the queries stood in their file; None where every record of the file is evaluated, in order."""

    def __len__(self) -> int:
        return len(self.ids)


@record
class Qrels:
    """Judgments by query: those of query q lie at offsets[q]:offsets[q + 1].

    `offsets` are (n_queries + 1,), `rows` and `grades` (n_pairs,), all int64. `rows` are document rows, or MISSING for a judged
    document that is not in the corpus (it still counts in R); every judgment is kept, also grades <= 0.
    """

    offsets: IntArray
    rows: IntArray
    grades: IntArray

    MISSING = -1

    @property
    def n_queries(self) -> int:
        return len(self.offsets) - 1

    @property
    def queries(self) -> IntArray:
        """(n_pairs,) int64, the query row of each judgment."""
        import numpy as np

        return np.repeat(np.arange(self.n_queries), np.diff(self.offsets))


@record
class Collection:
    """A corpus, its judged queries and their judgments, checked, with ids turned into rows once.

    `excluded` counts what was set aside, by reason; `warnings` say what a person should know; `facts` (JSON-able) go
    into the report's manifest.
    """

    name: str
    documents: Documents
    queries: Queries
    qrels: Qrels
    excluded: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[Advice, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    query_rows: IntArray | None = None
    """(n_queries,) where documents serve as queries: the row of each, which its own results leave out. None: real queries."""

    @property
    def label_free(self) -> bool:
        """Whether the collection was read without judgments; a judged one has at least one."""
        return not len(self.qrels.rows)


class MissingDocs(StrEnum):
    """What to do with a judged document that the corpus lacks: refuse it, or keep it in R as one that no search can find."""

    ERROR = "error"
    COUNT = "count"


class NoRelevant(StrEnum):
    """What to do with a query whose judgments are all <= 0: set it aside and count it, or keep it with 0, as trec_eval does."""

    EXCLUDE = "exclude"
    ZERO = "zero"
