"""What follows from findings and ranks alone: the best within budgets, a larger corpus, and what advice rests on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mrl_sweep.decision.controls import against_random
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.units import unit_of
from mrl_sweep.decision.walk import decide
from mrl_sweep.deploying.findings import Evaluation, Finding, Findings, bytes_in_memory
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target
from mrl_sweep.embedding.model_families import FAMILIES
from mrl_sweep.report.content.advice import Surroundings
from mrl_sweep.report.document_rows import BudgetRow, ProjectionRow
from mrl_sweep.types import EXACT, Advice, Basis, Measure, Ranks

if TYPE_CHECKING:
    from mrl_sweep.deploying.tenants import Choice
    from mrl_sweep.projection.growth import CorpusSize, Forecast, Growth


def budget_rows(
    evaluation: Evaluation, findings: Findings, target: Target, *, budget_ms: Sequence[float], budget_gib: Sequence[float]
) -> tuple[BudgetRow, ...]:
    """For each `--budget-ms` and `--budget-gib` the best acceptable configuration within it.

    A latency is measured; bytes are also those of judged codes that were not built as an index, in the target's own terms.
    """
    if not budget_ms and not budget_gib:
        return ()
    from mrl_sweep.deploying.tenants import Budget, choose_within

    budgets = [(f"p99 up to {ms:g} ms", Budget(p99_ms=ms)) for ms in budget_ms]
    budgets += [(f"up to {gib:g} GiB", Budget(size_bytes=int(gib * 2**30))) for gib in budget_gib]
    measure, weighed = evaluation.policy.required[0], [_weighed(one, target, evaluation) for one in findings.values()]
    return tuple(_budget_row(words, choose_within(weighed, budget, measure), measure) for words, budget in budgets)


def _weighed(finding: Finding, target: Target, evaluation: Evaluation) -> Finding:
    """The finding with its index' bytes: as built, else those of its codes; controls are never shipped and weigh nothing."""
    one, docs = finding.configuration, evaluation.ranks.n_documents
    if finding.cost.index_bytes is not None or one.index != EXACT or one.basis != Basis.PREFIX:
        return finding
    size = bytes_in_memory(one) * docs if target.name == DEFAULT_TARGET else target.index_bytes(one, docs)
    return replace(finding, cost=replace(finding.cost, index_bytes=size))


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


def projection_rows(
    evaluation: Evaluation, findings: Findings, corpus_sizes: Sequence[int]
) -> tuple[tuple[ProjectionRow, ...], tuple[Advice, ...]]:
    """Every required measure of sizes and codes in corpora of `--project-docs`; refusals and doubts as advice."""
    if not corpus_sizes:
        return (), ()
    from mrl_sweep.projection.growth import NEEDS_JUDGMENTS

    if evaluation.policy.required[0].label_free:
        return (), (NEEDS_JUDGMENTS,)
    rows: list[ProjectionRow] = []
    advice: dict[Advice, None] = {}
    for growth in growths(evaluation, corpus_sizes):
        advice |= dict.fromkeys((*growth.advice, *(_refused(at) for at in growth.at if at.refused)))
        rows += [row for at in growth.at if not at.refused for row in _rows_at(at, growth, findings)]
    return tuple(rows), tuple(advice)


def growths(evaluation: Evaluation, corpus_sizes: Sequence[int], bases: Collection[str] = (Basis.PREFIX,)) -> list[Growth]:
    """The projection of each required measure: of sizes and codes of these bases, searched exhaustively.

    Raises InputError for a measure that ranks alone cannot project, and where no query has a relevant document.
    """
    from mrl_sweep.projection.growth import Demand, project

    policy, ranks = evaluation.policy, evaluation.ranks
    rows = [i for i, c in enumerate(ranks.candidates) if c.is_exact and c.basis in bases]
    exact = Ranks(tuple(ranks.candidates[i] for i in rows), ranks.n_documents, ranks.above[rows], ranks.tied[rows])
    units = None if evaluation.clusters is None else unit_of(evaluation.clusters)
    return [
        project(
            exact,
            evaluation.qrels,
            Demand(measure=measure, retain=policy.retain, alpha=policy.alpha, baseline=evaluation.full, units=units),
            corpus_sizes,
        )
        for measure in policy.required
    ]


def acceptable_there(forecast: Forecast, documents: int, growth: Growth, findings: Findings) -> bool | None:
    """Whether a configuration is acceptable in a corpus of `documents`: the one answer for a report and for a plan.

    What is not acceptable here is not called so in a larger corpus: it is at best one of which that cannot be told.
    """
    finding = findings.get(forecast.candidate)
    held = documents < growth.n_sample or (finding is not None and finding.acceptable)
    return None if forecast.acceptable and not held else forecast.acceptable


def _refused(at: CorpusSize) -> Advice:
    return Advice("projection-refused", at.refused, "evaluate on a larger random sample: --distractors adds unjudged documents")


def _rows_at(at: CorpusSize, growth: Growth, findings: Findings) -> list[ProjectionRow]:
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
            kept_high=forecast.at_most,
            configuration=str(forecast.candidate),
            modelled=not at.exact,
            acceptable=acceptable_there(forecast, at.n_documents, growth, findings),
            holds_up_to=growth.stops_at.get(forecast.candidate),
        )
        for forecast in at.forecasts
    ]


def surroundings(evaluation: Evaluation, model: Mapping[str, Any], project_docs: Sequence[int]) -> Surroundings:
    """What the advice needs to know besides the run's own figures; `model` is what the manifest says of it."""
    full = evaluation.full
    turned = [c for c in evaluation.scores.candidates if c.basis == Basis.PCA and c == c.at_float32]
    by_pca = (
        decide(evaluation.scores, evaluation.policy, baseline=full, candidates=turned, clusters=evaluation.clusters)
        if turned
        else None
    )
    acceptable = by_pca.dimension if by_pca is not None and by_pca.dimension < full.dim else None
    question = Question(scores=evaluation.scores, policy=evaluation.policy, baseline=full, clusters=evaluation.clusters)
    family, missing = missing_prompts(model)
    return Surroundings(
        family=family,
        missing_prompts=missing,
        pca_dimension=acceptable,
        controls=against_random(question),
        production_documents=max(project_docs, default=None),
    )


def missing_prompts(model: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The family's name and, by role, the prompt it was trained with where no prompt was put before the texts.

    Nothing is missing where the prompts that were used are not known, as for vectors made elsewhere.
    """
    prompts, family = model.get("prompts"), next((f for f in FAMILIES if f.name == model.get("family")), None)
    if family is None or not isinstance(prompts, Mapping):
        return "", {}
    trained = {"query": family.query_prompt, "document": family.document_prompt}
    return family.name, {role: text for role, text in trained.items() if text and not prompts.get(role)}
