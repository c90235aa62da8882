"""Fleet and bill worked out by hand."""

from __future__ import annotations

import json
import math

import pytest

from mrl_sweep.deploying.index_bytes import index_bytes
from mrl_sweep.deploying.plan import GIB, PlanRequest, SizeFacts, cheapest_row, make_plan, plan_document
from mrl_sweep.deploying.scaling import MeasuredPoint, scale_point, work
from mrl_sweep.errors import InputError

FULL, HALF, BAD = (
    SizeFacts(dim=1024, acceptable=True, kept=1.0),
    SizeFacts(dim=512, acceptable=True, kept=0.991, at_least=0.983),
    SizeFacts(dim=64, acceptable=False, kept=0.9),
)
MILLION = 2**20


def test_bytes_and_cost_of_flat_by_hand() -> None:
    request = PlanRequest(docs=MILLION, replicas=2, price_gib_month=0.5, price_disk_gib_month=0.1)
    full, half = make_plan(request, [HALF, BAD, FULL]).rows
    assert (full.dim, half.dim) == (1024, 512), "largest first, without what is not acceptable"
    assert half.vector_bytes == 2 * GIB
    assert half.index_bytes == 2 * GIB + 45
    assert half.memory_bytes == 2 * half.index_bytes
    assert half.disk_bytes == 2 * half.index_bytes + half.vector_bytes
    assert half.monthly_cost == pytest.approx(4 * 0.5 + 6 * 0.1)
    assert full.monthly_cost == pytest.approx(8 * 0.5 + 12 * 0.1)
    assert half.saving == pytest.approx(2.6)
    assert half.saving_share == pytest.approx(0.5)
    assert full.saving == 0


def test_machines_hold_an_index_with_room_to_spare_or_split_it() -> None:
    request = PlanRequest(docs=MILLION, replicas=3, machine_bytes=GIB, machine_price_month=10, headroom=0.5)
    full, half = make_plan(request, [FULL, HALF]).rows
    assert full.machines == 3 * 9, "4 GiB and a few bytes by half GiBs"
    assert half.machines == 3 * 5
    assert full.monthly_cost == 270


def test_more_replicas_where_one_is_too_slow() -> None:
    point = MeasuredPoint(index="Flat", dim=512, docs=1000, p50_ms=0.1, p99_ms=0.2, queries_per_second=10_000)
    request = PlanRequest(docs=10_000, queries_per_second=2500, replicas=2)
    half = make_plan(request, [FULL, SizeFacts(dim=512, acceptable=True, points=(point,))]).rows[1]
    assert (half.p50_ms, half.p99_ms) == (pytest.approx(1.0), pytest.approx(2.0))
    assert half.queries_per_second == pytest.approx(1000)
    assert half.replicas == 3


def test_embedding_takes_time_and_money_once() -> None:
    request = PlanRequest(docs=3_000_000, documents_per_second=500, tokens_per_document=200, price_per_million_tokens=0.02)
    row = make_plan(request, [FULL]).rows[0]
    assert row.embed_s == 6000
    assert row.embed_price == pytest.approx(12.0)


def test_what_is_not_asked_for_or_measured_is_none() -> None:
    row = make_plan(PlanRequest(docs=10), [FULL]).rows[0]
    assert (row.embed_s, row.embed_price, row.p50_ms, row.machines, row.monthly_cost, row.saving) == (None,) * 6


def test_an_index_without_closed_form_is_scaled_from_its_measurement() -> None:
    measured = SizeFacts(
        dim=1024, acceptable=True, points=(MeasuredPoint(index="NSG32", dim=1024, docs=1000, index_bytes=5_000_000),)
    )
    plan = make_plan(PlanRequest(docs=10_000, indexes=("NSG32",)), [measured, HALF])
    assert [(row.dim, row.index_bytes) for row in plan.rows] == [(1024, 50_000_000)]
    assert plan.left_out == ("NSG32 at 512 dimensions: its bytes are neither known in closed form nor measured",)
    assert "NSG32: bytes per document as measured at 1,000 documents" in plan.assumptions
    with pytest.raises(InputError, match="NSG32 at 1024 dimensions"):
        make_plan(PlanRequest(docs=10, indexes=("NSG32",)), [FULL])


def test_the_cheapest_acceptable_row() -> None:
    request = PlanRequest(docs=MILLION, indexes=("Flat", "SQ8"), price_gib_month=1)
    plan = make_plan(request, [FULL, HALF])
    best = cheapest_row(plan)
    assert best is not None
    assert (best.dim, best.index) == (512, "SQ8")
    assert best.index_bytes == index_bytes("SQ8", 512, MILLION)
    assert cheapest_row(make_plan(request, [BAD])) is None


def test_the_document_is_plain_json() -> None:
    document = plan_document(make_plan(PlanRequest(docs=50_000_000, indexes=("HNSW32",)), [FULL, HALF]))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    row = document["rows"][1]
    assert (row["dim"], row["index"], row["docs"]) == (512, "HNSW32", 50_000_000)
    assert row["vector_bytes"] == 50_000_000 * 512 * 4
    assert row["index_bytes"] == index_bytes("HNSW32", 512, 50_000_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"docs": 0}, "at least one document"),
        ({"replicas": 0}, "at least one document and one replica"),
        ({"indexes": ()}, "needs an index"),
        ({"headroom": 1.0}, "headroom"),
        ({"queries_per_second": 0.0}, "queries per second must be above zero"),
        ({"price_gib_month": -1.0}, "price gib month must not be negative"),
        ({"price_gib_month": math.nan}, "price gib month must not be negative"),
        ({"machine_price_month": 5.0}, "a machine has a price but no size"),
    ],
)
def test_a_request_without_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(PlanRequest(**({"docs": 10} | options)), [FULL])


def test_work_grows_as_the_index_searches() -> None:
    assert work("Flat", 64, 2000) == 2 * work("Flat", 64, 1000) == 2 * work("SQ8", 32, 2000)
    assert work("HNSW32", 64, 10**6) == pytest.approx(2 * work("HNSW32", 64, 10**3))
    assert work("IVF100,Flat,nprobe=10", 1, 10_000) == 100 + 10 * 100
    assert work("IVF100,Flat", 1, 10_000) == 100 + 100


def test_latency_comes_from_the_same_index_at_the_nearest_size() -> None:
    points = [
        MeasuredPoint(index="HNSW32,efSearch=64", dim=512, docs=1000, p50_ms=1.0, p99_ms=None, queries_per_second=100),
        MeasuredPoint(index="HNSW32,efSearch=128", dim=512, docs=1000, p50_ms=3.0),
        MeasuredPoint(index="HNSW32,efSearch=64", dim=64, docs=1000, p50_ms=9.0),
        MeasuredPoint(index="Flat", dim=256, docs=1000, p50_ms=0.5),
    ]
    first = scale_point("HNSW32", 256, 10**6, points)
    assert first is not None
    assert (first.p50_ms, first.p99_ms, first.queries_per_second) == (pytest.approx(1.0), None, pytest.approx(100))
    assert "logarithm" in first.assumption
    named = scale_point("HNSW32,efSearch=128", 512, 1000, points)
    assert named is not None
    assert named.p50_ms == 3.0
    assert scale_point("SQ8", 256, 10**6, points) is None
