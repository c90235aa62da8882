"""The rows of a report: plain figures of everything a run measured, judged or worked out, as the document holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from mrl_sweep.record import record
from mrl_sweep.types import FLOAT32, Configuration, Evidence, Outcome, SearchCost, ShareRow, SmallestRow

UNMEASURED: Final = Evidence(mean=math.nan)
"""The evidence where nothing was measured: every figure is unknown."""


@record(kw_only=True)
class CandidateRow(SearchCost):
    """One configuration: what it keeps and what it costs. `verdict` is an `Outcome`; sizes in bytes, times in s or ms as named.

    `bytes_per_vector` lie in memory, `bytes_on_disk` also count the vectors by which a shortlist is ordered again. Latency is
    that of single queries on one thread. Where the row is not `certified`, `reason` says so. `smaller` has the figures of the
    same index over a sample of `docs` documents.
    """

    basis: str
    dim: int
    index: str
    verdict: str
    bytes_per_vector: int
    measures: Mapping[str, Evidence]
    reason: str = ""
    agreement: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, float | None] = field(default_factory=lambda: {"p50": None, "p99": None})
    precision: str = FLOAT32
    rescore: str = ""
    bytes_on_disk: int | None = None
    smaller: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration:
        return Configuration.read(self.basis, self.dim, self.index, self.precision, self.rescore)

    def evidence(self, measure: str) -> Evidence:
        """Returns the evidence by this measure, `UNMEASURED` where there is none."""
        return self.measures.get(measure, UNMEASURED)

    @property
    def acceptable(self) -> bool:
        """Whether it may be recommended: full size itself, or what was judged to keep the share of every required measure."""
        return self.verdict in (Outcome.BASELINE, Outcome.PASS)


@record(kw_only=True)
class SizeAnswer:
    """The smallest size that is acceptable by the rule in force, those that are proven and measured so, and the rule."""

    dimension: int
    proven: int | None
    measured: int | None
    measure: str
    retain: float
    alpha: float
    decide_by: str


@record(kw_only=True)
class VerdictRow(SizeAnswer):
    """The answer and its evidence; `sentence` is the one a manager can act on, `required` all measures that had to pass.

    `configuration` is the acceptable one of the fewest bytes a vector, `dimension` the smallest acceptable size at float32.
    `smallest` says what other shares would have come to. `bytes_sentence` says of `configuration` what `sentence` says of the
    dimension, at an alpha of its own; `proven_configurations` are all that the paths through the grid prove.
    """

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
    """The answers of the grid of precisions at any share from 80%; empty where no code was ranked."""
    by_default: bool = False
    """Whether `retain` is the default, which nobody chose."""


@record(kw_only=True)
class GateRow:
    """The gate's question to the run, and its answer; `exit_code` is what the process ends with, whatever the format.

    `unchanged` are the messages of warnings that the baseline run gave in the same words: no news for a pull request.
    """

    question: str
    status: str
    exit_code: int
    dim: int
    sentence: str
    failures: tuple[str, ...] = ()
    configuration: str = ""
    unchanged: tuple[str, ...] = ()


@record(kw_only=True)
class DocumentRow:
    """A document: its id, title and beginning (`text`), and its `grade`, None where nobody judged it for this query."""

    id: str
    title: str
    grade: int | None = None
    text: str = ""


@record(kw_only=True)
class FallenRow:
    """A relevant document that stands lower than at full size; ranks from 1, the best of its ties; None: not returned."""

    id: str
    title: str
    grade: int
    rank_at_full: int | None
    rank: int | None
    text: str = ""


@record(kw_only=True)
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


@record(kw_only=True)
class FunnelShare:
    """What a funnel keeps of one measure: bounds from the ranks, the confidence limit of the lower one, the share as measured.

    Where the share was measured, `at_least` is the confidence limit of the measured one.
    """

    kept_low: float | None = None
    kept_high: float | None = None
    at_least: float | None = None
    measured_kept: float | None = None


@record(kw_only=True)
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


@record(kw_only=True)
class ProjectionRow:
    """One size at a corpus of `documents`: the measure expected there, its band, and the share of full size at that corpus.

    `modelled` is False where the corpus is no larger than the one at hand, which is exact. `acceptable` is False where proven
    too low there, None where neither that nor the share is proven. `kept_low` and `kept_high` are the limits of `kept`.
    `holds_up_to` is the corpus size at which the configuration stops being acceptable, None where that is past the projection.
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

    @property
    def is_size(self) -> bool:
        """Whether this is a size at float32, not a code of it."""
        return self.configuration in ("", str(self.dim))


@record(kw_only=True)
class BudgetRow:
    """The best acceptable configuration within a budget, `budget` being the budget in words.

    `within` counts the configurations that were measured to be within it. Where none of them is acceptable, `configuration` is
    empty, `dim` and `quality` are None, and `reason` says why.
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
