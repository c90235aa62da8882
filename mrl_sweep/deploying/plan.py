"""The plan for a larger corpus: every judged configuration with its bytes, its bill, its outlook and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.deploying.bill import (
    GIB,
    Placed,
    PlanRequest,
    PlanRow,
    assumptions_of,
    bytes_beside,
    check_request,
    costed_row,
    placed,
    target_weight,
    with_saving,
)
from mrl_sweep.deploying.findings import Finding, Findings, bytes_in_memory
from mrl_sweep.deploying.index_spec import COMMON, canonical_index, index_bytes, parse_index
from mrl_sweep.deploying.scaling import Outlook, outlook
from mrl_sweep.deploying.targets import DEFAULT_TARGET, target_named
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import EXACT, FLOAT32, Advice, Configuration, Measure, full_size
from mrl_sweep.words import asked_share, first_offenders, nearest, percent, plural

if TYPE_CHECKING:
    from mrl_sweep.deploying.tenants import TenantRow

_UNWEIGHED: Final = "its bytes are neither known in closed form nor measured"
_NEAR: Final = 0.75
"""How alike an index that cannot be weighed must be to a common one to be taken for it: `RQ8` is no misspelt `SQ8`."""


@record
class Plan:
    """A plan holds its rows, index by index, largest size first, what their figures rest on, what was left out, and advice.

    `tenants` has the choice for each service that shares the plan.
    """

    request: PlanRequest
    rows: tuple[PlanRow, ...]
    assumptions: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=())
    advice: tuple[Advice, ...] = ()
    tenants: tuple[TenantRow, ...] = ()

    @property
    def choice(self) -> list[PlanRow]:
        """The acceptable rows that may be chosen among all, by monthly cost, and by memory where there are no prices."""
        acceptable = [row for row in self.rows if row.acceptable and not row.only_alone]
        return sorted(acceptable, key=lambda row: (row.monthly_cost or 0.0, row.memory_bytes or 0))

    @property
    def cheapest(self) -> PlanRow | None:
        """The first of the `choice`; None where there is none."""
        return next(iter(self.choice), None)


@record(kw_only=True)
class Evaluated:
    """A run gives its findings on `n_documents`, judged by `measure` first, and what is projected to the planned corpus.

    `symmetric`: one-bit codes were compared with the query's code, not with the query as it is.
    """

    findings: Findings
    n_documents: int
    n_queries: int
    measure: Measure
    projected: Mapping[Configuration, Mapping[str, Any]] = field(default_factory=dict)
    symmetric: bool = True

    def finding(self, base: Configuration, index: str) -> Finding | None:
        """Looks up the finding for these codes in this index; of several search efforts the first acceptable one, else the last.

        An exhaustive index finds what the exact search found. None where the run did not measure this index at this size.
        """
        if parse_index(index).is_flat:
            return self.findings.get(base)
        return self.measured(base, index)

    def measured(self, base: Configuration, index: str) -> Finding | None:
        """Looks up what was built, which alone has a latency: a Flat index too, and a funnel, which is one of two stages."""
        if base.rescore and parse_index(index).is_flat and self.findings[base].cost.p50_ms is not None:
            return self.findings[base]
        built = [f for c, f in self.findings.items() if replace(c, index=EXACT) == base and _stands_in(f, index)]
        return next((finding for finding in built if finding.acceptable), built[-1] if built else None)

    def indexes(self, base: Configuration) -> tuple[str, ...]:
        """Names the structures that these codes were measured in, without their search parameters."""
        built = [c.index for c in self.findings if c.index != EXACT and replace(c, index=EXACT) == base]
        return tuple(dict.fromkeys(parse_index(index).factory for index in built))


def _stands_in(finding: Finding, index: str) -> bool:
    """Tells whether a finding was measured in this index: with these search parameters too, where `index` names some."""
    if finding.configuration.index == EXACT:
        return False
    wanted, measured = parse_index(index), parse_index(finding.configuration.index)
    return wanted.factory == measured.factory and (not wanted.parameters or wanted.parameters == measured.parameters)


def make_plan(request: PlanRequest, run: Evaluated) -> Plan:
    """Plans every acceptable size and code, and full size beside them, with every index asked for; for a target all judged ones.

    Raises InputError for a request that makes no sense and for an index whose bytes are neither known nor measured anywhere.
    """
    request = replace(request, indexes=tuple(canonical_index(index) for index in request.indexes))
    check_request(request)
    target, full = target_named(request.target), full_size(run.findings)
    exact = [c for c in run.findings if c.basis == full.basis and c.index == EXACT]
    if target.name == DEFAULT_TARGET:
        exact = [c for c in exact if run.findings[c].acceptable]
    rows: dict[tuple[str, Configuration], PlanRow] = {}
    notes: dict[str, None] = {}
    unweighed: list[Placed] = []
    for at in placed(target, exact, lambda base: request.indexes or run.indexes(base), full.dim, symmetric=run.symmetric):
        weight = target_weight(target, at, request.docs) or _weigh(at.index, at.base, request.docs, run)
        if weight is None and not at.refusal:
            unweighed.append(at)
            continue
        built = run.measured(at.base, at.index)
        ahead = outlook(built, request.docs, run.findings.values(), run.n_documents, run.n_queries) if built else Outlook()
        notes |= dict.fromkeys(note for note in (weight[1] if weight else "", ahead.note) if note)
        row = costed_row(
            request,
            at,
            weight[0] if weight and not at.refusal else None,
            ahead,
            bytes_beside(target, at.base, full.dim, request.docs),
        )
        rows[at.index, at.base] = _limited(_judged(row, run, at), request, run.n_documents)
    if not rows:
        named = first_offenders([f"{at.index} at {_named(at.base)}" for at in unweighed])
        meant = next(filter(None, (_meant(at.index) for at in unweighed)), "")
        hint = f"{meant} run with --index and the same index first, or plan with Flat, SQ8, HNSW32 …".lstrip()
        raise InputError(f"{named}: {_UNWEIGHED}", hint)
    judged = f"what is kept is that of the run's {plural(run.n_documents, 'document')}"
    if request.docs > run.n_documents:
        judged += (
            f"; acceptable is only what is projected to {request.docs:,}: exact searches, shortlists by them,"
            " and an index with the recall asked"
        )
    compared = tuple(with_saving(row, rows.get((index, full))) for (index, _), row in rows.items())
    left_out = tuple(map(_left_out, unweighed))
    return Plan(request, compared, (judged, *assumptions_of(request), *notes), left_out)


def _left_out(at: Placed) -> str:
    meant = _meant(at.index)
    return f"{at.index} at {_named(at.base)}: {_UNWEIGHED}" + (f"; {meant}" if meant else "")


def _meant(index: str) -> str:
    """Says `did you mean Flat?` of `Flt`; nothing of an index that is near to none of the common ones, like `NSG32`."""
    near = nearest(index, COMMON, cutoff=_NEAR)
    return f"did you mean {near[0]}?" if near else ""


def _named(base: Configuration) -> str:
    return f"{base.dim} dimensions" if base.is_exact_prefix else str(base)


def _judged(row: PlanRow, run: Evaluated, at: Placed) -> PlanRow:
    """Adds the row's own finding: never that of another index, or of the exact search where the index is not exact."""
    base, index = at.base, at.index
    finding, there = run.finding(base, index), run.projected.get(base)
    if finding is None:
        refused = False if at.refusal else None
        return replace(row, acceptable=refused, reason=at.refusal or _not_measured(run.findings[base], index, run.measure))
    evidence = finding.judgement.evidence[run.measure]
    acceptable, reason = (False, at.refusal) if at.refusal else _acceptable(finding, base, there, row, run)
    return replace(
        row,
        configuration=str(replace(base, index=index) if finding.configuration == base else finding.configuration),
        acceptable=acceptable,
        reason=reason,
        quality=evidence.mean,
        kept=evidence.kept,
        at_least=evidence.at_least,
        only_alone=finding.only_alone,
        projected=there if finding.configuration == base else None,  # of the exact search: what an index loses there is not known
    )


