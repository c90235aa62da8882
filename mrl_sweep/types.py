"""The data that passes between the rooms: frozen dataclasses over numpy arrays, rows instead of ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from mrl_sweep.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]
    Float32Array = npt.NDArray[np.float32]
    BoolArray = npt.NDArray[np.bool_]
else:  # annotations only: the table of settings names these types' neighbours, and `--help` does without numpy
    IntArray = FloatArray = Float32Array = BoolArray = Any

SEED: Final = 0
"""Of everything that is drawn at random: the same inputs give the same report."""

NOT_RETRIEVED: Final = 2**31 - 1
"""The value of `above` for a judged document that was not returned: behind every cut-off, and safe to add to in int64."""

EXACT: Final = "exact"
"""The `Configuration.index` of an exhaustive search."""

FLAT: Final = "Flat"
"""The `Configuration.index` of FAISS's own exhaustive search over unaltered vectors: the same ranks, its own bytes and speed."""


AGREEMENT: Final = "Agreement"
"""The name of the one measure that needs no judgments: the share of the full size's first documents that come back."""


class Basis(StrEnum):
    """Which axes a candidate cuts: the model's own, or a control's."""

    PREFIX = "prefix"
    PCA = "pca"
    RANDOM = "random"


class Similarity(StrEnum):
    COSINE = "cosine"
    DOT = "dot"


@dataclass(frozen=True, slots=True, order=True)
class Measure:
    """A ranking measure as the field writes it: `nDCG@10`, `R@100`, `RR`, `AP(rel=2)@100`; or `Agreement@10` with full size.

    `cutoff` None means the whole ranking; `rel` is the lowest grade that counts as relevant (nDCG ignores it).
    """

    name: str
    cutoff: int | None = None
    rel: int = 1

    @property
    def label_free(self) -> bool:
        """Whether it compares rankings with that of full size, and so says nothing about their quality."""
        return self.name == AGREEMENT

    def __str__(self) -> str:
        rel = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.name}{rel}" + (f"@{self.cutoff}" if self.cutoff is not None else "")


FLOAT32: Final = "float32"
"""The `Configuration.precision` of numbers kept as the model gave them."""


@dataclass(frozen=True, slots=True, order=True)
class Configuration:
    """One thing that could be shipped: these axes, this many of them, kept at this precision, searched so, ordered again so.

    Written `512`, `512:binary`, `256:int8:HNSW32`, `pca:48:int8`, `512:binary:exact:rescore=4x`; `str` and `parse` are
    inverse. `index` is `exact` or a FAISS structure. `rescore` is empty; or `4x`, four documents for each that is wanted, ordered
    again by the full vectors; or `4x@768`, by their first 768 numbers; or `200@768`, always 200 documents.
    """

    basis: str
    dim: int
    index: str = EXACT
    precision: str = FLOAT32
    rescore: str = ""

    def __str__(self) -> str:
        words = [] if self.basis == Basis.PREFIX else [self.basis]
        words.append(str(self.dim))
        if (self.precision, self.index, self.rescore) != (FLOAT32, EXACT, ""):
            words.append(self.precision)
        if self.index != EXACT or self.rescore:
            words.append(self.index)
        if self.rescore:
            words.append(f"rescore={self.rescore}")
        return ":".join(words)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The configuration as written; also `prefix:256:exact`, as earlier runs wrote it. Raises ValueError on other text."""
        words = text.split(":")
        rescore = words.pop().removeprefix("rescore=") if words[-1].startswith("rescore=") else ""
        named = words[0].partition("-")[0] in list(Basis)  # `random-1` is the second draw of a control
        basis = words.pop(0) if named and len(words) > 1 else str(Basis.PREFIX)
        dim, *rest = words
        precision = rest.pop(0) if rest and rest[0] != EXACT else FLOAT32
        if not dim.isdecimal() or int(dim) < 1:
            raise ValueError(f"{text!r} is no configuration: {dim!r} is no number of dimensions")
        return cls(basis, int(dim), ":".join(rest) or EXACT, precision, rescore)

    @classmethod
    def read(cls, basis: str, dim: int, index: str, precision: str = FLOAT32, rescore: str = "") -> Self:
        """From the fields of a file; schema 1 wrote 200 documents found at 64 and ordered again at 768 as index `64:200:768`."""
        funnel = re.fullmatch(r"(\d+):(\d+):(\d+)", index)
        if funnel is None:
            return cls(basis, dim, index, precision, rescore)
        return cls(basis, int(funnel[1]), EXACT, precision, f"{funnel[2]}@{funnel[3]}")

    @classmethod
    def exact_prefix(cls, dim: int) -> Self:
        """The model's own first `dim` numbers as they are, searched exhaustively: one size of the ladder."""
        return cls(str(Basis.PREFIX), dim)

    @property
    def is_exact(self) -> bool:
        """Whether all codes are scored, and nothing is ordered again: its ranks are exact."""
        return self.index == EXACT and not self.rescore

    @property
    def is_exact_prefix(self) -> bool:
        """Whether it is the model's vector cut to this size and nothing else."""
        return self == self.exact_prefix(self.dim)

    @property
    def exact(self) -> Self:
        """The same codes, scored exhaustively: what an index is held against to tell its loss from theirs."""
        return replace(self, index=EXACT, rescore="")

    @property
    def at_float32(self) -> Self:
        """The same axes and size, exhaustive and uncoded: what a code is held against to tell its loss from the cut's."""
        return replace(self.exact, precision=FLOAT32)

    @property
    def family(self) -> Self:
        """What it shares with its other sizes: itself without a size (`dim` 0). One ladder is walked for each family."""
        return replace(self, dim=0)


