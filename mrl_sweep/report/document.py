"""The Report: everything a run found, as one versioned document that every rendering reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.report.codec import decode, document, load_json
from mrl_sweep.types import EXACT, FLOAT32, Advice, Basis, Configuration, Evidence, Outcome, Scores

if TYPE_CHECKING:
    import pandas as pd

    from mrl_sweep.report.render.chart import Chart

SCHEMA_VERSION: Final = 2
READABLE: Final = (1, SCHEMA_VERSION)
"""A report of schema 1 has no precision and no rescoring, and judged the exact prefixes alone."""

NO_FAULT: Final = frozenset({"queries_without_judgments"})
"""What is left out by right, of `Report.excluded`: a folder's queries are those of all its splits, and one split is judged."""

_NOT_IN_DOCUMENT: Final = {"document": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """One configuration: what it keeps and what it costs. `verdict` is an `Outcome`; sizes in bytes, times in s or ms as named.

    `bytes_per_vector` lie in memory, `bytes_on_disk` also count the vectors by which a shortlist is ordered again.
    `queries_per_second` is with all `threads`, `queries_per_second_1` with one; latency is that of single queries on one.
    `build_s` contains `train_s`. `certified` is False for an index trained on fewer vectors than it needs: `reason` says so.
    `recall` is the share of the exact first ten that an index returns; `smaller` what it did over a sample of `docs` documents.
    """

    basis: str
    dim: int
    index: str
    verdict: str
    bytes_per_vector: int
    measures: Mapping[str, Evidence]
    reason: str = ""
    agreement: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None
    build_s: float | None = None
    latency_ms: Mapping[str, float | None] = field(default_factory=lambda: {"p50": None, "p99": None})
    queries_per_second: float | None = None
    queries_per_second_1: float | None = None
    threads: int | None = None
    train_s: float | None = None
    resident_bytes: int | None = None
    certified: bool = True
    precision: str = FLOAT32
    rescore: str = ""
    bytes_on_disk: int | None = None
    recall: float | None = None
    smaller: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration:
        return Configuration.read(self.basis, self.dim, self.index, self.precision, self.rescore)

    @property
    def acceptable(self) -> bool:
        """Whether it may be recommended: full size itself, or what was judged to keep the share of every required measure."""
        return self.verdict in (Outcome.BASELINE, Outcome.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """The queries whose `field` is `value`, at one size: what they keep, and what the other queries keep.

    `q_value` is how sure it is, after the search over all slices and sizes, that they keep less than the others. `verdict` is
    an `Outcome` against `retain`, the share asked of the slice, for a declared slice that was judged.
    """

    field: str
    value: str
    dim: int
    queries: int
    kept: float | None
    at_least: float | None
    at_most: float | None = None
    q_value: float | None = None
    kept_by_others: float | None = None
    declared: bool = False
    verdict: str | None = None
    retain: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallestRow:
    """The smallest size that is proven to keep `retain`, and the configuration of the fewest bytes that is."""

    retain: float
    dimension: int
    configuration: str
    bytes_per_vector: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """The proven cell of the grid of the fewest bytes at shares up to `retain`, down to the row before; empty: nothing is."""

    retain: float
    configuration: str
    bytes_per_vector: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """The answer and its evidence; `sentence` is the one a manager can act on, `required` all measures that had to pass.

    `configuration` is the acceptable one of the fewest bytes a vector, `dimension` the smallest acceptable size at float32.
    `smallest` says what other shares would have come to. `bytes_sentence` says of `configuration` what `sentence` says of the
    dimension, at an alpha of its own; `proven_configurations` are all that the paths through the grid prove.
    """

    dimension: int
    proven: int | None
    measured: int | None
    measure: str
    retain: float
    alpha: float
    decide_by: str
    kept: float | None
    at_least: float | None
    queries: int
    sentence: str
    required: tuple[str, ...] = ()
    configuration: str = ""
    bytes_per_vector: int | None = None
    bytes_on_disk: int | None = None
    smallest: tuple[SmallestRow, ...] = ()
    clusters: int | None = None
    """How many units of evidence the queries make under `--cluster`; None: each query is one."""
    bytes_sentence: str = ""
    proven_configurations: tuple[str, ...] = ()
    by_share: tuple[ShareRow, ...] = ()
    """What the grid of precisions comes to at any share from 80%; empty where no code was ranked."""
    by_default: bool = False
    """Whether nobody chose `retain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """What a gate asked of the run and what came of it; `exit_code` is what the process ends with, whatever the format."""

    question: str
    status: str
    exit_code: int
    dim: int
    sentence: str
    failures: tuple[str, ...] = ()
    configuration: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """A document as a person would call it, and its beginning; `grade` None where nobody judged it for this query."""

    id: str
    title: str
    grade: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallenRow:
    """A relevant document that stands lower than at full size; ranks from 1, the best of its ties; None: not returned."""

    id: str
    title: str
    grade: int
    rank_at_full: int | None
    rank: int | None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoserRow:
    """A query that loses much at size `dim`: its value before and after, what left its top documents and what came in.

    `fell` are the relevant documents that stand lower than at full size, the best of them first: why the value changed.
    """

    query_id: str
    text: str
    dim: int
    measure: str
    full: float
    value: float
    left: tuple[DocumentRow, ...] = ()
    came_in: tuple[DocumentRow, ...] = ()
    fell: tuple[FallenRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelShare:
    """What a funnel keeps of one measure: bounds from the ranks, the confidence limit of the lower one, the share as measured.

    Where it was measured, `at_least` is the limit of that.
    """

    kept_low: float | None = None
    kept_high: float | None = None
    at_least: float | None = None
    measured_kept: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelRow:
    """`shortlist` documents found at `small` dimensions, reranked at `large`: bounds from the ranks, figures where measured.

    `measures` holds every measure that must pass; `kept_low`, `kept_high`, `at_least` and `measured_kept` are those of `measure`,
    the first. `operations` are multiply-adds per query, `hot_bytes` what every query reads; `verdict` is an `Outcome` for all of
    them, `recommended` the cheapest that is proven. What is measured comes from a real two-stage index, `configuration` among
    the candidates.
    """

    small: int
    shortlist: int
    large: int
    measure: str
    kept_low: float | None
    kept_high: float | None
    at_least: float | None = None
    operations: int | None = None
    full_operations: int | None = None
    hot_bytes: int | None = None
    verdict: str = "not_tested"
    recommended: bool = False
    measured_kept: float | None = None
    latency_ms: Mapping[str, float | None] = field(default_factory=dict)
    configuration: str = ""
    measures: Mapping[str, FunnelShare] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionRow:
    """One size at a corpus of `documents`: the measure expected there, its band, and the share of full size at that corpus.

    `modelled` is False where the corpus is no larger than the one at hand, which is exact. `acceptable` is False where proven
    too low there, None where neither that nor the share is proven. `kept_low` and `kept_high` are the limits of `kept`.
    `holds_up_to` is the corpus size at which this dimension stops being acceptable, None where that lies beyond what is said.
    """

    dim: int
    measure: str
    documents: int
    value: float
    low: float | None = None
    high: float | None = None
    kept: float | None = None
    kept_low: float | None = None
    kept_high: float | None = None
    modelled: bool = True
    acceptable: bool | None = None
    holds_up_to: int | None = None
    configuration: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """The model's own prefix against random axes of the same number; all figures are shares of full size's mean.

    `low` and `high` are the limits of prefix less random. `answer` is `better`, `no better` (by `margin` or more), both proven,
    or `cannot tell`.
    """

    dim: int
    kept: float
    kept_by_random: float
    low: float | None
    high: float | None
    margin: float
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """The best acceptable configuration within a budget, `budget` being the budget in words.

    `within` counts those that were measured to be within it. Where none of them is acceptable, `configuration` is empty, `dim`
    and `quality` are None, and `reason` says why.
    """

    budget: str
    dim: int | None = None
    index: str = ""
    kept: float | None = None
    size_bytes: int | None = None
    p99_ms: float | None = None
    configuration: str = ""
    quality: float | None = None
    at_least: float | None = None
    acceptable: bool | None = None
    within: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QueryScores:
    """The scores behind a report, by query id; they lie in scores.parquet beside it, not in the document."""

    scores: Scores
    query_ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report:
    """The whole result of a run.

    `folder` is where it lies, None for one that was never written; `scores` are the per-query values while they are in
    memory. Neither is part of the document. `warnings` are all, also those of a code in `accepted`, which are only counted.
    """

    status: str
    verdict: VerdictRow
    candidates: tuple[CandidateRow, ...]
    slices: tuple[SliceRow, ...] = ()
    warnings: tuple[Advice, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    folder: Path | None = field(default=None, compare=False, metadata=_NOT_IN_DOCUMENT)
    losers: tuple[LoserRow, ...] = ()
    gate: GateRow | None = None
    funnels: tuple[FunnelRow, ...] = ()
    projections: tuple[ProjectionRow, ...] = ()
    budgets: tuple[BudgetRow, ...] = ()
    accepted: tuple[str, ...] = ()
    controls: tuple[ControlRow, ...] = ()
    scores: QueryScores | None = field(default=None, compare=False, repr=False, metadata=_NOT_IN_DOCUMENT)

    def __repr__(self) -> str:
        """Five lines at most: the sentence, the size of what was measured, and where the rest is."""
        facts = f"{len(self.candidates)} configurations, {self.verdict.queries} queries, {len(self.open_warnings)} warnings"
        where = f"\n  {self.folder}" if self.folder is not None else ""
        return f"<Report: {self.status}; {facts}\n  {self.verdict.sentence}{where}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the core of the page."""
        from mrl_sweep.report.render.html import core

        return core(self)

    def plot(self) -> Chart:
        """The share kept by dimensions as a chart: a notebook shows it, `save` writes it as an SVG file."""
        from mrl_sweep.report.render.chart import chart_of

        return chart_of(self)

    def to_dict(self) -> dict[str, Any]:
        """The document as plain JSON values; a number that is not finite is None, `schema_version` comes first."""
        return document(self)

    def to_json(self) -> str:
        """The document as strict JSON in ASCII, the same text for the same report; ends without a newline."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=True, allow_nan=False)

    @classmethod
    def from_dict(cls, data: object, *, source: str = "report") -> Report:
        """The report that `to_dict` wrote; `source` names it in messages.

        Raises InputError for anything else, also for a document of another schema. Keys that this version does not know
        are passed over, as a schema may be added to.
        """
        return decode(cls, data, source=source, schema=("schema_version", READABLE))

    @classmethod
    def from_json(cls, text: str | bytes, *, source: str = "report") -> Report:
        """The report that `to_json` wrote. Raises InputError as `from_dict` does, and for text that is not JSON."""
        return cls.from_dict(load_json(text, source=source), source=source)

    def to_frame(self) -> pd.DataFrame:
        """Every query's value, long-form: basis, dim, index, measure, query_id, value.

        From the scores in memory, else from scores.parquet beside the report. Raises InputError where there is neither.
        """
        from mrl_sweep.report.files.scores_file import frame

        return frame(self.scores, self.folder)

    def candidate(self, dim: int, *, basis: str = Basis.PREFIX, index: str = EXACT) -> CandidateRow | None:
        """The row of a float32 configuration without rescoring, None where it was not part of the run."""
        return self.row(Configuration(basis, dim, index))

    def row(self, configuration: Configuration) -> CandidateRow | None:
        """The row of this configuration, None where it was not part of the run."""
        return next((row for row in self.candidates if row.configuration == configuration), None)

    def accepting(self, codes: Iterable[str]) -> Report:
        """The report with these codes of warnings accepted, besides those that are."""
        return replace(self, accepted=tuple(dict.fromkeys((*self.accepted, *codes))))

    @property
    def open_warnings(self) -> tuple[Advice, ...]:
        """The warnings whose code nobody has accepted."""
        return tuple(one for one in self.warnings if one.code not in self.accepted)

    @property
    def baseline(self) -> CandidateRow | None:
        """The row that everything is compared with: the full size."""
        return next((row for row in self.candidates if row.verdict == "baseline"), None)

    @property
    def chosen(self) -> CandidateRow | None:
        """The exact row of the dimension that the verdict names."""
        return self.candidate(self.verdict.dimension)
