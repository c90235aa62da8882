"""Naming groups of queries by their most telling words."""

from __future__ import annotations

import numpy as np

from mrl_sweep.decision.slices import telling_words


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
