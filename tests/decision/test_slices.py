"""Slices from metadata, lengths, numbers of relevant documents and topics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mrl_sweep.decision.slices import declared_slices, length_slices, relevant_slices, telling_words, topic_slices
from mrl_sweep.errors import InputError


def shown(slices: object) -> dict[str, list[int]]:
    return {str(s): np.flatnonzero(s.members).tolist() for s in slices}  # type: ignore[attr-defined]


def test_each_value_of_a_declared_field_is_a_slice() -> None:
    metadata: list[dict[str, Any]] = [
        {"type": "fact"},
        {"type": "numeric", "new": True},
        {},
        {"type": "fact", "new": None},
        {"type": ["a", "fact"]},
    ]
    slices = declared_slices(metadata, ["type", "new", "type"])
    assert shown(slices) == {"type=a": [4], "type=fact": [0, 3, 4], "type=numeric": [1], "new=true": [1]}
    assert all(s.declared for s in slices)


def test_a_field_that_no_query_has_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no query has the field lable") as refused:
        declared_slices([{"label": "x", "split": "test"}], ["lable"])
    assert refused.value.hint == "did you mean --slice label? the fields are label, split"
    with pytest.raises(InputError) as bare:
        declared_slices([{}], ["label"])
    assert "the queries have no metadata" in bare.value.hint


def test_numbers_with_many_values_become_terciles() -> None:
    slices = declared_slices([{"year": 2000 + i} for i in range(30)], ["year"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("2000-2009", 10), ("2010-2019", 10), ("2020-2029", 10)]


def test_numbers_with_few_values_stay_values() -> None:
    slices = declared_slices([{"hops": i % 2 + 1} for i in range(30)], ["hops"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("1", 15), ("2", 15)]


def test_a_field_of_ids_is_put_together_not_dropped() -> None:
    metadata = [{"tenant": f"t{i}"} for i in range(150)] + [{"tenant": "large"}] * 12
    slices = declared_slices(metadata, ["tenant"])
    assert [(s.value, int(s.members.sum())) for s in slices] == [("large", 12), ("other (150 values)", 150)]


def test_lengths_are_cut_in_three_between_different_values() -> None:
    texts = ["one two"] * 4 + ["one two three four"] * 3 + ["w " * 9] * 3
    assert [(s.value, int(s.members.sum())) for s in length_slices(texts)] == [("2 words", 4), ("4 words", 3), ("9 words", 3)]


def test_mostly_one_relevant_document_makes_two_slices() -> None:
    slices = relevant_slices(np.array([1] * 9 + [2, 5]))
    assert [(s.value, int(s.members.sum())) for s in slices] == [("1 document", 9), ("2-5 documents", 2)]
    assert relevant_slices(np.ones(10, np.int64)) == ()


def test_a_rare_small_value_is_a_slice_too() -> None:
    assert [s.value for s in relevant_slices(np.array([1] + [7] * 9))] == ["1 document", "7 documents"]


def test_topics_are_named_by_their_words() -> None:
    texts = ["rename a file", "delete a file", "copy the file", "parse a date", "format the date", "add days to a date"]
    slices = topic_slices(np.array([0, 0, 0, 1, 1, 1]), texts)
    assert [s.value.split(",")[0] for s in slices] == ["file", "date"]
    assert shown(slices)[str(slices[1])] == [3, 4, 5]


@pytest.mark.parametrize(("values", "slices"), [(12, 12), (13, 3)])
def test_a_numeric_field_of_more_than_twelve_values_is_cut_in_three(values: int, slices: int) -> None:
    assert len(declared_slices([{"year": i % values} for i in range(130)], ["year"])) == slices


@pytest.mark.parametrize(("values", "slices"), [(100, 100), (101, 1)])
def test_a_field_of_more_than_a_hundred_values_has_its_small_ones_together(values: int, slices: int) -> None:
    assert len(declared_slices([{"tenant": f"t{i}"} for i in range(values)], ["tenant"])) == slices


def test_words_that_all_groups_share_do_not_tell() -> None:
    texts = ["how do I open a socket", "how do I bind a socket", "how do I sort a list", "how do I reverse a list"]
    names = telling_words(texts, np.array([0, 0, 5, 5]), n_words=1)
    assert names == {0: "socket", 5: "list"}


def test_queries_without_a_label_are_the_background() -> None:
    names = telling_words(["kinase binding", "kinase activity", "other words"], np.array([3, 3, -1]), n_words=2)
    assert names == {3: "kinase, activity"}


def test_a_group_without_words_is_called_by_its_number_and_names_stay_different() -> None:
    assert telling_words(["12 34", "56"], np.array([0, 0])) == {0: "topic 0"}
    texts = ["same words", "same words", "else", "else"]
    assert len(set(telling_words(texts, np.array([0, 1, 2, 2])).values())) == 3


def test_letters_of_any_script_are_words() -> None:
    names = telling_words(
        ["Überweisung stornieren", "Überweisung ändern", "карта", "карта банка"], np.array([0, 0, 1, 1]), n_words=1
    )
    assert names == {0: "überweisung", 1: "карта"}