def exact_prefixes(configurations: Iterable[Configuration]) -> tuple[Configuration, ...]:
    """The model's own sizes at float32, searched exhaustively, from the largest down."""
    return tuple(sorted((c for c in configurations if c.is_exact_prefix), key=lambda c: -c.dim))


def full_size(configurations: Iterable[Configuration]) -> Configuration:
    """The largest exact prefix, with which everything is compared. Raises InputError where none was ranked."""
    sizes = exact_prefixes(configurations)
    if not sizes:
        raise InputError(
            "no exact prefix was ranked, so there is no full size to compare with", "measure the full size too: --dims auto"
        )
    return sizes[0]


# --- Collection -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
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
        """The documents' full texts (title, one space, text, stripped) of rows start to stop, in order."""
        ...

    def titles(self, rows: Sequence[int]) -> list[str]:
        """What a person would call these documents: the title, or the beginning of the text; one line each."""
        ...


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries that are evaluated, in file order; `metadata[i]` holds the fields of query i that slices use."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    metadata: tuple[Mapping[str, Any], ...]
    file_rows: FileRows | None = None
    """Where they stood in the queries' file; None where every record of the file is evaluated, in order."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Qrels:
    """Judgments by query: those of query q lie at offsets[q]:offsets[q + 1].

    `rows` are document rows, or MISSING for a judged document that is not in the corpus (it still counts in R);
    `grades` are int64, every judgment kept, also those <= 0.
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
        """(n_pairs,) the query row of each judgment."""
        import numpy as np

        return np.repeat(np.arange(self.n_queries), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
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
        """Whether it was read without judgments; a judged collection has at least one."""
        return not len(self.qrels.rows)


@dataclass(frozen=True, slots=True)
class Advice:
    """Something the report says unasked: a stable `code`, a sentence, and what to do about it."""

    code: str
    message: str
    hint: str = ""


class MissingDocs(StrEnum):
    """A judged document that is not in the corpus: refuse, or keep it in R as one that no search can find."""

    ERROR = "error"
    COUNT = "count"


class NoRelevant(StrEnum):
    """A query whose judgments are all <= 0: set aside and counted, or kept as trec_eval keeps it, with the value 0."""

    EXCLUDE = "exclude"
    ZERO = "zero"


# --- Embeddings -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vectors:
    """Full-size rows in one or more (memory-mapped) arrays of float32 or float16, read block by block.

    Row i of the corpus is row `order[i]` of the concatenated parts; `order` None means they already lie in order.
    """

    parts: tuple[npt.NDArray[Any], ...]
    order: IntArray | None = None

    @property
    def dim(self) -> int:
        return int(self.parts[0].shape[1])

    def __len__(self) -> int:
        return len(self.order) if self.order is not None else sum(len(part) for part in self.parts)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.dim

    def read(self, start: int, stop: int) -> Float32Array:
        """(stop - start, dim) C-contiguous float32; a view where the rows lie so on disk, else a copy. Never write into it."""
        import numpy as np

        if self.order is None:
            return self._slice(start, stop)
        wanted = self.order[start:stop]
        if len(wanted) and wanted[-1] - wanted[0] == len(wanted) - 1 and (np.diff(wanted) == 1).all():
            return self._slice(int(wanted[0]), int(wanted[-1]) + 1)
        return self._gather(wanted)

    def take(self, rows: npt.ArrayLike) -> Float32Array:
        """(len(rows), dim) float32: the corpus rows asked for, in that order."""
        import numpy as np

        wanted = np.asarray(rows, dtype=np.int64)
        return self._gather(wanted if self.order is None else self.order[wanted])

    def _slice(self, start: int, stop: int) -> Float32Array:
        import numpy as np

        pieces, begin = [], 0
        for part in self.parts:
            if start < begin + len(part) and begin < stop:
                pieces.append(part[max(start - begin, 0) : stop - begin])
            begin += len(part)
        return _float32(np.concatenate(pieces) if len(pieces) > 1 else pieces[0] if pieces else self.parts[0][:0])

    def _gather(self, wanted: IntArray) -> Float32Array:
        import numpy as np

        out = np.empty((len(wanted), self.dim), np.float32)
        start = 0
        for part in self.parts:
            here = np.flatnonzero((wanted >= start) & (wanted < start + len(part)))
            if len(here):
                out[here] = part[wanted[here] - start]
            start += len(part)
        return out


def _float32(rows: npt.NDArray[Any]) -> Float32Array:
    import numpy as np

    return np.ascontiguousarray(rows, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Full-size vectors of the documents and of the evaluated queries, and what is known of the model that made them.

    `model` (JSON-able) goes into the report's manifest: provider, name, revision or digest, prompts, full size, dtype …
    `trained_dims` are the sizes the model was trained to be cut at, empty where that is unknown.
    """

    documents: Vectors
    queries: Float32Array
    trained_dims: tuple[int, ...] = ()
    model: Mapping[str, Any] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[Advice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of an opened model; kept in the store, so that a run that embeds nothing need not open it.

    `details` (JSON-able) go into the report's manifest as they are.
    """

    dim: int
    max_length: int | None = None
    similarity: str | None = None
    trained_dims: tuple[int, ...] = ()
    warnings: tuple[Advice, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises TypeError, KeyError or ValueError on anything else."""
        values = dict(document)
        values["trained_dims"] = tuple(int(dim) for dim in values["trained_dims"])
        values["warnings"] = tuple(Advice(**advice) for advice in values["warnings"])
        return cls(**{**values, "dim": int(values["dim"])})


# --- Ranks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TopDocuments:
    """What a search returns: the best documents of each query, best first.

    `rows` (n_candidates, n_queries, depth) int64, -1 where there are fewer; `scores` float32 alike, -inf there.
    """

    rows: IntArray
    scores: Float32Array

    @property
    def depth(self) -> int:
        return int(self.rows.shape[2])


@dataclass(frozen=True, slots=True)
class Ranks:
    """The heart: where each judged document stands among all documents, at each candidate.

    For each candidate and each judgment of `Qrels` (same order): `above` is how many documents score strictly higher,
    `tied` how many others score the same (both (n_candidates, n_pairs) int64). A judged document that is missing from the
    corpus, excluded as the query itself, or not returned by an index has `above` = NOT_RETRIEVED and `tied` = 0.
    `top` holds the first documents of every ranking, from which agreement with full size follows. `zero_prefixes`
    (n_candidates,) int64 counts the documents that have no direction left at a candidate's size.
    """

    candidates: tuple[Configuration, ...]
    n_documents: int
    above: IntArray
    tied: IntArray
    top: TopDocuments | None = None
    zero_prefixes: IntArray | None = None


# --- Scores -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scores:
    """Every measure of every query at every candidate.

    `values` (n_candidates, n_measures, n_queries) float64; `counted` (n_measures, n_queries) is False for queries without a
    relevant judgment under that measure: their value is 0 and no mean may include them.
    """

    candidates: tuple[Configuration, ...]
    measures: tuple[Measure, ...]
    values: FloatArray
    counted: BoolArray

    def of(self, candidate: Configuration, measure: Measure) -> FloatArray:
        """(n_counted,) the values of the counted queries, in query order."""
        m = self.measures.index(measure)
        values: FloatArray = self.values[self.candidates.index(candidate), m, self.counted[m]]
        return values


class Format(StrEnum):
    """What a report can be turned into."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    GITHUB = "github"
    JUNIT = "junit"
    SHIP = "ship"


# --- Verdict ----------------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What the data say of one candidate."""

    BASELINE = "baseline"
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not_tested"


class Status(StrEnum):
    """What the data say of the question asked."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measure at one candidate against full size, paired by query.

    `kept` is the share of the full size's mean, `at_least` and `at_most` its one-sided confidence limits at level alpha each;
    None where the share is undefined. `provable_loss` is the smallest true loss (as a share) that this query set could have
    told from the margin with 80% power; `queries_needed` how many judged queries would settle an inconclusive case.
    """

    mean: float
    kept: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    lost: int | None = None
    gained: int | None = None
    unchanged: int | None = None
    provable_loss: float | None = None
    queries_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One candidate judged: its outcome, the evidence per measure, and the reason in words where it needs one."""

    candidate: Configuration
    outcome: Outcome
    evidence: Mapping[Measure, Evidence]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: the smallest acceptable dimension under the rule in force, and both readings of the evidence.

    `n_clusters` is how many units of evidence the queries make where they are clustered, else None: each is one.
    """

    status: Status
    dimension: int
    proven: int | None
    measured: int | None
    measure: Measure
    retain: float
    alpha: float
    decide_by: str
    judgements: tuple[Judgement, ...]
    n_queries: int
    n_clusters: int | None = None

    @property
    def n_units(self) -> int:
        """How many units of evidence there are: clusters, or queries."""
        return self.n_queries if self.n_clusters is None else self.n_clusters
