"""Fleet and bill for a planned corpus: bytes, machines, embedding, latency and monthly cost of every acceptable size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.deploying.findings import Finding, Findings, bytes_in_memory, bytes_on_disk
from mrl_sweep.deploying.index_bytes import index_bytes, vector_bytes
from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.deploying.scaling import Band, Outlook, outlook, uses_index
from mrl_sweep.deploying.target_plan import Placed, placed, target_weight
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target, target_named
from mrl_sweep.errors import InputError
from mrl_sweep.types import EXACT, FLOAT32, Advice, Configuration, Measure, full_size
from mrl_sweep.words import asked, percent

if TYPE_CHECKING:
    from mrl_sweep.deploying.tenants import TenantRow

GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is planned. Prices are the user's, in the user's currency, per month where so named; None leaves a column empty.

    Without `indexes`, each configuration stands in those that the run measured it in, else in the target's own. `p99_ms`,
    `size_bytes` (of one replica's index), `recall` and `queries_per_second` are limits: what is not known to be within them is
    not acceptable. `headroom` is the share of each machine's
    memory that stays free. Memory is priced per GiB unless machines have a price. `documents_per_second` is the rate at which
    texts are embedded; `tokens_per_document` and `price_per_million_tokens` are for
    hosted models.
    """

    docs: int
    indexes: tuple[str, ...] = ()
    target: str = DEFAULT_TARGET
    replicas: int = 1
    queries_per_second: float | None = None
    p99_ms: float | None = None
    size_bytes: int | None = None
    recall: float | None = None
    currency: str = ""
    price_gib_month: float | None = None
    price_disk_gib_month: float | None = None
    machine_bytes: int | None = None
    machine_price_month: float | None = None
    headroom: float = 0.2
    documents_per_second: float | None = None
    tokens_per_document: float | None = None
    price_per_million_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One configuration at the planned corpus. Bytes are per replica, but `memory_bytes` and `disk_bytes` of the fleet.

    `quality`, `kept`, `at_least` and `acceptable` are those of the run's own finding, all None where the run did not measure
    this configuration; `reason` says why it is not acceptable, or not known to be. `acceptable` also asks for the planned
    corpus, where quality is projected to it (`projected`). `vector_bytes` is the codes alone, `index_bytes` the index file; None,
    with the bytes that follow from it, where the target cannot hold the configuration.
    Latency, throughput and recall, the share of the exact first ten that the index returns, have their bands beside them (low,
    high). `saving` is what this row costs less per month than full size with the
    same index, `saving_share` the same as a share.
    """

    configuration: str
    dim: int
    precision: str
    index: str
    docs: int
    acceptable: bool | None
    kept: float | None
    at_least: float | None
    vector_bytes: int
    index_bytes: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    embed_s: float | None
    embed_price: float | None
    p50_ms: float | None
    p99_ms: float | None
    queries_per_second: float | None
    replicas: int
    machines: int | None
    monthly_cost: float | None
    saving: float | None = None
    saving_share: float | None = None
    projected: Mapping[str, Any] | None = None
    rescore: str = ""
    quality: float | None = None
    reason: str = ""
    p50_band_ms: tuple[float, float] | None = None
    p99_band_ms: tuple[float, float] | None = None
    queries_per_second_band: tuple[float, float] | None = None
    recall: float | None = None
    recall_band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows, largest size first, the assumptions behind their figures, what had to be left out, and what to know of it.

    `tenants` has the choice for each service that shares the plan.
    """

    request: PlanRequest
    rows: tuple[PlanRow, ...]
    assumptions: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=())
    advice: tuple[Advice, ...] = ()
    tenants: tuple[TenantRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What a run knows: its findings on `n_documents`, judged by `measure` first; and what is projected to the planned corpus."""

    findings: Findings
    n_documents: int
    n_queries: int
    measure: Measure
    projected: Mapping[Configuration, Mapping[str, Any]] = field(default_factory=dict)

    def finding(self, base: Configuration, index: str) -> Finding | None:
        """The finding for these codes in this index; of several search efforts the first acceptable one, else the last.

        An exhaustive index finds what the exact search found. None where the run did not measure this index at this size.
        """
        if parse_index(index).is_flat:
            return self.findings.get(base)
        return self.measured(base, index)

    def measured(self, base: Configuration, index: str) -> Finding | None:
        """The same for what was built, which alone has a latency: a Flat index too, and a funnel, which is one of two stages."""
        if base.rescore and parse_index(index).is_flat and self.findings[base].cost.p50_ms is not None:
            return self.findings[base]
        built = [f for c, f in self.findings.items() if replace(c, index=EXACT) == base and uses_index(f, index)]
        return next((finding for finding in built if finding.acceptable), built[-1] if built else None)

    def indexes(self, base: Configuration) -> tuple[str, ...]:
        """The structures that these codes were measured in, without their search parameters."""
        built = [c.index for c in self.findings if c.index != EXACT and replace(c, index=EXACT) == base]
        return tuple(dict.fromkeys(parse_index(index).factory for index in built))


def make_plan(request: PlanRequest, run: Evaluated) -> Plan:
    """Every acceptable size and code, and full size for comparison, with every index asked for; for a target all that was judged.

    Raises InputError for a request that makes no sense and for an index whose bytes are neither known nor measured anywhere.
    """
    _check(request)
    target, full = target_named(request.target), full_size(run.findings)
    exact = [c for c in run.findings if c.basis == full.basis and c.index == EXACT]
    if target.name == DEFAULT_TARGET:
        exact = [c for c in exact if run.findings[c].acceptable]
    rows: dict[tuple[str, Configuration], PlanRow] = {}
    notes: dict[str, None] = {}
    left_out: list[str] = []
    for at in placed(target, exact, lambda base: request.indexes or run.indexes(base)):
        weight = target_weight(target, at, request.docs) or _weigh(at.index, at.base, request.docs, run)
        if weight is None and not at.refusal:
            left_out.append(f"{at.index} at {_named(at.base)}: its bytes are neither known in closed form nor measured")
            continue
        built = run.measured(at.base, at.index)
        ahead = outlook(built, request.docs, run.findings.values(), run.n_documents, run.n_queries) if built else Outlook()
        notes |= dict.fromkeys(note for note in (weight[1] if weight else "", ahead.note) if note)
        row = _row(
            request,
            at,
            weight[0] if weight and not at.refusal else None,
            ahead,
            _beside(target, at.base, full.dim, request.docs),
        )
        rows[at.index, at.base] = _limited(_judged(row, run, at), request)
    if not rows:
        raise InputError("; ".join(left_out), "run with --index and the same index first, or plan with Flat, SQ8, HNSW32 …")
    judged = f"kept, at least and verdict are those of the run's {run.n_documents:,} documents"
    if run.projected:
        judged += f"; to {request.docs:,} only the exact search is projected, and what is too low there is not acceptable"
    compared = tuple(_with_saving(row, rows.get((index, full))) for (index, _), row in rows.items())
    return Plan(request, compared, (judged, *_assumptions(request), *notes), tuple(left_out))


def _named(base: Configuration) -> str:
    return f"{base.dim} dimensions" if base.is_exact_prefix else str(base)


def _judged(row: PlanRow, run: Evaluated, at: Placed) -> PlanRow:
    """The row with its own finding: never with that of another index, or of the exact search where the index is not exact."""
    base, index = at.base, at.index
    finding, there = run.finding(base, index), run.projected.get(base)
    if finding is None:
        refused = False if at.refusal else None
        return replace(row, acceptable=refused, reason=at.refusal or _not_measured(run.findings[base], index, run.measure))
    evidence = finding.judgement.evidence[run.measure]
    acceptable, reason = (False, at.refusal) if at.refusal else _acceptable(finding, there, row.docs)
    return replace(
        row,
        configuration=str(replace(base, index=index) if finding.configuration == base else finding.configuration),
        acceptable=acceptable,
        reason=reason,
        quality=evidence.mean,
        kept=evidence.kept,
        at_least=evidence.at_least,
        projected=there if finding.configuration == base else None,  # of the exact search: what an index loses there is not known
    )


def _not_measured(exact: Finding, index: str, measure: Measure) -> str:
    kept = exact.judgement.evidence[measure].kept
    known = "" if kept is None else f"; the exact search of these codes keeps {percent(kept)}"
    return f"not measured: --index {index} in the run{known}"


def _limited(row: PlanRow, request: PlanRequest) -> PlanRow:
    """The row held against the limits: excluded where it exceeds one, not known where a band straddles it or nothing is known."""
    if row.acceptable is not True:
        return row
    size, p99, recall = row.index_bytes, row.p99_band_ms, row.recall_band
    if request.size_bytes is not None and (size is None or size > request.size_bytes):
        return replace(row, acceptable=False, reason=f"its index is above {request.size_bytes / GIB:g} GiB")
    if request.p99_ms is not None and p99 is not None and p99[0] > request.p99_ms:
        return replace(row, acceptable=False, reason=f"p99 is above {request.p99_ms:g} ms")
    if request.recall is not None and recall is not None and recall[1] < request.recall:
        return replace(row, acceptable=False, reason=f"recall is below {asked(request.recall)}")
    doubts = [
        (request.p99_ms, f"a p99 up to {request.p99_ms or 0:g} ms", None if p99 is None else p99[1] <= (request.p99_ms or 0)),
        (
            request.recall,
            f"a recall of {asked(request.recall or 0)}",
            None if recall is None else recall[0] >= (request.recall or 0),
        ),
        (request.queries_per_second, "throughput", None if row.queries_per_second is None else True),
    ]
    for limit, named, within in doubts:
        if limit is not None and within is not True:
            state = "not proven" if within is False else "not known"
            return replace(row, acceptable=None, reason=f"{named} is {state} at {row.docs:,} documents")
    return row


def _acceptable(finding: Finding, there: Mapping[str, Any] | None, docs: int) -> tuple[bool | None, str]:
    """Whether it may be recommended for the planned corpus, and why not; None where the queries cannot tell."""
    if not finding.acceptable:
        return False, finding.judgement.reason or f"not acceptable: {finding.judgement.outcome}"
    if there is None or there["acceptable"] is True:
        return True, ""
    if there["acceptable"] is None:
        return None, f"not proven at {docs:,} documents"
    return False, f"too low at {docs:,} documents"


def cheapest_row(plan: Plan) -> PlanRow | None:
    """The acceptable row of least monthly cost, of least memory where there are no prices; None where none is acceptable."""
    acceptable = [row for row in plan.rows if row.acceptable]
    return min(acceptable, key=lambda row: (row.monthly_cost or 0.0, row.memory_bytes or 0), default=None)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able data: `rows`, `request`, `assumptions`, `left_out`, `warnings`."""
    return {
        "schema_version": 1,
        "rows": [asdict(row) for row in plan.rows],
        "request": asdict(plan.request) | {"indexes": list(plan.request.indexes)},
        "assumptions": list(plan.assumptions),
        "left_out": list(plan.left_out),
        "tenants": [asdict(one) for one in plan.tenants],
        "warnings": [{"code": one.code, "message": one.message, "hint": one.hint} for one in plan.advice],
    }


def _check(request: PlanRequest) -> None:
    if request.docs < 1 or request.replicas < 1:
        raise InputError("a plan needs at least one document and one replica", "--docs 50M --replicas 2")
    if not 0 <= request.headroom < 1:
        raise InputError(
            f"headroom {request.headroom:g} is not a share below 1", "--headroom 0.2 leaves a fifth of the memory free"
        )
    for name in ("queries_per_second", "p99_ms", "size_bytes", "machine_bytes", "documents_per_second", "tokens_per_document"):
        value = getattr(request, name)
        if value is not None and not value > 0:
            raise InputError(f"{name.replace('_', ' ')} must be above zero, not {value:g}", "see `mrl-sweep plan --help`")
    for name in ("price_gib_month", "price_disk_gib_month", "machine_price_month", "price_per_million_tokens"):
        value = getattr(request, name)
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name.replace('_', ' ')} must not be negative, not {value:g}", "see `mrl-sweep plan --help`")
    if request.machine_price_month is not None and request.machine_bytes is None:
        raise InputError("a machine has a price but no size", "--machine-memory 64GiB")


