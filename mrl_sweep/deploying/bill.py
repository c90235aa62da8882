"""One row of a plan: an index for its codes, bytes, replicas, machines and the bill in the user's prices; nothing of quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mrl_sweep.deploying.findings import bytes_in_memory, bytes_on_disk
from mrl_sweep.deploying.index_spec import vector_bytes
from mrl_sweep.deploying.scaling import Band, Outlook
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target
from mrl_sweep.errors import InputError
from mrl_sweep.record import record
from mrl_sweep.types import Configuration
from mrl_sweep.words import asked_share

GIB: Final = 2**30
ON_DISK: Final = "disk holds the index files and one copy of the float32 vectors"


@record
class Placed:
    """Codes stand in the structure that searches them; `refusal` says why the target cannot hold them, empty where it can."""

    base: Configuration
    index: str
    refusal: str = ""


def placed(
    target: Target,
    bases: Iterable[Configuration],
    indexes: Callable[[Configuration], Sequence[str]],
    full: int,
    *,
    symmetric: bool = True,
) -> list[Placed]:
    """Places every configuration in each of its `indexes`, index by index, the largest size first; without any, in the target's.

    Without `indexes`, a precision that the target does not offer is left out. All else that the target cannot hold, or searches
    in another way than was measured, is placed with its refusal. `full` is the model's size; `symmetric`: the run
    compared signs with signs.
    """
    rows = []
    for base in sorted(bases, key=lambda base: -base.dim):
        offer = target.offer(base.precision)
        own = () if offer is None else ("Flat" if target.name == DEFAULT_TARGET else offer.index,)
        otherwise = target.compared_otherwise(base.precision, symmetric=symmetric)
        rows += [
            Placed(base, index, target.refusal(replace(base, index=index), full) or otherwise) for index in indexes(base) or own
        ]
    order = list(dict.fromkeys(at.index for at in rows))
    return sorted(rows, key=lambda at: order.index(at.index))


def target_weight(target: Target, at: Placed, docs: int) -> tuple[int, str] | None:
    """Returns the bytes of the target's index and a note on whose they are; None for FAISS, and where no formula is known."""
    weight = target.index_bytes(replace(at.base, index=at.index), docs)
    if weight is None or target.name == DEFAULT_TARGET:
        return None
    offer = target.offer(at.base.precision)
    own = offer is not None and offer.layout
    stand_in = f"those of FAISS's {at.index}, which stands in for {target.title}'s own"
    whose = f"{target.title}'s, by its own layout" if own else stand_in
    return weight, f"index bytes of {at.base.precision} are {whose}"


@record(kw_only=True)
class PlanRequest:
    """A request says what is planned. Prices are the user's, per month where so named; None leaves a column empty.

    Without `indexes`, each configuration stands in those that the run measured it in, else in the target's own. `p99_ms`,
    `size_bytes` (of one replica's index), `recall` and `queries_per_second` are limits: what is not known to be within them is
    not acceptable. `headroom` is the share of each machine's memory that stays free. Memory is priced per GiB unless machines
    have a price. `documents_per_second` is the rate at which texts are embedded; `tokens_per_document` and
    `price_per_million_tokens` are for hosted models.
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


@record(kw_only=True)
class PlanRow:
    """A row is one configuration at the planned corpus. Bytes are per replica, `memory_bytes` and `disk_bytes` of the fleet.

    `quality`, `kept`, `at_least` and `acceptable` are those of the run's own finding, None where the run did not measure this
    configuration (`acceptable` is False where the target refuses it); `reason` says why it is not acceptable, or not known to be.
    `acceptable` also asks for the planned corpus, where quality is projected to it (`projected`). `vector_bytes` is the codes
    alone, `index_bytes` the index file; None, with the bytes that follow from it, where the target cannot hold the configuration.
    Latency, throughput and recall, the share of the exact first ten that the index returns, have their bands beside them (low,
    high). `only_alone` says why a row that is acceptable by itself is not named among the others. `saving` is what this row costs
    less per month than full size with the same index, `saving_share` the same as a share.
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
    only_alone: str = ""


def check_request(request: PlanRequest) -> None:
    """Raises InputError for a rate, a size or a count of tokens of 0, and for a machine that has a price but no size."""
    for name in ("queries_per_second", "machine_bytes", "documents_per_second", "tokens_per_document"):
        if getattr(request, name) == 0:
            raise InputError(f"{name.replace('_', ' ')} must be above zero, not 0", "see `mrl-sweep plan --help`")
    if request.machine_price_month is not None and request.machine_bytes is None:
        raise InputError("a machine has a price but no size", "--machine-memory 64GiB")


def costed_row(request: PlanRequest, at: Placed, one_index: int | None, ahead: Outlook, beside: int) -> PlanRow:
    """Fills in bytes, machines, latency and cost, nothing of quality. `one_index`: bytes; `beside`: on disk beside the index."""
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


def bytes_beside(target: Target, base: Configuration, full_dim: int, docs: int) -> int:
    """Counts the bytes on disk beside the index: the target's table, else one copy of the vectors that a search may need."""
    table = target.disk_bytes(base, full_dim, docs)
    if table is not None:
        return table
    return (bytes_on_disk(base, full_dim) - bytes_in_memory(base)) * docs if base.rescore else vector_bytes(base.dim, docs)


def _ends(band: Band | None) -> tuple[float, float] | None:
    return None if band is None else (band.low, band.high)


def _monthly_cost(request: PlanRequest, memory: int, disk: int, machines: int | None) -> float | None:
    """Adds up machines where they have a price, else memory by the GiB, and disk where it has one. None without any price."""
    parts = []
    if request.machine_price_month is not None and machines is not None:
        parts.append(machines * request.machine_price_month)
    elif request.price_gib_month is not None:
        parts.append(memory / GIB * request.price_gib_month)
    if request.price_disk_gib_month is not None:
        parts.append(disk / GIB * request.price_disk_gib_month)
    return sum(parts) if parts else None


def with_saving(row: PlanRow, full: PlanRow | None) -> PlanRow:
    """Adds what the row costs less per month than `full` size with the same index; nothing where either has no price."""
    if full is None or row.monthly_cost is None or full.monthly_cost is None:
        return row
    saving = full.monthly_cost - row.monthly_cost
    share = saving / full.monthly_cost if full.monthly_cost else None
    return replace(row, saving=saving, saving_share=share)


def assumptions_of(request: PlanRequest) -> list[str]:
    """Lists, in sentences, the assumptions that the figures of a bill rest on."""
    lines = ["memory holds one index per replica", ON_DISK]
    if request.machine_bytes is not None:
        free = asked_share(request.headroom)
        lines.append(f"{free} of each machine's memory stays free; an index too large for one is split over several")
    if request.machine_price_month is None and request.price_gib_month is not None:
        lines.append("memory is paid by the GiB, whole machines are not counted in the cost")
    if request.documents_per_second is not None:
        lines.append(f"texts are embedded once, at full size, {request.documents_per_second:,.0f} a second")
    return lines
