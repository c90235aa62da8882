import hashlib
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.store.digests import DigestTable, FileDigests, row_checksums, text_digests


def test_a_text_digest_is_blake2b_of_its_utf8_bytes():
    expected = hashlib.blake2b("größer".encode(), digest_size=16).digest()
    assert text_digests(["größer"]).astype("<u8").tobytes() == expected


def test_a_lone_surrogate_has_a_digest_of_its_own():
    first, second, replacement = text_digests(["\ud800", "\ud801", "\ufffd"]).tolist()
    assert first != second != replacement != first


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=60), st.integers(1, 7))
def test_the_table_finds_what_a_dictionary_finds_also_where_half_a_digest_collides(pairs, step):
    digests = np.array(pairs, np.uint64).reshape(-1, 2)
    table, expected = DigestTable(), {}
    for start in range(0, len(pairs), step):
        table.add(digests[start : start + step], np.arange(start, min(start + step, len(pairs))))
        for i, pair in enumerate(pairs[start : start + step]):
            expected.setdefault(pair, start + i)
    asked = np.array([(a, b) for a in range(5) for b in range(7)], np.uint64)
    assert table.find(asked).tolist() == [expected.get((int(a), int(b)), -1) for a, b in asked]


def test_the_table_keeps_few_levels_however_it_grows():
    table = DigestTable()
    for start in range(0, 2000, 10):
        digests = text_digests([str(i) for i in range(start, start + 10)])
        table.add(digests, np.arange(start, start + 10))
    assert len(table) == 2000
    assert len(table._levels) <= 9
    assert table.find(text_digests([str(i) for i in range(2000)])).tolist() == list(range(2000))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([(np.float32, 6), (np.float32, 5), (np.float16, 3), (np.float16, 4)]))
def test_one_changed_bit_changes_the_checksum_of_its_row_only(data, kind):
    dtype, dim = kind
    rows = np.random.default_rng(0).standard_normal((4, dim)).astype(dtype)
    digests = text_digests(list("abcd"))
    before = row_checksums(rows, digests, np.arange(4))
    changed = bytearray(rows.tobytes())
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    after = row_checksums(np.frombuffer(bytes(changed), dtype).reshape(4, dim), digests, np.arange(4))
    row = bit // 8 // (dim * rows.itemsize)
    assert np.flatnonzero(before != after).tolist() == [row]


def test_a_checksum_depends_on_the_text_and_on_the_place():
    rows = np.ones((1, 4), np.float32)
    sums = {
        int(row_checksums(rows, text_digests(["a"]), [0])[0]),
        int(row_checksums(rows, text_digests(["b"]), [0])[0]),
        int(row_checksums(rows, text_digests(["a"]), [1])[0]),
        int(row_checksums(np.zeros_like(rows), text_digests(["a"]), [0])[0]),
    }
    assert len(sums) == 4


def test_files_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch):
    from mrl_sweep.store import digests

    read = []
    real = digests._file_digest
    monkeypatch.setattr(digests, "_file_digest", lambda file: read.append(file.name) or real(file))
    model, cache = tmp_path / "model", tmp_path / "cache"
    model.mkdir()
    (model / "a.bin").write_bytes(b"1")
    (model / "b.bin").write_bytes(b"2")
    first = FileDigests(cache).of(model.iterdir(), model)
    assert FileDigests(cache).of(model.iterdir(), model) == first
    assert sorted(read) == ["a.bin", "b.bin"]
    (model / "b.bin").write_bytes(b"22")
    assert FileDigests(cache).of(model.iterdir(), model) != first
    assert read[2:] == ["b.bin"]


def test_the_digest_of_a_folder_is_that_of_its_content_wherever_it_lies(tmp_path: Path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"same")
    here, there = (FileDigests(None).of((tmp_path / name).iterdir(), tmp_path / name) for name in ("here", "there"))
    assert here == there
    (tmp_path / "there" / "weights").rename(tmp_path / "there" / "renamed")
    assert FileDigests(None).of((tmp_path / "there").iterdir(), tmp_path / "there") != here


def test_a_broken_cache_of_digests_is_no_cache(tmp_path: Path):
    (tmp_path / "w").write_bytes(b"x")
    expected = FileDigests(None).of([tmp_path / "w"], tmp_path)
    for content in (b"{", b"[]", b'{"x": 1}', b"\xff"):
        (tmp_path / "file-digests.json").write_bytes(content)
        assert FileDigests(tmp_path).of([tmp_path / "w"], tmp_path) == expected
