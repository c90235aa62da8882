"""Fleet and bill worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from mrl_sweep.deploying.findings import Cost, Finding
from mrl_sweep.deploying.index_bytes import index_bytes
from mrl_sweep.deploying.plan import GIB, Evaluated, PlanRequest, cheapest_row, make_plan, plan_document
from mrl_sweep.deploying.scaling import scaled_cost, work
from mrl_sweep.errors import InputError
from mrl_sweep.types import Configuration, Evidence, Judgement, Measure, Outcome

NDCG = Measure("nDCG", 10)


def found(
    configuration: str, kept: float, at_least: float | None = None, outcome: Outcome = Outcome.PASS, reason: str = "", **cost: Any
) -> Finding:
    evidence = {NDCG: Evidence(mean=kept / 2, kept=kept, at_least=at_least)}
    return Finding(judgement=Judgement(Configuration.parse(configuration), outcome, evidence, reason), cost=Cost(**cost))


FULL = found("1024", 1.0, outcome=Outcome.BASELINE)
HALF = found("512", 0.991, 0.983)
BAD = found("64", 0.9, 0.88, Outcome.FAIL, "keeps at most 92% of nDCG@10; 98% was asked")


def run(*findings: Finding, projected: Mapping[Configuration, Mapping[str, Any]] | None = None) -> Evaluated:
    by_name = {finding.configuration: finding for finding in findings}
    return Evaluated(findings=by_name, n_documents=1000, measure=NDCG, projected=projected or {})


MILLION = 2**20


def test_bytes_and_cost_of_flat_by_hand() -> None:
    request = PlanRequest(docs=MILLION, replicas=2, price_gib_month=0.5, price_disk_gib_month=0.1)
    full, half = make_plan(request, run(HALF, BAD, FULL)).rows
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
    full, half = make_plan(request, run(FULL, HALF)).rows
    assert full.machines == 3 * 9, "4 GiB and a few bytes by half GiBs"
    assert half.machines == 3 * 5
    assert full.monthly_cost == 270


def test_more_replicas_where_one_is_too_slow() -> None:
    flat = found("512:float32:Flat", 0.991, p50_ms=0.1, p99_ms=0.2, queries_per_second=10_000)
    request = PlanRequest(docs=10_000, queries_per_second=2500, replicas=2)
    half = make_plan(request, run(FULL, HALF, flat)).rows[1]
    assert (half.p50_ms, half.p99_ms) == (pytest.approx(1.0), pytest.approx(2.0))
    assert half.queries_per_second == pytest.approx(1000)
    assert half.replicas == 3


def test_embedding_takes_time_and_money_once() -> None:
    request = PlanRequest(docs=3_000_000, documents_per_second=500, tokens_per_document=200, price_per_million_tokens=0.02)
    row = make_plan(request, run(FULL)).rows[0]
    assert row.embed_s == 6000
    assert row.embed_price == pytest.approx(12.0)


def test_what_is_not_asked_for_or_measured_is_none() -> None:
    row = make_plan(PlanRequest(docs=10), run(FULL)).rows[0]
    assert (row.embed_s, row.embed_price, row.p50_ms, row.machines, row.monthly_cost, row.saving) == (None,) * 6


def test_an_index_without_closed_form_is_scaled_from_its_measurement() -> None:
    measured = found("1024:float32:NSG32", 1.0, 0.99, index_bytes=5_000_000)
    plan = make_plan(PlanRequest(docs=10_000, indexes=("NSG32",)), run(FULL, HALF, measured))
    assert [(row.dim, row.index_bytes) for row in plan.rows] == [(1024, 50_000_000)]
    assert plan.left_out == ("NSG32 at 512 dimensions: its bytes are neither known in closed form nor measured",)
    assert "NSG32: bytes per document as measured at 1,000 documents" in plan.assumptions
    with pytest.raises(InputError, match="NSG32 at 1024 dimensions"):
        make_plan(PlanRequest(docs=10, indexes=("NSG32",)), run(FULL))


def test_the_cheapest_acceptable_row_is_one_that_was_measured_and_judged() -> None:
    """SQ8 at 512 was never measured, SQ4 was and is too low: neither is ever the cheapest."""
    good = found("1024:float32:SQ8", 0.999, 0.985)
    bad = found("512:float32:SQ4", 0.95, 0.94, Outcome.FAIL, "keeps at most 96% of nDCG@10; 98% was asked")
    plan = make_plan(
        PlanRequest(docs=MILLION, indexes=("Flat", "SQ8", "SQ4"), price_gib_month=1), run(FULL, HALF, BAD, good, bad)
    )
    rows = {row.configuration: (row.acceptable, row.quality, row.at_least, row.reason) for row in plan.rows}
    assert rows == {
        "1024:float32:Flat": (True, 0.5, None, ""),
        "512:float32:Flat": (True, 0.4955, 0.983, ""),
        "1024:float32:SQ8": (True, 0.4995, 0.985, ""),
        "512:float32:SQ8": (None, None, None, "not measured: --index SQ8 in the run"),
        "1024:float32:SQ4": (None, None, None, "not measured: --index SQ4 in the run"),
        "512:float32:SQ4": (False, 0.475, 0.94, "keeps at most 96% of nDCG@10; 98% was asked"),
    }
    best = cheapest_row(plan)
    assert best is not None
    assert best.configuration == "1024:float32:SQ8"
    assert best.index_bytes == index_bytes("SQ8", 1024, MILLION)


def test_of_several_efforts_the_first_acceptable_one_is_planned_else_the_last() -> None:
    efforts = [found("512:float32:HNSW32,efSearch=16", 0.9, 0.88, Outcome.FAIL, "too low"), HALF, FULL]
    request = PlanRequest(docs=10, indexes=("HNSW32",))
    assert make_plan(request, run(*efforts)).rows[1].acceptable is False
    efforts += [found("512:float32:HNSW32,efSearch=32", 0.99, 0.981), found("512:float32:HNSW32,efSearch=64", 0.991, 0.982)]
    assert make_plan(request, run(*efforts)).rows[1].configuration == "512:float32:HNSW32,efSearch=32"


@pytest.mark.parametrize(
    ("there", "acceptable", "reason"),
    [(True, True, ""), (None, None, "not proven at 10 documents"), (False, False, "too low at 10 documents")],
)
def test_a_row_is_acceptable_only_where_it_is_in_the_planned_corpus(
    there: bool | None, acceptable: bool | None, reason: str
) -> None:
    projected = {HALF.configuration: {"acceptable": there}}
    row = make_plan(PlanRequest(docs=10), run(FULL, HALF, projected=projected)).rows[1]
    assert (row.acceptable, row.reason) == (acceptable, reason)


def test_a_code_is_a_row_of_its_own_with_the_bytes_of_its_code() -> None:
    plan = make_plan(PlanRequest(docs=1000), run(FULL, found("1024:int8", 0.999, 0.99), found("512:binary", 0.99, 0.98)))
    assert [(row.configuration, row.precision, row.vector_bytes, row.acceptable) for row in plan.rows] == [
        ("1024:float32:Flat", "float32", 4_096_000, True),
        ("1024:int8:Flat", "int8", 1_024_000, True),
        ("512:binary:Flat", "binary", 64_000, True),
    ]


def test_the_document_is_plain_json() -> None:
    document = plan_document(make_plan(PlanRequest(docs=50_000_000, indexes=("HNSW32",)), run(FULL, HALF)))
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
        make_plan(PlanRequest(**({"docs": 10} | options)), run(FULL))


def test_work_grows_as_the_index_searches() -> None:
    assert work("Flat", 64, 2000) == 2 * work("Flat", 64, 1000) == 2 * work("SQ8", 32, 2000)
    assert work("HNSW32", 64, 10**6) == pytest.approx(2 * work("HNSW32", 64, 10**3))
    assert work("IVF100,Flat,nprobe=10", 1, 10_000) == 100 + 10 * 100
    assert work("IVF100,Flat", 1, 10_000) == 100 + 100


def test_latency_comes_from_the_same_index_at_the_nearest_size() -> None:
    findings = [
        found("512:float32:HNSW32,efSearch=64", 1, p50_ms=1.0, queries_per_second=100),
        found("512:float32:HNSW32,efSearch=128", 1, p50_ms=3.0),
        found("64:float32:HNSW32,efSearch=64", 1, p50_ms=9.0),
        found("256:float32:Flat", 1, p50_ms=0.5),
    ]
    first = scaled_cost("HNSW32", 256, 10**6, findings, 1000)
    assert first is not None
    assert (first.p50_ms, first.p99_ms, first.queries_per_second) == (pytest.approx(1.0), None, pytest.approx(100))
    assert "logarithm" in first.assumption
    named = scaled_cost("HNSW32,efSearch=128", 512, 1000, findings, 1000)
    assert named is not None
    assert named.p50_ms == 3.0
    assert scaled_cost("SQ8", 256, 10**6, findings, 1000) is None
