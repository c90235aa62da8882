"""The gate: is the size in production still acceptable? Answered from a run's ranks, without model, corpus or index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from mrl_sweep.decision.grid import decide_grid
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.slices import declared_slices, judge_slices, search_slices
from mrl_sweep.decision.walk import decide
from mrl_sweep.deploying.findings import grid_bytes
from mrl_sweep.errors import InputError, naming
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.ranking.codes.precision import parse_precision
from mrl_sweep.report.content.build import gate_row
from mrl_sweep.report.document import NO_FAULT, Report
from mrl_sweep.report.document_rows import GateRow
from mrl_sweep.runs.reopen import EarlierRun, reopen, reopen_judged
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.table import GateTable, OnInconclusive
from mrl_sweep.types import (
    FLOAT32,
    Advice,
    Basis,
    Configuration,
    Judgement,
    Outcome,
    SliceRow,
    Status,
    Verdict,
    exact_prefixes,
    full_size,
)
from mrl_sweep.words import UNKNOWN, asked_share, counted, did_you_mean, first_offenders, keeps, percent, plural, they

HARDLY: Final = 0.1
"""A slice is hardly tested where it must keep so much less than its share (of full size) before that is proven."""

EXIT_CODES: Final = {Status.PASS: 0, Status.FAIL: 1, Status.INCONCLUSIVE: 4}


class GateAnswer(NamedTuple):
    """The status of one thing that the gate tested, and a sentence on it."""

    status: Status
    sentence: str


_OF_A_FINISHED_RUN: Final = ("decision", "slices", "gate")
_OF_ANY_CALL: Final = frozenset({"run.format", "run.output", "run.strict", "run.accept"})


def gate_settings(config: SweepConfig, runs: Collection[str]) -> SweepConfig:
    """Gives the settings of a gate: strict unless they say otherwise. `runs` are finished; without any, they are run first.

    Raises InputError for an option that only a new run could follow (to ignore it would answer another question), for a
    baseline beside several collections, and for an option that needs a baseline where none is given.
    """
    origins, ask = config.origins, config.gate
    typed = {key: origin for key, origin in origins.items() if origin.startswith("--") and key not in _OF_ANY_CALL}
    useless = [origin for key, origin in typed.items() if key.partition(".")[0] not in _OF_A_FINISHED_RUN]
    if runs and useless:
        raise InputError(f"{useless[0]} cannot change a finished run", "give a configuration instead of a run, or leave it out")
    if ask.baseline is not None and len(runs or config.collection.sources) > 1:
        hint = "gate each collection in a configuration of its own, or leave out --baseline"
        raise InputError("a baseline is one run, and here are several collections", hint)
    alone = [typed[key] for key in ("gate.baseline_optional", "gate.max_regression") if key in typed]
    if alone and ask.baseline is None:
        raise InputError(f"{alone[0]} needs a baseline", "give --baseline RUN")
    return config.unless_given("run", "strict", True)


def gate_each(config: SweepConfig, runs: Mapping[str, Path], on_event: OnEvent = ignore) -> Mapping[str, Report]:
    """Gives the reports with the gate's answer, by name: of finished runs, or of the configured collections, which are run first.

    Raises what `decide_gate`, `reopen` and `run_each` raise; for a baseline that cannot be read, before anything is run.
    """
    path, baseline = config.gate.baseline, None
    if path is not None and (path.exists() or not config.gate.baseline_optional):
        baseline = reopen_judged(path, config)
    elif path is not None:
        on_event(Note(f"no baseline at {path} yet: nothing to compare with"))
    folders = dict(runs)
    if not folders:
        from mrl_sweep.pipeline.run import run_each  # a gate on a finished run does not need it

        folders = {name: report.folder for name, report in run_each(config, on_event).items() if report.folder}
    reports = {}
    for name, folder in folders.items():
        with naming(name):
            reports[name] = decide_gate(reopen(folder, config), config, baseline).accepting(config.run.accept)
    return reports


def decide_gate(run: EarlierRun, config: SweepConfig, baseline: EarlierRun | None = None) -> Report:
    """Gives the run's report with the gate's answer: what was asked of it, the status, and the exit code that follows.

    Raises InputError where the run set data aside and `config` is strict, for a size that was not ranked, and for a baseline
    that cannot be compared.
    """
    if config.run.strict:
        refuse_exclusions(run.report, allowed=config.gate.allow)
    question = ask_size(config.gate, run, None if baseline is None else baseline.verdict.dimension)
    named = question.configuration
    findings = [question.finding]
    if baseline is not None:
        findings.append(ask_baseline(run, baseline, named, max_regression=config.gate.max_regression))
    judged = judge_declared(run, config, named)
    findings += [GateAnswer(Status.FAIL, _slice_words(row, run.policy)) for row in judged if row.verdict == Outcome.FAIL]
    row = answer(config.gate, findings, question=question.words, configuration=named)
    before = {one.message for one in baseline.report.warnings} if baseline is not None else set()
    row = replace(row, unchanged=tuple(one.message for one in run.report.warnings if one.message in before))
    warned = config.gate.on_inconclusive is OnInconclusive.WARN
    return with_advice(replace(run.report, gate=row, slices=_slices(run.report, judged)), judged, warned=warned)


def refuse_exclusions(report: Report, *, allowed: Sequence[str] = ()) -> None:
    """Raises InputError where a run set aside what should have counted and is not `allowed` by its name.

    Queries that this split does not judge are no fault: a folder's queries are those of all its splits.
    """
    kinds = {name.replace("-", "_") for name in allowed}
    unknown = sorted(kinds - set(report.excluded)) if report.excluded else []
    faults = {reason: number for reason, number in report.excluded.items() if reason not in {*NO_FAULT, *kinds}}
    if faults:
        aside = ", ".join(counted(number, reason) for reason, number in faults.items())
        misspelt = f" ({', '.join(unknown)}: nothing of that name was set aside)" if unknown else ""
        raise InputError(
            f"the run set data aside: {aside}{misspelt}",
            f"mend the data, or accept it by name: --allow {next(iter(faults)).replace('_', '-')}; --no-strict accepts all",
        )


def answer(ask: GateTable, answers: Sequence[GateAnswer], *, question: str, configuration: Configuration) -> GateRow:
    """Joins all answers in one, with the exit code that follows: 0 for an open question that `on_inconclusive` lets through."""
    status = Status.of_all(one.status for one in answers)
    let_through = status is Status.INCONCLUSIVE and ask.on_inconclusive is not OnInconclusive.FAIL
    return gate_row(question, configuration, answers, exit_code=0 if let_through else EXIT_CODES[status])


class GateQuestion(NamedTuple):
    """The gate's question in words, the configuration that it is about, and the answer as `finding`."""

    finding: GateAnswer
    words: str
    configuration: Configuration


