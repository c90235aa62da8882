"""Ids as one array are found, sliced and counted as those of a tuple."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.files import ids as module
from mrl_sweep.files.ids import Ids, is_among

ANY_TEXT = st.text(st.characters(codec=None), max_size=6)


@given(st.lists(ANY_TEXT, max_size=8), st.lists(ANY_TEXT, max_size=4))
def test_ids_behave_as_the_tuple_they_came_from(texts: list[str], others: list[str]) -> None:
    ids = Ids(texts)
    assert list(ids) == texts
    assert len(ids) == len(texts)
    assert [ids[i] for i in range(-len(texts), len(texts))] == texts * 2
    assert ids[1:3] == texts[1:3]
    assert ids == tuple(texts)
    wanted = others + texts
    assert ids.rows_of(wanted).tolist() == [texts.index(text) if text in texts else -1 for text in wanted]
    assert list(ids.without([0])) == texts[1:]


@pytest.mark.parametrize("texts", [["d1", "d22", "", "d3"], ["d1", "ä2", "日", "d3"]])
def test_slices_and_rows_of_ids_are_those_of_the_tuple(texts: list[str]) -> None:
    ids = Ids(texts)
    for start, stop, step in ((0, 4, 1), (1, 3, 1), (2, 2, 1), (3, 0, -1), (0, 4, 2), (-2, None, 1)):
        assert ids[start:stop:step] == texts[start:stop:step]
    assert list(ids) == texts
    assert ids.take([3, 0, 3]) == [texts[3], texts[0], texts[3]]
    assert ids.rows_of([texts[1], "absent", texts[0]]).tolist() == [1, -1, 0]


def test_an_id_that_occurs_twice_is_found_at_its_first_row() -> None:
    assert Ids(["a", "b", "a"]).rows_of(["a", "b"]).tolist() == [0, 1]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(0, 5))
def test_which_values_are_among_a_few_is_what_numpy_says(values: list[int], few: list[int], both: int) -> None:
    many = np.array([*values, *few[:both], *(one ^ 1 << 40 for one in few[:both])], np.int64)
    assert is_among(many, np.array(few, np.int64)).tolist() == np.isin(many, np.array(few, np.int64)).tolist()


def test_ids_outside_the_corpus_raise() -> None:
    with pytest.raises(IndexError):
        Ids(["a"])[1]
    with pytest.raises(IndexError):
        Ids(["a"])[-2]


def test_ids_are_found_after_pickling() -> None:
    ids = Ids(["a", "b"])
    ids.rows_of(["a"])
    assert pickle.loads(pickle.dumps(ids)).rows_of(["b", "c"]).tolist() == [1, -1]


def test_an_id_that_comes_later_is_found() -> None:
    ids = Ids(["a"])
    ids.rows_of(["a"])
    ids.extend(["b"])
    assert ids.rows_of(["b"]).tolist() == [1]


@pytest.fixture
def few_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of one length have one hash."""
    each = module.each
    monkeypatch.setattr(module, "each", lambda of, texts: each(len if of is hash else of, texts))
    return


@pytest.mark.usefixtures("few_hashes")
def test_texts_with_the_same_hash_are_told_apart() -> None:
    ids = Ids(["aa", "bb", "c", "aa", "dd", "c"])
    assert set(ids.hashes().tolist()) == {1, 2}
    assert ids.rows_of(["dd", "aa", "ee", "c", "bb"], at_once=2).tolist() == [4, 0, -1, 2, 1]
    assert ids.rows_of(Ids(["bb", "x", "dd"]), at_once=2).tolist() == [1, -1, 4]
    assert ids.repeated() == {3: 0, 5: 2}


@given(st.lists(st.sampled_from("abcdé"), max_size=12), st.lists(st.sampled_from("abcdéf"), max_size=12))
def test_rows_and_repetitions_are_those_of_a_dict(texts: list[str], wanted: list[str]) -> None:
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    ids = Ids(texts)
    for some in (wanted, Ids(wanted)):
        assert ids.rows_of(some).tolist() == [first.get(text, -1) for text in wanted]
    assert ids.repeated() == {row: first[text] for row, text in enumerate(texts) if first[text] != row}


def test_ids_of_many_rows_are_an_arrow_array_over_the_same_bytes() -> None:
    ids = Ids(f"döc{i}" for i in range(30))
    array = ids.table([])["id"].chunk(0)
    assert (array.type, array.buffers()[2].address) == ("large_string", ids._batches()[0].letters.ctypes.data)
    assert array[29].as_py() == ids[29] == "döc29"


@given(st.lists(st.lists(ANY_TEXT, max_size=4), max_size=6), st.sampled_from([0, 60, 10**6]), st.data())
def test_ids_in_many_batches_are_read_as_those_in_one(chunks: list[list[str]], mapped_bytes: int, data: st.DataObject) -> None:
    texts = [text for chunk in chunks for text in chunk]
    ids, n = Ids(columns={"place": np.int64}, mapped_bytes=mapped_bytes), 0
    for chunk in chunks:
        ids.extend(chunk, place=np.arange(n, n + len(chunk)))
        n += len(chunk)
    start, stop = sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)))
    rows = data.draw(st.lists(st.integers(0, n - 1), max_size=9)) if n else []
    assert list(ids) == texts
    assert ids.take(rows) == [texts[row] for row in rows]
    assert ids.column("place", start, stop).tolist() == list(range(start, stop))
    assert ids.table(["place"]).column("place").to_pylist() == list(range(n))


def test_what_is_mapped_stays_where_it_is_when_more_is_written() -> None:
    """Else a corpus of a thousand batches would be mapped a thousand times."""
    ids = Ids(columns={"place": np.int64}, mapped_bytes=0)
    ids.extend(["a", "b"], place=[0, 1])
    before = ids.column("place", 0, 2)
    for n in range(2, 2000):
        ids.extend([str(n)], place=[n])
    again = ids.column("place", 0, 2)
    assert again.ctypes.data == before.ctypes.data
    assert ids.take([0, 1999]) == ["a", "1999"]
    assert ids.column("place", 1998).tolist() == [1998, 1999]
