"""What will be deployed, measured: indexes at the sizes that matter, and funnels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from mrl_sweep.collection import left_out
from mrl_sweep.deploying.findings import findings_of, which_sizes
from mrl_sweep.deploying.funnels import Funnel, parse_funnel
from mrl_sweep.deploying.index_spec import LIVE
from mrl_sweep.deploying.indexes.answers import Trial
from mrl_sweep.deploying.indexes.building import IndexShelf
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement, merge_measurements
from mrl_sweep.deploying.indexes.measuring import measure_funnel, measure_points, over_a_sample
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent
from mrl_sweep.files import json_digest
from mrl_sweep.measures.score import score
from mrl_sweep.pipeline.sweep import Sweep
from mrl_sweep.settings.paths import index_folder
from mrl_sweep.types import EXACT, SEED, Advice, Basis

DEPTH: Final = 100
"""How many documents an index is asked for where no measure says."""

SAMPLED: Final = 4
"""One document in so many makes the second corpus, from which the growth of latency and recall is read."""

LEAST_SAMPLED: Final = 1000
"""Documents below which a sample of them says nothing of growth."""


def measure_deployed(sweep: Sweep, on_event: OnEvent) -> Sweep:
    """Build, weigh, time and search each index at the sizes that matter, and the funnels worth it; none for `--index none`."""
    settings = sweep.config.sweep
    if not settings.index:
        return sweep
    funnels = [parse_funnel(text) for text in sweep.config.deploy.funnel]
    funnels += [one.funnel for one in sweep.funnels if one.recommended and one.funnel not in funnels]
    measured: list[IndexMeasurement] = []
    unbuilt: list[Advice] = []
    for spec in (spec for spec in settings.index if not spec.startswith(LIVE)):
        for dim in which_sizes([size.dim for size in sweep.sizes], sweep.verdict.dimension):
            try:
                measured += _measure_index(sweep, dim, spec, on_event)
            except InputError as refused:  # one index that cannot be built never takes the others along
                if sweep.config.run.strict:
                    raise
                unbuilt.append(
                    Advice("index-left-out", f"{spec} at {dim} dimensions is left out: {refused.message}", refused.hint)
                )
    measured += [_measure_funnel(sweep, funnel, on_event) for funnel in funnels]
    measured += [point for spec in settings.index if spec.startswith(LIVE) for point in _measure_live(sweep, spec, on_event)]
    ranks = merge_measurements(sweep.ranks, measured)
    scores = score(ranks, sweep.collection.qrels, sweep.scores.measures, no_relevant=sweep.no_relevant)
    return replace(sweep, ranks=ranks, scores=scores, indexes=tuple(measured), left_out=tuple(unbuilt))


def _measure_index(sweep: Sweep, dim: int, spec: str, on_event: OnEvent) -> tuple[IndexMeasurement, ...]:
    config, shelf = sweep.config, None
    if config.deploy.keep_indexes:
        content = json_digest([sweep.collection.facts, sweep.embeddings.model.get("identity")])
        shelf = IndexShelf(index_folder(config), content)
    trial, budget = _trial(sweep), IndexBudget(threads=config.run.threads)
    points = measure_points(trial, dim, spec, budget=budget, exact=sweep.ranks, shelf=shelf, on_event=on_event)
    n = len(trial.vectors)
    if not config.deploy.project_docs or n < LEAST_SAMPLED:
        return points
    rows = np.sort(np.random.default_rng(SEED).choice(n, n // SAMPLED, replace=False))
    with suppress(InputError):  # a sample that the index cannot be trained on tells nothing
        points = over_a_sample(points, trial, dim, spec, rows, budget=budget, on_event=on_event)
    return points


def _measure_live(sweep: Sweep, spec: str, on_event: OnEvent) -> tuple[IndexMeasurement, ...]:
    """A live pgvector at every configuration of the model's own axes that may be recommended, rescored ones too."""
    from mrl_sweep.deploying.index_spec import LiveIndex
    from mrl_sweep.deploying.pgvector import measure_live

    findings = findings_of(sweep)
    proven = [c for c, finding in findings.items() if finding.acceptable and c.index == EXACT and c.basis == Basis.PREFIX]
    return measure_live(sweep.config.deploy.dsn or "", LiveIndex.parse(spec), proven, _trial(sweep), on_event)


def _measure_funnel(sweep: Sweep, funnel: Funnel, on_event: OnEvent) -> IndexMeasurement:
    budget = IndexBudget(threads=sweep.config.run.threads)
    return measure_funnel(_trial(sweep, whole=funnel.shortlist), funnel, budget=budget, on_event=on_event)


def _trial(sweep: Sweep, whole: int = DEPTH) -> Trial:
    """What indexes are tried on: lists as deep as any measure looks, `whole` for one without a cut-off."""
    config = sweep.config.sweep
    return Trial(
        vectors=sweep.embeddings.documents,
        queries=sweep.embeddings.queries,
        qrels=sweep.collection.qrels,
        own_rows=left_out(sweep.collection, identical=config.exclude_identical),
        depth=max(measure.cutoff or whole for measure in sweep.scores.measures),
        similarity=config.similarity,
    )
