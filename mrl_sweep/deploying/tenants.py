"""Budgets and tenants: the best configuration within a budget, and several services on one plan, each with its slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Self, TypeVar

from mrl_sweep.deploying.bill import GIB, PlanRequest, PlanRow
from mrl_sweep.deploying.findings import Finding
from mrl_sweep.deploying.plan import Plan
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.settings.parsing import parse_above_zero, parse_share
from mrl_sweep.types import Judgement, Measure, Outcome
from mrl_sweep.words import asked_share, did_you_mean, percent, plural

FORMS: Final = '--tenant "search ms=20 gib=4 recall=95% qps=200 slice=lang:de", each part optional but the name'

Point = TypeVar("Point")


@record(kw_only=True)
class Budget:
    """A budget is what one service may spend: a 99th percentile in milliseconds, bytes of memory, or both; None is no limit."""

    p99_ms: float | None = None
    size_bytes: int | None = None

    def holds(self, finding: Finding) -> bool:
        """Tells whether the finding is measured to be within every limit; what was not measured is not within one."""
        return _within(finding.cost.p99_ms, self.p99_ms) and _within(finding.cost.index_bytes, self.size_bytes)


@record
class Choice:
    """A choice is the best acceptable of the `within` configurations that a budget holds; `reason` says why `best` is None."""

    best: Finding | None
    within: int
    reason: str = ""


def choose_within(findings: Iterable[Finding], budget: Budget, measure: Measure) -> Choice:
    """Chooses the acceptable configuration of highest quality within the budget; of equals the smaller, then the faster.

    It is chosen among all families of configurations, which share one alpha (`Finding.may_be_chosen`).
    """
    within = [finding for finding in findings if budget.holds(finding)]
    if not within:
        return Choice(None, 0, "nothing that was measured is within it")
    best = min((finding for finding in within if finding.may_be_chosen), key=lambda one: _order(one, measure), default=None)
    if best is not None:
        return Choice(best, len(within))
    number = "the one configuration" if len(within) == 1 else f"none of the {len(within)} configurations"
    nearest = min(within, key=lambda one: (not one.acceptable, *_order(one, measure)))
    word = "named" if nearest.acceptable else "acceptable"
    verb = f"is not {word}" if len(within) == 1 else f"is {word}"
    return Choice(None, len(within), f"{number} within it {verb}: the best, {nearest.configuration}, {_why(nearest)}")


def pareto_front(
    points: Iterable[Point], cost: Callable[[Point], float | None], quality: Callable[[Point], float]
) -> tuple[Point, ...]:
    """Keeps the priced points that no other beats, cheapest first, each better than all cheaper ones; of equals the first."""
    priced = [(price, point) for point in points if (price := cost(point)) is not None]
    front: list[Point] = []
    for _, point in sorted(priced, key=lambda pair: (pair[0], -quality(pair[1]))):
        if not front or quality(point) > quality(front[-1]):
            front.append(point)
    return tuple(front)


def _order(finding: Finding, measure: Measure) -> tuple[float, float, float]:
    cost = finding.cost
    return -finding.judgement.evidence[measure].mean, _or_inf(cost.index_bytes), _or_inf(cost.p99_ms)


def _why(finding: Finding) -> str:
    return finding.judgement.reason or finding.only_alone or "is not proven"


def _within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def _or_inf(value: float | None) -> float:
    return float("inf") if value is None else value


@record(kw_only=True)
class Tenant:
    """A tenant is a service with what it asks of the plan; None is no limit of its own. `slice` is a field and a value."""

    name: str
    p99_ms: float | None = None
    size_bytes: int | None = None
    recall: float | None = None
    queries_per_second: float | None = None
    slice: tuple[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `NAME ms=20 gib=4 recall=95% qps=200 slice=FIELD:VALUE`. Raises InputError for anything else behind the name."""
        if not text.strip():
            raise InputError("a tenant has no name", FORMS)
        name, *words = text.split()
        given: dict[str, Any] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in _LIMITS:
                raise InputError(f"tenant {name}: {word!r} is no limit", f"{did_you_mean(key, _LIMITS)} {FORMS}".lstrip())
            field, read = _LIMITS[key]
            try:
                given[field] = read(value)
            except (ValueError, InputError):
                raise InputError(f"tenant {name}: {value!r} is no value of {key}", FORMS) from None
        return cls(name=name, **given)

    def request(self, request: PlanRequest) -> PlanRequest:
        """Puts this tenant's limits in the place of those of the plan's request."""
        own = {field: getattr(self, field) for field in ("p99_ms", "size_bytes", "recall", "queries_per_second")}
        return replace(request, **{field: value for field, value in own.items() if value is not None})


@record(kw_only=True)
class TenantRow:
    """A tenant gets its cheapest acceptable row; `row` is None with the reason where there is none.

    `slice_kept` and `slice_at_least` are of the `slice_queries` queries of its slice.
    """

    tenant: Tenant
    row: PlanRow | None
    reason: str = ""
    slice_kept: float | None = None
    slice_at_least: float | None = None
    slice_queries: int | None = None


JudgeSlice = Callable[[Tenant, Sequence[PlanRow]], tuple[list[Judgement], int]]
"""Judges the rows on the tenant's slice together, so that alpha covers all of them, and counts the slice's queries."""


def tenant_row(tenant: Tenant, plan: Plan, judge_slice: JudgeSlice, measure: Measure, retain: float) -> TenantRow:
    """Takes the cheapest row of the tenant's own `plan` that is acceptable, and proven to keep the share on its slice."""
    rows = plan.choice
    if not rows:
        return TenantRow(tenant=tenant, row=None, reason="no configuration is known to be within its limits")
    if tenant.slice is None:
        return TenantRow(tenant=tenant, row=rows[0])
    judged, queries = judge_slice(tenant, rows)
    for row, judgement in zip(rows, judged, strict=True):
        if judgement.outcome in (Outcome.BASELINE, Outcome.PASS):
            evidence = judgement.evidence[measure]
            return TenantRow(
                tenant=tenant, row=row, slice_kept=evidence.kept, slice_at_least=evidence.at_least, slice_queries=queries
            )
    best = max(judged, key=lambda one: one.evidence[measure].at_least or 0.0).evidence[measure]
    share = "" if best.at_least is None else f"; the best keeps at least {percent(best.at_least)}"
    of = plural(queries, "query", "queries")
    reason = f"nothing within its limits is proven to keep {asked_share(retain)} of the {of} with {'='.join(tenant.slice)}{share}"
    return TenantRow(tenant=tenant, row=None, reason=reason, slice_queries=queries)


def _slice(text: str) -> tuple[str, str]:
    field, colon, value = text.partition(":")
    if not (field and colon and value):
        raise ValueError(text)
    return field, value


_LIMITS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "ms": ("p99_ms", parse_above_zero),
    "gib": ("size_bytes", lambda text: int(parse_above_zero(text) * GIB)),
    "recall": ("recall", parse_share),
    "qps": ("queries_per_second", parse_above_zero),
    "slice": ("slice", _slice),
}
"""By the name of a limit: the field that it fills, and the reader of its value."""
