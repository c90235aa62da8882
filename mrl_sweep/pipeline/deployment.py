"""What will be deployed: indexes and funnels measured, the best within budgets, and a larger corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from mrl_sweep.collection import left_out
from mrl_sweep.deploying.budgets import Budget, Choice, choose_within
from mrl_sweep.deploying.findings import Findings
from mrl_sweep.deploying.funnels import Funnel, parse_funnel
from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.deploying.indexes.cache import IndexShelf
from mrl_sweep.deploying.indexes.measurement import IndexBudget, IndexMeasurement, merge_measurements, which_sizes
from mrl_sweep.deploying.indexes.measuring import measure_funnel, measure_points
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.files import json_digest
from mrl_sweep.measures.score import score
from mrl_sweep.pipeline.sweep import Sweep
from mrl_sweep.report.document import BudgetRow, ProjectionRow
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.folders import index_folder
from mrl_sweep.types import Advice, Measure, Ranks

if TYPE_CHECKING:
    from mrl_sweep.projection.growth import CorpusSize, Growth

DEPTH: Final = 100
"""How many documents an index is asked for where no measure says."""

SEED: Final = 0

USUAL_SIZES: Final = (256, 384, 512, 768, 1024, 1536, 3072)


def check_indexes(config: SweepConfig, dims: Sequence[int] | None, n_documents: int) -> None:
    """Raise InputError for an index that could not be built, before the hours are spent that lead up to it.

    `dims` None: the sizes are not known yet, so that only what no usual size allows is refused.
    """
    specs = [spec for spec in config.sweep.index if not parse_index(spec).is_flat]
    if not specs:
        return
    refuse_whole_rankings(config, specs)
    from mrl_sweep.deploying.indexes.measuring import check_index

    for spec in specs:
        refused: list[InputError] = []
        for dim in dims or USUAL_SIZES:
            try:
                check_index(spec, dim, similarity=config.sweep.similarity, n_documents=n_documents, strict=config.run.strict)
            except InputError as error:
                refused.append(error)
        if refused and (dims or len(refused) == len(USUAL_SIZES)):
            raise refused[0]


def refuse_whole_rankings(config: SweepConfig, specs: Sequence[str]) -> None:
    """Raise InputError for a measure without a cut-off beside an index, which returns a list and never the whole ranking."""
    decision = config.decision
    whole = [measure for measure in (*decision.measures, *decision.require) if measure.cutoff is None]
    if whole:
        raise InputError(
            f"{whole[0]} looks at the whole ranking, and {specs[0]} returns a list: what lies behind it would count as lost",
            f"give the measure a cut-off (--measure {whole[0]}@100), or measure no index but Flat (--index none)",
        )


def measure_deployed(sweep: Sweep, on_event: OnEvent = ignore) -> Sweep:
    """Build, weigh, time and search each index at the sizes that matter, and the funnels worth it; none for `--index none`."""
    settings = sweep.config.sweep
    if not settings.index:
        return sweep
    funnels = [parse_funnel(text) for text in sweep.config.deploy.funnel]
    if sweep.recommended is not None and sweep.recommended not in funnels:
        funnels.append(sweep.recommended)
    measured = [
        point
        for spec in settings.index
        for dim in which_sizes([size.dim for size in sweep.sizes], sweep.verdict.dimension)
        for point in _measure_index(sweep, dim, spec, on_event)
    ]
    measured += [_measure_funnel(sweep, funnel, on_event) for funnel in funnels]
    ranks = merge_measurements(sweep.ranks, measured)
    scores = score(ranks, sweep.collection.qrels, sweep.scores.measures, no_relevant=sweep.config.collection.no_relevant.value)
    return replace(sweep, ranks=ranks, scores=scores, indexes=tuple(measured))


def _measure_index(sweep: Sweep, dim: int, spec: str, on_event: OnEvent) -> tuple[IndexMeasurement, ...]:
    config, shelf = sweep.config, None
    if config.deploy.keep_indexes:
        content = json_digest([sweep.collection.facts, sweep.embeddings.model.get("identity")])
        shelf = IndexShelf(index_folder(config), content)
    return measure_points(
        sweep.embeddings.documents,
        sweep.embeddings.queries,
        dim,
        spec,
        similarity=config.sweep.similarity,
        qrels=sweep.collection.qrels,
        own_rows=_own_rows(sweep),
        depth=_depth(sweep),
        budget=IndexBudget(threads=config.run.threads),
        exact=sweep.ranks,
        shelf=shelf,
        on_event=on_event,
    )


def _measure_funnel(sweep: Sweep, funnel: Funnel, on_event: OnEvent) -> IndexMeasurement:
    return measure_funnel(
        sweep.embeddings.documents,
        sweep.embeddings.queries,
        funnel,
        similarity=sweep.config.sweep.similarity,
        qrels=sweep.collection.qrels,
        own_rows=_own_rows(sweep),
        depth=_depth(sweep, whole=funnel.shortlist),
        budget=IndexBudget(threads=sweep.config.run.threads),
        on_event=on_event,
    )


def _own_rows(sweep: Sweep) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    return left_out(sweep.collection, identical=sweep.config.sweep.exclude_identical)


def _depth(sweep: Sweep, whole: int = DEPTH) -> int:
    """How many documents are asked for: as many as any measure looks at, and for one without a cut-off as many as there are."""
    return max(measure.cutoff or whole for measure in sweep.scores.measures)


def budget_rows(sweep: Sweep, findings: Findings) -> tuple[BudgetRow, ...]:
    """For each `--budget-ms` and `--budget-gib` the best acceptable configuration that was measured to be within it."""
    table, measure = sweep.config.deploy, sweep.policy.required[0]
    asked = [(f"p99 up to {ms:g} ms", Budget(p99_ms=ms)) for ms in table.budget_ms]
    asked += [(f"up to {gib:g} GiB", Budget(size_bytes=int(gib * 2**30))) for gib in table.budget_gib]
    return tuple(_budget_row(words, choose_within(findings.values(), budget, measure), measure) for words, budget in asked)


def _budget_row(words: str, choice: Choice, measure: Measure) -> BudgetRow:
    best = choice.best
    if best is None:
        return BudgetRow(budget=words, within=choice.within, reason=choice.reason)
    evidence = best.judgement.evidence[measure]
    return BudgetRow(
        budget=words,
        dim=best.configuration.dim,
        index=best.configuration.index,
        kept=evidence.kept,
        size_bytes=best.cost.index_bytes,
        p99_ms=best.cost.p99_ms,
        configuration=str(best.configuration),
        quality=evidence.mean,
        at_least=evidence.at_least,
        acceptable=best.acceptable,
        within=choice.within,
    )


def projection_rows(sweep: Sweep) -> tuple[tuple[ProjectionRow, ...], tuple[Advice, ...]]:
    """The deciding measure at each exact prefix in corpora of `--project-docs`; refusals and doubts as advice."""
    corpus_sizes, ranks = sweep.config.deploy.project_docs, sweep.ranks
    if not corpus_sizes:
        return (), ()
    from mrl_sweep.projection.growth import NEEDS_JUDGMENTS, Question, project

    if sweep.collection.label_free:
        return (), (NEEDS_JUDGMENTS,)
    kept = [i for i, c in enumerate(ranks.candidates) if c.is_exact_prefix]
    exact = Ranks(tuple(ranks.candidates[i] for i in kept), ranks.n_documents, ranks.above[kept], ranks.tied[kept])
    policy = sweep.policy
    question = Question(measure=policy.required[0], retain=policy.retain, alpha=policy.alpha, baseline=sweep.full)
    growth = project(exact, sweep.collection.qrels, question, corpus_sizes, generator=np.random.default_rng(SEED))
    refused = tuple(
        Advice("projection-refused", at.refused, "evaluate on a larger random sample: --distractors adds unjudged documents")
        for at in growth.at
        if at.refused
    )
    rows = tuple(row for at in growth.at if not at.refused for row in _rows_at(at, growth))
    return rows, (*growth.advice, *refused)


def _rows_at(at: CorpusSize, growth: Growth) -> list[ProjectionRow]:
    return [
        ProjectionRow(
            dim=forecast.candidate.dim,
            measure=str(growth.measure),
            documents=at.n_documents,
            value=forecast.mean,
            low=forecast.low,
            high=forecast.high,
            kept=forecast.kept,
            kept_low=forecast.at_least,
            modelled=not at.exact,
            acceptable=forecast.acceptable,
            holds_up_to=growth.stops_at.get(forecast.candidate),
        )
        for forecast in at.forecasts
    ]
