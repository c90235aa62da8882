"""Advice: each speaks up exactly when its fact holds, with a code that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mrl_sweep.decision.controls import AgainstRandom
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.report.content import advice
from mrl_sweep.report.content.advice import Surroundings, advise
from mrl_sweep.types import Configuration, Measure, Qrels, RandomControl, Ranks, Scores


def test_a_small_corpus_is_told_what_is_saved() -> None:
    told = advice.small_corpus(documents=5183, dimension=128, full_dimension=256)
    assert told is not None
    assert told.message == (
        "with 5,183 documents, 128 instead of 256 dimensions saves 2.5 MiB: storage hardly matters at this size"
    )
    assert advice.small_corpus(documents=10_000, dimension=128, full_dimension=256) is None
    assert advice.small_corpus(documents=5183, dimension=256, full_dimension=256) is None


@pytest.mark.parametrize(
    ("queries", "provable_loss", "needed", "message"),
    [
        (12, None, 30, "12 judged queries: nothing is certified on fewer than 30"),
        (1, None, None, "1 judged query: nothing is certified on fewer than 30"),
        (50, 0.03, 253, "50 judged queries are few for this question: a true loss of 2.0% or less can hardly be told from none"),
        (648, 0.012, None, None),
        (648, None, None, None),
    ],
)
def test_too_few_queries_are_counted(queries: int, provable_loss: float | None, needed: int | None, message: str | None) -> None:
    told = advice.few_queries(queries=queries, retain=0.98, provable_loss=provable_loss, queries_needed=needed)
    assert (told and told.message) == message
    if told and needed == 253:
        assert told.hint == "judge more queries: about 260 would settle the open size"


def test_a_measure_that_is_always_or_never_met_tells_nothing() -> None:
    assert advice.saturated_measure(measure="R@100", perfect_share=0.949) is None
    full = advice.saturated_measure(measure="R@100", perfect_share=0.97)
    assert full is not None
    assert full.message == "R@100 is 1 for 97.0% of the queries at full size: it hardly tells sizes apart"
    assert full.hint == "decide by a stricter measure (--measure nDCG@10, or a smaller cut-off), or add harder queries"
    already = advice.saturated_measure(measure="nDCG@10", perfect_share=1.0)
    assert already is not None
    assert already.hint == "decide by a stricter measure (a smaller cut-off), or add harder queries"
    assert advice.near_zero_measure(measure="nDCG@10", full_mean=0.05) is None
    empty = advice.near_zero_measure(measure="nDCG@10", full_mean=0.0123)
    assert empty is not None
    assert empty.message.startswith("nDCG@10 is only 0.0123 at full size")


def test_the_judged_share_is_held_against_what_was_possible() -> None:
    one_each: dict[str, Any] = {"dim": 128, "depth": 10, "judged_at_full": 0.08, "judgments_per_query": 1.0}
    assert advice.judged_share_low(judged=0.05, **one_each) is None
    low = advice.judged_share_low(judged=0.049, **one_each)
    assert low is not None
    assert "4.9% at 128 dimensions, 8.0% at full size" in low.message
    assert advice.judged_share_low(dim=8, depth=10, judged=0.0, judged_at_full=0.0, judgments_per_query=0.0) is None


def test_judgments_of_relevant_documents_only_say_what_they_cannot() -> None:
    sizes = {"dim": 128, "depth": 10}
    told = advice.only_relevant_judged(judged=0.05, judged_at_full=0.08, **sizes)
    assert told is not None
    assert told.code == "only-relevant-judged"
    assert "the judgments list relevant documents only" in told.message
    assert advice.only_relevant_judged(judged=0.08, judged_at_full=0.08, **sizes) is None


@pytest.mark.parametrize(("documents", "reach"), [(5_183, "50k"), (999, "9k"), (12, "100"), (120_000, "1M"), (8_841_823, "80M")])
def test_a_hint_names_a_corpus_that_this_run_can_be_projected_to(documents: int, reach: str) -> None:
    told = advice.no_production_size(documents=documents, dimension=64, full_dimension=128, production_documents=None)
    assert told is not None
    assert told.hint == f"name the size in production: --project-docs {reach}"


def test_forgotten_prompts_are_named_with_their_flags() -> None:
    assert advice.prompts_missing(family="Nomic Embed v1.5", missing={}) is None
    told = advice.prompts_missing(family="Nomic Embed v1.5", missing={"query": "search_query: ", "document": "search_document: "})
    assert told is not None
    assert "'search_query: '" in told.message
    assert told.hint.startswith("set --query-prompt and --document-prompt;")


def control(dim: int, low: float, high: float, answer: AgainstRandom) -> RandomControl:
    return RandomControl(dim=dim, kept=0.81, kept_by_random=0.8, low=low, high=high, margin=0.05, answer=answer)


def test_prefixes_that_are_proven_no_better_than_random_axes_are_called_so() -> None:
    alike, better, unknown = (
        control(64, -0.02, 0.04, AgainstRandom.NO_BETTER),
        control(32, 0.01, 0.2, AgainstRandom.BETTER),
        control(16, -0.1, 0.1, AgainstRandom.OPEN),
    )
    found = advice.not_matryoshka(controls=[alike], alpha=0.05)
    assert found is not None
    assert found.message == (
        "this model's prefixes carry hardly more than random axes would: at 64 they keep 81.0%, random axes 80.0% (4.0% of full"
        " size better at the most, with 95% confidence)"
    )
    for others in ([better], [unknown], [alike, better], [alike, unknown], []):
        assert advice.not_matryoshka(controls=others, alpha=0.05) is None


def test_the_rest_of_the_list_speaks_when_its_fact_holds() -> None:
    assert advice.pca_reaches_smaller(dimension=256, pca_dimension=128) is not None
    assert advice.pca_reaches_smaller(dimension=256, pca_dimension=256) is None
    assert advice.pca_reaches_smaller(dimension=256, pca_dimension=None) is None
    assert advice.no_loss_tolerated(retain=1.0) is not None
    assert advice.no_loss_tolerated(retain=0.999) is None
    size = {"documents": 5183, "full_dimension": 256}
    assert advice.no_production_size(dimension=128, production_documents=None, **size) is not None
    assert advice.no_production_size(dimension=128, production_documents=10**7, **size) is None
    assert advice.no_production_size(dimension=256, production_documents=None, **size) is None


FULL, HALF, RANDOM = Configuration("prefix", 4), Configuration("prefix", 2), Configuration("random-1", 2)
NDCG = Measure("nDCG", 2)


def facts(n: int = 40) -> tuple[Scores, Ranks, Qrels]:
    """Full size perfect, half and random axes alike at 0.5 or 1; two judged documents a query, of which full size returns both
    first and the others none for three queries of four."""
    alternating = np.where(np.arange(n) % 2, 1.0, 0.5)
    scores = Scores(
        (FULL, HALF, RANDOM), (NDCG,), np.stack([np.ones(n), alternating, alternating])[:, None], np.ones((1, n), bool)
    )
    qrels = Qrels(np.arange(n + 1) * 2, np.tile([0, 1], n), np.tile([1, 0], n))
    at_full, at_half = np.tile([0, 1], n), np.where(np.repeat(np.arange(n) % 4, 2), 50, np.tile([0, 1], n))
    above = np.stack([at_full, at_half, at_half])
    return scores, Ranks((FULL, HALF, RANDOM), 100, above, np.zeros_like(above)), qrels


def test_a_run_gets_all_that_applies_in_the_order_of_the_list() -> None:
    scores, ranks, qrels = facts()
    verdict = decide(Question(scores, Policy(retain=0.7, decide_by="mean")))  # type: ignore[arg-type]
    assert verdict.dimension == 2
    alike = control(2, -0.02, 0.04, AgainstRandom.NO_BETTER)
    known = Surroundings(family="F", missing_prompts={"query": "q: "}, pca_dimension=1, controls=[alike])
    codes = [one.code for one in advise(verdict, scores, ranks, qrels, known)]
    assert codes == [
        "saturated-measure",
        "judged-share-low",
        "prompts-missing",
        "not-matryoshka",
        "pca-reaches-smaller",
        "small-corpus",
        "no-production-size",
    ]
    assert codes == [code for code in advice.CODES if code in codes]


def test_few_queries_and_a_strict_task_are_told_too() -> None:
    scores, ranks, qrels = facts(n=20)
    codes = [one.code for one in advise(decide(Question(scores, Policy(retain=1.0))), scores, ranks, qrels)]
    assert codes == ["few-queries", "saturated-measure", "no-loss-tolerated"]
