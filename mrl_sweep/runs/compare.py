"""Two or more runs side by side: what each reaches at equal bytes, and which the queries prove to be better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mrl_sweep.decision.compare import Regression, compare_paired, differences, regression, require_comparable
from mrl_sweep.deploying.index_spec import vector_bytes
from mrl_sweep.errors import InputError
from mrl_sweep.files import json_digest
from mrl_sweep.measures.score import score
from mrl_sweep.report.compare import Cell, ComparedRow, RunRow, SideBySide
from mrl_sweep.report.folder import read_runs
from mrl_sweep.runs.reopen import EarlierRun
from mrl_sweep.types import Configuration, FloatArray, IntArray, Measure, exact_prefixes


def matched_runs(runs: Sequence[Path]) -> dict[str, list[Path]]:
    """Returns the runs to lay side by side: all of them, without a name, or by name those of folders of several collections.

    One such folder alone lays its own collections side by side. Raises InputError for a run alone, for single runs beside such
    folders, and for folders that share no collection.
    """
    below = [read_runs(run) for run in runs]
    if len(runs) < 2 and not any(below):
        raise InputError("there is nothing to compare with", "name two or more runs")
    if not any(below):
        return {"": list(runs)}
    if len(runs) == 1:
        return {"": list(below[0].values())}
    if not all(below):
        several = next(run for run, names in zip(runs, below, strict=True) if names)
        name = next(iter(next(names for names in below if names)))
        raise InputError(f"{several} holds several collections, and another run holds one", f"name one of them: {several}/{name}")
    shared = [name for name in below[0] if all(name in names for names in below)]
    if not shared:
        listed = "; ".join(f"{run}: {', '.join(names)}" for run, names in zip(runs, below, strict=True))
        raise InputError("the runs share no collection", f"they hold {listed}")
    return {name: [names[name] for names in below] for name in shared}


def side_by_side(runs: Sequence[EarlierRun]) -> SideBySide:
    """Lays every run beside the first, at equal bytes of the exact float32 prefix and at the sizes that the verdicts name.

    The measure and alpha are the first run's. Runs that do not share queries and judgments with it stand beside it unpaired,
    and say what differs. Raises InputError for a label-free run beside a judged one: their figures are of different things.
    """
    for run in runs:
        refuse_other_labels(runs[0], run)
    measure = runs[0].policy.required[0]
    runs = [_measured_by(run, measure) for run in runs]
    facts = [facts_to_share(run) for run in runs]
    differing = [differences(facts[0], one) for one in facts]

    def row(bytes_per_vector: int | None, dims: Sequence[int]) -> ComparedRow:
        cells = [_cell(runs[0], run, dims[0], dim, pairs=not why) for run, dim, why in zip(runs, dims, differing, strict=True)]
        return ComparedRow(bytes_per_vector=bytes_per_vector, cells=tuple(cells))

    dims = sorted({c.dim for run in runs for c in exact_prefixes(run.scores.candidates)}, reverse=True)
    return SideBySide(
        measure=str(measure),
        alpha=runs[0].policy.alpha,
        runs=tuple(_run_row(run, why) for run, why in zip(runs, differing, strict=True)),
        rows=(
            *(row(vector_bytes(dim), [dim] * len(runs)) for dim in dims),
            row(None, [run.verdict.dimension for run in runs]),
        ),
    )


def refuse_other_labels(first: EarlierRun, run: EarlierRun) -> None:
    """Raises InputError where only one of two runs is label-free."""
    own, other = (one.policy.required[0] for one in (run, first))
    if own.label_free != other.label_free:
        raise InputError(
            f"{named(run)} has {own} and {named(first)} has {other}: agreement with full size and judged quality do not compare",
            "compare label-free runs with each other, and judged runs with each other",
        )


def _measured_by(run: EarlierRun, measure: Measure) -> EarlierRun:
    """Returns the run with this measure as the one that decides, scored from its ranks."""
    if run.policy.required[0] == measure:
        return run
    scores = score(run.data.ranks, run.data.qrels, [measure])
    return replace(run, scores=scores, policy=replace(run.policy, required=(measure,)))


def _cell(first: EarlierRun, run: EarlierRun, first_dim: int, dim: int, *, pairs: bool) -> Cell:
    """Compares the run at this size with the first run at `first_dim`; empty where the run did not rank the size."""
    measure, candidate, other = first.policy.required[0], Configuration.exact_prefix(dim), Configuration.exact_prefix(first_dim)
    if candidate not in run.scores.candidates:
        return Cell()
    mean = float(run.scores.of(candidate, measure).mean())
    if run is first or not pairs or other not in first.scores.candidates:
        return Cell(dim=dim, mean=mean)
    a, b, clusters = paired_values(first, run, other, candidate, measure)
    return Cell(dim=dim, mean=mean, against_first=compare_paired(a, b, alpha=first.policy.alpha, clusters=clusters))


def _run_row(run: EarlierRun, differs: tuple[str, ...]) -> RunRow:
    return RunRow(
        name=named(run),
        collection=str(run.report.of_run("collection").get("name", "")),
        model=model_of(run),
        queries=run.verdict.n_queries,
        dimension=run.verdict.dimension,
        status=str(run.verdict.status),
        differs=differs,
    )


def regressed(before: EarlierRun, after: EarlierRun, named: Configuration, *, max_regression: float) -> Regression:
    """Tests whether the deciding measure of `after` fell by more than `max_regression` (a share) below `before`, at `named`.

    Raises InputError where the two runs cannot be compared, with the differences named, or did not both rank it.
    """
    own = ({"model": model_of(run), "similarity": run.report.manifest.get("similarity")} for run in (before, after))
    require_comparable(*(facts_to_share(run) | more for run, more in zip((before, after), own, strict=True)))
    measure = after.policy.required[0]
    earlier, later, clusters = paired_values(before, after, named, named, measure)
    return regression(earlier, later, max_regression=max_regression, alpha=after.policy.alpha, clusters=clusters)


def facts_to_share(run: EarlierRun) -> dict[str, Any]:
    """Returns the facts that two runs must share for a paired comparison, in plain words; long lists as count and digest."""
    measure, manifest, settings = run.policy.required[0], run.report.manifest, run.report.of_run("settings")
    judged = run.scores.counted[run.scores.measures.index(measure)]
    queries = sorted(name for name, counts in zip(run.data.query_ids, judged, strict=True) if counts)
    return {
        "labels": "none" if measure.label_free else "judgments",
        "measure": str(Measure(measure.name, None, measure.rel)),
        "cut-off": measure.cutoff,
        "tie rule": manifest.get("tie_rule"),
        "a query's own document left out": manifest.get("identical_excluded"),
        "queries without relevant documents": settings.get("collection.no_relevant"),
        "judged documents that are missing": settings.get("collection.missing_docs"),
        "documents": run.report.of_run("collection").get("documents"),  # fewer distractors make every size look better
        "queries": _digest(queries),
        "judgments": _digest(_judgments(run)),
    }


def model_of(run: EarlierRun) -> str:
    """Returns the model's name, empty where the run does not say."""
    return str(run.report.of_run("model").get("name", ""))


