"""Report, advice and funnels from findings and ranks alone: the same for a new run and for one that is opened again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mrl_sweep.decision.controls import against_random
from mrl_sweep.decision.judging import Question, judge_each
from mrl_sweep.decision.units import unit_of
from mrl_sweep.decision.walk import decide
from mrl_sweep.deploying.bill import GIB
from mrl_sweep.deploying.findings import BoundedFunnel, Evaluation, Finding, Findings, bytes_in_memory, fewest_of, which_sizes
from mrl_sweep.deploying.funnels import Funnel, bound_ranks, cheapest_proven, funnel_grid, parse_funnel
from mrl_sweep.deploying.targets import DEFAULT_TARGET, Target
from mrl_sweep.embedding.model_families import FAMILIES
from mrl_sweep.measures.score import score
from mrl_sweep.record import record
from mrl_sweep.report.content.advice import Surroundings, advise
from mrl_sweep.report.content.build import budget_row, build_report, funnel_rows, projection_row
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.document_rows import BudgetRow, ProjectionRow
from mrl_sweep.settings.table import DeployTable
from mrl_sweep.types import EXACT, Advice, Basis, Configuration, IntArray, Judgement, Measure, Outcome, Ranks, Scores

if TYPE_CHECKING:
    from mrl_sweep.projection.growth import CorpusSize, Forecast, Growth


AGREEMENT_AT: Final = 10
"""The k of the agreement in every report: how many first documents are compared."""

SHORTEST: Final = 100
"""The shortest shortlist of the grid where no required measure has a cut-off."""

_VALUES_AT_ONCE: Final = 2**20
"""Values of queries that are judged together: judging holds some twenty arrays of them."""


def judged_report(evaluation: Evaluation, findings: Findings, target: Target, query_ids: Sequence[str]) -> Report:
    """Builds the report that says how every configuration was judged, and no more: a row for each, and the verdict."""
    full = evaluation.full.dim
    fewest = fewest_of(evaluation, refused=lambda one: target.refusal(one, full))
    scores = QueryScores(evaluation.scores, query_ids)
    return build_report(evaluation.verdict, findings, scores, required=evaluation.policy.required, fewest=fewest)


def with_outlook(
    report: Report,
    evaluation: Evaluation,
    findings: Findings,
    target: Target,
    deploy: DeployTable,
    funnels: Sequence[BoundedFunnel],
) -> tuple[Report, tuple[Advice, ...], tuple[Advice, ...]]:
    """Adds to the report all else that follows from its rule: funnels, budgets, projections, controls.

    Returns it with the advice on the evaluation, and that on the projections. `deploy` names the budgets and corpus sizes.
    """
    around = surroundings(evaluation, report.of_run("model"), deploy.project_docs)
    projections, doubts = projection_rows(evaluation, findings, deploy.project_docs)
    report = replace(
        report,
        funnels=funnel_rows(evaluation, funnels, findings),
        projections=projections,
        controls=tuple(around.controls),
        budgets=budget_rows(evaluation, findings, target, deploy),
    )
    advice = advise(evaluation.verdict, evaluation.scores, evaluation.ranks, evaluation.qrels, around)
    return report, tuple(advice), doubts


def budget_rows(evaluation: Evaluation, findings: Findings, target: Target, deploy: DeployTable) -> tuple[BudgetRow, ...]:
    """Chooses the best acceptable configuration within each `--budget-ms` (of p99) and `--budget-gib`.

    Latencies are measured; bytes are also those of judged codes that were not built as an index, in the target's own terms.
    """
    if not deploy.budget_ms and not deploy.budget_gib:
        return ()
    from mrl_sweep.deploying.tenants import Budget, choose_within

    budgets = [(f"p99 up to {ms:g} ms", Budget(p99_ms=ms)) for ms in deploy.budget_ms]
    budgets += [(f"up to {gib:g} GiB", Budget(size_bytes=int(gib * GIB))) for gib in deploy.budget_gib]
    measure, weighed = evaluation.policy.required[0], [_weighed(one, target, evaluation) for one in findings.values()]
    return tuple(budget_row(words, choose_within(weighed, budget, measure), measure) for words, budget in budgets)


def _weighed(finding: Finding, target: Target, evaluation: Evaluation) -> Finding:
    """The finding with its index' bytes: as built, else those of its codes; controls are never shipped and weigh nothing."""
    one, docs = finding.configuration, evaluation.ranks.n_documents
    if finding.cost.index_bytes is not None or one.index != EXACT or one.basis != Basis.PREFIX:
        return finding
    size = bytes_in_memory(one) * docs if target.name == DEFAULT_TARGET else target.index_bytes(one, docs)
    return replace(finding, cost=replace(finding.cost, index_bytes=size))