def ask_size(ask: GateTable, run: EarlierRun, deployed: int | None = None) -> GateQuestion:
    """Answers the gate's question of size or bytes.

    What is named with `dim` or `config`, or else the size that is `deployed`, is one test at full alpha. Up to `max_dim` the
    walk starts at the largest size that is allowed, and up to `max_bytes` the paths do: what lies above is not in question, so
    it costs no evidence. Without all of these the run's verdict answers. Raises InputError for two questions at once, and for
    what was not ranked.
    """
    given = {"--dim": ask.dim, "--max-dim": ask.max_dim, "--max-bytes": ask.max_bytes, "--config": ask.config}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise InputError(f"{' and '.join(named)} ask different questions", "give one of them")
    if ask.config is not None:
        return _ask_configuration(_measured(ask.config, run), run)
    if ask.max_bytes is not None:
        return _ask_bytes(ask.max_bytes, run)
    sizes = exact_prefixes(run.scores.candidates)
    dim = deployed if ask.dim is None and ask.max_dim is None else ask.dim
    if dim is not None:
        return _ask_configuration(_ranked(dim, sizes), run)
    if ask.max_dim is None:
        finding = GateAnswer(run.verdict.status, verdict_words(run.verdict))
        return GateQuestion(finding, "is any size below full acceptable?", Configuration.exact_prefix(run.verdict.dimension))
    return _ask_sizes(ask.max_dim, sizes, run)


def _ask_configuration(named: Configuration, run: EarlierRun) -> GateQuestion:
    judged = run.judge(named)
    return GateQuestion(_finding(judged, run.policy), f"is {named} still acceptable?", named)


def _ask_sizes(max_dim: int, sizes: Sequence[Configuration], run: EarlierRun) -> GateQuestion:
    """Tests whether some size up to `max_dim` is acceptable. Raises InputError where none was ranked."""
    allowed = [c for c in sizes if c.dim <= max_dim]
    if not allowed:
        raise InputError(
            f"no size up to {max_dim} was ranked (there are {_listed(sizes)})", "add smaller sizes to --dims and run again"
        )
    question = f"is any size up to {max_dim} acceptable?"
    if sizes[0] in allowed:
        passed = GateAnswer(Status.PASS, f"Full size, {allowed[0].dim}, is not above {max_dim}.")
        return GateQuestion(passed, question, allowed[0])
    walk = decide(run.question, allowed)
    if walk.status is Status.PASS:
        return GateQuestion(GateAnswer(Status.PASS, verdict_words(walk)), question, Configuration.exact_prefix(walk.dimension))
    return GateQuestion(_finding(walk.judgements[1], run.policy), question, allowed[0])