def _not_measured(exact: Finding, index: str, measure: Measure) -> str:
    share = exact.judgement.evidence[measure].kept
    words = "" if share is None else f"; the exact search of these codes keeps {percent(share)}"
    return f"not measured: --index {index} in the run{words}"


def _limited(row: PlanRow, request: PlanRequest, n_documents: int) -> PlanRow:
    """Holds the row against the limits: excluded where it exceeds one, not known where a band straddles it or is missing.

    In a larger corpus than the run's `n_documents` an index needs a limit of recall: its own loss grows and is not projected.
    """
    if row.acceptable is not True:
        return row
    size, p99, recall = row.index_bytes, row.p99_band_ms, row.recall_band
    if request.size_bytes is not None and (size is None or size > request.size_bytes):
        return replace(row, acceptable=False, reason=f"its index is above {request.size_bytes / GIB:g} GiB")
    if request.p99_ms is not None and p99 is not None and p99[0] > request.p99_ms:
        return replace(row, acceptable=False, reason=f"p99 is above {request.p99_ms:g} ms")
    if request.recall is not None and recall is not None and recall[1] < request.recall:
        return replace(row, acceptable=False, reason=f"recall is below {asked_share(request.recall)}")
    doubts = [
        (request.p99_ms, f"a p99 up to {request.p99_ms or 0:g} ms", None if p99 is None else p99[1] <= (request.p99_ms or 0)),
        (
            request.recall,
            f"a recall of {asked_share(request.recall or 0)}",
            None if recall is None else recall[0] >= (request.recall or 0),
        ),
        (request.queries_per_second, "throughput", None if row.queries_per_second is None else True),
    ]
    for limit, named, within in doubts:
        if limit is not None and within is not True:
            state = "not proven" if within is False else "not known"
            return replace(row, acceptable=None, reason=f"{named} is {state} at {row.docs:,} documents")
    if request.recall is None and row.docs > n_documents and not parse_index(row.index).is_flat:
        lost = f"what {row.index} loses at {row.docs:,} documents is not known: --recall names what is enough"
        return replace(row, acceptable=None, reason=lost)
    return row


