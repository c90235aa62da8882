"""What the evidence says of each configuration, and of the question that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mrl_sweep.types.configuration import Configuration
from mrl_sweep.types.ranks import Measure


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
