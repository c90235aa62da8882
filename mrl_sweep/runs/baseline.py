"""Two runs over the same judged queries: what they must share to be compared, and their values side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mrl_sweep.decision.compare import Regression, regression, require_comparable
from mrl_sweep.errors import InputError
from mrl_sweep.runs.reopen import EarlierRun
from mrl_sweep.types import EXACT, Basis, Candidate, FloatArray, IntArray, Measure


def regressed(before: EarlierRun, after: EarlierRun, dim: int, *, max_regression: float) -> Regression:
    """Has the deciding measure of `after` fallen by more than `max_regression` below `before`, at the same size?

    Raises InputError where the two runs cannot be compared, with the differences named, or did not both rank that size.
    """
    facts = facts_to_share(before) | {"model": model_of(before)}, facts_to_share(after) | {"model": model_of(after)}
    require_comparable(*facts)
    measure = after.policy.required[0]
    candidate = Candidate(Basis.PREFIX, dim, EXACT)
    earlier, later = paired_values(before, after, candidate, candidate, measure)
    counted = before.scores.counted[before.scores.measures.index(measure)]
    clusters = None if before.clusters is None else before.clusters[counted]
    return regression(earlier, later, max_regression=max_regression, alpha=after.policy.alpha, clusters=clusters)


def facts_to_share(run: EarlierRun) -> dict[str, Any]:
    """What two runs must have in common for a paired comparison, named as a person knows it; long ones as count and digest."""
    measure, manifest = run.policy.required[0], run.report.manifest
    judged = run.scores.counted[run.scores.measures.index(measure)]
    queries = sorted(name for name, counts in zip(run.data.query_ids, judged, strict=True) if counts)
    return {
        "labels": "none" if measure.label_free else "judgments",
        "measure": str(Measure(measure.name, None, measure.rel)),
        "cut-off": measure.cutoff,
        "tie rule": manifest.get("tie_rule"),
        "queries": _digest(queries),
        "judgments": _digest(_judgments(run)),
    }


def model_of(run: EarlierRun) -> str:
    """The model's name, empty where the run does not say."""
    model = run.report.manifest.get("model")
    return str(model.get("name", "")) if isinstance(model, Mapping) else ""


def paired_values(
    first: EarlierRun, second: EarlierRun, of_first: Candidate, of_second: Candidate, measure: Measure
) -> tuple[FloatArray, FloatArray]:
    """(n_queries,) twice: a candidate of each run, the values of the counted queries in the order of the first run's.

    Raises InputError where a run did not rank its candidate.
    """
    a, b = (_values(run, candidate, measure) for run, candidate in ((first, of_first), (second, of_second)))
    counted = first.scores.counted[first.scores.measures.index(measure)]
    return a[counted], b[_rows_of(second, first)][counted]


def _values(run: EarlierRun, candidate: Candidate, measure: Measure) -> FloatArray:
    scores = run.scores
    if candidate not in scores.candidates:
        has = ", ".join(str(c.dim) for c in scores.candidates if (c.basis, c.index) == (candidate.basis, candidate.index))
        raise InputError(f"{named(run)} did not rank {candidate.dim} dimensions (it has {has})", "add it to --dims and run again")
    values: FloatArray = scores.values[scores.candidates.index(candidate), scores.measures.index(measure)]
    return values


def named(run: EarlierRun) -> str:
    """What a person calls this run: its folder."""
    return str(run.report.folder) if run.report.folder is not None else "the run"


def _rows_of(run: EarlierRun, like: EarlierRun) -> IntArray:
    """(n_queries of like,) the row in `run` of each query of `like`."""
    row = {name: i for i, name in enumerate(run.data.query_ids)}
    return np.array([row.get(name, 0) for name in like.data.query_ids], np.int64)


def _judgments(run: EarlierRun) -> list[tuple[str, str, int]]:
    """Every judgment as (query id, document id, grade); a document that the corpus lacks has the empty id."""
    qrels, ids = run.data.qrels, run.data.document_ids
    names = zip(qrels.queries.tolist(), qrels.rows.tolist(), qrels.grades.tolist(), strict=True)
    return sorted((run.data.query_ids[query], ids.get(row, ""), grade) for query, row, grade in names)


def _digest(things: list[Any]) -> str:
    digest = hashlib.blake2b(json.dumps(things).encode(), digest_size=4).hexdigest()
    return f"{len(things):,} ({digest})"