def projection_rows(
    evaluation: Evaluation, findings: Findings, corpus_sizes: Sequence[int]
) -> tuple[tuple[ProjectionRow, ...], tuple[Advice, ...]]:
    """Projects every required measure of sizes and codes to corpora of these sizes; refusals and doubts come as advice."""
    if not corpus_sizes:
        return (), ()
    from mrl_sweep.projection.growth import NEEDS_JUDGMENTS

    if evaluation.policy.required[0].label_free:
        return (), (NEEDS_JUDGMENTS,)
    rows: list[ProjectionRow] = []
    advice: dict[Advice, None] = {}
    for growth in growths(evaluation, corpus_sizes):
        advice |= dict.fromkeys((*growth.advice, *(_refused(at) for at in growth.at if at.refused)))
        for at in growth.at:
            answers = [(one, acceptable_there(one, at.n_documents, growth, findings)) for one in at.forecasts]
            rows += [projection_row(growth, at, forecast, acceptable=answer) for forecast, answer in answers]
    return tuple(rows), tuple(advice)


def growths(
    evaluation: Evaluation, corpus_sizes: Sequence[int], bases: Collection[str] = (Basis.PREFIX,), *, curve: bool = True
) -> list[Growth]:
    """Projects each required measure: of sizes and codes of these bases, searched exhaustively, and of shortlists.

    Raises InputError for a measure that ranks alone cannot project, and where no query has a relevant document. `curve` as
    `project` has it.
    """
    from mrl_sweep.projection.growth import Demand, project
    from mrl_sweep.ranking.rescore import shortlist_length

    policy, ranks = evaluation.policy, evaluation.ranks
    rows = [i for i, c in enumerate(ranks.candidates) if c.index == EXACT and c.basis in bases]
    exact = Ranks(tuple(ranks.candidates[i] for i in rows), ranks.n_documents, ranks.above[rows], ranks.tied[rows])
    lists = {c: shortlist_length(c.rescore, evaluation.listed_for) for c in exact.candidates if c.rescore}
    units = None if evaluation.clusters is None else unit_of(evaluation.clusters)
    return [
        project(
            exact,
            evaluation.qrels,
            Demand(measure=measure, retain=policy.retain, alpha=policy.alpha, units=units, lists=lists),
            corpus_sizes,
            curve=curve,
        )
        for measure in policy.required
    ]


def acceptable_there(forecast: Forecast, documents: int, growth: Growth, findings: Findings) -> bool | None:
    """Tells whether a configuration is acceptable in a corpus of `documents`: one answer for a report and for a plan.

    What is not acceptable in the corpus at hand is never acceptable in a larger one: at best that is not known (None).
    """
    finding = findings.get(forecast.candidate)
    held = documents < growth.n_sample or (finding is not None and finding.acceptable)
    return None if forecast.acceptable and not held else forecast.acceptable


def _refused(at: CorpusSize) -> Advice:
    return Advice("projection-refused", at.refused, "evaluate on a larger random sample: --distractors adds unjudged documents")


def surroundings(evaluation: Evaluation, model: Mapping[str, Any], project_docs: Sequence[int]) -> Surroundings:
    """Gathers what the advice needs besides the run's own figures; `model` is the manifest's entry of that name."""
    full = evaluation.full
    turned = [c for c in evaluation.scores.candidates if c.basis == Basis.PCA and c == c.at_float32]
    by_pca = decide(evaluation.question, turned) if turned else None
    acceptable = by_pca.dimension if by_pca is not None and by_pca.dimension < full.dim else None
    family, missing = missing_prompts(model)
    return Surroundings(
        family=family,
        missing_prompts=missing,
        pca_dimension=acceptable,
        controls=against_random(evaluation.question),
        production_documents=max(project_docs, default=None),
    )