def _ask_bytes(max_bytes: int, run: EarlierRun) -> GateQuestion:
    """Tests whether some configuration of at most `max_bytes` a vector in memory is proven, by the paths through those alone."""
    question, full = f"is any configuration of at most {max_bytes:,} bytes a vector proven?", full_size(run.scores.candidates)
    cells = grid_bytes(run.scores.candidates, Basis.PREFIX)
    allowed = {c: size for c, size in cells.items() if size <= max_bytes}
    if not allowed:
        least = f"the smallest that was ranked takes {min(cells.values()):,}"
        hint = "add smaller sizes or precisions and run again: --dims, --precision"
        raise InputError(f"no configuration takes at most {max_bytes:,} bytes a vector ({least})", hint)
    if full in allowed:
        return GateQuestion(GateAnswer(Status.PASS, f"Full size takes {cells[full]:,} bytes a vector."), question, full)
    grid = decide_grid(run.question, allowed)
    if grid.smallest is not None:
        judged = run.judge(grid.smallest)
        sentence = f"{cells[grid.smallest]:,} bytes a vector: {_finding(judged, run.policy).sentence}"
        return GateQuestion(GateAnswer(Status.PASS, sentence), question, grid.smallest)
    first = [run.judge(path[0]) for path in grid.paths]
    worse = all(judgement.outcome is Outcome.FAIL for judgement in first)
    reasons = "; ".join(f"{judgement.candidate}: {judgement.reason}" for judgement in first if judgement.reason)
    sentence = f"No configuration of at most {max_bytes:,} bytes a vector is proven ({reasons})."
    return GateQuestion(GateAnswer(Status.FAIL if worse else Status.INCONCLUSIVE, sentence), question, grid.paths[0][0])


def ask_baseline(run: EarlierRun, before: EarlierRun, named: Configuration, *, max_regression: float) -> GateAnswer:
    """Compares with the baseline, query by query, at the configuration in question. Only a proven loss fails, never noise."""
    from mrl_sweep.runs.compare import regressed

    regression = regressed(before, run, named, max_regression=max_regression)
    measure, allowed = run.policy.required[0], asked_share(max_regression)
    change = f"{measure} at {named} was {regression.before:.4f} and is {regression.after:.4f}"
    if regression.outcome is not Outcome.FAIL:
        return GateAnswer(Status.PASS, f"No proven regression: {change}.")
    most = percent(regression.at_most, limit=1 - max_regression)
    return GateAnswer(Status.FAIL, f"Regression: {change}, at most {most} of the baseline; a loss of {allowed} was allowed.")


def judge_declared(run: EarlierRun, config: SweepConfig, named: Configuration) -> tuple[SliceRow, ...]:
    """Judges each declared slice by its margin, `slice_retain`, at this configuration; none where no margin was given.

    Raises InputError where neither the settings nor the run name a slice's field.
    """
    retain = config.slices.slice_retain
    if retain is None:
        return ()
    fields = config.slices.slice or tuple(run.report.of_run("settings").get("slices.slice", ()))
    if not fields:
        raise InputError("--slice-retain needs to know which slices", "name the fields with --slice")
    slices = declared_slices(run.data.query_metadata, fields)
    searched = search_slices(replace(run.question, policy=replace(run.policy, retain=retain)), slices, [named])
    return judge_slices(searched, alpha=run.policy.alpha)


def with_advice(report: Report, judged: Sequence[SliceRow], *, warned: bool) -> Report:
    """Adds warnings for slices not proven or hardly tested; where `warned`, for an open question that the gate let through."""
    advice = []
    unproven = [f"{row.field}={row.value}" for row in judged if row.verdict == Outcome.INCONCLUSIVE]
    if unproven:
        message = f"not proven to keep their share: {first_offenders(unproven)}"
        advice.append(Advice("slices-unproven", message, "judge more queries of these slices; only a proven loss fails the gate"))
    blunt = [words for row in judged if (words := _hardly_tested(row)) is not None]
    if blunt:
        message = f"slices of so few queries could hardly have failed: {first_offenders(blunt)}"
        advice.append(Advice("slices-hardly-tested", message, "judge more queries of these slices"))
    row = report.gate
    if warned and row is not None and row.status == Status.INCONCLUSIVE and row.exit_code == 0:
        message = f"the gate let an open question through: {row.sentence}"
        advice.append(Advice("gate-inconclusive", message, "--on-inconclusive fail stops there"))
    return replace(report, warnings=(*report.warnings, *advice))


