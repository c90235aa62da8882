"""From a finished run to a plan for a larger corpus: bytes, machines, latency, the bill, and the quality to expect there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mrl_sweep.decision.walk import full_size
from mrl_sweep.deploying.plan import Plan, PlanRequest, SizeFacts, make_plan
from mrl_sweep.deploying.scaling import MeasuredPoint
from mrl_sweep.errors import InputError
from mrl_sweep.projection.growth import NEEDS_JUDGMENTS, Question, project
from mrl_sweep.report.document import CandidateRow
from mrl_sweep.runs.reopen import EarlierRun
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import EXACT, Advice, Basis, Outcome

SEED: Final = 0

_ACCEPTABLE: Final = frozenset({Outcome.BASELINE, Outcome.PASS})


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, and what a person should know of the projection in it."""

    plan: Plan
    advice: tuple[Advice, ...]


def plan_run(run: EarlierRun, config: SweepConfig) -> Planned:
    """The plan that `[plan]` asks for, from what this run measured.

    Raises InputError where the planned corpus is not named, and for an index of which no bytes are known.
    """
    request = request_of(run, config)
    plan = make_plan(request, sizes_of(run))
    at_docs, advice = projected(run, request.docs)
    rows = tuple(replace(row, projected=at_docs.get(row.dim)) for row in plan.rows)
    return Planned(replace(plan, rows=rows), advice)


def request_of(run: EarlierRun, config: SweepConfig) -> PlanRequest:
    """The request as configured; without an index, those that the run measured, else `Flat`."""
    table = config.plan
    if table.docs is None:
        raise InputError("the planned corpus is not named", "give its size in documents: --docs 50M")
    measured = tuple(dict.fromkeys(row.index for row in run.report.candidates if row.index != EXACT))
    return PlanRequest(
        docs=table.docs,
        indexes=table.index or measured or ("Flat",),
        replicas=table.replicas,
        queries_per_second=table.qps,
        price_gib_month=table.price_gib_month,
        price_disk_gib_month=table.price_disk_gib_month,
        machine_bytes=table.machine_memory,
        machine_price_month=table.machine_price_month,
        headroom=table.headroom,
        documents_per_second=table.documents_per_second,
        tokens_per_document=table.tokens_per_document,
        price_per_million_tokens=config.model.price_per_million,
    )


def sizes_of(run: EarlierRun) -> list[SizeFacts]:
    """Every exact prefix with what it keeps, and the indexes that were measured at it."""
    measure = run.report.verdict.measure
    prefixes = [row for row in run.report.candidates if row.basis == Basis.PREFIX]
    return [
        SizeFacts(
            dim=row.dim,
            acceptable=row.verdict in _ACCEPTABLE,
            kept=row.measures[measure].kept,
            at_least=row.measures[measure].at_least,
            points=tuple(_point(other, run) for other in prefixes if other.dim == row.dim and other.index != EXACT),
        )
        for row in prefixes
        if row.index == EXACT
    ]


def projected(run: EarlierRun, docs: int) -> tuple[dict[int, Mapping[str, Any]], tuple[Advice, ...]]:
    """Per size the deciding measure at a corpus of `docs`; why there is none, where the projection refuses."""
    policy, scores = run.policy, run.scores
    if policy.required[0].label_free:
        return {}, (replace(NEEDS_JUDGMENTS, code="no-projection"),)
    question = Question(measure=policy.required[0], retain=policy.retain, alpha=policy.alpha, baseline=full_size(scores))
    try:
        growth = project(run.data.ranks, run.data.qrels, question, [docs], generator=np.random.default_rng(SEED))
    except InputError as refused:
        return {}, (Advice("no-projection", refused.message, refused.hint),)
    at = growth.at[0]
    if at.refused:
        return {}, (*growth.advice, Advice("no-projection", f"no quality is projected: {at.refused}"))
    found: dict[int, Mapping[str, Any]] = {
        forecast.candidate.dim: {
            "measure": str(growth.measure),
            "mean": forecast.mean,
            "low": forecast.low,
            "high": forecast.high,
            "kept": forecast.kept,
            "at_least": forecast.at_least,
            "acceptable": forecast.acceptable,
            "exact": at.exact,
        }
        for forecast in at.forecasts
        if forecast.candidate.basis == Basis.PREFIX
    }
    return found, growth.advice


def _point(row: CandidateRow, run: EarlierRun) -> MeasuredPoint:
    return MeasuredPoint(
        index=row.index,
        dim=row.dim,
        docs=run.data.ranks.n_documents,
        p50_ms=row.latency_ms.get("p50"),
        p99_ms=row.latency_ms.get("p99"),
        queries_per_second=row.queries_per_second,
        index_bytes=row.index_bytes,
    )
