"""Several reports taken together: averages by hand, the size that holds everywhere, and the sentence that says so."""

from __future__ import annotations

import json
from dataclasses import replace

from mrl_sweep.report.collections import MacroMeasure, together
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, GateRow, VerdictRow
from mrl_sweep.types import Evidence

SIZES = (256, 128, 64)


def report(
    means: tuple[float, ...],
    verdicts: tuple[str, ...],
    at_least: tuple[float, ...],
    *,
    measured: int | None = None,
    by: str = "bound",
) -> Report:
    """A report on 256, 128 and 64 dimensions; R@10 is 0.1 above nDCG@10 everywhere."""
    rows = []
    for dim, mean, verdict, least in zip(SIZES, means, verdicts, at_least, strict=True):
        ndcg = Evidence(mean=mean, kept=mean / means[0], at_least=least)
        measures = {"nDCG@10": ndcg, "R@10": Evidence(mean=mean + 0.1)}
        rows.append(
            CandidateRow(basis="prefix", dim=dim, index="exact", verdict=verdict, bytes_per_vector=4 * dim, measures=measures)
        )
    rows.append(replace(rows[0], basis="pca", dim=128, verdict="pass"))
    chosen = min(row.dim for row in rows if row.verdict in ("pass", "baseline") and row.basis == "prefix")
    below = next((row for row in rows if row.dim == 128), rows[0])
    status = "pass" if chosen < 256 else "fail" if below.verdict == "fail" else "inconclusive"
    at = SIZES.index(chosen)
    verdict_row = VerdictRow(
        dimension=chosen,
        proven=chosen if chosen < 256 and by == "bound" else None,
        measured=measured or (chosen if chosen < 256 else None),
        measure="nDCG@10",
        retain=0.9,
        alpha=0.05,
        decide_by=by,
        kept=means[at] / means[0],
        at_least=at_least[at],
        queries=100,
        sentence="",
    )
    return Report(status=status, verdict=verdict_row, candidates=tuple(rows))


LOW = report((0.5, 0.48, 0.40), ("baseline", "pass", "fail"), (1.0, 0.93, 0.75))
HIGH = report((0.3, 0.3, 0.294), ("baseline", "pass", "pass"), (1.0, 0.98, 0.95))
OPEN = report((0.2, 0.19, 0.18), ("baseline", "inconclusive", "not_tested"), (1.0, 0.89, 0.8), measured=64)


def test_the_averages_count_each_collection_once() -> None:
    found = together({"low": LOW, "high": HIGH})
    assert [row.dim for row in found.macro] == [256, 128, 64]
    assert found.macro[0].measures == {"nDCG@10": MacroMeasure(mean=0.4, kept=1.0), "R@10": MacroMeasure(mean=0.5, kept=1.0)}
    assert found.macro[1].measures["nDCG@10"] == MacroMeasure(mean=0.39, kept=0.39 / 0.4)
    assert found.macro[2].measures["R@10"] == MacroMeasure(mean=(0.5 + 0.394) / 2, kept=(0.5 + 0.394) / 2 / 0.5)
    assert [(row.least_in, row.least_kept) for row in found.macro] == [("", None), ("low", 0.96), ("low", 0.8)]


def test_the_smallest_size_is_the_one_that_every_collection_accepts() -> None:
    found = together({"low": LOW, "high": HIGH})
    assert [row.verdict for row in found.macro] == ["baseline", "pass", "fail"]
    assert (found.status, found.verdict.dimension, found.verdict.proven, found.verdict.measured) == ("pass", 128, 128, 128)
    assert found.verdict.sentence == (
        "Use 128 dimensions for both collections: each keeps at least 93.0% of nDCG@10 with 95% confidence (least: low); "
        "their average keeps 97.5%; you asked for 90%. 64 is too low in low."
    )
    assert [(row.name, row.dimension, row.status) for row in found.verdict.by_collection] == [
        ("low", 128, "pass"),
        ("high", 64, "pass"),
    ]


def test_one_open_collection_keeps_all_at_full_size() -> None:
    found = together({"low": LOW, "open": OPEN, "high": HIGH})
    assert [row.verdict for row in found.macro] == ["baseline", "inconclusive", "not_tested"]
    assert (found.status, found.verdict.dimension, found.verdict.proven, found.verdict.measured) == (
        "inconclusive",
        256,
        None,
        128,
    )
    assert found.verdict.sentence == "Keep all 256 dimensions for all 3 collections: 128 is not proven in open."


def test_a_proven_failure_outweighs_an_open_question() -> None:
    failed = report((0.5, 0.3, 0.2), ("baseline", "fail", "not_tested"), (1.0, 0.5, 0.3))
    found = together({"open": OPEN, "failed": failed})
    assert (found.status, found.macro[1].verdict) == ("fail", "fail")
    assert found.verdict.sentence.endswith("128 is too low in failed, and not proven in open.")


def test_a_verdict_by_means_says_that_it_is_no_proof() -> None:
    one = report((0.5, 0.48, 0.46), ("baseline", "pass", "pass"), (1.0, 0.85, 0.8), by="mean")
    assert together({"a": one, "b": one}).verdict.sentence == (
        "Use 64 dimensions for both collections: each keeps 92.0% or more of nDCG@10 as measured (least: a); "
        "their average keeps 92.0%; you asked for 90%. Measured, not proven."
    )


def test_a_collection_that_finds_nothing_has_no_share() -> None:
    zero = report((0.5, 0.48, 0.40), ("baseline", "pass", "fail"), (1.0, 0.93, 0.75))
    rows = tuple(replace(row, measures={**row.measures, "P@1": Evidence(mean=0.0)}) for row in zero.candidates)
    found = together({"a": replace(zero, candidates=rows), "b": replace(zero, candidates=rows)})
    assert found.macro[1].measures["P@1"] == MacroMeasure(mean=0.0, kept=None)


def test_a_measure_that_one_collection_lacks_has_no_average() -> None:
    rows = tuple(replace(row, measures={"nDCG@10": row.measures["nDCG@10"]}) for row in HIGH.candidates)
    assert [list(row.measures) for row in together({"low": LOW, "high": replace(HIGH, candidates=rows)}).macro] == [
        ["nDCG@10"]
    ] * 3


def gated(one: Report, status: str, code: int) -> Report:
    row = GateRow(question="is 128 still acceptable?", status=status, exit_code=code, dim=128, sentence=f"It is {status}.")
    return replace(one, gate=replace(row, failures=() if status == "pass" else (row.sentence,)))


def test_the_gate_is_met_where_every_collection_meets_it() -> None:
    gate = together({"a": gated(LOW, "pass", 0), "b": gated(HIGH, "pass", 0)}).gate
    assert gate is not None
    assert (gate.status, gate.exit_code, gate.sentence) == ("pass", 0, "The gate is met in both collections.")
    assert gate.question == "is 128 still acceptable in every collection?"


def test_a_failed_gate_outweighs_an_open_one() -> None:
    gate = together({"a": gated(OPEN, "inconclusive", 4), "b": gated(LOW, "fail", 1), "c": gated(HIGH, "pass", 0)}).gate
    assert gate is not None
    assert (gate.status, gate.exit_code, gate.dim) == ("fail", 1, 128)
    assert gate.sentence == "The gate is not met in b. b: It is fail."
    assert gate.failures == ("a: It is inconclusive.", "b: It is fail.")


def test_the_document_holds_the_reports_as_they_are_alone() -> None:
    found = together({"low": LOW, "high": HIGH}).to_dict()
    assert next(iter(found)) == "schema_version"
    assert found["collections"] == [LOW.to_dict(), HIGH.to_dict()]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
