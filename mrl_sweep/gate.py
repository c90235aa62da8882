"""The gate: is the size in production still acceptable? Answered from a run's ranks, without model, corpus or index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mrl_sweep.config import GateTable, OnInconclusive, SweepConfig
from mrl_sweep.decision.policy import Policy, decide, full_size, judge
from mrl_sweep.decision.words import asked, percent
from mrl_sweep.earlier import EarlierRun
from mrl_sweep.errors import InputError
from mrl_sweep.report.document import GateRow, Report
from mrl_sweep.types import EXACT, Advice, Basis, Candidate, Judgement, Outcome, Scores, Status, Verdict

EXIT_CODES: Final = {Status.PASS: 0, Status.FAIL: 1, Status.INCONCLUSIVE: 4}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the gate looked at, and what came of it."""

    status: Status
    sentence: str


def decide_gate(run: EarlierRun, config: SweepConfig) -> Report:
    """The run's report with the gate's answer: what was asked of it, the status, and the exit code that follows.

    Raises InputError where the run set data aside and `config` is strict, or for a size that was not ranked.
    """
    if config.run.strict and run.report.excluded:
        counted = ", ".join(f"{number:,} {reason}" for reason, number in run.report.excluded.items())
        raise InputError(f"the run set data aside: {counted}", "mend the data, or accept it with --no-strict")
    finding, question, dim = ask_size(config.gate, run.scores, run.policy, run.verdict)
    return gated(run.report, answer(config.gate, [finding], question=question, dim=dim))


def answer(ask: GateTable, findings: Sequence[Finding], *, question: str, dim: int) -> GateRow:
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


def ask_size(ask: GateTable, scores: Scores, policy: Policy, verdict: Verdict) -> tuple[Finding, str, int]:
    """The question of size: what was found, the question in words, and the size it is about.

    A size named with `dim` is one test at full alpha. Up to `max_dim` the walk starts at the largest size that is allowed:
    sizes above it are not in question, so they cost no evidence. Raises InputError for a size that was not ranked.
    """
    if ask.dim is not None and ask.max_dim is not None:
        raise InputError("--dim and --max-dim ask different questions", "give one of them")
    sizes = sorted((c for c in scores.candidates if c.basis == Basis.PREFIX and c.index == EXACT), key=lambda c: -c.dim)
    if ask.dim is not None:
        judgement = judge(scores, _ranked(ask.dim, sizes), policy)
        return _finding(judgement, policy), f"is {ask.dim} still acceptable?", ask.dim
    if ask.max_dim is None:
        finding = Finding(verdict.status, verdict_words(verdict))
        return finding, "is any size below full acceptable?", verdict.dimension
    allowed = [c for c in sizes if c.dim <= ask.max_dim]
    if not allowed:
        raise InputError(
            f"no size up to {ask.max_dim} was ranked (there are {_listed(sizes)})", "add smaller sizes to --dims and run again"
        )
    question = f"is any size up to {ask.max_dim} acceptable?"
    if full_size(scores) in allowed:
        return Finding(Status.PASS, f"Full size, {allowed[0].dim}, is not above {ask.max_dim}."), question, allowed[0].dim
    walk = decide(scores, policy, candidates=allowed)
    if walk.status is Status.PASS:
        return Finding(Status.PASS, verdict_words(walk)), question, walk.dimension
    return _finding(walk.judgements[1], policy), question, allowed[0].dim


def gated(report: Report, row: GateRow) -> Report:
    """The report with the gate's answer, and a warning where an open question was let through."""
    if row.status != Status.INCONCLUSIVE or row.exit_code:
        return replace(report, gate=row)
    advice = Advice(
        "gate-inconclusive", f"the gate let an open question through: {row.sentence}", "--on-inconclusive fail stops there"
    )
    return replace(report, gate=row, warnings=(*report.warnings, advice))


def verdict_words(verdict: Verdict) -> str:
    """The verdict of a walk, as the gate's answer."""
    if verdict.status is Status.PASS:
        return f"{verdict.dimension} dimensions are acceptable."
    stopped = verdict.judgements[1] if len(verdict.judgements) > 1 else None
    why = f": {stopped.candidate.dim} {stopped.reason}" if stopped and stopped.reason else ""
    return f"No size below {verdict.dimension} is acceptable{why}."


def _finding(judgement: Judgement, policy: Policy) -> Finding:
    dim = judgement.candidate.dim
    if judgement.outcome is Outcome.BASELINE:
        return Finding(Status.PASS, f"{dim} dimensions are full size.")
    if judgement.outcome is Outcome.PASS:
        evidence = judgement.evidence[policy.required[0]]
        share = evidence.at_least if policy.decide_by == "bound" else evidence.kept
        least = "at least " if policy.decide_by == "bound" else ""
        kept = f"{least}{percent(share, limit=policy.retain)} of {policy.required[0]}"
        return Finding(Status.PASS, f"{dim} dimensions are acceptable: they keep {kept}; {asked(policy.retain)} was asked.")
    if judgement.outcome is Outcome.FAIL:
        return Finding(Status.FAIL, f"{dim} dimensions are not acceptable: {judgement.reason}.")
    return Finding(Status.INCONCLUSIVE, f"The queries cannot tell whether {dim} dimensions are acceptable: {judgement.reason}.")


def _ranked(dim: int, sizes: Sequence[Candidate]) -> Candidate:
    found = next((candidate for candidate in sizes if candidate.dim == dim), None)
    if found is None:
        raise InputError(f"the run did not rank {dim} dimensions (it has {_listed(sizes)})", "add it to --dims and run again")
    return found


def _listed(sizes: Sequence[Candidate]) -> str:
    return ", ".join(str(candidate.dim) for candidate in sizes)