def _weigh(index: str, base: Configuration, docs: int, run: Evaluated) -> tuple[int, str] | None:
    """Bytes of the index and a note where they are scaled from a measured one instead of known in closed form."""
    closed = index_bytes(index, base.dim, docs) if base.precision == FLOAT32 else None
    if closed is None and parse_index(index).is_flat:
        closed = bytes_in_memory(base) * docs
    if closed is not None:
        return closed, ""
    finding = run.finding(base, index)
    if finding is None or not finding.cost.index_bytes:
        return None
    note = f"{index}: bytes per document as measured at {run.n_documents:,} documents"
    return round(finding.cost.index_bytes * docs / run.n_documents), note


def _beside(target: Target, base: Configuration, full_dim: int, docs: int) -> int:
    """Bytes on disk beside the index: the target's table, else one copy of the vectors, at the size that a search may need."""
    table = target.disk_bytes(base, full_dim, docs)
    if table is not None:
        return table
    return (bytes_on_disk(base, full_dim) - bytes_in_memory(base)) * docs if base.rescore else vector_bytes(base.dim, docs)


def _row(request: PlanRequest, at: Placed, one_index: int | None, ahead: Outlook, beside: int) -> PlanRow:
    """Bytes, machines, latency and cost; nothing of quality. `beside` is what lies on disk beside the index."""
    base, index = at.base, at.index
    rate = ahead.queries_per_second.value if ahead.queries_per_second else None
    replicas = request.replicas
    if request.queries_per_second is not None and rate:
        replicas = max(replicas, math.ceil(request.queries_per_second / rate))
    memory, disk = (None, None) if one_index is None else (replicas * one_index, replicas * one_index + beside)
    machines = None
    if request.machine_bytes is not None and one_index is not None:
        machines = replicas * math.ceil(one_index / (request.machine_bytes * (1 - request.headroom)))
    tokens = None if request.tokens_per_document is None else request.tokens_per_document * request.docs
    price = request.price_per_million_tokens
    return PlanRow(
        configuration=str(replace(base, index=index)),
        dim=base.dim,
        precision=base.precision,
        index=index,
        rescore=base.rescore,
        docs=request.docs,
        acceptable=None,
        kept=None,
        at_least=None,
        vector_bytes=bytes_in_memory(base) * request.docs,
        index_bytes=one_index,
        memory_bytes=memory,
        disk_bytes=disk,
        embed_s=None if request.documents_per_second is None else request.docs / request.documents_per_second,
        embed_price=None if tokens is None or price is None else tokens / 1e6 * price,
        p50_ms=ahead.p50_ms.value if ahead.p50_ms else None,
        p50_band_ms=_ends(ahead.p50_ms),
        p99_ms=ahead.p99_ms.value if ahead.p99_ms else None,
        p99_band_ms=_ends(ahead.p99_ms),
        queries_per_second=rate,
        queries_per_second_band=_ends(ahead.queries_per_second),
        recall=ahead.recall.value if ahead.recall else None,
        recall_band=_ends(ahead.recall),
        replicas=replicas,
        machines=machines,
        monthly_cost=None if memory is None or disk is None else _monthly_cost(request, memory, disk, machines),
    )


