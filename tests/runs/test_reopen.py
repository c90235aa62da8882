"""An earlier run judged again: by its own rule it says the same, by another it says what that rule says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.report.folder import read_report
from mrl_sweep.runs.reopen import reopen, reopen_judged
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Basis, Configuration, Measure, Outcome

MadeRun = Callable[..., Path]

FULL = [0] * 200
WORSE = [99] * 10 + [0] * 190


@pytest.fixture
def run(made_run: MadeRun) -> Path:
    metadata = [{"origin": str(i // 10)} for i in range(200)]
    return made_run({256: FULL, 128: WORSE}, metadata=metadata, retain=0.9, alpha=0.01)


def test_by_its_own_rule_a_run_says_what_it_said(run: Path) -> None:
    assert reopen(run, SweepConfig.of()).report == read_report(run)


def test_only_what_was_asked_now_replaces_the_run_s_own_rule(run: Path) -> None:
    asked = reopen(run, SweepConfig.of(retain=0.97))
    assert (asked.policy.retain, asked.policy.alpha) == (0.97, 0.01)
    assert reopen(run, SweepConfig.of(alpha=0.05)).policy.retain == 0.9


def test_what_is_recommended_follows_the_rule_in_force(made_run: MadeRun) -> None:
    """At 98% nothing below full size is acceptable, at 90% 128 is: funnels, advice and the ladder of shares say so too."""
    run = made_run(
        {256: FULL * 2, 128: WORSE * 2, 64: WORSE * 2},
        manifest={"settings": {"deploy.funnel": ["64:100:256"], "deploy.project_docs": [500], "deploy.budget_gib": [1, 0.0003]}},
    )
    strict, lax = (reopen(run, SweepConfig.of(retain=share)).report for share in (0.99, 0.85))
    assert (strict.verdict.dimension, lax.verdict.dimension) == (256, 64)
    assert [(one.retain, one.dimension) for one in strict.verdict.smallest] == [(0.99, 256), (0.98, 256), (0.95, 256), (0.9, 64)]
    assert strict.verdict.smallest == lax.verdict.smallest
    assert {row.verdict for row in lax.funnels if row.configuration.startswith("128:")} == {"pass"}
    assert not any(row.recommended for row in strict.funnels)
    assert [row.acceptable for row in strict.projections if row.dim == 64] == [False]
    assert [row.acceptable for row in lax.projections if row.dim == 64] == [True]
    assert [(row.configuration, row.reason) for row in lax.budgets] == [("256", ""), ("64", "")]
    assert "no-production-size" not in {one.code for one in lax.warnings}


def test_a_run_that_is_only_compared_is_decided_anew_and_nothing_is_projected_for_it(
    made_run: MadeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A baseline of many codes would take a minute of projections that nobody is shown."""
    run = made_run({256: FULL * 2, 128: WORSE * 2, 64: WORSE * 2}, manifest={"settings": {"deploy.project_docs": [500]}})
    monkeypatch.setattr("mrl_sweep.runs.reopen.recommended_anew", lambda *_, **__: pytest.fail("projected"))
    assert reopen_judged(run, SweepConfig.of(retain=0.85)).verdict.dimension == 64
    with pytest.raises(pytest.fail.Exception, match="projected"):
        reopen(run, SweepConfig.of(retain=0.85))


def test_the_ranks_answer_for_measures_that_were_not_asked_then(run: Path) -> None:
    again = reopen(run, SweepConfig.of(measure="RR@10", require="Success@1"))
    assert again.policy.required == (Measure("RR", 10), Measure("Success", 1))
    assert again.report.verdict.measure == "RR@10"
    assert again.scores.of(Configuration(Basis.PREFIX, 128), Measure("Success", 1)).mean() == 0.95


def test_clusters_are_the_unit_when_asked_and_when_the_run_had_them(run: Path, made_run: MadeRun) -> None:
    again = reopen(run, SweepConfig.of(cluster="origin"))
    assert again.clusters is not None
    assert len(set(again.clusters.tolist())) == 20
    assert [j.outcome for j in again.verdict.judgements] == [Outcome.BASELINE, Outcome.INCONCLUSIVE]
    told = {"settings": {"decision.cluster": "origin"}}
    kept = made_run({256: FULL, 128: WORSE}, name="kept", metadata=[{"origin": "x"}] * 200, manifest=told)
    clusters = reopen(kept, SweepConfig.of()).clusters
    assert clusters is not None
    assert set(clusters.tolist()) == {0}


def test_a_candidate_that_was_refused_for_what_it_is_stays_refused(made_run: MadeRun) -> None:
    reason = "150 documents have only zeros in their first 128 dimensions"
    refused = made_run({256: FULL, 128: FULL}, manifest={"unfit": {"prefix:128:exact": reason}})
    judgement = reopen(refused, SweepConfig.of()).verdict.judgements[1]
    assert (judgement.outcome, judgement.reason) == (Outcome.FAIL, reason)


def test_a_run_without_its_ranks_cannot_be_judged(run: Path) -> None:
    (run / "ranks.npz").unlink()
    with pytest.raises(InputError, match=r"has no ranks\.npz"):
        reopen(run, SweepConfig.of())


def edit_report(run: Path) -> None:
    text = (run / "report.json").read_text()
    (run / "report.json").write_text(text.replace('"made"', '"other"'))


def edit_ranks(run: Path) -> None:
    with np.load(run / "ranks.npz") as arrays:
        np.savez(run / "ranks.npz", allow_pickle=False, **{name: arrays[name] for name in arrays.files})


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), ZeroDivisionError(), AssertionError()])
@pytest.mark.parametrize(("edit", "kind"), [(None, None), (edit_report, InputError), (edit_ranks, InputError)])
def test_what_fails_over_an_edited_run_is_its_fault_and_over_an_untouched_one_ours(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    edit: Callable[[Path], None] | None,
    kind: type[Exception] | None,
    error: Exception,
) -> None:
    if edit is not None:
        edit(run)

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mrl_sweep.runs.reopen.judged_run", broken)
    with pytest.raises(kind or type(error)) as caught:
        reopen(run, SweepConfig.of())
    assert "were edited" in str(caught.value) if kind else caught.value is error