def paired_values(
    first: EarlierRun, second: EarlierRun, of_first: Configuration, of_second: Configuration, measure: Measure
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    """Returns (n_counted,) float64 twice: the values of a candidate of each run, of the queries that the first run counts.

    They are in the first run's order, with the clusters of those queries, None where each is a unit by itself. Raises
    InputError where a run did not rank its candidate.
    """
    a, b = _values(first, of_first, measure), _values(second, of_second, measure)
    counted = first.scores.counted[first.scores.measures.index(measure)]
    row = {name: i for i, name in enumerate(second.data.query_ids)}
    rows = np.array([row.get(name, 0) for name in first.data.query_ids], np.int64)
    return a[counted], b[rows][counted], None if first.clusters is None else first.clusters[counted]


def _values(run: EarlierRun, candidate: Configuration, measure: Measure) -> FloatArray:
    scores = run.scores
    if candidate not in scores.candidates:
        has = ", ".join(str(c.dim) for c in scores.candidates if c.family == candidate.family)
        raise InputError(f"{named(run)} did not rank {candidate.dim} dimensions (it has {has})", "add it to --dims and run again")
    values: FloatArray = scores.values[scores.candidates.index(candidate), scores.measures.index(measure)]
    return values


def named(run: EarlierRun) -> str:
    """Returns the run's name in messages: its folder, or `the run`."""
    return str(run.report.folder) if run.report.folder is not None else "the run"


def _judgments(run: EarlierRun) -> list[tuple[str, str, int]]:
    """Lists every judgment as (query id, document id, grade), sorted; a document that the corpus lacks has the empty id."""
    qrels, ids = run.data.qrels, run.data.document_ids
    names = zip(qrels.queries.tolist(), qrels.rows.tolist(), qrels.grades.tolist(), strict=True)
    return sorted((run.data.query_ids[query], ids.get(row, ""), grade) for query, row, grade in names)


def _digest(things: list[Any]) -> str:
    return f"{len(things):,} ({json_digest(things, size=4)})"