def missing_prompts(model: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Returns the family's name and, by role, the prompt it was trained with where no prompt was put before the texts.

    Both are empty where the prompts that were used are not known, as for vectors made elsewhere.
    """
    prompts, family = model.get("prompts"), next((f for f in FAMILIES if f.name == model.get("family")), None)
    if family is None or not isinstance(prompts, Mapping):
        return "", {}
    trained = {"query": family.query_prompt, "document": family.document_prompt}
    return family.name, {role: text for role, text in trained.items() if text and not prompts.get(role)}


def bounded_funnels(evaluation: Evaluation, named: Sequence[str]) -> tuple[BoundedFunnel, ...]:
    """Bounds every funnel from the ranks and judges it for every required measure; recommends the cheapest proven one.

    The funnels are those of the grid over the sizes that matter, and those `named` (`64:200:768`) whose two sizes were ranked.
    Without judgments there are none: the ranks are those of judged documents.
    """
    funnels = () if evaluation.policy.required[0].label_free else _funnels(evaluation, named)
    if not funnels:
        return ()
    n, bounds = evaluation.ranks.n_documents, Bounds.of(evaluation, funnels)
    cheaper = [funnel for funnel in funnels if funnel.operations(n) < n * evaluation.full.dim]
    worst_at = cache(lambda share: bounds.judged(bounds.worst, cheaper, share))
    recommended = cheapest_proven(cheaper, n, lambda i, share: worst_at(share)[i].outcome is Outcome.PASS)
    cases = zip(funnels, bounds.judged(bounds.worst, funnels), bounds.judged(bounds.best, funnels), strict=True)
    return tuple(BoundedFunnel(funnel, worst, best, recommended=funnel == recommended) for funnel, worst, best in cases)


def _funnels(evaluation: Evaluation, texts: Sequence[str]) -> tuple[Funnel, ...]:
    dims = [size.dim for size in evaluation.sizes]
    cutoff = max((measure.cutoff or 0 for measure in evaluation.policy.required), default=0) or SHORTEST
    grid = funnel_grid(which_sizes(dims, evaluation.verdict.dimension), evaluation.ranks.n_documents, cutoff=cutoff)
    named = map(parse_funnel, texts)
    return tuple(dict.fromkeys((*grid, *(funnel for funnel in named if {funnel.small, funnel.large} <= set(dims)))))


@record
class Bounds:
    """Scores of full size and of every funnel, in its worst and in its best case, under every required measure."""

    evaluation: Evaluation
    worst: Scores
    best: Scores

    @classmethod
    def of(cls, evaluation: Evaluation, funnels: Sequence[Funnel]) -> Bounds:
        cases: list[list[Scores]] = [[], []]
        for measure in evaluation.policy.required:
            full = _scored(evaluation, _only(evaluation.ranks, evaluation.full), measure)
            bounded = bound_ranks(evaluation.ranks, evaluation.qrels, funnels, measure)
            for scored, case in zip(cases, (bounded.worst, bounded.best), strict=True):
                scored.append(_below(full, _scored(evaluation, case, measure, bounded.pairs)))
        worst, best = map(_side_by_side, cases)
        return cls(evaluation, worst, best)

    def judged(self, case: Scores, funnels: Sequence[Funnel], share: float = 1.0) -> list[Judgement]:
        """Judges each funnel by itself in this case, at this share of alpha; at once only as many as keeps memory small."""
        of = self.evaluation
        rule = replace(of.policy, alpha=of.policy.alpha * share)
        unfit = {funnel.configuration: of.unfit[size] for funnel in funnels for size in _stages(funnel) if size in of.unfit}
        question = Question(case, rule, of.clusters, unfit)
        step = max(1, _VALUES_AT_ONCE // case.values.shape[2])
        pieces = (funnels[start : start + step] for start in range(0, len(funnels), step))
        return [one for piece in pieces for one in judge_each(question, [funnel.configuration for funnel in piece])]


def _stages(funnel: Funnel) -> tuple[Configuration, ...]:
    """Returns the two sizes of a funnel; where both are unfit, the reason of the last, the small one, counts."""
    return tuple(Configuration.exact_prefix(dim) for dim in (funnel.large, funnel.small))


def _scored(evaluation: Evaluation, ranks: Ranks, measure: Measure, pairs: IntArray | None = None) -> Scores:
    return score(ranks, evaluation.qrels, [measure], no_relevant=evaluation.no_relevant, pairs=pairs)


def _only(ranks: Ranks, candidate: Configuration) -> Ranks:
    at = ranks.candidates.index(candidate)
    return Ranks((candidate,), ranks.n_documents, ranks.above[at : at + 1], ranks.tied[at : at + 1])


def _below(first: Scores, second: Scores) -> Scores:
    """Scores of different candidates under the same measures, as one."""
    candidates = (*first.candidates, *second.candidates)
    return replace(first, candidates=candidates, values=np.concatenate([first.values, second.values]))


def _side_by_side(scored: Sequence[Scores]) -> Scores:
    """Scores under one measure each, of the same candidates, as one."""
    return Scores(
        scored[0].candidates,
        tuple(measure for one in scored for measure in one.measures),
        np.concatenate([one.values for one in scored], axis=1),
        np.concatenate([one.counted for one in scored]),
    )