def _acceptable(
    finding: Finding, base: Configuration, there: Mapping[str, Any] | None, row: PlanRow, run: Evaluated
) -> tuple[bool | None, str]:
    """Tells whether a finding may be recommended for the planned corpus, and why not; None where that is not known.

    In a larger corpus than the run's that takes a projection of the exact search, or of the shortlist by it, and for an index,
    whose own loss grows too, the recall that the request asks of it there (`_limited`). Full size is what the others are held
    against.
    """
    if not finding.acceptable:
        return False, finding.judgement.reason or f"not acceptable: {finding.judgement.outcome}"
    docs = f"{row.docs:,} documents"
    if row.docs > run.n_documents and there is None and base != full_size(run.findings):
        return None, f"not projected to {docs}"
    if there is None or there["acceptable"] is True:
        return True, ""
    return (None, f"not proven at {docs}") if there["acceptable"] is None else (False, f"too low at {docs}")


def plan_document(plan: Plan) -> dict[str, Any]:
    """Turns the plan into JSON-able data: `rows`, `request`, `assumptions`, `left_out`, `tenants`, `warnings`."""
    return {
        "schema_version": 1,
        "rows": [asdict(row) for row in plan.rows],
        "request": asdict(plan.request) | {"indexes": list(plan.request.indexes)},
        "assumptions": list(plan.assumptions),
        "left_out": list(plan.left_out),
        "tenants": [asdict(one) for one in plan.tenants],
        "warnings": [{"code": one.code, "message": one.message, "hint": one.hint} for one in plan.advice],
    }


def _weigh(index: str, base: Configuration, docs: int, run: Evaluated) -> tuple[int, str] | None:
    """Returns the bytes of the index, and a note where they are scaled from a measured one; None where neither is known."""
    closed = index_bytes(index, base.dim, docs) if base.precision == FLOAT32 else None
    if closed is None and parse_index(index).is_flat:
        closed = bytes_in_memory(base) * docs
    if closed is not None:
        return closed, ""
    finding = run.finding(base, index)
    if finding is None or not finding.cost.index_bytes:
        return None
    note = f"{index}: bytes per document as measured at {plural(run.n_documents, 'document')}"
    return round(finding.cost.index_bytes * docs / run.n_documents), note
