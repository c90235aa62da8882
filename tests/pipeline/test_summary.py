"""What a sweep tells of its surroundings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_evaluation import evaluated

from mrl_sweep.decision.policy import Policy
from mrl_sweep.pipeline.outlook import missing_prompts, surroundings
from mrl_sweep.types import Basis, Configuration, Measure, Scores

NOMIC = "Nomic Embed v1.5"


def test_a_role_without_the_prompt_it_was_trained_with_is_named() -> None:
    model = {"family": NOMIC, "prompts": {"query": "", "document": "search_document: ", "from": "query: given, document: family"}}
    assert missing_prompts(model) == (NOMIC, {"query": "search_query: "})


def test_another_prompt_than_the_family_has_is_a_choice() -> None:
    assert missing_prompts({"family": NOMIC, "prompts": {"query": "clustering: ", "document": "clustering: "}}) == (NOMIC, {})


def test_nothing_is_missing_where_nothing_is_known() -> None:
    assert missing_prompts({"family": None, "prompts": {"query": "", "document": ""}}) == ("", {})
    assert missing_prompts({"family": NOMIC}) == ("", {})
    assert missing_prompts({}) == ("", {})


def test_a_family_without_prompts_misses_none() -> None:
    model = {"family": "WordLlama l2_supercat", "prompts": {"query": "", "document": ""}}
    assert missing_prompts(model) == ("WordLlama l2_supercat", {})


def test_a_size_on_the_axes_of_pca_that_cannot_be_certified_is_not_named() -> None:
    full, turned = Configuration.exact_prefix(4), replace(Configuration.exact_prefix(2), basis=Basis.PCA)
    scores = Scores((full, turned), (Measure("nDCG", 10),), np.full((2, 1, 400), 0.5), np.ones((1, 400), np.bool_))
    evaluation = evaluated(scores, Policy(required=scores.measures))
    assert surroundings(evaluation, {}, ()).pca_dimension == 2
    unfit = replace(evaluation, unfit={turned: "9 documents have only zeros in their first 2 dimensions"})
    assert surroundings(unfit, {}, ()).pca_dimension is None
