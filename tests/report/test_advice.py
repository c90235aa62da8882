"""Advice: each speaks up exactly when its fact holds, with a code that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.report.content import advice
from mrl_sweep.report.content.advice import Surroundings, advise
from mrl_sweep.types import Configuration, Measure, Qrels, Ranks, Scores


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


@pytest.mark.parametrize(
    ("kept", "kept_by_random", "told"),
    [
        ({128: 0.462 / 0.512, 64: 0.370 / 0.512}, {128: [0.453 / 0.512], 64: [0.344 / 0.512]}, True),  # WordLlama, SciFact
        ({512: 0.851, 256: 0.733, 128: 0.607}, {512: [0.808], 256: [0.711], 128: [0.589]}, True),  # text-embedding-3-small
        ({128: 0.98, 64: 0.95}, {128: [0.90, 0.92], 64: [0.80, 0.84]}, False),
        ({128: 0.999}, {128: [0.997]}, False),  # nothing is lost, so nothing can be told
        ({128: 0.98}, {}, False),
    ],
)
def test_prefixes_that_carry_no_more_than_random_axes_are_called_so(
    kept: dict[int, float], kept_by_random: dict[int, list[float]], told: bool
) -> None:
    found = advice.not_matryoshka(kept=kept, kept_by_random=kept_by_random)
    assert (found is not None) == told
    if found:
        assert found.message.startswith("this model's prefixes carry hardly more than random axes would: at ")


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
    verdict = decide(scores, Policy(retain=0.7, decide_by="mean"))  # type: ignore[arg-type]
    assert verdict.dimension == 2
    known = Surroundings(family="F", missing_prompts={"query": "q: "}, pca_dimension=1)
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
    codes = [one.code for one in advise(decide(scores, Policy(retain=1.0)), scores, ranks, qrels)]
    assert codes == ["few-queries", "saturated-measure", "not-matryoshka", "no-loss-tolerated"]


@pytest.mark.parametrize(("kept", "advised"), [(0.925, False), (0.9251, False), (0.9249, True)])
def test_a_prefix_that_avoids_a_quarter_of_the_loss_of_random_axes_is_worth_more_than_they_are(
    kept: float, advised: bool
) -> None:
    assert (advice.not_matryoshka(kept={128: kept}, kept_by_random={128: [0.88, 0.92]}) is not None) == advised
