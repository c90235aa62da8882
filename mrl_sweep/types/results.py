"""Results of a run: ranks of judged documents, scores by measure, evidence, judgements, and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from mrl_sweep.record import record
from mrl_sweep.types.common import BoolArray, Float32Array, FloatArray, IntArray
from mrl_sweep.types.configuration import Configuration

NOT_RETRIEVED: Final = 2**31 - 1
"""The value of `above` for a judged document that was not returned: behind every cut-off, and safe to add to in int64."""


@record
class TopDocuments:
    """What a search returns: the best documents of each query, best first.

    `rows` (n_candidates, n_queries, depth) int64, -1 where there are fewer; `scores` float32 alike, -inf there.
    """

    rows: IntArray
    scores: Float32Array

    @property
    def depth(self) -> int:
        return int(self.rows.shape[2])


@record
class Ranks:
    """Where each judged document stands among all documents, at each candidate.

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


AGREEMENT: Final = "Agreement"
"""The name of the one measure that needs no judgments: the share of the full size's first documents that come back."""


@record(order=True)
class Measure:
    """A ranking measure as the field writes it: `nDCG@10`, `R@100`, `RR`, `AP(rel=2)@100`; or `Agreement@10` with full size.

    `cutoff` None means the whole ranking; `rel` is the lowest grade that counts as relevant (nDCG ignores it).
    """

    name: str
    cutoff: int | None = None
    rel: int = 1

    @property
    def label_free(self) -> bool:
        """Whether the measure compares rankings with that of full size, and so says nothing about their quality."""
        return self.name == AGREEMENT

    @property
    def lowest_grade(self) -> int:
        """The lowest grade that is relevant: nDCG takes every grade above 0, at its own worth."""
        return 1 if self.name == "nDCG" else self.rel

    def __str__(self) -> str:
        rel = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.name}{rel}" + (f"@{self.cutoff}" if self.cutoff is not None else "")


@record
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
        """Returns (n_counted,) float64, the values of the counted queries, in query order."""
        m = self.measures.index(measure)
        values: FloatArray = self.values[self.candidates.index(candidate), m, self.counted[m]]
        return values


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

    @classmethod
    def of_all(cls, each: Iterable[Status]) -> Status:
        """Returns the status of several questions asked as one: a failure outweighs an open question, which outweighs a pass."""
        present = set(each)
        return next(status for status in (cls.FAIL, cls.INCONCLUSIVE, cls.PASS) if status in present)


@record
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


@record(kw_only=True)
class RandomControl:
    """The prefix at one size against the mean of random draws there; all figures are shares of full size's mean.

    `low` and `high` are the limits of the difference, prefix less random, None with fewer than two units of evidence. They are
    over queries, and draws of axes differ too: `low` is the least of those against the mean and against each draw, so that
    "better" is proven against each; `high` is against the mean. `answer` is `better`, `no better` (by `margin` or more), both
    proven, or `cannot tell`.
    """

    dim: int
    kept: float
    kept_by_random: float
    low: float | None
    high: float | None
    margin: float
    answer: str


NOT_IN_DOCUMENT: Final = {"document": False}
"""Marks a field that a report's document leaves out."""


@record(kw_only=True)
class SliceRow:
    """The queries whose `field` is `value`, at one size: what they keep, and what the other queries keep.

    `queries` counts units of evidence; `at_least` and `at_most` are one-sided limits. `p_value` is that of "they keep no less
    than the others", `q_value` the same after the search over all slices, None where the slice was too small to test. `verdict`
    is an `Outcome` against `retain`, the share asked of the slice, for a declared slice that was judged; `p_below` is the p-value
    of "they keep `retain`".
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
    p_value: float | None = dataclasses.field(default=None, compare=False, metadata=NOT_IN_DOCUMENT)
    p_below: float | None = dataclasses.field(default=None, compare=False, metadata=NOT_IN_DOCUMENT)


@record(kw_only=True)
class SmallestRow:
    """What is proven to keep `retain`: the smallest size at float32, and the configuration of the fewest bytes.

    Both are full size where nothing below it is proven. Each stands by itself at the policy's alpha: a share that is picked after
    looking at all of them carries the chance of error of each.
    """

    retain: float
    dimension: int
    configuration: str
    bytes_per_vector: int


@record(kw_only=True)
class ShareRow:
    """The configuration of the fewest bytes that is proven at shares up to `retain`, down to the row before; empty: none is."""

    retain: float
    configuration: str
    bytes_per_vector: int | None


@record
class Judgement:
    """One candidate judged: its outcome, the evidence per measure, and the reason in words where it needs one."""

    candidate: Configuration
    outcome: Outcome
    evidence: Mapping[Measure, Evidence]
    reason: str = ""


@record
class Verdict:
    """The answer: the smallest acceptable dimension under the rule in force, and both readings of the evidence.

    `n_clusters` is how many units of evidence the queries make where they are clustered, else None: each is one. `by_default`
    where nobody chose `retain`.
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
    by_default: bool = False

    @property
    def n_units(self) -> int:
        """How many units of evidence there are: clusters, or queries."""
        return self.n_queries if self.n_clusters is None else self.n_clusters


@record(kw_only=True)
class SearchCost:
    """What a configuration's index costs, as measured; None is "not measured". Sizes in bytes, times in s.

    `queries_per_second` is with all `threads`, `queries_per_second_1` with one. `build_s` contains `train_s`. `certified` is
    False for an index trained on fewer vectors than it needs. `recall` is the share of the exact search's first ten that the
    index returns among its own.
    """

    index_bytes: int | None = None
    build_s: float | None = None
    queries_per_second: float | None = None
    queries_per_second_1: float | None = None
    threads: int | None = None
    train_s: float | None = None
    resident_bytes: int | None = None
    certified: bool = True
    recall: float | None = None

    def shared(self) -> dict[str, Any]:
        """Returns these figures by name: a `Cost` and a row of the report hold the same."""
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(SearchCost)}
