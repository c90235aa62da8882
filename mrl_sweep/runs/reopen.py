"""An earlier run, read and judged again from its ranks alone: no model, no corpus, no index."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from mrl_sweep.decision.policy import DecideBy, Policy
from mrl_sweep.decision.units import cluster_labels
from mrl_sweep.deploying.findings import Cost, Evaluation, Findings, findings_of
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target, target_named
from mrl_sweep.errors import InputError
from mrl_sweep.measures.measure import asked_documents, parse_measure, refuse_mixture
from mrl_sweep.pipeline.outlook import bounded_funnels, judged_report, with_outlook
from mrl_sweep.record import record
from mrl_sweep.report.content.advice import CODES
from mrl_sweep.report.content.build import cost_of
from mrl_sweep.report.document import SCHEMA_VERSION, Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.folder import RunData, as_edited, read_report, read_run
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.table import DeployTable
from mrl_sweep.types import Configuration, IntArray, Measure

T = TypeVar("T")


@record(kw_only=True)
class EarlierRun(Evaluation):
    """A run's ranks evaluated by the rule in force now; `report` says what follows, and until then what the run wrote."""

    data: RunData
    report: Report
    findings: Findings = field(default_factory=dict)


class Measured(NamedTuple):
    """What a configuration's finding holds besides its judgement: its cost, and the agreement of its lists by their depth."""

    cost: Cost
    agreement: Mapping[int, float]

    @classmethod
    def of(cls, row: CandidateRow) -> Self:
        return cls(cost_of(row), {int(k): share for k, share in row.agreement.items()})


def reopen(path: Path, config: SweepConfig) -> EarlierRun:
    """Reads the run at `path` (its folder or report.json), judged by its own rule wherever `config` gives no other.

    Raises InputError where the run cannot be read, or holds nothing to judge.
    """
    written, data = read_report(path), read_run(path)
    with as_edited(path):
        return recommended(judged_run(written, data, config), written, config)


def reopen_judged(path: Path, config: SweepConfig) -> EarlierRun:
    """Opens the run at `path` as `reopen` does, for commands that show none of its funnels, budgets, projections and advice.

    These stay as they were written: to make them anew for another rule takes a minute for a run of many codes.
    """
    written, data = read_report(path), read_run(path)
    with as_edited(path):
        return judged_run(written, data, config)


def judged_run(
    written: Report,
    data: RunData,
    config: SweepConfig,
    added: Mapping[Configuration, Measured] | None = None,
) -> EarlierRun:
    """Judges a run again from its report and ranks: a finding for each configuration that has ranks.

    `added` are configurations that the report does not hold yet, with what was measured of them; the ranks hold them already.
    """
    measures, policy = rule_of(written, config)
    run = EarlierRun.of(
        data.ranks,
        data.qrels,
        measures,
        policy,
        clusters=_clusters(written, data, config),
        unfit=_unfit(written),
        no_relevant=written.of_run("settings").get("collection.no_relevant", "exclude"),
        listed_for=asked_documents(map(parse_measure, {written.verdict.measure, *written.verdict.required})),
        data=data,
        report=written,
    )
    measured = {row.configuration: Measured.of(row) for row in written.candidates} | dict(added or {})
    findings = findings_of(
        run,
        costs={configuration: one.cost for configuration, one in measured.items()},
        agreements={configuration: one.agreement for configuration, one in measured.items()},
    )
    judged = judged_report(run, findings, target_of(written, config), data.query_ids)
    return replace(run, findings=findings, report=judged_anew(written, judged, measured))


def recommended(run: EarlierRun, written: Report, config: SweepConfig) -> EarlierRun:
    """Gives the judged run what follows from the rule in force, where that is another than the written report's."""
    if not _another_rule(written, run.report, config):
        return run
    return replace(run, report=recommended_anew(run.report, run, run.findings, target_of(written, config)))


