"""A plan in the database's own terms: its bytes, what does not fit, and no quality that was not measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mrl_sweep.deploying.bill import PlanRequest
from mrl_sweep.deploying.findings import Cost, Finding
from mrl_sweep.deploying.layouts import PAGE_BYTES, VectorType, hnsw_bytes, table_bytes
from mrl_sweep.deploying.plan import Evaluated, Plan, make_plan
from mrl_sweep.report.plan import plan_article
from mrl_sweep.report.render import Format, render
from mrl_sweep.types import Configuration, Evidence, Judgement, Measure, Outcome

NDCG = Measure("nDCG", 10)
MILLION = 1_000_000


def found(configuration: str, outcome: Outcome = Outcome.PASS) -> Finding:
    evidence = {NDCG: Evidence(mean=0.5, kept=0.99, at_least=0.98)}
    return Finding(judgement=Judgement(Configuration.parse(configuration), outcome, evidence, ""))


def planned(*findings: Finding, target: str = "pgvector", indexes: tuple[str, ...] = ()) -> Plan:
    known = Evaluated(findings={f.configuration: f for f in findings}, n_documents=1000, n_queries=400, measure=NDCG)
    return make_plan(PlanRequest(docs=MILLION, target=target, indexes=indexes), known)


FULL = found("3072", Outcome.BASELINE)


def test_the_staircase_stands_in_the_rows() -> None:
    plan = planned(FULL, *(found(str(dim)) for dim in (1536, 1024, 768)), found("1536:float16:exact"), found("1536:binary:exact"))
    of = {(row.dim, row.precision): row.index_bytes for row in plan.rows}
    assert of[1536, "float32"] == of[1024, "float32"] == hnsw_bytes(VectorType.VECTOR, 1536, MILLION)
    assert 2 * (of[768, "float32"] or 0) == (of[1024, "float32"] or 0) + PAGE_BYTES
    assert of[1536, "float16"] == hnsw_bytes(VectorType.HALFVEC, 1536, MILLION)
    assert of[1536, "binary"] == hnsw_bytes(VectorType.BIT, 1536, MILLION)


def test_what_does_not_fit_is_there_refused_and_without_bytes() -> None:
    row = planned(FULL, found("1536")).rows[0]
    assert (row.dim, row.acceptable, row.index_bytes, row.memory_bytes, row.monthly_cost) == (3072, False, None, None, None)
    assert row.reason == "pgvector 0.8 indexes up to 2,000 dimensions as vector, not 3,072"


@pytest.mark.parametrize("symmetric", [True, False])
def test_codes_that_the_target_compares_otherwise_have_no_quality_to_rest_on(symmetric: bool) -> None:
    known = {one.configuration: one for one in (FULL, found("1536:binary:exact"), found("1536:float16:exact"))}
    run = Evaluated(findings=known, n_documents=1000, n_queries=400, measure=NDCG, symmetric=symmetric)
    plan = make_plan(PlanRequest(docs=1000, target="pgvector", indexes=("HNSW16",)), run)
    of = {row.precision: row for row in plan.rows if row.dim == 1536}
    assert (of["binary"].acceptable is False) == (not symmetric)
    assert ("compares bit codes with codes" in of["binary"].reason) == (not symmetric)
    assert "compares" not in of["float16"].reason


def test_the_table_says_why_a_row_is_refused_and_what_was_not_measured() -> None:
    page = " ".join(render(plan_article({"": planned(FULL, found("1536"))}), Format.MARKDOWN).split())
    assert "pgvector 0.8 indexes up to 2,000 dimensions as vector, not 3,072 |" in page
    assert "| not measured |" in page


def test_a_small_bill_is_not_nothing() -> None:
    finding = replace(found("256:float32:HNSW16"), cost=Cost(index_bytes=1000, p50_ms=1.0))
    known = Evaluated(
        findings={f.configuration: f for f in (FULL, found("256"), finding)}, n_documents=10, n_queries=9, measure=NDCG
    )
    plan = make_plan(PlanRequest(docs=10, target="qdrant", indexes=("HNSW16",), price_gib_month=3.0, currency="EUR"), known)
    page = " ".join(render(plan_article({"": plan}), Format.TEXT).split())
    assert "for 10 documents, under 0.01 EUR a month" in page


def test_the_table_keeps_the_full_vectors() -> None:
    row = planned(FULL, found("1536")).rows[1]
    assert row.disk_bytes == (row.index_bytes or 0) + table_bytes(3072, MILLION)


def test_a_size_that_was_judged_and_is_too_low_stays_in_sight() -> None:
    rows = planned(FULL, found("256", Outcome.FAIL), indexes=("Flat",)).rows
    assert [(row.dim, row.acceptable) for row in rows] == [(3072, False), (256, False)]


def test_the_quality_of_an_index_that_was_not_measured_is_not_known() -> None:
    row = planned(FULL, found("1536")).rows[1]
    assert (row.index, row.acceptable, row.kept) == ("HNSW16", None, None)
    assert row.reason == "not measured: --index HNSW16 in the run; the exact search of these codes keeps 99.0%"


def test_a_precision_that_the_target_lacks_gets_no_row() -> None:
    assert [row.precision for row in planned(FULL, found("512:int8:exact")).rows] == ["float32"]


@pytest.mark.parametrize("target", ["qdrant", "weaviate"])
def test_whose_bytes_they_are_is_said(target: str) -> None:
    plan = planned(FULL, found("512:int8:exact"), target=target)
    own = "Weaviate's, by its own layout" if target == "weaviate" else "FAISS's HNSW16, which stands in for Qdrant's own"
    assert any("index bytes of int8 are" in note and own in note for note in plan.assumptions)
