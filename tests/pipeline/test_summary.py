"""What a sweep tells of its surroundings."""

from __future__ import annotations

from mrl_sweep.pipeline.outlook import missing_prompts

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