def _ends(band: Band | None) -> tuple[float, float] | None:
    return None if band is None else (band.low, band.high)


def _monthly_cost(request: PlanRequest, memory: int, disk: int, machines: int | None) -> float | None:
    """Machines where they have a price, else memory by the GiB; disk on top where it has one. None without any price."""
    parts = []
    if request.machine_price_month is not None and machines is not None:
        parts.append(machines * request.machine_price_month)
    elif request.price_gib_month is not None:
        parts.append(memory / GIB * request.price_gib_month)
    if request.price_disk_gib_month is not None:
        parts.append(disk / GIB * request.price_disk_gib_month)
    return sum(parts) if parts else None


def _with_saving(row: PlanRow, full: PlanRow | None) -> PlanRow:
    if full is None or row.monthly_cost is None or full.monthly_cost is None:
        return row
    saving = full.monthly_cost - row.monthly_cost
    share = saving / full.monthly_cost if full.monthly_cost else None
    return replace(row, saving=saving, saving_share=share)


def _assumptions(request: PlanRequest) -> list[str]:
    lines = ["memory holds one index per replica; disk holds the index files and one copy of the float32 vectors"]
    if request.machine_bytes is not None:
        lines.append(
            f"{asked(request.headroom)} of each machine's memory stays free; an index too large for one is split over several"
        )
    if request.machine_price_month is None and request.price_gib_month is not None:
        lines.append("memory is paid by the GiB, whole machines are not counted in the cost")
    if request.documents_per_second is not None:
        lines.append(f"texts are embedded once, at full size, {request.documents_per_second:,.0f} a second")
    return lines
