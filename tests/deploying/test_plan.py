"""Fleet and bill worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mrl_sweep.deploying.bill import GIB, ON_DISK, PlanRequest, assumptions_of
from mrl_sweep.deploying.findings import Cost, Finding, Smaller
from mrl_sweep.deploying.index_spec import index_bytes
from mrl_sweep.deploying.plan import Evaluated, make_plan, plan_document
from mrl_sweep.errors import InputError
from mrl_sweep.report.plan import plan_article
from mrl_sweep.types import Configuration, Evidence, Judgement, Measure, Outcome

NDCG = Measure("nDCG", 10)
NOT_MEASURED = "not measured: --index"


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
    return Evaluated(findings=by_name, n_documents=1000, n_queries=400, measure=NDCG, projected=projected or {})


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


@pytest.mark.parametrize(("machine_bytes", "machines"), [(5 * GIB, 2), (5 * GIB + 100, 1)])
def test_a_fifth_of_a_machine_stays_free_unless_it_is_said(machine_bytes: int, machines: int) -> None:
    """Full size takes 4 GiB and 45 bytes."""
    assert make_plan(PlanRequest(docs=MILLION, machine_bytes=machine_bytes), run(FULL)).rows[0].machines == machines


def grown(docs: int = 250, **at: float) -> Smaller:
    return Smaller(docs=docs, **at)


def test_more_replicas_where_one_is_too_slow() -> None:
    """Latency doubles where documents do: 0.025 ms at 250 and 0.1 ms at 1,000 are 1 ms at 10,000."""
    speed: dict[str, Any] = {"p50_ms": 0.1, "p99_ms": 0.2, "queries_per_second": 10_000, "smaller": grown(p50_ms=0.025)}
    flat = found("512:float32:Flat", 0.991, **speed)
    half = make_plan(PlanRequest(docs=10_000, queries_per_second=2500, replicas=2), run(FULL, HALF, flat)).rows[1]
    assert (half.p50_ms, half.p99_ms) == (pytest.approx(1.0), pytest.approx(2.0))
    assert half.queries_per_second == pytest.approx(1000)
    assert half.replicas == 3


def test_noise_decides_no_number_of_copies() -> None:
    """Less effort is not slower: what says so (900 a second at 16, 2,000 at 32) is noise of the timing."""
    efforts = [
        found(
            f"512:float32:HNSW32,efSearch={effort}", 0.991, queries_per_second=rate, p50_ms=1000 / rate, smaller=grown(p50_ms=0.4)
        )
        for effort, rate in ((16, 900.0), (32, 2000.0), (64, 1000.0))
    ]
    indexes = tuple(f"HNSW32,efSearch={effort}" for effort in (16, 32, 64))
    plan = make_plan(PlanRequest(docs=1000, queries_per_second=1800, indexes=indexes), run(FULL, HALF, *efforts))
    assert {row.index: row.replicas for row in plan.rows if row.dim == 512} == dict(zip(indexes, (1, 1, 2), strict=True))


def test_what_was_judged_is_planned_where_no_index_is_asked_for() -> None:
    measured = found("512:float32:HNSW32,efSearch=64", 0.99, 0.981, index_bytes=2_400_000)
    for target in ("faiss", "qdrant"):
        plan = make_plan(PlanRequest(docs=1000, target=target), run(FULL, HALF, measured))
        rows = {row.configuration: row.acceptable for row in plan.rows}
        assert rows["512:float32:HNSW32,efSearch=64"] is True
        assert rows.get("1024:float32:Flat", "none") == (True if target == "faiss" else "none")
        assert rows.get("1024:float32:HNSW16", "none") == (None if target == "qdrant" else "none")


def test_what_is_ordered_again_is_planned_with_its_vectors_on_disk() -> None:
    plan = make_plan(PlanRequest(docs=1000), run(FULL, found("512:binary:exact:rescore=4x", 0.99, 0.98)))
    row = plan.rows[1]
    assert (row.configuration, row.rescore, row.acceptable) == ("512:binary:Flat:rescore=4x", "4x", True)
    assert row.disk_bytes == (row.index_bytes or 0) + 1000 * 4096


@pytest.mark.parametrize("timed", [{}, {"p50_ms": 2.0, "p99_ms": 3.0, "queries_per_second": 400.0}])
def test_a_shortlist_has_the_latency_that_was_measured_and_no_other(timed: dict[str, Any]) -> None:
    plan = make_plan(PlanRequest(docs=1000), run(FULL, found("512:binary:exact:rescore=4x", 0.99, 0.98, **timed)))
    row = plan.rows[1]
    assert {"p50_ms": row.p50_ms, "p99_ms": row.p99_ms, "queries_per_second": row.queries_per_second} == (
        timed or dict.fromkeys(("p50_ms", "p99_ms", "queries_per_second"))
    )


def test_a_shortlist_is_not_taken_for_good_in_a_larger_corpus() -> None:
    """There its own projection counts; at the run's own size the judgement is enough."""
    again = found("512:binary:exact:rescore=4x", 0.99, 0.98)
    expected = (
        ({}, 1000, True, ""),
        ({}, 5000, None, "not projected to 5,000 documents"),
        ({again.configuration: {"acceptable": True}}, 5000, True, ""),
        ({again.configuration: {"acceptable": None}}, 5000, None, "not proven at 5,000 documents"),
        ({again.configuration: {"acceptable": False}}, 5000, False, "too low at 5,000 documents"),
    )
    for own, docs, acceptable, reason in expected:
        projected = {HALF.configuration: {"acceptable": True}, **own}
        rows = make_plan(PlanRequest(docs=docs), run(FULL, HALF, again, projected=projected)).rows
        assert [(row.acceptable, row.reason) for row in rows if row.rescore] == [(acceptable, reason)]


