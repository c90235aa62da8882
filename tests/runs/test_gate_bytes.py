"""The gate on bytes and on a configuration: one test for what is named, the paths alone for what is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from made_evaluation import evaluated

from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.findings import fewest_of, findings_of
from mrl_sweep.errors import InputError
from mrl_sweep.report.content.build import build_report
from mrl_sweep.report.document import QueryScores
from mrl_sweep.report.folder import RunData
from mrl_sweep.runs.gate import decide_gate
from mrl_sweep.runs.reopen import EarlierRun
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Configuration, Measure, Scores

NDCG = Measure("nDCG", 10)
KEPT = {"64": 1.0, "32": 0.97, "64:int8": 1.0, "32:int8": 0.97, "64:binary": 0.96, "32:binary": 0.5}


def run(kept: dict[str, float] = KEPT, n: int = 600, noise: float = 0.02) -> EarlierRun:
    rng = np.random.default_rng(1)
    full = rng.uniform(0.3, 0.9, n)
    candidates = tuple(Configuration.parse(text) for text in kept)
    values = np.stack([full * (share + (share < 1) * noise * rng.standard_normal(n)) for share in kept.values()])
    scores = Scores(candidates, (NDCG,), values[:, None], np.ones((1, n), bool))
    of = evaluated(scores, Policy(required=(NDCG,), retain=0.9))
    findings, ids = findings_of(of), tuple(f"q{i}" for i in range(n))
    report = build_report(of.verdict, findings, QueryScores(scores, ids), fewest=fewest_of(of))
    data = RunData(ranks=of.ranks, qrels=of.qrels, query_ids=ids)
    return EarlierRun(
        ranks=of.ranks,
        qrels=of.qrels,
        scores=scores,
        policy=of.policy,
        verdict=of.verdict,
        data=data,
        report=report,
        findings=findings,
    )


def gate(**asked: object) -> tuple[str, str, str]:
    row = decide_gate(run(), SweepConfig.of(**asked)).gate
    assert row is not None
    return row.status, row.configuration, row.sentence


def test_a_named_configuration_is_one_test() -> None:
    status, configuration, sentence = gate(config="64:binary")
    assert (status, configuration) == ("pass", "64:binary")
    assert sentence.startswith("64:binary is acceptable: it keeps at least 9")
    status, configuration, sentence = gate(config="32:binary")
    assert (status, configuration) == ("fail", "32:binary")
    assert sentence.startswith("32:binary is not acceptable: ")


def test_a_size_is_spoken_of_as_before() -> None:
    assert gate(config="32")[2].startswith("32 dimensions are acceptable: they keep at least 9")
    assert gate(dim=32)[1:] == gate(config="32")[1:]


def test_codes_may_be_named_as_faiss_names_them() -> None:
    assert gate(config="32:SQ8")[1] == "32:int8"


@pytest.mark.parametrize(
    ("max_bytes", "status", "configuration"),
    [(256, "pass", "64"), (255, "pass", "64:binary"), (8, "pass", "64:binary"), (7, "fail", "32:binary")],
)
def test_some_configuration_of_so_many_bytes_must_be_proven(max_bytes: int, status: str, configuration: str) -> None:
    assert gate(max_bytes=max_bytes)[:2] == (status, configuration)


def test_an_open_question_is_no_failure() -> None:
    row = decide_gate(run({"64": 1.0, "64:binary": 0.905}, n=60, noise=0.4), SweepConfig.of(max_bytes=8)).gate
    assert row is not None
    assert (row.status, row.exit_code) == ("inconclusive", 4)
    assert row.sentence.startswith("No configuration of at most 8 bytes a vector is proven (64:binary: ")


def test_what_was_not_measured_is_refused() -> None:
    with pytest.raises(InputError, match="the run did not measure 64:int4"):
        gate(config="64:int4")
    with pytest.raises(InputError, match="no configuration takes at most 3 bytes a vector"):
        gate(max_bytes=3)
    with pytest.raises(InputError, match="--dim and --max-bytes ask different questions"):
        gate(dim=32, max_bytes=8)
