"""From verdict and scores to the document: every candidate has a row, judged ones with evidence."""

from __future__ import annotations

import numpy as np

from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.report.content.build import Cost, Facts, build_report
from mrl_sweep.report.document import Report
from mrl_sweep.types import Advice, Configuration, Measure, Scores

NDCG, RECALL = Measure("nDCG", 10), Measure("R", 100)
FULL, HALF, SMALL = (Configuration("prefix", dim) for dim in (8, 4, 2))
PCA, HNSW, FLAT = Configuration("pca", 4), Configuration("prefix", 4, "HNSW32"), Configuration("prefix", 4, "Flat")
N = 800


def scores() -> Scores:
    """Full size scores 0.5 everywhere; half loses 0.005 on average and is proven, small is proven worse."""
    wave = np.where(np.arange(N) % 2, 0.02, -0.02)
    ndcg = np.stack([np.full(N, 0.5), 0.495 + wave, 0.4 + wave, 0.45 + wave, 0.49 + wave])
    recall = np.stack([np.full(N, 0.8), np.full(N, 0.8), np.full(N, 0.6), np.full(N, 0.7), np.full(N, 0.75)])
    counted = np.ones((2, N), bool)
    counted[0, 0] = False
    return Scores((FULL, HALF, SMALL, PCA, HNSW), (NDCG, RECALL), np.stack([ndcg, recall], axis=1), counted)


def built(facts: Facts | None = None) -> Report:
    verdict = decide(scores(), Policy(retain=0.98))
    return build_report(verdict, scores(), [f"q{i}" for i in range(N)], facts or Facts())


def test_every_candidate_has_a_row_in_order() -> None:
    rows = built().candidates
    assert [(row.basis, row.dim, row.index, row.verdict) for row in rows] == [
        ("prefix", 8, "exact", "baseline"),
        ("prefix", 4, "exact", "pass"),
        ("prefix", 2, "exact", "fail"),
        ("pca", 4, "exact", "not_tested"),
        ("prefix", 4, "HNSW32", "not_tested"),
    ]
    assert [row.bytes_per_vector for row in rows] == [32, 16, 8, 16, 16]
    assert [list(row.measures) for row in rows] == [["nDCG@10", "R@100"]] * 5


def test_judged_candidates_carry_the_evidence_and_others_their_share_without_a_bound() -> None:
    report = built()
    half, pca = report.candidate(4), report.candidate(4, basis="pca")
    assert half is not None
    assert pca is not None
    evidence = half.measures["nDCG@10"]
    assert round(evidence.mean, 3) == 0.495
    assert evidence.at_least is not None
    assert 0.98 <= evidence.at_least < 0.99
    assert (evidence.lost, evidence.gained, evidence.unchanged) == (399, 400, 0)  # query 0 does not count
    control = pca.measures["nDCG@10"]
    assert control.at_least is None
    assert control.kept == np.mean(scores().of(PCA, NDCG)) / 0.5
    assert (control.lost, control.gained, control.unchanged) == (799, 0, 0)


def test_the_verdict_row_tells_the_chosen_size() -> None:
    verdict = built().verdict
    assert (verdict.dimension, verdict.proven, verdict.measured, verdict.queries, verdict.decide_by) == (4, 4, 4, 799, "bound")
    assert verdict.sentence.startswith("Use 4 dimensions: it keeps 99.0% of nDCG@10, at least 98.")
    assert verdict.sentence.endswith("The index shrinks 2.0x.")
    assert verdict.required == ("nDCG@10",)


def test_costs_join_their_candidates_also_those_that_were_not_scored() -> None:
    costs = {
        HNSW: Cost(index_bytes=5000, build_s=0.5, p50_ms=0.1, p99_ms=0.2, queries_per_second=1e4),
        FLAT: Cost(index_bytes=1000),
        Configuration("prefix", 8, "Flat"): Cost(index_bytes=4000),
    }
    report = built(Facts(costs=costs))
    hnsw, flat = report.candidate(4, index="HNSW32"), report.candidate(4, index="Flat")
    assert hnsw is not None
    assert (hnsw.index_bytes, hnsw.build_s, dict(hnsw.latency_ms), hnsw.queries_per_second) == (
        5000,
        0.5,
        {"p50": 0.1, "p99": 0.2},
        1e4,
    )
    assert flat is not None
    assert (flat.measures, flat.index_bytes) == ({}, 1000)
    assert report.verdict.sentence.endswith("The index shrinks 4.0x.")  # as measured: Flat at 8 against Flat at 4


def test_facts_stand_in_the_document() -> None:
    advice = Advice("code", "message", "hint")
    facts = Facts(
        required=(RECALL,),
        agreement={HALF: {10: 0.87}},
        warnings=[advice, Advice(advice.code, advice.message), advice],
        excluded={"empty": 2, "nothing": 0},
        manifest={"collection": {"name": "c"}},
    )
    report = built(facts)
    assert report.warnings == (advice,)
    assert report.excluded == {"empty": 2}
    assert report.verdict.required == ("nDCG@10", "R@100")
    half = report.candidate(4)
    assert half is not None
    assert half.agreement == {"10": 0.87}
    assert Report.from_json(report.to_json()) == report


def test_the_frame_of_a_built_report_holds_each_counted_query() -> None:
    frame = built().to_frame()
    assert len(frame) == 5 * (2 * N - 1)
    assert not ((frame["query_id"] == "q0") & (frame["measure"] == "nDCG@10")).any()
    half = frame[
        (frame["basis"] == "prefix") & (frame["dim"] == 4) & (frame["index"] == "exact") & (frame["measure"] == "nDCG@10")
    ]
    np.testing.assert_array_equal(half["value"].to_numpy(), scores().of(HALF, NDCG))


def test_an_index_in_doubt_says_so_and_is_not_certified() -> None:
    report = built(Facts(costs={HNSW: Cost(index_bytes=5000, train_s=0.1, threads=2, doubt="not certified: why"), FLAT: Cost()}))
    hnsw, flat = report.candidate(4, index="HNSW32"), report.candidate(4, index="Flat")
    assert hnsw is not None
    assert flat is not None
    assert (hnsw.certified, hnsw.reason, hnsw.train_s, hnsw.threads) == (False, "not certified: why", 0.1, 2)
    assert (flat.certified, flat.reason) == (True, "")