def test_beyond_the_projection_nothing_below_full_size_is_acceptable() -> None:
    """The run's own verdict is one on its 1,000 documents: of a hundred million it says nothing."""
    again = found("512:binary:exact:rescore=4x", 0.99, 0.98)
    index = found("512:float32:HNSW32", 0.99, 0.981, index_bytes=2_400_000)
    request = PlanRequest(docs=100_000_000, indexes=("Flat", "HNSW32"))
    plan = make_plan(request, run(FULL, HALF, again, index, BAD))
    rows = {row.configuration: (row.acceptable, row.reason) for row in plan.rows if row.quality is not None}
    assert rows == {
        "1024:float32:Flat": (True, ""),
        "512:float32:Flat": (None, "not projected to 100,000,000 documents"),
        "512:binary:Flat:rescore=4x": (None, "not projected to 100,000,000 documents"),
        "512:float32:HNSW32": (None, "not projected to 100,000,000 documents"),
    }
    assert plan_article({"": plan}).closing[0].startswith("Cheapest acceptable: 1024 dimensions with Flat")
    assert plan_article({"": plan}).closing[0].endswith("Whether 3 cheaper ones are acceptable too is not known.")


def test_an_index_in_a_larger_corpus_needs_a_recall_that_is_known_there() -> None:
    """The exact search of its codes is projected; what the index loses is known where it was measured at two sizes."""
    smaller = grown(p50_ms=0.4, recall=0.99)
    index = found("512:float32:HNSW32", 0.991, p50_ms=1.0, recall=0.99, smaller=smaller, index_bytes=2_400_000)
    there = {HALF.configuration: {"acceptable": True}}

    def answer(docs: int, **limit: Any) -> tuple[bool | None, str]:
        row = make_plan(PlanRequest(docs=docs, indexes=("HNSW32",), **limit), run(FULL, HALF, index, projected=there)).rows[1]
        return row.acceptable, row.reason

    assert answer(1000) == (True, "")
    assert answer(2000) == (None, "what HNSW32 loses at 2,000 documents is not known: --recall names what is enough")
    assert answer(2000, recall=0.9) == (True, "")
    assert answer(2000, recall=0.97) == (None, "a recall of 97% is not proven at 2,000 documents")


LIMITED: dict[str, Any] = {"p50_ms": 1.0, "p99_ms": 2.0, "queries_per_second": 100.0, "recall": 0.98, "index_bytes": 2_400_000}


