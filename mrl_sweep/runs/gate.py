"""The gate: is the size in production still acceptable? Answered from a run's ranks, without model, corpus or index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mrl_sweep.decision.slice_search import SliceJudgement, judge_slices, search_slices
from mrl_sweep.decision.slices import declared_slices
from mrl_sweep.decision.walk import Policy, decide, judge
from mrl_sweep.errors import InputError, first_offenders
from mrl_sweep.report.content.build import slice_rows
from mrl_sweep.report.document import GateRow, Report, SliceRow
from mrl_sweep.runs.compare import regressed
from mrl_sweep.runs.reopen import EarlierRun, settings_of
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.table import GateTable, OnInconclusive
from mrl_sweep.types import Advice, Configuration, Judgement, Outcome, Status, Verdict, exact_prefixes
from mrl_sweep.words import UNKNOWN, asked, keeps, percent, they

EXIT_CODES: Final = {Status.PASS: 0, Status.FAIL: 1, Status.INCONCLUSIVE: 4}


_NO_FAULT: Final = frozenset({"queries_without_judgments"})
"""A folder's queries are those of all its splits, and only one split's are judged."""


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """One thing the gate looked at, and what came of it."""

    status: Status
    sentence: str


def decide_gate(run: EarlierRun, config: SweepConfig, baseline: EarlierRun | None = None) -> Report:
    """The run's report with the gate's answer: what was asked of it, the status, and the exit code that follows.

    Raises InputError where the run set data aside and `config` is strict, for a size that was not ranked, and for a baseline
    that cannot be compared.
    """
    if config.run.strict:
        refuse_exclusions(run.report)
    size, question, dim = ask_size(config.gate, run, None if baseline is None else baseline.verdict.dimension)
    findings = [size]
    if baseline is not None:
        findings.append(ask_baseline(run, baseline, dim, max_regression=config.gate.max_regression))
    judged = judge_declared(run, config, dim)
    findings += [GateAnswer(Status.FAIL, _slice_words(j, run.policy)) for j in judged if j.outcome is Outcome.FAIL]
    row = answer(config.gate, findings, question=question, dim=dim)
    return with_advice(replace(run.report, gate=row, slices=_slices(run.report, judged)), judged)


def refuse_exclusions(report: Report) -> None:
    """Raise InputError where a run set aside what should have counted; queries of other splits never should."""
    faults = {reason: number for reason, number in report.excluded.items() if reason not in _NO_FAULT}
    if faults:
        counted = ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in faults.items())
        raise InputError(f"the run set data aside: {counted}", "mend the data, or accept it with --no-strict")


def answer(ask: GateTable, findings: Sequence[GateAnswer], *, question: str, dim: int) -> GateRow:
    """All findings as one answer: a failure outweighs an open question, an open question outweighs a pass."""
    found = {finding.status for finding in findings}
    status = next(s for s in (Status.FAIL, Status.INCONCLUSIVE, Status.PASS) if s in found)
    let_through = status is Status.INCONCLUSIVE and ask.on_inconclusive is not OnInconclusive.FAIL
    return GateRow(
        question=question,
        status=str(status),
        exit_code=0 if let_through else EXIT_CODES[status],
        dim=dim,
        sentence=" ".join(f.sentence for f in findings if f.status is status),
        failures=tuple(f.sentence for f in findings if f.status is not Status.PASS),
    )


def ask_size(ask: GateTable, run: EarlierRun, deployed: int | None = None) -> tuple[GateAnswer, str, int]:
    """The question of size: what was found, the question in words, and the size it is about.

    A size named with `dim`, or else the one that is `deployed`, is one test at full alpha. Up to `max_dim` the walk starts at
    the largest size that is allowed: sizes above it are not in question, so they cost no evidence. Raises InputError for a
    size that was not ranked.
    """
    if ask.dim is not None and ask.max_dim is not None:
        raise InputError("--dim and --max-dim ask different questions", "give one of them")
    scores, policy = run.scores, run.policy
    sizes = exact_prefixes(scores.candidates)
    dim = deployed if ask.dim is None and ask.max_dim is None else ask.dim
    if dim is not None:
        return (
            _finding(judge(scores, _ranked(dim, sizes), policy, clusters=run.clusters, unfit=run.unfit), policy),
            f"is {dim} still acceptable?",
            dim,
        )
    if ask.max_dim is None:
        return (
            GateAnswer(run.verdict.status, verdict_words(run.verdict)),
            "is any size below full acceptable?",
            run.verdict.dimension,
        )
    allowed = [c for c in sizes if c.dim <= ask.max_dim]
    if not allowed:
        raise InputError(
            f"no size up to {ask.max_dim} was ranked (there are {_listed(sizes)})", "add smaller sizes to --dims and run again"
        )
    question = f"is any size up to {ask.max_dim} acceptable?"
    if sizes[0] in allowed:
        return GateAnswer(Status.PASS, f"Full size, {allowed[0].dim}, is not above {ask.max_dim}."), question, allowed[0].dim
    walk = decide(scores, policy, candidates=allowed, clusters=run.clusters, unfit=run.unfit)
    if walk.status is Status.PASS:
        return GateAnswer(Status.PASS, verdict_words(walk)), question, walk.dimension
    return _finding(walk.judgements[1], policy), question, allowed[0].dim


def ask_baseline(run: EarlierRun, before: EarlierRun, dim: int, *, max_regression: float) -> GateAnswer:
    """Against the baseline, query by query, at the size in question. Only a proven loss fails: noise never does."""
    found = regressed(before, run, dim, max_regression=max_regression)
    measure, allowed = run.policy.required[0], asked(max_regression)
    change = f"{measure} at {dim} was {found.before:.4f} and is {found.after:.4f}"
    if found.outcome is not Outcome.FAIL:
        return GateAnswer(Status.PASS, f"No proven regression: {change}.")
    most = percent(found.at_most, limit=1 - max_regression)
    return GateAnswer(Status.FAIL, f"Regression: {change}, at most {most} of the baseline; a loss of {allowed} was allowed.")


def judge_declared(run: EarlierRun, config: SweepConfig, dim: int) -> tuple[SliceJudgement, ...]:
    """Each declared slice against its own margin, `slice_retain`, at the size in question; none where no margin was given."""
    retain = config.slices.slice_retain
    if retain is None:
        return ()
    fields = config.slices.slice or tuple(settings_of(run.report).get("slices.slice", ()))
    if not fields:
        raise InputError("--slice-retain needs to know which slices", "name the fields with --slice")
    candidate = Configuration.exact_prefix(dim)
    slices = declared_slices(run.data.query_metadata, fields)
    found = search_slices(run.scores, slices, replace(run.policy, retain=retain), candidates=[candidate], clusters=run.clusters)
    return judge_slices(found, alpha=run.policy.alpha)


def with_advice(report: Report, judged: Sequence[SliceJudgement]) -> Report:
    """The report with a warning for what the gate let through: an open question, and slices that are not proven."""
    advice = []
    unproven = [f"{j.finding.field}={j.finding.value}" for j in judged if j.outcome is Outcome.INCONCLUSIVE]
    if unproven:
        message = f"not proven to keep their share: {first_offenders(unproven)}"
        advice.append(Advice("slices-unproven", message, "judge more queries of these slices; only a proven loss fails the gate"))
    row = report.gate
    if row is not None and row.status == Status.INCONCLUSIVE and row.exit_code == 0:
        message = f"the gate let an open question through: {row.sentence}"
        advice.append(Advice("gate-inconclusive", message, "--on-inconclusive fail stops there"))
    return replace(report, warnings=(*report.warnings, *advice))


def _slices(report: Report, judged: Sequence[SliceJudgement]) -> tuple[SliceRow, ...]:
    """The report's rows, those of the declared slices now with what came of them."""
    rows = slice_rows([j.finding for j in judged], judged)
    told = {(row.field, row.dim) for row in rows}
    return (*rows, *(row for row in report.slices if (row.field, row.dim) not in told))


