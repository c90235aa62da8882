"""Ids that should match and do not are explained."""

from __future__ import annotations

import unicodedata

import pytest

from mrl_sweep.collection.judgments import likely_cause

CAFE = unicodedata.normalize("NFC", "café")


@pytest.mark.parametrize(
    ("missing", "present", "cause"),
    [
        (["1", "2"], ["001", "002"], 'the ids differ by leading zeros or a decimal point: "1" in qrels, "001" in corpus'),
        (["1.0"], ["1"], 'the ids differ by leading zeros or a decimal point: "1.0" in qrels, "1" in corpus'),
        (["a "], ["a"], 'the ids differ by white space around the id: "a " in qrels, "a" in corpus'),
        (["Doc1"], ["doc1"], 'the ids differ by letter case: "Doc1" in qrels, "doc1" in corpus'),
        (['"a"'], ["a"], 'the ids differ by quotation marks around the id: ""a"" in qrels, "a" in corpus'),
        (["x/a.txt"], ["a"], 'the ids differ by the folder or ending of a file name: "x/a.txt" in qrels, "a" in corpus'),
        (
            [CAFE],
            [unicodedata.normalize("NFD", CAFE)],
            'the ids differ by the Unicode form (NFC against NFD): "caf\\xe9" in qrels, "cafe\\u0301" in corpus',
        ),
        (["a", "b", "c"], ["A"], ""),
        (["a"], [], ""),
    ],
)
def test_likely_cause(missing: list[str], present: list[str], cause: str) -> None:
    assert likely_cause(missing, present, "qrels", "corpus") == cause