def rule_of(report: Report, config: SweepConfig) -> tuple[tuple[Measure, ...], Policy]:
    """Returns the measures and the rule: those set now (`config.origins` knows), else those that the run was judged by.

    Raises InputError where judged quality is asked of a label-free run, or agreement of a judged one.
    """
    decision = config.decision

    def now_or(key: str, now: Any, then: Any) -> Any:
        return now if f"decision.{key}" in config.origins else then

    measured = [
        parse_measure(report.verdict.measure),
        *(parse_measure(name) for row in report.candidates for name in row.measures),
    ]
    measures = now_or("measures", decision.measures, tuple(dict.fromkeys(measured)))
    require = now_or("require", decision.require, tuple(parse_measure(name) for name in report.verdict.required))
    required = tuple(dict.fromkeys((measures[0], *require)))
    refuse_mixture((*measures, *required), label_free=report.manifest.get("label_free") is True)
    policy = Policy(
        required=required,
        retain=now_or("retain", decision.retain, report.verdict.retain),
        alpha=now_or("alpha", decision.alpha, report.verdict.alpha),
        decide_by=now_or("decide_by", decision.decide_by, DecideBy(report.verdict.decide_by)),
        by_default=report.verdict.by_default and "decision.retain" not in config.origins,
    )
    return tuple(dict.fromkeys((*measures, *required))), policy


def target_of(report: Report, config: SweepConfig) -> Target:
    """Returns the target that is named now, else the run's."""
    then = str(report.of_run("settings").get("deploy.target", DEFAULT_TARGET))
    return target_named(config.deploy.target if "deploy.target" in config.origins else then)


def judged_anew(written: Report, judged: Report, order: Iterable[Configuration]) -> Report:
    """Returns the run's report with the verdict, scores and rows of `judged`, in this order; all else stays as written."""
    rows = {row.configuration: row for row in judged.candidates}
    return replace(
        written,
        schema_version=SCHEMA_VERSION,
        status=judged.status,
        verdict=judged.verdict,
        candidates=tuple(rows[configuration] for configuration in order if configuration in rows),
        scores=judged.scores,
    )


def recommended_anew(report: Report, evaluation: Evaluation, findings: Findings, target: Target) -> Report:
    """Replaces all that follows from the rule in force: funnels, budgets, projections, controls and advice, as a run makes them.

    Nothing is then recommended by a rule that is no longer in force.
    """
    settings = report.of_run("settings")
    deploy = DeployTable(
        funnel=_listed(settings, "deploy.funnel", str),
        budget_ms=_listed(settings, "deploy.budget_ms", float),
        budget_gib=_listed(settings, "deploy.budget_gib", float),
        project_docs=_listed(settings, "deploy.project_docs", int),
    )
    funnels = bounded_funnels(evaluation, deploy.funnel)
    report, advice, doubts = with_outlook(report, evaluation, findings, target, deploy, funnels)
    replaced = {*CODES, *(one.code for one in doubts)}
    return replace(report, warnings=(*(one for one in report.warnings if one.code not in replaced), *advice, *doubts))


def _listed(settings: Mapping[str, Any], key: str, kind: Callable[[Any], T]) -> tuple[T, ...]:
    """Reads a setting of several values; () for one that the report does not hold. Raises InputError for an edited one."""
    values = settings.get(key) or ()
    try:
        return tuple(kind(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"the report's settings are damaged: {key} is {values!r}", "run it again") from error


def _another_rule(written: Report, judged: Report, config: SweepConfig) -> bool:
    """Tells whether the rule in force now, or the report's schema, is another than that of the written report."""
    before, now = written.verdict, judged.verdict
    rules = [(row.retain, row.alpha, row.decide_by, row.measure, tuple(row.required)) for row in (before, now)]
    cluster = written.of_run("settings").get("decision.cluster")
    cluster_now = config.decision.cluster if "decision.cluster" in config.origins else cluster
    return rules[0] != rules[1] or (cluster_now or None) != (cluster or None) or written.schema_version != judged.schema_version


def _clusters(report: Report, data: RunData, config: SweepConfig) -> IntArray | None:
    given = "decision.cluster" in config.origins
    name = config.decision.cluster if given else report.of_run("settings").get("decision.cluster")
    return cluster_labels(data.query_metadata, name) if name else None


def _unfit(report: Report) -> dict[Configuration, str]:
    """Candidates that were refused for what they are, not for what they scored; the manifest holds their reasons."""
    named = {}
    for text, reason in report.of_run("unfit").items():
        with contextlib.suppress(ValueError):  # a key that an edited file holds
            named[Configuration.parse(text)] = str(reason)
    return {row.configuration: named[row.configuration] for row in report.candidates if row.configuration in named}