def _hardly_tested(row: SliceRow) -> str | None:
    """`language=de only below 71.0%`: where a slice would have to keep far less than its share to be proven below it."""
    if row.verdict == Outcome.FAIL or row.kept is None or row.retain is None:
        return None
    name = f"{row.field}={row.value}"
    if row.at_most is None:
        return f"{name} at nothing"
    fails_below = row.retain - (row.at_most - row.kept)
    return f"{name} only below {percent(max(fails_below, 0.0))}" if fails_below < row.retain - HARDLY else None


def _slices(report: Report, judged: Sequence[SliceRow]) -> tuple[SliceRow, ...]:
    """Returns the report's rows of slices, with those that the gate judged in place of the same fields and size."""
    judged_fields = {(row.field, row.dim) for row in judged}
    return (*judged, *(row for row in report.slices if (row.field, row.dim) not in judged_fields))


def _slice_words(row: SliceRow, policy: Policy) -> str:
    shares = f"{percent(row.kept, unknown=UNKNOWN)}, at most {percent(row.at_most, limit=row.retain)},"
    where = f"at {row.dim} ({plural(row.queries, 'query', 'queries')})"
    retain = asked_share(row.retain or policy.retain)
    return f"Slice {row.field}={row.value} {keeps(policy.required[0], shares)} {where}; {retain} was asked."


def verdict_words(verdict: Verdict) -> str:
    """Words the verdict of a walk as the gate's answer."""
    if verdict.status is Status.PASS:
        return f"{verdict.dimension} dimensions are acceptable."
    stopped = verdict.judgements[1] if len(verdict.judgements) > 1 else None
    why = f": {stopped.candidate.dim} {stopped.reason}" if stopped and stopped.reason else ""
    if verdict.status is Status.INCONCLUSIVE:
        return f"No size below {verdict.dimension} is proven acceptable{why}."
    return f"No size below {verdict.dimension} is acceptable{why}."


def _finding(judgement: Judgement, policy: Policy) -> GateAnswer:
    named = judgement.candidate
    several = named.is_exact_prefix
    what, subject = (f"{named.dim} dimensions are", "they") if several else (f"{named} is", "it")
    reason = they(judgement.reason) if several else judgement.reason
    if judgement.outcome is Outcome.BASELINE:
        return GateAnswer(Status.PASS, f"{named.dim} dimensions are full size.")
    if judgement.outcome is Outcome.PASS:
        evidence = judgement.evidence[policy.required[0]]
        share = evidence.at_least if policy.decide_by == "bound" else evidence.kept
        least = "at least " if policy.decide_by == "bound" else ""
        kept = keeps(policy.required[0], f"{least}{percent(share, limit=policy.retain)}", plural=several)
        return GateAnswer(Status.PASS, f"{what} acceptable: {subject} {kept}; {asked_share(policy.retain)} was asked.")
    if judgement.outcome is Outcome.FAIL:
        return GateAnswer(Status.FAIL, f"{what} not acceptable: {reason}.")
    return GateAnswer(Status.INCONCLUSIVE, f"The queries cannot tell whether {what} acceptable: {reason}.")


def _measured(text: str, run: EarlierRun) -> Configuration:
    """Parses the configuration that is named. Raises InputError where the run did not measure it."""
    try:
        named = Configuration.parse(text)
        named = replace(named, precision=FLOAT32 if named.precision == FLOAT32 else parse_precision(named.precision))
    except ValueError as error:
        raise InputError(str(error), "write it as the report does: 512, 512:int8, 512:binary:exact:rescore=4x") from None
    if named not in run.scores.candidates:
        near = did_you_mean(str(named), map(str, run.scores.candidates))
        raise InputError(f"the run did not measure {named}", f"{near} add it to --dims, --precision or --rescore".lstrip())
    return named


def _ranked(dim: int, sizes: Sequence[Configuration]) -> Configuration:
    ranked = next((candidate for candidate in sizes if candidate.dim == dim), None)
    if ranked is None:
        raise InputError(f"the run did not rank {dim} dimensions (it has {_listed(sizes)})", "add it to --dims and run again")
    return ranked


def _listed(sizes: Sequence[Configuration]) -> str:
    return ", ".join(str(candidate.dim) for candidate in sizes)
