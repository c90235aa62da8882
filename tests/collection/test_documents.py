"""The corpus in memory is ids and positions; its texts are read again from where they lie."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mrl_sweep.collection.reading.documents import Corpus, read_corpus
from mrl_sweep.collection.reading.records import Batch, Document, in_batches
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.events import Event, Progress


@dataclass
class ListSource:
    """Documents at positions 0, 10, 20 …; counts how many were read."""

    documents: Sequence[Document]
    seeks: bool = True
    label: str = "list"
    read: int = 0

    def batches(self, position: int, at_once: int) -> Iterator[Batch]:
        return in_batches(self._each(position), at_once)

    def _each(self, position: int) -> Iterator[tuple[int, Document]]:
        for i in range(position // 10, len(self.documents)):
            self.read += 1
            yield 10 * i, self.documents[i]

    def place(self, position: int) -> str:
        return f"list:{position // 10 + 1}"


def documents(*texts: str) -> list[Document]:
    return [Document(f"d{i}", f"t{i}", text) for i, text in enumerate(texts)]


def read_again(source: ListSource, **options: Any) -> Corpus:
    """The corpus, its texts left in the source."""
    return read_corpus(source, **{"held_characters": 0, **options})


@pytest.mark.parametrize("mapped_bytes", [0, 5_000, 2**24], ids=["mapped by blocks", "mapped", "in memory"])
def test_what_is_known_of_each_document_is_the_same_wherever_it_lies(mapped_bytes: int) -> None:
    made = [Document(f"döc{i}", "", f"text {i % 50}") for i in range(1500)]
    corpus = read_again(ListSource([*made, made[3], made[1400]]), mapped_bytes=mapped_bytes)
    documents, ids = corpus.documents, corpus.documents.ids
    assert (corpus.collapsed, list(ids), len(ids)) == (2, [document.id for document in made], 1500)
    assert (ids[-1], ids[498:502], ids.take([1400, 3])) == ("döc1499", [f"döc{i}" for i in range(498, 502)], ["döc1400", "döc3"])
    assert ids.rows_of(["döc1400", "döc7", "absent"]).tolist() == [1400, 7, -1]
    assert documents.lengths.tolist() == [len(document.text) for document in made]
    assert list(documents.texts(995, 1005)) == [f"text {i % 50}" for i in range(995, 1005)]
    assert [documents.place(row) for row in (0, 700, 1499)] == ["list:1", "list:701", "list:1500"]
    assert len(set(corpus.text_hashes.tolist())) == 50


@pytest.mark.parametrize(("mapped_bytes", "n_batches"), [(100, 4), (2**24, 1)], ids=["mapped", "in memory"])
def test_it_is_an_arrow_table_and_nothing_is_copied(mapped_bytes: int, n_batches: int) -> None:
    source = ListSource(documents(*map(str, range(1600))))
    corpus = read_again(source, mapped_bytes=mapped_bytes, report_every=500).documents
    table = corpus.table()
    assert table.schema.to_string() == "id: large_string\nposition: int64\ncharacters: int32"
    assert table.slice(1598).to_pylist() == [
        {"id": "d1598", "position": 15980, "characters": 10}, {"id": "d1599", "position": 15990, "characters": 10},
    ]  # fmt: skip
    batches = [batch for batch in corpus.ids._batches() if len(batch.ends) > 1]
    assert len(batches) == n_batches
    for number, batch in enumerate(batches):
        columns = (batch.letters, batch.columns["position"], batch.columns["characters"])
        buffers = (table[name].chunk(number).buffers()[-1] for name in ("id", "position", "characters"))
        assert [buffer.address for buffer in buffers] == [column.ctypes.data for column in columns]


def test_what_is_known_of_a_large_corpus_lies_in_one_arrow_file() -> None:
    source = ListSource(documents(*map(str, range(1500))))
    ids = read_again(source, mapped_bytes=100, report_every=500).documents.ids
    ids._file.seek(0)
    table = pa.ipc.open_stream(ids._file.read()).read_all()
    assert table.column_names == ["id", "hash", "position", "characters", "text"]
    assert table["id"].to_pylist() == [f"d{i}" for i in range(1500)]
    assert [column.base is not None for batch in ids._mapped for column in batch.columns.values()] == [True] * 3 * 4


def test_where_there_is_no_room_for_them_the_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EnvironmentFault, match=r"cannot keep what is known of each document in .*: No space left") as caught:
        read_corpus(ListSource(documents(*map(str, range(50)))), mapped_bytes=100)
    assert "TMPDIR" in caught.value.hint


@pytest.fixture(params=[0, 2**24], ids=["left in the source", "held"])
def held_characters(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_a_small_corpus_is_read_once() -> None:
    source = ListSource(documents("zero", "one", "two"))
    corpus = read_corpus(source).documents
    source.read = 0
    assert (list(corpus.texts()), corpus.titles([2, 1])) == (["t0 zero", "t1 one", "t2 two"], ["t2", "t1"])
    assert source.read == 0


def test_another_process_reads_a_small_corpus_from_its_source() -> None:
    corpus = pickle.loads(pickle.dumps(read_corpus(ListSource(documents("zero", "one"))).documents))
    assert corpus._held is None
    assert list(corpus.texts()) == ["t0 zero", "t1 one"]


def test_a_corpus_of_many_small_documents_is_not_held() -> None:
    assert read_corpus(ListSource(documents(*"abc")), held_characters=1000).documents._held is not None
    assert read_corpus(ListSource(documents(*"abcd")), held_characters=1000).documents._held is None


@pytest.mark.parametrize("seeks", [True, False])
def test_texts_and_titles_of_any_rows(seeks: bool, held_characters: int) -> None:
    source = ListSource(documents("zero", "one", "two", "three"), seeks)
    corpus = read_corpus(source, held_characters=held_characters).documents
    assert list(corpus.texts()) == ["t0 zero", "t1 one", "t2 two", "t3 three"]
    assert list(corpus.texts(1, 3)) == ["t1 one", "t2 two"]
    assert list(corpus.texts(3, 99)) == ["t3 three"]
    assert list(corpus.texts(2, 2)) == []
    assert corpus.titles([3, 0, 3]) == ["t3", "t0", "t3"]
    assert corpus.titles([]) == []


@pytest.mark.parametrize("seeks", [True, False])
def test_excerpts_are_the_beginnings_of_any_rows(seeks: bool, held_characters: int) -> None:
    source = ListSource(documents("zero", "one\n" + "x" * 400, "two"), seeks)
    corpus = read_corpus(source, held_characters=held_characters).documents
    assert corpus.excerpts([2, 1, 2]) == ["t2 two", "t1 one " + "x" * 312 + "…", "t2 two"]
    assert corpus.excerpts([]) == []


def test_a_compressed_file_is_not_read_again_for_the_excerpts_of_what_was_named() -> None:
    source = ListSource(documents("zero", "one", "two"), seeks=False)
    corpus = read_again(source).documents
    corpus.titles([2, 0])
    source.read = 0
    assert corpus.excerpts([0, 2]) == ["t0 zero", "t2 two"]
    assert source.read == 0
    assert corpus.excerpts([1]) == ["t1 one"], "what was not named is read"
    many = read_again(source).documents
    many.titles([2, 0], most_beginnings=1)
    assert many.excerpts([0, 2]) == ["t0 zero", "t2 two"], "of too many documents nothing is kept: the file is read once more"
    assert many._beginnings == {}


def test_a_range_of_texts_reads_no_other_document() -> None:
    source = ListSource(documents("zero", "one", "two", "three"))
    corpus = read_again(source).documents
    source.read = 0
    assert list(corpus.texts(1, 3)) == ["t1 one", "t2 two"]
    assert source.read == 2


@pytest.mark.parametrize("seeks", [True, False])
def test_repeated_documents_are_collapsed_and_skipped_when_read_again(seeks: bool, held_characters: int) -> None:
    first, second, third = documents("zero", "one", "two")
    corpus = read_corpus(ListSource([first, second, first, third, second], seeks), held_characters=held_characters)
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
    corpus = read_again(source).documents
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
    assert corpus.ids.column("position").dtype == np.int64


def test_reading_tells_how_far_it_is() -> None:
    events: list[Event] = []
    read_corpus(ListSource(documents("zero", "one", "two", "three", "four")), events.append, report_every=2)
    assert events == [Progress("reading", 2, None, "documents"), Progress("reading", 4, None, "documents")]
