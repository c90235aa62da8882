"""From verdict and scores to the document: every candidate has a row, judged ones with evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from made_evaluation import evaluated

from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.findings import Cost, findings_of
from mrl_sweep.report.content.build import build_report, cost_of, each_once
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.types import Advice, Configuration, Measure, Scores

NDCG, RECALL = Measure("nDCG", 10), Measure("R", 100)
FULL, HALF, SMALL = (Configuration("prefix", dim) for dim in (8, 4, 2))
PCA, HNSW = Configuration("pca", 4), Configuration("prefix", 4, "HNSW32")
N = 800


def scores() -> Scores:
    """Full size scores 0.5 everywhere; half loses 0.005 on average and is proven, small is proven worse."""
    wave = np.where(np.arange(N) % 2, 0.02, -0.02)
    ndcg = np.stack([np.full(N, 0.5), 0.495 + wave, 0.4 + wave, 0.45 + wave, 0.49 + wave])
    recall = np.stack([np.full(N, 0.8), np.full(N, 0.8), np.full(N, 0.6), np.full(N, 0.7), np.full(N, 0.75)])
    counted = np.ones((2, N), bool)
    counted[0, 0] = False
    return Scores((FULL, HALF, SMALL, PCA, HNSW), (NDCG, RECALL), np.stack([ndcg, recall], axis=1), counted)


def built(costs: Mapping[Configuration, Cost] | None = None, also: Sequence[Measure] = (), **rule: Any) -> Report:
    evaluation = evaluated(scores(), Policy(**{"retain": 0.98, **rule}))
    findings = findings_of(evaluation, costs=costs or {}, agreements={HALF: {10: 0.87}})
    return build_report(evaluation.verdict, findings, QueryScores(scores(), [f"q{i}" for i in range(N)]), required=also)


def test_every_candidate_has_a_row_in_order_with_its_own_verdict_and_bounds() -> None:
    rows = built().candidates
    assert [(row.basis, row.dim, row.index, row.verdict) for row in rows] == [
        ("prefix", 8, "exact", "baseline"),
        ("prefix", 4, "exact", "pass"),
        ("prefix", 2, "exact", "fail"),
        ("pca", 4, "exact", "fail"),
        ("prefix", 4, "HNSW32", "inconclusive"),
    ]
    assert [row.bytes_per_vector for row in rows] == [32, 16, 8, 16, 16]
    assert [list(row.measures) for row in rows] == [["nDCG@10", "R@100"]] * 5
    assert all(evidence.at_least is not None for row in rows[1:] for evidence in row.measures.values())


def test_a_required_measure_fails_an_index_as_it_fails_a_size() -> None:
    report = built(required=(NDCG, RECALL), retain=0.95)
    hnsw = report.row(HNSW)
    assert hnsw is not None
    assert (hnsw.verdict, hnsw.reason) == ("fail", "keeps at most 94.3% of R@100; 95% was asked")


def test_the_row_of_a_judged_size_carries_the_evidence() -> None:
    half = built().candidate(4)
    assert half is not None
    evidence = half.measures["nDCG@10"]
    assert round(evidence.mean, 3) == 0.495
    assert evidence.at_least is not None
    assert 0.98 <= evidence.at_least < 0.99
    assert (evidence.lost, evidence.gained, evidence.unchanged) == (399, 400, 0)  # query 0 does not count


def test_the_verdict_row_tells_the_chosen_size() -> None:
    verdict = built().verdict
    assert (verdict.dimension, verdict.proven, verdict.measured, verdict.queries, verdict.decide_by) == (4, 4, 4, 799, "bound")
    assert verdict.sentence.startswith("Use 4 dimensions: it keeps 99.0% of nDCG@10, at least 98.")
    assert verdict.sentence.endswith("The index shrinks 2.0x.")
    assert verdict.required == ("nDCG@10",)


def test_the_verdict_names_the_acceptable_configuration_of_the_fewest_bytes() -> None:
    verdict = built().verdict
    assert (verdict.configuration, verdict.bytes_per_vector, verdict.bytes_on_disk) == ("4", 16, 16)
    kept = built(retain=0.999).verdict
    assert (kept.configuration, kept.bytes_per_vector, kept.bytes_on_disk) == ("8", 32, 32)


def test_costs_join_their_configurations_and_read_back() -> None:
    costs = {HNSW: Cost(index_bytes=5000, build_s=0.5, p50_ms=0.1, p99_ms=0.2, queries_per_second=1e4, threads=2)}
    hnsw = built(costs=costs).row(HNSW)
    assert hnsw is not None
    assert (hnsw.index_bytes, hnsw.build_s, dict(hnsw.latency_ms), hnsw.queries_per_second) == (
        5000,
        0.5,
        {"p50": 0.1, "p99": 0.2},
        1e4,
    )
    assert cost_of(hnsw) == costs[HNSW]


def test_the_index_shrinks_as_measured_where_one_kind_was_built_at_both_sizes() -> None:
    assert built(costs={FULL: Cost(index_bytes=4000), HALF: Cost(index_bytes=1000)}).verdict.sentence.endswith(
        "The index shrinks 4.0x."
    )


def test_a_warning_is_given_once_as_it_was_said_first() -> None:
    advice = Advice("code", "message", "hint")
    assert each_once([advice, Advice(advice.code, advice.message), advice]) == (advice,)


def test_required_measures_and_agreement_stand_in_the_document() -> None:
    report = built(also=(RECALL,))
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


def test_an_index_trained_on_too_little_never_passes_and_says_why() -> None:
    row = built(costs={HNSW: Cost(certified=False)}, retain=0.9).row(HNSW)
    assert row is not None
    assert (row.verdict, row.certified, row.reason) == ("inconclusive", False, "not certified: too few training vectors")
    sure = built(retain=0.9).row(HNSW)
    assert sure is not None
    assert sure.verdict == "pass"
