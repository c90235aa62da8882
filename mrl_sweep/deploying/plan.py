"""Fleet and bill for a planned corpus: bytes, machines, embedding, latency and monthly cost of every acceptable size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from mrl_sweep.deploying.index_bytes import index_bytes, vector_bytes
from mrl_sweep.deploying.scaling import MeasuredPoint, Scaled, scale_point
from mrl_sweep.errors import InputError

GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What is planned. Prices are the user's, in the user's currency, per month where so named; None leaves a column empty.

    `headroom` is the share of each machine's memory that stays free. Memory is priced per GiB unless machines have a price.
    `documents_per_second` is the rate at which texts are embedded; `tokens_per_document` and `price_per_million_tokens` are for
    hosted models.
    """

    docs: int
    indexes: tuple[str, ...] = ("Flat",)
    replicas: int = 1
    queries_per_second: float | None = None
    price_gib_month: float | None = None
    price_disk_gib_month: float | None = None
    machine_bytes: int | None = None
    machine_price_month: float | None = None
    headroom: float = 0.2
    documents_per_second: float | None = None
    tokens_per_document: float | None = None
    price_per_million_tokens: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeFacts:
    """What a run knows of one size: whether it is acceptable, what it keeps, and the points at which indexes were measured."""

    dim: int
    acceptable: bool
    kept: float | None = None
    at_least: float | None = None
    points: tuple[MeasuredPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One size with one index at the planned corpus. Bytes are per replica, but `memory_bytes` and `disk_bytes` of the fleet.

    `vector_bytes` is the float32 vectors alone, `index_bytes` the index file. `saving` is what this row costs less per month
    than full size with the same index, `saving_share` the same as a share. `projected` is for the quality at this corpus.
    """

    dim: int
    index: str
    docs: int
    acceptable: bool
    kept: float | None
    at_least: float | None
    vector_bytes: int
    index_bytes: int
    memory_bytes: int
    disk_bytes: int
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


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows, largest size first, the assumptions behind their figures, and what had to be left out."""

    request: PlanRequest
    rows: tuple[PlanRow, ...]
    assumptions: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=())


def make_plan(request: PlanRequest, sizes: Sequence[SizeFacts]) -> Plan:
    """Every acceptable size, and the largest for comparison, with every index asked for.

    Raises InputError for a request that makes no sense and for an index whose bytes are neither known nor measured anywhere.
    """
    _check(request)
    if not sizes:
        raise InputError("the run holds no size to plan with", "plan takes the folder of an earlier run")
    full = max(size.dim for size in sizes)
    points = [point for size in sizes for point in size.points]
    rows: list[PlanRow] = []
    notes: dict[str, None] = {}
    left_out: list[str] = []
    for index in request.indexes:
        of_index = []
        for size in sorted(sizes, key=lambda one: -one.dim):
            if size.dim != full and not size.acceptable:
                continue
            weight = _weigh(index, size.dim, request.docs, points)
            if weight is None:
                left_out.append(f"{index} at {size.dim} dimensions: its bytes are neither known in closed form nor measured")
                continue
            scaled = scale_point(index, size.dim, request.docs, points)
            notes |= dict.fromkeys(note for note in (weight[1], scaled.assumption if scaled else "") if note)
            of_index.append(_row(request, size, index, weight[0], scaled))
        rows += [_with_saving(row, of_index[0]) if of_index[0].dim == full else row for row in of_index]
    if not rows:
        raise InputError("; ".join(left_out), "run with --index and the same index first, or plan with Flat, SQ8, HNSW32 …")
    return Plan(request, tuple(rows), (*_assumptions(request), *notes), tuple(left_out))


