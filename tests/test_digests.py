"""Digests of texts find their vectors; digests of files are remembered, and never believed against what the file holds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.files import digests as module
from mrl_sweep.files.digests import DigestTable, FileDigests, text_digests


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


def test_files_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    real = module.file_digest
    monkeypatch.setattr(module, "file_digest", lambda file, algorithm: read.append(file.name) or real(file, algorithm))
    model, cache = tmp_path / "model", tmp_path / "cache"
    model.mkdir()
    (model / "a.bin").write_bytes(b"1")
    (model / "b.bin").write_bytes(b"2")
    first = FileDigests(cache, settle_s=0).of(model.iterdir(), model)
    assert FileDigests(cache, settle_s=0).of(model.iterdir(), model) == first
    assert sorted(read) == ["a.bin", "b.bin"]
    (model / "b.bin").write_bytes(b"22")
    assert FileDigests(cache, settle_s=0).of(model.iterdir(), model) != first
    assert read[2:] == ["b.bin"]


def test_a_file_of_the_same_path_size_and_time_is_another_where_its_content_is(tmp_path: Path) -> None:
    """What is remembered saves a read, never a decision."""
    weights, cache = tmp_path / "weights", tmp_path / "cache"
    weights.write_bytes(b"one")
    stamp = weights.stat()
    first = FileDigests(cache, settle_s=0).each([weights])
    for replace in (lambda: weights.write_bytes(b"two"), lambda: (tmp_path / "new").rename(weights)):
        (tmp_path / "new").write_bytes(b"six")
        os.utime(tmp_path / "new", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        replace()
        os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert weights.stat().st_mtime_ns == stamp.st_mtime_ns
        second = FileDigests(cache, settle_s=0).each([weights])
        assert second != first
        first = second


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    """Two changes may fall within one tick of the file system's clock."""
    (tmp_path / "w").write_bytes(b"x")
    FileDigests(tmp_path / "cache").each([tmp_path / "w"])
    assert not (tmp_path / "cache").exists()
    assert FileDigests(tmp_path / "cache").each([tmp_path / "w", tmp_path / "gone"])[1] is None


def test_what_this_process_has_written_and_digested_is_not_read_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests, file = FileDigests(tmp_path / "cache"), tmp_path / "w"
    file.write_bytes(b"x")
    digests.written(file, "its digest")
    with monkeypatch.context() as patched:
        patched.setattr(module, "file_digest", lambda *_: pytest.fail("read"))
        assert digests.each([file]) == ["its digest"]
    file.write_bytes(b"longer")
    assert digests.each([file]) == FileDigests(None).each([file])


def test_the_digest_of_a_folder_is_that_of_its_content_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"same")
    here, there = (FileDigests(None).of((tmp_path / name).iterdir(), tmp_path / name) for name in ("here", "there"))
    assert here == there
    (tmp_path / "there" / "weights").rename(tmp_path / "there" / "renamed")
    assert FileDigests(None).of((tmp_path / "there").iterdir(), tmp_path / "there") != here


def test_a_broken_cache_of_digests_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"x")
    expected = FileDigests(None).of([tmp_path / "w"], tmp_path)
    for content in (b"{", b"[]", b'{"x": 1}', b"\xff"):
        (tmp_path / "file-digests.json").write_bytes(content)
        assert FileDigests(tmp_path).of([tmp_path / "w"], tmp_path) == expected