@pytest.mark.parametrize(
    ("limit", "docs", "acceptable", "reason"),
    [
        ({"p99_ms": 2.0}, 1000, True, ""),
        ({"p99_ms": 1.9}, 1000, False, "p99 is above 1.9 ms"),
        ({"p99_ms": 5.0}, 2000, None, "a p99 up to 5 ms is not known at 2,000 documents"),
        ({"size_bytes": 2**30}, 1000, True, ""),
        ({"size_bytes": 2**20}, 1000, False, "its index is above 0.000976562 GiB"),
        ({"recall": 0.99, "p99_ms": 3.0}, 1000, None, "a recall of 99% is not proven at 1,000 documents"),
        ({"recall": 0.9}, 1000, True, ""),
        ({"recall": 0.999}, 1000, False, "recall is below 99.9%"),
        ({"recall": 0.9}, 2000, None, "a recall of 90% is not known at 2,000 documents"),
        ({"queries_per_second": 500.0}, 1000, True, ""),
        ({"queries_per_second": 500.0}, 2000, None, "throughput is not known at 2,000 documents"),
    ],
)
def test_limits_exclude_what_exceeds_them_and_what_is_not_known(
    limit: dict[str, Any], docs: int, acceptable: bool | None, reason: str
) -> None:
    one = found("512:float32:HNSW32,efSearch=64", 0.99, 0.981, **LIMITED)
    there = {HALF.configuration: {"acceptable": True}} if docs > 1000 else None
    row = make_plan(PlanRequest(docs=docs, indexes=("HNSW32",), **limit), run(FULL, HALF, one, projected=there)).rows[1]
    assert (row.acceptable, row.reason) == (acceptable, reason)


def test_embedding_takes_time_and_money_once() -> None:
    request = PlanRequest(docs=3_000_000, documents_per_second=500, tokens_per_document=200, price_per_million_tokens=0.02)
    row = make_plan(request, run(FULL)).rows[0]
    assert row.embed_s == 6000
    assert row.embed_price == pytest.approx(12.0)


def test_what_full_size_has_no_row_of_saves_an_unknown_amount() -> None:
    """The graph was measured at 512 dimensions alone; full size has its Flat index beside it."""
    graph = found("512:float32:HNSW32", 0.99, 0.981, index_bytes=2_400_000)
    rows = make_plan(PlanRequest(docs=1000, price_gib_month=1.0), run(FULL, HALF, graph)).rows
    assert [(row.configuration, row.saving is None) for row in rows if row.monthly_cost is not None] == [
        ("1024:float32:Flat", False),
        ("512:float32:HNSW32", True),
    ]


def test_what_a_bill_rests_on_is_said() -> None:
    always = ["memory holds one index per replica", ON_DISK]
    by_gib = "memory is paid by the GiB, whole machines are not counted in the cost"
    free = "20% of each machine's memory stays free; an index too large for one is split over several"
    said = {
        PlanRequest(docs=1000): [],
        PlanRequest(docs=1000, price_gib_month=1.0): [by_gib],
        PlanRequest(docs=1000, price_gib_month=1.0, machine_bytes=GIB): [free, by_gib],
        PlanRequest(docs=1000, price_gib_month=1.0, machine_bytes=GIB, machine_price_month=9.0): [free],
        PlanRequest(docs=1000, documents_per_second=1500): ["texts are embedded once, at full size, 1,500 a second"],
    }
    assert {request: assumptions_of(request) for request in said} == {request: always + more for request, more in said.items()}


def test_what_is_not_asked_for_or_measured_is_none() -> None:
    row = make_plan(PlanRequest(docs=10), run(FULL)).rows[0]
    assert (row.embed_s, row.embed_price, row.p50_ms, row.machines, row.monthly_cost, row.saving) == (None,) * 6


def test_an_index_without_closed_form_is_scaled_from_its_measurement() -> None:
    measured = found("1024:float32:NSG32", 1.0, 0.99, index_bytes=5_000_000)
    plan = make_plan(PlanRequest(docs=10_000, indexes=("NSG32",)), run(FULL, HALF, measured))
    assert [(row.dim, row.index_bytes) for row in plan.rows] == [(1024, 50_000_000)]
    assert plan.left_out == ("NSG32 at 512 dimensions: its bytes are neither known in closed form nor measured",)
    assert "NSG32: bytes per document as measured at 1,000 documents" in plan.assumptions
    with pytest.raises(InputError, match="NSG32 at 1024 dimensions") as refused:
        make_plan(PlanRequest(docs=10, indexes=("NSG32",)), run(FULL))
    assert refused.value.hint == "run with --index and the same index first, or plan with Flat, SQ8, HNSW32 …"


def test_a_misspelt_index_gets_the_nearest_common_one() -> None:
    with pytest.raises(InputError) as refused:
        make_plan(PlanRequest(docs=10, indexes=("Flt",)), run(FULL, HALF))
    assert refused.value.message == (
        "Flt at 1024 dimensions, Flt at 512 dimensions: its bytes are neither known in closed form nor measured"
    )
    assert refused.value.hint.startswith("did you mean Flat? run with --index")
    both = make_plan(PlanRequest(docs=10, indexes=("Flat", "HNWS32")), run(FULL))
    assert both.left_out == (
        "HNWS32 at 1024 dimensions: its bytes are neither known in closed form nor measured; did you mean HNSW32?",
    )


