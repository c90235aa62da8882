"""The corpus in memory is ids and positions; its texts are read again from where they lie."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.collection.reading.documents import Ids, is_among, read_corpus
from mrl_sweep.collection.reading.records import Document
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.events import Event, Progress

ANY_TEXT = st.text(st.characters(codec=None), max_size=6)


@dataclass
class ListSource:
    """Documents at positions 0, 10, 20 …; counts how many were read."""

    documents: Sequence[Document]
    seeks: bool = True
    label: str = "list"
    read: int = 0

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        for i in range(position // 10, len(self.documents)):
            self.read += 1
            yield 10 * i, self.documents[i]

    def place(self, position: int) -> str:
        return f"list:{position // 10 + 1}"


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{i}", f"t{i}", text) for i, text in enumerate(texts)]


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


def test_an_id_appended_later_is_found() -> None:
    ids = Ids(["a"])
    ids.rows_of(["a"])
    ids.append("b")
    assert ids.rows_of(["b"]).tolist() == [1]


def test_what_is_known_of_each_document_of_a_large_corpus_lies_in_mapped_files(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Document(f"döc{i}", "", f"text {i % 50}") for i in range(1500)]
    small = read_corpus(ListSource([*made, made[3]]))
    monkeypatch.setattr("mrl_sweep.collection.reading.documents.MAPPED_BYTES", 100)
    large = read_corpus(ListSource([*made, made[3]]))
    assert large.documents.ids == small.documents.ids
    assert large.collapsed == 1
    ids = read_corpus(ListSource(made)).documents.ids
    mapped = (ids._bytes.values(), ids._ends.values(), ids.hashes(), read_corpus(ListSource(made)).documents._positions)
    assert [type(column) for column in mapped] == [np.memmap] * 4
    address = ids._bytes.values().ctypes.data
    assert (ids.arrow().type, ids.arrow().buffers()[2].address) == ("large_string", address), "Arrow, and nothing is copied"
    for some in (ids, pickle.loads(pickle.dumps(ids))):
        assert (some[1499], some[3:5], len(some)) == ("döc1499", ["döc3", "döc4"], 1500)
        assert some.rows_of(["döc7", "x"]).tolist() == [7, -1]
        some.append("later")
        assert some.rows_of(["later", "döc0"]).tolist() == [1500, 0]


def test_where_there_is_no_room_for_them_the_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrl_sweep.collection.reading.documents.MAPPED_BYTES", 100)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EnvironmentFault, match=r"cannot keep what is known of each document in .*: No space left") as caught:
        read_corpus(ListSource(documents(*map(str, range(50)))))
    assert "TMPDIR" in caught.value.hint


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small corpora stay in memory, as they do outside these tests."""
    monkeypatch.setattr("mrl_sweep.collection.reading.documents.HELD_CHARACTERS", 2**24)


@pytest.fixture(params=["held", "left in the source"])
def held_or_not(request: pytest.FixtureRequest) -> None:
    if request.param == "held":
        request.getfixturevalue("held")


@pytest.mark.usefixtures("held")
def test_a_small_corpus_is_read_once() -> None:
    source = ListSource(documents("zero", "one", "two"))
    corpus = read_corpus(source).documents
    source.read = 0
    assert (list(corpus.texts()), corpus.titles([2, 1])) == (["t0 zero", "t1 one", "t2 two"], ["t2", "t1"])
    assert source.read == 0


@pytest.mark.usefixtures("held")
def test_another_process_reads_a_small_corpus_from_its_source() -> None:
    corpus = pickle.loads(pickle.dumps(read_corpus(ListSource(documents("zero", "one"))).documents))
    assert corpus._held is None
    assert list(corpus.texts()) == ["t0 zero", "t1 one"]


def test_a_corpus_of_many_small_documents_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrl_sweep.collection.reading.documents.HELD_CHARACTERS", 1000)
    assert read_corpus(ListSource(documents(*"abc"))).documents._held is not None
    assert read_corpus(ListSource(documents(*"abcd"))).documents._held is None


@pytest.mark.usefixtures("held_or_not")
@pytest.mark.parametrize("seeks", [True, False])
def test_texts_and_titles_of_any_rows(seeks: bool) -> None:
    corpus = read_corpus(ListSource(documents("zero", "one", "two", "three"), seeks)).documents
    assert list(corpus.texts()) == ["t0 zero", "t1 one", "t2 two", "t3 three"]
    assert list(corpus.texts(1, 3)) == ["t1 one", "t2 two"]
    assert list(corpus.texts(3, 99)) == ["t3 three"]
    assert list(corpus.texts(2, 2)) == []
    assert corpus.titles([3, 0, 3]) == ["t3", "t0", "t3"]
    assert corpus.titles([]) == []


