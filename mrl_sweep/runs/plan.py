"""Plans for a larger corpus from a finished run: bytes, machines, latency, the bill, and the quality to expect there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mrl_sweep.decision.judging import judge_each
from mrl_sweep.decision.slices import declared_slices
from mrl_sweep.deploying.bill import GIB, PlanRequest, PlanRow
from mrl_sweep.deploying.plan import Evaluated, Plan, make_plan
from mrl_sweep.deploying.targets import target_advice
from mrl_sweep.deploying.tenants import Tenant, tenant_row
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline.outlook import acceptable_there, growths
from mrl_sweep.runs.reopen import EarlierRun, target_of
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import EXACT, Advice, Configuration, Judgement
from mrl_sweep.words import did_you_mean, first_offenders


def plan_run(run: EarlierRun, config: SweepConfig) -> Plan:
    """Makes the plan that `[plan]` asks for, from what this run measured.

    Raises InputError where the planned corpus is not named or two tenants share a name, and for an index of unknown bytes.
    """
    request = request_of(run, config)
    at_docs, advice = projected(run, request.docs)
    dims = sorted({c.dim for c in run.findings if c.is_exact})
    precisions = {c.precision: None for c in run.findings}
    symmetric = target_of(run.report, SweepConfig.of()).compares_codes  # of the run's own target
    advice = (*target_advice(target_of(run.report, config), dims, precisions, symmetric=symmetric), *advice)
    evaluated = Evaluated(
        findings=run.findings,
        n_documents=run.data.ranks.n_documents,
        n_queries=len(run.data.query_ids),
        measure=run.policy.required[0],
        projected=at_docs,
        symmetric=symmetric,
    )
    tenants = [Tenant.parse(text) for text in config.plan.tenant]
    if len({tenant.name for tenant in tenants}) < len(tenants):
        raise InputError("two tenants have one name", "give each a name of its own")
    retain = config.slices.slice_retain or run.policy.retain

    def judge_slice(tenant: Tenant, rows: Sequence[PlanRow]) -> tuple[list[Judgement], int]:
        return judged_on_slice(run, tenant, rows, retain)

    chosen = [
        tenant_row(tenant, make_plan(tenant.request(request), evaluated), judge_slice, evaluated.measure, retain)
        for tenant in tenants
    ]
    return replace(make_plan(request, evaluated), advice=advice, tenants=tuple(chosen))


def judged_on_slice(run: EarlierRun, tenant: Tenant, rows: Sequence[PlanRow], retain: float) -> tuple[list[Judgement], int]:
    """Judges the rows on the counted queries of the tenant's slice, alpha shared among the rows; returns their number too.

    Raises InputError for a field or a value that no query has.
    """
    assert tenant.slice is not None
    field, value = tenant.slice
    slices = {one.value: one.members for one in declared_slices(run.data.query_metadata, [field])}
    if value not in slices:
        meant = did_you_mean(value, slices, spelt=lambda near: f"slice={field}:{near}")
        has = f"{field} has {first_offenders(list(slices), limit=8)}"
        raise InputError(f"tenant {tenant.name}: no query has {field}={value}", f"{meant} {has}".lstrip())
    counted = run.scores.counted & slices[value]
    policy = replace(run.policy, retain=retain, alpha=run.policy.alpha / len(rows))
    question = replace(run.question, scores=replace(run.scores, counted=counted), policy=policy)
    measured = [Configuration.parse(row.configuration) for row in rows]
    # an exhaustive index finds what the exact search found
    candidates = [one if one in run.findings else replace(one, index=EXACT) for one in measured]
    return judge_each(question, candidates), int(counted[run.scores.measures.index(run.policy.required[0])].sum())


def request_of(run: EarlierRun, config: SweepConfig) -> PlanRequest:
    """Returns the request as configured, of several budgets of one kind the tightest. Raises InputError without `docs`."""
    table = config.plan
    if table.docs is None:
        raise InputError("the planned corpus is not named", "give its size in documents: --docs 50M")
    gib = min(config.deploy.budget_gib, default=None)
    return PlanRequest(
        docs=table.docs,
        indexes=table.index,
        target=target_of(run.report, config).name,
        replicas=table.replicas,
        queries_per_second=table.qps,
        p99_ms=min(config.deploy.budget_ms, default=None),
        size_bytes=None if gib is None else int(gib * GIB),
        recall=table.recall,
        currency=table.currency or "",
        price_gib_month=table.price_gib_month,
        price_disk_gib_month=table.price_disk_gib_month,
        machine_bytes=table.machine_memory,
        machine_price_month=table.machine_price_month,
        headroom=table.headroom,
        documents_per_second=table.documents_per_second,
        tokens_per_document=table.tokens_per_document,
        price_per_million_tokens=config.model.price_per_million,
    )


def projected(run: EarlierRun, docs: int) -> tuple[dict[Configuration, Mapping[str, Any]], tuple[Advice, ...]]:
    """Projects each configuration's deciding measure to a corpus of `docs`; acceptable only where every required measure is.

    Returns it with advice, which gives the reason where nothing is projected: no scipy, no judgments, a measure that cannot be
    projected, a corpus that is too large.
    """
    try:
        from mrl_sweep.projection.growth import NEEDS_JUDGMENTS
    except ModuleNotFoundError as missing:  # an installation that only judges finished runs lacks scipy
        return {}, (Advice("no-projection", f"no quality is projected: {missing.name} is not installed", "pip install scipy"),)
    if run.policy.required[0].label_free:
        return {}, (replace(NEEDS_JUDGMENTS, code="no-projection"),)
    try:
        projections = growths(run, [docs], {c.basis for c in run.findings}, curve=False)
    except InputError as refused:
        return {}, (Advice("no-projection", refused.message, refused.hint),)
    advice = tuple(dict.fromkeys(one for growth in projections for one in growth.advice))
    at = projections[0].at[0]
    if at.refused:
        return {}, (*advice, Advice("no-projection", f"no quality is projected: {at.refused}"))
    answers: dict[Configuration, list[bool | None]] = {}
    for growth in projections:
        for forecast in growth.at[0].forecasts:
            answers.setdefault(forecast.candidate, []).append(acceptable_there(forecast, docs, growth, run.findings))
    return {
        forecast.candidate: {
            "measure": str(run.policy.required[0]),
            "mean": forecast.mean,
            "low": forecast.low,
            "high": forecast.high,
            "kept": forecast.kept,
            "at_least": forecast.at_least,
            "at_most": forecast.at_most,
            "acceptable": _all_acceptable(answers[forecast.candidate]),
            "exact": at.exact,
        }
        for forecast in at.forecasts
    }, advice


def _all_acceptable(each: Sequence[bool | None]) -> bool | None:
    """False where one measure is too low, else None where one cannot be told."""
    return False if False in each else None if None in each else True
