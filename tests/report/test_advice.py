"""Advice: each speaks up exactly when its fact holds, with a code that stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mrl_sweep.decision.controls import AgainstRandom
from mrl_sweep.decision.judging import Question
from mrl_sweep.decision.policy import Policy
from mrl_sweep.decision.walk import decide
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.report.content import advice
from mrl_sweep.report.content.advice import Surroundings, advise
from mrl_sweep.types import (
    Advice,
    Configuration,
    Evidence,
    Judgement,
    Measure,
    Outcome,
    Qrels,
    RandomControl,
    Ranks,
    Scores,
    Status,
    Verdict,
)

FULL, HALF, RANDOM = Configuration("prefix", 256), Configuration("prefix", 128), Configuration("random-1", 128)
ASKED = Surroundings(production_documents=10**7)


def given(
    surroundings: Surroundings = ASKED,
    *,
    measure: str = "nDCG@10",
    at_full: float = 0.5,
    perfect: float = 0.0,
    documents: int = 50_000,
    found: tuple[int, int] = (0, 0),
    grades: tuple[int, int] = (1, 0),
    evidence: Evidence | None = None,
    outcome: Outcome = Outcome.INCONCLUSIVE,
    n_queries: int = 1_000,
    n_clusters: int | None = None,
    **verdict: Any,
) -> dict[str, Advice]:
    """The advice on 128 of 256 dimensions, by code. Of 1,000 queries a share `perfect` reaches 1, the others `at_full`.

    Each has two judged documents; the top holds both for the first `found` queries at full size and at 128.
    """
    of, values = parse_measure(measure), np.full((2, 1, 1_000), at_full)
    values[:, :, : round(1_000 * perfect)] = 1.0
    above = np.where(np.repeat(np.arange(1_000), 2) < np.array(found)[:, None], 0, 99)
    chosen = Verdict(
        **{
            "status": Status.PASS,
            "dimension": 128,
            "proven": 128,
            "measured": 128,
            "measure": of,
            "retain": 0.98,
            "alpha": 0.05,
            "decide_by": "bound",
            "judgements": (Judgement(FULL, Outcome.BASELINE, {}), Judgement(HALF, outcome, {of: evidence} if evidence else {})),
            "n_queries": n_queries,
            "n_clusters": n_clusters,
            **verdict,
        }
    )
    every = advise(
        chosen,
        Scores((FULL, HALF), (of,), values, np.ones((1, 1_000), bool)),
        Ranks((FULL, HALF), documents, above, np.zeros_like(above)),
        Qrels(np.arange(1_001) * 2, np.tile([0, 1], 1_000), np.tile(grades, 1_000)),
        surroundings,
    )
    return {one.code: one for one in every}


BOTH = (1_000, 1_000)
"""All judged documents are found at both sizes: nothing is said of judgments."""


def test_a_small_corpus_is_told_what_is_saved() -> None:
    assert given(found=BOTH, documents=5_183)["small-corpus"].message == (
        "with 5,183 documents, 128 instead of 256 dimensions saves 2.5 MiB: storage hardly matters at this size"
    )
    assert given(found=BOTH, documents=10_000) == {}
    assert given(found=BOTH, documents=5_183, dimension=256) == {}


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
    evidence = Evidence(mean=0.5, provable_loss=provable_loss, queries_needed=needed)
    advised = given(found=BOTH, n_queries=queries, evidence=evidence).get("few-queries")
    assert (advised and advised.message) == message
    if advised and needed == 253:
        assert advised.hint == "judge more queries: about 260 would settle the open size"


def test_queries_that_proved_a_size_too_low_were_enough_and_clusters_are_counted_as_such() -> None:
    evidence = Evidence(mean=0.5, provable_loss=0.03)
    assert given(found=BOTH, evidence=evidence, outcome=Outcome.FAIL) == {}
    clustered = given(found=BOTH, evidence=evidence, n_clusters=12)["few-queries"]
    assert clustered.message == "12 clusters of judged queries: nothing is certified on fewer than 30"
    assert clustered.hint == "judge more queries of other clusters"


def test_a_measure_that_is_always_or_never_met_tells_nothing() -> None:
    assert given(found=BOTH, measure="R@100", perfect=0.949) == {}
    full = given(found=BOTH, measure="R@100", perfect=0.97)["saturated-measure"]
    assert full.message == "R@100 is 1 for 97.0% of the queries at full size: it hardly tells sizes apart"
    assert full.hint == "decide by a stricter measure (--measure nDCG@10, or a smaller cut-off), or add harder queries"
    already = given(found=BOTH, perfect=1.0)["saturated-measure"]
    assert already.hint == "decide by a stricter measure (a smaller cut-off), or add harder queries"
    assert given(found=BOTH, at_full=0.0501) == {}
    assert given(found=BOTH, at_full=0.0123)["near-zero-measure"].message.startswith("nDCG@10 is only 0.0123 at full size")


def test_the_judged_share_is_held_against_what_was_possible() -> None:
    """Two of ten documents can be judged: at half of that, a tenth, it is enough."""
    assert given(found=(800, 500)) == {}
    low = given(found=(800, 499))["judged-share-low"]
    assert "(10.0% at 128 dimensions, 16.0% at full size)" in low.message
    assert given(found=(1, 1), n_queries=1_000, measure="Agreement@10") == {}


def test_judgments_of_relevant_documents_only_say_what_they_cannot() -> None:
    advised = given(found=(800, 700), grades=(1, 2))
    assert [*advised] == ["only-relevant-judged"]
    assert "the judgments list relevant documents only" in advised["only-relevant-judged"].message
    assert given(found=(100, 100), grades=(1, 2)) == {}


@pytest.mark.parametrize(("documents", "reach"), [(5_183, "50k"), (999, "9k"), (12, "100"), (120_000, "1M"), (8_841_823, "80M")])
def test_a_hint_names_a_corpus_that_this_run_can_be_projected_to(documents: int, reach: str) -> None:
    advised = given(Surroundings(), found=BOTH, documents=documents)["no-production-size"]
    assert advised.hint == f"name the size in production: --project-docs {reach}"
    assert "no-production-size" not in given(Surroundings(), found=BOTH, documents=documents, dimension=256)


def test_forgotten_prompts_are_named_with_their_flags() -> None:
    missing = {"query": "search_query: ", "document": "search_document: "}
    around = Surroundings(family="Nomic Embed v1.5", missing_prompts=missing, production_documents=1)
    advised = given(around, found=BOTH)["prompts-missing"]
    assert "'search_query: '" in advised.message
    assert advised.hint.startswith("set --query-prompt and --document-prompt;")


def control(dim: int, low: float, high: float, answer: AgainstRandom) -> RandomControl:
    return RandomControl(dim=dim, kept=0.81, kept_by_random=0.8, low=low, high=high, margin=0.05, answer=answer)


def test_prefixes_that_are_proven_no_better_than_random_axes_are_called_so() -> None:
    alike, better, unknown = (
        control(64, -0.02, 0.04, AgainstRandom.NO_BETTER),
        control(32, 0.01, 0.2, AgainstRandom.BETTER),
        control(16, -0.1, 0.1, AgainstRandom.OPEN),
    )
    assert given(Surroundings(controls=[alike], production_documents=1), found=BOTH)["not-matryoshka"].message == (
        "this model's prefixes carry hardly more than random axes would: at 64 they keep 81.0%, random axes 80.0% (4.0% of full"
        " size better at the most, with 95% confidence)"
    )
    for others in ([better], [unknown], [alike, better], [alike, unknown], []):
        assert given(Surroundings(controls=others, production_documents=1), found=BOTH) == {}


def test_axes_that_reach_smaller_and_a_share_of_all_are_named() -> None:
    turned = {size: given(Surroundings(pca_dimension=size, production_documents=1), found=BOTH) for size in (64, 128)}
    assert [*turned[64]] == ["pca-reaches-smaller"]
    assert turned[128] == {}
    assert [*given(found=BOTH, retain=1.0)] == ["no-loss-tolerated"]
    assert given(found=BOTH, retain=0.999) == {}


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
    assert verdict.dimension == 128
    alike = control(128, -0.02, 0.04, AgainstRandom.NO_BETTER)
    known = Surroundings(family="F", missing_prompts={"query": "q: "}, pca_dimension=64, controls=[alike])
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
