"""Several collections asked the same question: their averages, and the smallest size that is acceptable in every one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mrl_sweep import words
from mrl_sweep.decision.policy import DecideBy
from mrl_sweep.errors import naming
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.files import prepare_folder
from mrl_sweep.pipeline import run as pipeline
from mrl_sweep.pipeline.checks import check_data, check_earlier, check_settings
from mrl_sweep.pipeline.models import open_model
from mrl_sweep.report.collections import CollectionRow, JointVerdict, MacroMeasure, MacroRow, Several
from mrl_sweep.report.content.sentence import confidence, demand
from mrl_sweep.report.content.view import ladder
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, GateRow
from mrl_sweep.report.folder import RUNS_FILE, write_runs
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import readable
from mrl_sweep.types import Collection, Outcome, Status
from mrl_sweep.words import first_offenders


def together(reports: Mapping[str, Report]) -> Several:
    """What the reports, by collection name, say together: all are of one model, one ladder of sizes and one rule.

    A size is acceptable together where it is in each collection. As every collection's test is at full alpha and the walk
    stops at the first size that fails anywhere, the chance of a size that is falsely called acceptable in all stays at alpha:
    an intersection-union test in fixed sequence, which needs no correction for the number of collections.
    """
    ladders = {name: {row.dim: row for row in ladder(report)} for name, report in reports.items()}
    common = set.intersection(*(set(rows) for rows in ladders.values()))
    by_dim = {dim: {name: rows[dim] for name, rows in ladders.items()} for dim in sorted(common, reverse=True)}
    rule = next(iter(reports.values())).verdict
    rows = _macro_rows(by_dim, rule.measure)
    full = rows[0].dim
    verdicts = [report.verdict for report in reports.values()]
    proven, measured = (
        max(full if dim is None else dim for dim in dims)
        for dims in zip(*((v.proven, v.measured) for v in verdicts), strict=True)
    )
    dimension = min(row.dim for row in rows if row.verdict in (Outcome.BASELINE, Outcome.PASS))
    verdict = JointVerdict(
        dimension=dimension,
        proven=proven if proven < full else None,
        measured=measured if measured < full else None,
        measure=rule.measure,
        retain=rule.retain,
        alpha=rule.alpha,
        decide_by=rule.decide_by,
        sentence="",
        by_collection=tuple(_collection_row(name, report) for name, report in reports.items()),
        by_default=rule.by_default,
    )
    verdict = replace(verdict, sentence=_sentence(verdict, rows, by_dim))
    status = Status.PASS if dimension < full else _stopped_by(rows)
    return Several(status=str(status), verdict=verdict, macro=rows, collections=tuple(reports.values()), gate=_gate(reports))


def _macro_rows(by_dim: Mapping[int, Mapping[str, CandidateRow]], measure: str) -> tuple[MacroRow, ...]:
    """From full size down; below the first size that is not acceptable in every collection nothing is tested."""
    rows: list[MacroRow] = []
    full: Mapping[str, float] = {}
    for dim, cells in by_dim.items():
        means = _means(list(cells.values()))
        full = full or means
        shares = {name: cell.measures[measure].kept for name, cell in cells.items()}
        least = min((name for name in shares if shares[name] is not None), key=lambda name: shares[name] or 0.0, default="")
        stopped = bool(rows) and rows[-1].verdict not in (Outcome.BASELINE, Outcome.PASS)
        rows.append(
            MacroRow(
                dim=dim,
                verdict=str(Outcome.NOT_TESTED if stopped else _joint([cell.verdict for cell in cells.values()])),
                measures={
                    name: MacroMeasure(mean=mean, kept=mean / full[name] if full[name] else None) for name, mean in means.items()
                },
                least_kept=shares.get(least) if rows else None,
                least_in=least if rows else "",
            )
        )
    return tuple(rows)


def _means(cells: Sequence[CandidateRow]) -> dict[str, float]:
    """The average of each measure that all of them have; collections count alike, whatever their number of queries."""
    names = [name for name in cells[0].measures if all(name in cell.measures for cell in cells)]
    return {name: sum(cell.measures[name].mean for cell in cells) / len(cells) for name in names}


def _joint(verdicts: Sequence[str]) -> Outcome:
    outcomes = {Outcome(verdict) for verdict in verdicts}
    order = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NOT_TESTED, Outcome.PASS, Outcome.BASELINE)
    return next(outcome for outcome in order if outcome in outcomes)


def _stopped_by(rows: Sequence[MacroRow]) -> Status:
    return Status.FAIL if len(rows) > 1 and rows[1].verdict == Outcome.FAIL else Status.INCONCLUSIVE


def _collection_row(name: str, report: Report) -> CollectionRow:
    verdict, full = report.verdict, ladder(report)[0]
    below = verdict.dimension < full.dim
    return CollectionRow(
        name=name,
        queries=verdict.queries,
        full=full.measures[verdict.measure].mean,
        dimension=verdict.dimension,
        status=report.status,
        kept=verdict.kept if below else None,
        at_least=verdict.at_least if below else None,
    )


def _sentence(verdict: JointVerdict, rows: Sequence[MacroRow], by_dim: Mapping[int, Mapping[str, CandidateRow]]) -> str:
    """What to ship for all of them, how sure that is, and what stops the next smaller size."""
    n = len(verdict.by_collection)
    stop = next((row for row in rows if row.dim < verdict.dimension), None)
    why = "" if stop is None else _why(stop.dim, by_dim[stop.dim])
    if verdict.dimension == rows[0].dim:
        return f"Keep all {verdict.dimension} dimensions for {_all(n)}: {why or 'no smaller size was tried.'}"
    row = next(row for row in rows if row.dim == verdict.dimension)
    limit = f"{demand(verdict.retain, by_default=verdict.by_default)}."
    average = f"their average keeps {words.percent(row.measures[verdict.measure].kept, limit=verdict.retain)}"
    parts = [f"Use {verdict.dimension} dimensions for {_all(n)}: {_each(verdict, by_dim[row.dim])}; {average}; {limit}"]
    if verdict.decide_by != DecideBy.BOUND and (verdict.proven is None or verdict.proven > verdict.dimension):
        parts.append("Measured, not proven.")
    return " ".join([*parts, *([why] if why else [])])


def _all(number: int) -> str:
    return "both collections" if number == 2 else f"all {number} collections"


def _each(verdict: JointVerdict, cells: Mapping[str, CandidateRow]) -> str:
    """`each keeps at least 98.1% of nDCG@10 with 95% confidence (least: fiqa)`."""
    bound = verdict.decide_by == DecideBy.BOUND
    evidence = {name: cell.measures[verdict.measure] for name, cell in cells.items()}
    limits = {name: one.at_least if bound else one.kept for name, one in evidence.items()}
    shares = {name: share for name, share in limits.items() if share is not None}
    least = min(shares, key=lambda name: shares[name])
    how = f"with {confidence(verdict.alpha)}" if bound else "as measured"
    shown = words.percent(shares[least], limit=verdict.retain)
    amount = f"at least {shown}" if bound else f"{shown} or more"
    return f"each keeps {amount} of {verdict.measure} {how} (least: {least})"


def _why(dim: int, cells: Mapping[str, CandidateRow]) -> str:
    """What keeps a size from being acceptable everywhere: `128 is too low in a, and not proven in b.`"""
    failed = [name for name, cell in cells.items() if cell.verdict == Outcome.FAIL]
    open_in = [name for name, cell in cells.items() if cell.verdict not in (Outcome.FAIL, Outcome.PASS)]
    reasons = [f"too low in {first_offenders(failed)}"] if failed else []
    reasons += [f"not proven in {first_offenders(open_in)}"] if open_in else []
    return f"{dim} is {', and '.join(reasons)}."


def _gate(reports: Mapping[str, Report]) -> GateRow | None:
    """All gates as one: it is met where each is, and a failure outweighs an open question."""
    gates = {name: report.gate for name, report in reports.items() if report.gate is not None}
    if not gates:
        return None
    codes = {name: gate.exit_code for name, gate in gates.items()}
    code = next(code for code in (1, 4, 0) if code in codes.values())
    status = next(s for s in (Status.FAIL, Status.INCONCLUSIVE, Status.PASS) if any(g.status == s for g in gates.values()))
    stopped = [name for name in gates if codes[name] == code] if code else []
    first = next(iter(gates.values()))
    said = f"The gate is met in {_all(len(gates))}."
    if stopped:
        said = f"The gate is not met in {first_offenders(stopped)}. " + " ".join(
            f"{name}: {gates[name].sentence}" for name in stopped[:1]
        )
    return GateRow(
        question=f"{first.question.removesuffix('?')} in every collection?",
        status=str(status),
        exit_code=code,
        dim=max(gate.dim for gate in gates.values()),
        sentence=said,
        failures=tuple(f"{name}: {failure}" for name, gate in gates.items() for failure in gate.failures),
    )


def run_each(config: SweepConfig, on_event: OnEvent = ignore) -> Mapping[str, Report]:
    """The main job for every configured collection, with one model and one store: the reports by name, in the order given.

    All collections are loaded and checked before anything is embedded, so that the last one's mistake does not cost the
    work on the others; each is let go when its run is written. With `run.out` the runs lie in folders below it, and a list of
    them beside those, by which `gate` and `report` find them again. Raises what `pipeline.run` raises, the message naming the
    collection; the runs that were written by then stay.
    """
    check_settings(config)
    if config.run.out is not None:
        prepare_folder(config.run.out)
        (config.run.out / RUNS_FILE).unlink(missing_ok=True)
    each = config.each()
    with pipeline.timed("load the collections", on_event):
        waiting = [pipeline.load(one, on_event) for one in each]
    names = labels(waiting, config.collection.sources)
    folders = folders_of(names, config.run.out)
    model = open_model(config)
    for name, one, collection in zip(names, each, waiting, strict=True):
        with naming(name):
            check_data(one, collection)
            check_earlier(one.replaced("run", "out", folders[name]), collection, model)
    reports: dict[str, Report] = {}
    with pipeline.executor_of(config, on_event) as executor:
        for number, (name, one) in enumerate(zip(names, each, strict=True), start=1):
            on_event(Note(f"collection {number} of {len(names)}: {name}"))
            with naming(name):
                placed = one.replaced("run", "out", folders[name])
                reports[name] = pipeline.run_on(placed, waiting.pop(0), model, on_event, executor)
    if config.run.out is not None:
        write_runs(config.run.out, {name: folder for name, folder in folders.items() if folder is not None})
    return reports


def labels(collections: Sequence[Collection], sources: Sequence[str]) -> list[str]:
    """What each is called: its name, or all that was typed for it where two have the same name."""
    names = [collection.name for collection in collections]
    return [source if names.count(name) > 1 else name for name, source in zip(names, sources, strict=True)]


def folders_of(names: Sequence[str], out: Path | None) -> dict[str, Path | None]:
    """A folder of its own for each below `out`, with a number where two names would be spelled alike; None without `out`."""
    folders: dict[str, Path | None] = {}
    for name in names:
        folder, number = out and out / readable(name), 1
        while folder is not None and folder in folders.values():
            number += 1
            folder = folder.with_name(f"{readable(name)}-{number}")
        folders[name] = folder
    return folders