def cheapest_row(plan: Plan) -> PlanRow | None:
    """The acceptable row of least monthly cost, of least memory where there are no prices; None where none is acceptable."""
    acceptable = [row for row in plan.rows if row.acceptable]
    return min(acceptable, key=lambda row: (row.monthly_cost or 0.0, row.memory_bytes), default=None)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able data: `rows`, `request`, `assumptions`, `left_out`."""
    return {
        "schema_version": 1,
        "rows": [asdict(row) for row in plan.rows],
        "request": asdict(plan.request) | {"indexes": list(plan.request.indexes)},
        "assumptions": list(plan.assumptions),
        "left_out": list(plan.left_out),
    }


def _check(request: PlanRequest) -> None:
    if request.docs < 1 or request.replicas < 1:
        raise InputError("a plan needs at least one document and one replica", "--docs 50M --replicas 2")
    if not request.indexes:
        raise InputError("a plan needs an index", "--index HNSW32")
    if not 0 <= request.headroom < 1:
        raise InputError(
            f"headroom {request.headroom:g} is not a share below 1", "--headroom 0.2 leaves a fifth of the memory free"
        )
    for name in ("queries_per_second", "machine_bytes", "documents_per_second", "tokens_per_document"):
        value = getattr(request, name)
        if value is not None and not value > 0:
            raise InputError(f"{name.replace('_', ' ')} must be above zero, not {value:g}", "see `mrl-sweep plan --help`")
    for name in ("price_gib_month", "price_disk_gib_month", "machine_price_month", "price_per_million_tokens"):
        value = getattr(request, name)
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name.replace('_', ' ')} must not be negative, not {value:g}", "see `mrl-sweep plan --help`")
    if request.machine_price_month is not None and request.machine_bytes is None:
        raise InputError("a machine has a price but no size", "--machine-memory 64GiB")


def _weigh(index: str, dim: int, docs: int, points: Sequence[MeasuredPoint]) -> tuple[int, str] | None:
    """Bytes of the index and a note where they are scaled from a measured one instead of known in closed form."""
    known = index_bytes(index, dim, docs)
    if known is not None:
        return known, ""
    measured = next((point for point in points if point.index == index and point.dim == dim and point.index_bytes), None)
    if measured is None or measured.index_bytes is None:
        return None
    note = f"{index}: bytes per document as measured at {measured.docs:,} documents"
    return round(measured.index_bytes * docs / measured.docs), note


def _row(request: PlanRequest, size: SizeFacts, index: str, one_index: int, scaled: Scaled | None) -> PlanRow:
    rate = scaled.queries_per_second if scaled else None
    replicas = request.replicas
    if request.queries_per_second is not None and rate:
        replicas = max(replicas, math.ceil(request.queries_per_second / rate))
    vectors = vector_bytes(size.dim, request.docs)
    memory, disk = replicas * one_index, replicas * one_index + vectors
    machines = None
    if request.machine_bytes is not None:
        machines = replicas * math.ceil(one_index / (request.machine_bytes * (1 - request.headroom)))
    tokens = None if request.tokens_per_document is None else request.tokens_per_document * request.docs
    price = request.price_per_million_tokens
    return PlanRow(
        dim=size.dim,
        index=index,
        docs=request.docs,
        acceptable=size.acceptable,
        kept=size.kept,
        at_least=size.at_least,
        vector_bytes=vectors,
        index_bytes=one_index,
        memory_bytes=memory,
        disk_bytes=disk,
        embed_s=None if request.documents_per_second is None else request.docs / request.documents_per_second,
        embed_price=None if tokens is None or price is None else tokens / 1e6 * price,
        p50_ms=scaled.p50_ms if scaled else None,
        p99_ms=scaled.p99_ms if scaled else None,
        queries_per_second=rate,
        replicas=replicas,
        machines=machines,
        monthly_cost=_monthly_cost(request, memory, disk, machines),
    )


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


def _with_saving(row: PlanRow, full: PlanRow) -> PlanRow:
    if row.monthly_cost is None or full.monthly_cost is None:
        return row
    saving = full.monthly_cost - row.monthly_cost
    share = saving / full.monthly_cost if full.monthly_cost else None
    return replace(row, saving=saving, saving_share=share)


def _assumptions(request: PlanRequest) -> list[str]:
    lines = ["memory holds one index per replica; disk holds the index files and one copy of the float32 vectors"]
    if request.machine_bytes is not None:
        lines.append(
            f"{request.headroom:.0%} of each machine's memory stays free; an index too large for one is split over several"
        )
    if request.machine_price_month is None and request.price_gib_month is not None:
        lines.append("memory is paid by the GiB, whole machines are not counted in the cost")
    if request.documents_per_second is not None:
        lines.append(f"texts are embedded once, at full size, {request.documents_per_second:,.0f} a second")
    return lines
