"""Blocks of JSON lines give what the lines give one by one, messages with file and line included."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.collection.reading.records import MANY, Document
from mrl_sweep.collection.reading.text_sources import FileSource
from mrl_sweep.errors import InputError

PLAIN = [f'{{"_id": "d{i}", "title": "t{i}", "text": "some text {i}"}}' for i in range(40)]


def both(path: Path, block_bytes: int = 200, limit: int = 10_000) -> Any:
    """What the file gives in blocks, and line by line: documents with their offsets, or the message."""
    source = replace(FileSource.of(path, max_line_bytes=limit), block_bytes=block_bytes)

    def outcome(read: Any) -> Any:
        try:
            return list(read())
        except InputError as error:
            return error.message

    def in_blocks() -> Any:
        return (pair for batch in source._blocks(0, 7) for pair in batch.pairs())

    return outcome(in_blocks), outcome(lambda: source._lines(0))


ODD = {
    "as it should be": PLAIN[20],
    "no title": '{"_id": "x", "text": "y"}',
    "null title": '{"_id": "x", "title": null, "text": "y"}',
    "other fields": '{"_id": "x", "text": "y", "metadata": {"a": [1, {"b": NaN}]}, "z": 1e999}',
    "id a number": '{"_id": 17, "text": "y"}',
    "id empty": '{"_id": "", "text": "y"}',
    "id null": '{"_id": null, "text": "y"}',
    "no text": '{"_id": "x"}',
    "text a number": '{"_id": "x", "text": 5}',
    "blank": "   ",
    "two on a line": '{"_id": "x", "text": "y"} {"_id": "z", "text": "y"}',
    "twice the same key": '{"_id": "x", "_id": "z", "text": "y"}',
    "cut off": '{"_id": "x", "text": "y',
    "an array": '["x", "y"]',
    "no JSON": "hello",
    "half a surrogate": '{"_id": "x", "text": "a \\ud800 b"}',
    "NUL and escapes": '{"_id": "x\\u0000", "text": "\\u00e9\\n\\ud83d\\ude00 \u2028 \u0085"}',
    "longer than the limit": '{"_id": "x", "text": "' + "y" * 12_000 + '"}',
    "longer than a block": '{"_id": "x", "text": "' + "y" * 900 + '"}',
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 3, 39])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_an_odd_line_is_read_or_refused_as_line_by_line(tmp_path: Path, odd: Any, place: int, end: str) -> None:
    lines = [*PLAIN[:place], ODD[odd], *PLAIN[place + 1 :]]
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(((end or "\n").join(lines) + end).encode())
    blocks, one_by_one = both(path)
    assert blocks == one_by_one
    if isinstance(blocks, str):
        assert f"corpus.jsonl:{place + 1}" in blocks


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\n", b"\xff"])
def test_a_mark_a_blank_line_or_another_encoding_at_the_beginning(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(start + "\n".join(PLAIN).encode())
    assert len({repr(outcome) for outcome in both(path)}) == 1


@given(st.lists(st.tuples(st.text(min_size=1), st.text(), st.text()), min_size=1, max_size=20), st.booleans())
def test_any_texts_in_any_script_come_back_at_their_offsets(
    tmp_path_factory: pytest.TempPathFactory, fields: list[Any], escaped: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "corpus.jsonl"
    lines = [json.dumps({"_id": i, "title": t, "text": x}, ensure_ascii=escaped) for i, t, x in fields]
    path.write_bytes(("\n".join(lines) + "\n").encode())
    blocks, one_by_one = both(path)
    assert blocks == one_by_one
    assert [document for _, document in blocks] == [Document(*some) for some in fields]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_large_file_is_read_by_blocks_from_any_line_compressed_or_not(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(pack(("\n".join(PLAIN * 50)).encode()))
    source = replace(FileSource.of(tmp_path / "corpus.jsonl"), least_bytes=1)
    for position in (0, len(PLAIN[0]) + 1):
        (block,) = source.batches(position, MANY)
        one_by_one = [pair for batch in source.batches(position, 9) for pair in batch.pairs()]
        assert list(block.pairs()) == one_by_one == list(source._lines(position))