@pytest.mark.usefixtures("held_or_not")
@pytest.mark.parametrize("seeks", [True, False])
def test_excerpts_are_the_beginnings_of_any_rows(seeks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrl_sweep.collection.reading.documents._EXCERPT", 8)
    corpus = read_corpus(ListSource(documents("zero", "one\nand more", "two"), seeks)).documents
    assert corpus.excerpts([2, 1, 2]) == ["t2 two", "t1 one …", "t2 two"]
    assert corpus.excerpts([]) == []


def test_a_compressed_file_is_not_read_again_for_the_excerpts_of_what_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ListSource(documents("zero", "one", "two"), seeks=False)
    corpus = read_corpus(source).documents
    corpus.titles([2, 0])
    source.read = 0
    assert corpus.excerpts([0, 2]) == ["t0 zero", "t2 two"]
    assert source.read == 0
    assert corpus.excerpts([1]) == ["t1 one"], "what was not named is read"
    monkeypatch.setattr("mrl_sweep.collection.reading.documents._BEGINNINGS", 1)
    many = read_corpus(source).documents
    many.titles([2, 0])
    assert many.excerpts([0, 2]) == ["t0 zero", "t2 two"], "of too many documents nothing is kept: the file is read once more"
    assert many._beginnings == {}


def test_a_range_of_texts_reads_no_other_document() -> None:
    source = ListSource(documents("zero", "one", "two", "three"))
    corpus = read_corpus(source).documents
    source.read = 0
    assert list(corpus.texts(1, 3)) == ["t1 one", "t2 two"]
    assert source.read == 2


@pytest.mark.usefixtures("held_or_not")
@pytest.mark.parametrize("seeks", [True, False])
def test_repeated_documents_are_collapsed_and_skipped_when_read_again(seeks: bool) -> None:
    first, second, third = documents("zero", "one", "two")
    corpus = read_corpus(ListSource([first, second, first, third, second], seeks))
    assert corpus.collapsed == 2
    assert corpus.documents.ids == ["d0", "d1", "d2"]
    assert list(corpus.documents.texts()) == ["t0 zero", "t1 one", "t2 two"]
    assert list(corpus.documents.texts(1, 3)) == ["t1 one", "t2 two"]
    assert corpus.documents.titles([2]) == ["t2"]
    file_rows = corpus.documents.file_rows
    assert file_rows is not None
    assert (file_rows.rows.tolist(), file_rows.count) == ([0, 1, 3], 5)


def test_without_repetition_the_documents_are_the_file_s() -> None:
    assert read_corpus(ListSource(documents("zero", "one"))).documents.file_rows is None


def test_one_id_with_two_texts_names_both_places() -> None:
    source = ListSource([Document("a\x1b", "", "x"), Document("b", "", "y"), Document("a\x1b", "", "z")])
    with pytest.raises(InputError, match=r"list:3: document id a\\x1b is also at list:1, with another text"):
        read_corpus(source)


def test_no_documents() -> None:
    with pytest.raises(InputError, match="nothing to evaluate: list holds no documents"):
        read_corpus(ListSource([]))


def test_empty_texts_and_characters_are_counted() -> None:
    corpus = read_corpus(ListSource([Document("a", "", " "), Document("b", "xy", ""), Document("c", "", "")]))
    assert corpus.empty.tolist() == [0, 2]
    assert corpus.characters == 2


def test_equal_texts_have_equal_hashes() -> None:
    corpus = read_corpus(ListSource([Document("a", "x", "y"), Document("b", "", "x y"), Document("c", "x", "z")]))
    assert corpus.text_hashes[0] == corpus.text_hashes[1] != corpus.text_hashes[2]


def test_a_source_that_shrank_is_told_apart_from_its_end() -> None:
    source = ListSource(documents("zero", "one", "two"))
    corpus = read_corpus(source).documents
    source.documents = source.documents[:2]
    with pytest.raises(InputError, match="list has changed since it was read"):
        list(corpus.texts())


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (Document("a", " A\n title ", "text"), "A title"),
        (Document("a", "", "Only\u2028text\x0b here"), "Only text here"),
        (Document("a", "", "word " * 100), ("word " * 20)),
        (Document("a", "", ""), ""),
    ],
)
def test_names_are_one_line(document: Document, name: str) -> None:
    assert document.name == name


def test_positions_are_eight_bytes_a_document() -> None:
    corpus = read_corpus(ListSource(documents("zero", "one"))).documents
    assert corpus._positions.dtype == np.int64


def test_reading_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrl_sweep.collection.reading.documents._REPORT_EVERY", 2)
    events: list[Event] = []
    read_corpus(ListSource(documents("zero", "one", "two", "three", "four")), events.append)
    assert events == [Progress("reading", 2, None, "documents"), Progress("reading", 4, None, "documents")]