def test_the_cheapest_acceptable_row_is_one_that_was_measured_and_judged() -> None:
    """SQ8 at 512 was never measured, SQ4 was and is too low: neither is ever the cheapest."""
    good = found("1024:float32:SQ8", 0.999, 0.985)
    bad = found("512:float32:SQ4", 0.95, 0.94, Outcome.FAIL, "keeps at most 96% of nDCG@10; 98% was asked")
    plan = make_plan(PlanRequest(docs=1000, indexes=("Flat", "SQ8", "SQ4"), price_gib_month=1), run(FULL, HALF, BAD, good, bad))
    rows = {row.configuration: (row.acceptable, row.quality, row.at_least, row.reason) for row in plan.rows}
    assert rows == {
        "1024:float32:Flat": (True, 0.5, None, ""),
        "512:float32:Flat": (True, 0.4955, 0.983, ""),
        "1024:float32:SQ8": (True, 0.4995, 0.985, ""),
        "512:float32:SQ8": (None, None, None, f"{NOT_MEASURED} SQ8 in the run; the exact search of these codes keeps 99.1%"),
        "1024:float32:SQ4": (None, None, None, f"{NOT_MEASURED} SQ4 in the run; the exact search of these codes keeps 100.0%"),
        "512:float32:SQ4": (False, 0.475, 0.94, "keeps at most 96% of nDCG@10; 98% was asked"),
    }
    best = plan.cheapest
    assert best is not None
    assert best.configuration == "1024:float32:SQ8"
    assert best.index_bytes == index_bytes("SQ8", 1024, 1000)


def test_what_passes_only_by_itself_is_not_named_the_cheapest() -> None:
    why = "passes by itself, but what is chosen among 2 kinds of configuration shares the error of 5%"
    coded = replace(found("512:int8", 0.99, 0.981), only_alone=why)
    plan = make_plan(PlanRequest(docs=1000), run(FULL, HALF, coded))
    assert [(row.configuration, row.acceptable, row.only_alone) for row in plan.rows][1:] == [
        ("512:float32:Flat", True, ""),
        ("512:int8:Flat", True, why),
    ]
    best = plan.cheapest
    assert best is not None
    assert best.configuration == "512:float32:Flat"
    article = plan_article({"": plan})
    assert "512 dimensions with Flat" in article.closing[0]
    table = article.sections[0].table
    assert table is not None
    assert table.columns[-1].cells == ("ok", "ok", why)


def test_of_several_efforts_the_first_acceptable_one_is_planned_else_the_last() -> None:
    efforts = [found("512:float32:HNSW32,efSearch=16", 0.9, 0.88, Outcome.FAIL, "too low"), HALF, FULL]
    request = PlanRequest(docs=10, indexes=("HNSW32",))
    assert make_plan(request, run(*efforts)).rows[1].acceptable is False
    more = found("512:float32:HNSW32,efSearch=24", 0.92, 0.9, Outcome.FAIL, "too low")
    assert make_plan(request, run(*efforts, more)).rows[1].configuration == "512:float32:HNSW32,efSearch=24"
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


def test_a_live_index_is_planned_under_any_of_its_spellings_and_refused_where_it_is_none() -> None:
    live = found("512:float32:pgvector:hnsw(m=16,ef=40)", 0.99, 0.981, index_bytes=2_400_000)
    for spelling in ("pgvector:hnsw", "pgvector:hnsw(ef=40, m=16)"):
        plan = make_plan(PlanRequest(docs=1000, indexes=(spelling,), target="pgvector"), run(FULL, HALF, live))
        assert [row.acceptable for row in plan.rows if row.dim == 512] == [True]
    with pytest.raises(InputError, match="'pgvector:ivfflat' is none of pgvector's"):
        make_plan(PlanRequest(docs=1000, indexes=("pgvector:ivfflat",)), run(FULL, HALF, live))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries_per_second": 0.0}, "queries per second must be above zero"),
        ({"documents_per_second": 0.0}, "documents per second must be above zero"),
        ({"machine_bytes": 0}, "machine bytes must be above zero"),
        ({"machine_price_month": 5.0}, "a machine has a price but no size"),
    ],
)
def test_a_request_without_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_plan(PlanRequest(**({"docs": 10} | options)), run(FULL))
