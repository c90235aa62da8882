from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.files.digests import DigestTable, text_digests


def test_a_text_digest_is_blake2b_of_its_utf8_bytes() -> None:
    expected = hashlib.blake2b("größer".encode(), digest_size=16).digest()
    assert text_digests(["größer"]).astype("<u8").tobytes() == expected


def test_a_lone_surrogate_has_a_digest_of_its_own() -> None:
    first, second, replacement = text_digests(["\ud800", "\ud801", "\ufffd"]).tolist()
    assert first != second != replacement != first


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=60), st.integers(1, 7))
def test_the_table_finds_what_a_dictionary_finds_also_where_half_a_digest_collides(pairs: list[Any], step: int) -> None:
    digests = np.array(pairs, np.uint64).reshape(-1, 2)
    table, expected = DigestTable(), {}
    for start in range(0, len(pairs), step):
        table.put(digests[start : start + step], np.arange(start, min(start + step, len(pairs))))
        for i, pair in enumerate(pairs[start : start + step]):
            expected[pair] = start + i
    asked = np.array([(a, b) for a in range(5) for b in range(7)], np.uint64)
    assert table.find(asked).tolist() == [expected.get((int(a), int(b)), -1) for a, b in asked]


def test_the_table_keeps_few_levels_however_it_grows() -> None:
    table = DigestTable()
    for start in range(0, 2000, 10):
        digests = text_digests([str(i) for i in range(start, start + 10)])
        table.put(digests, np.arange(start, start + 10))
    assert len(table) == 2000
    assert len(table._levels) <= 9
    assert table.find(text_digests([str(i) for i in range(2000)])).tolist() == list(range(2000))