def _slice_words(judged: SliceJudgement, policy: Policy) -> str:
    finding = judged.finding
    shares = f"{percent(finding.kept, unknown=UNKNOWN)}, at most {percent(finding.at_most, limit=finding.retain)},"
    kept = keeps(policy.required[0], shares)
    where = f"at {finding.candidate.dim} ({finding.queries:,} queries)"
    return f"Slice {finding.field}={finding.value} {kept} {where}; {asked(finding.retain)} was asked."


def verdict_words(verdict: Verdict) -> str:
    """The verdict of a walk, as the gate's answer."""
    if verdict.status is Status.PASS:
        return f"{verdict.dimension} dimensions are acceptable."
    stopped = verdict.judgements[1] if len(verdict.judgements) > 1 else None
    why = f": {stopped.candidate.dim} {stopped.reason}" if stopped and stopped.reason else ""
    return f"No size below {verdict.dimension} is acceptable{why}."


def _finding(judgement: Judgement, policy: Policy) -> GateAnswer:
    dim = judgement.candidate.dim
    if judgement.outcome is Outcome.BASELINE:
        return GateAnswer(Status.PASS, f"{dim} dimensions are full size.")
    if judgement.outcome is Outcome.PASS:
        evidence = judgement.evidence[policy.required[0]]
        share = evidence.at_least if policy.decide_by == "bound" else evidence.kept
        least = "at least " if policy.decide_by == "bound" else ""
        kept = keeps(policy.required[0], f"{least}{percent(share, limit=policy.retain)}", plural=True)
        return GateAnswer(Status.PASS, f"{dim} dimensions are acceptable: they {kept}; {asked(policy.retain)} was asked.")
    if judgement.outcome is Outcome.FAIL:
        return GateAnswer(Status.FAIL, f"{dim} dimensions are not acceptable: {they(judgement.reason)}.")
    return GateAnswer(
        Status.INCONCLUSIVE, f"The queries cannot tell whether {dim} dimensions are acceptable: {they(judgement.reason)}."
    )


def _ranked(dim: int, sizes: Sequence[Configuration]) -> Configuration:
    found = next((candidate for candidate in sizes if candidate.dim == dim), None)
    if found is None:
        raise InputError(f"the run did not rank {dim} dimensions (it has {_listed(sizes)})", "add it to --dims and run again")
    return found


def _listed(sizes: Sequence[Configuration]) -> str:
    return ", ".join(str(candidate.dim) for candidate in sizes)
