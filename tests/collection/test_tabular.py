"""CSV, TSV and Parquet tables: quoted fields, usual names, and what is refused with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reread import load_collection

from mrl_sweep.collection import LoadOptions
from mrl_sweep.collection.files import Reading, documents_of, table_of
from mrl_sweep.collection.reading.folders import Spec
from mrl_sweep.collection.reading.records import Document, Source
from mrl_sweep.collection.reading.tables import documents, rows_of
from mrl_sweep.collection.reading.text_sources import RowSource, parquet_blocks
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

READING = Reading(Spec("", None), quoted=True, limit=1000)
TEXT = st.text(st.sampled_from('ab",;\t\n\r \u2028é'), max_size=6)


def pairs(source: Source, position: int = 0) -> list[tuple[int, Document]]:
    return [pair for batch in source.batches(position, 9) for pair in batch.pairs()]


def write(folder: Path, **files: str) -> Path:
    usual = {
        "corpus.csv": "id,text\nd1,a\nd2,b\n",
        "queries.csv": "id,text\n1,x\n2,y\n",
        "qrels.csv": "qid,docid,rel\n1,d1,1\n2,d2,2\n",
    }
    for name, text in {**usual, **{name.replace("__", "."): text for name, text in files.items()}}.items():
        (folder / name).write_bytes(text.encode())
    return folder


def load(folder: Path, settings: str = "", options: LoadOptions | None = None) -> Collection:
    return load_collection(f"csv:{folder}{settings}", options=options)


def refused(folder: Path, settings: str = "", options: LoadOptions | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, settings, options)
    return caught.value


@given(st.lists(TEXT, min_size=1, max_size=5), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_text_that_csv_writes_is_read_back_from_every_row(
    tmp_path: Path, texts: list[str], delimiter: str, end: str, bom: bool
) -> None:
    out = io.StringIO()
    has_return = any("\r" in text for text in texts)
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL)
    writer.writerows([("id", "text"), *((f"d{i}", text) for i, text in enumerate(texts))])
    path = tmp_path / "corpus.csv"
    path.write_bytes(("\ufeff" * bom + out.getvalue()).encode())
    source = documents_of(path, READING)
    found = pairs(source)
    assert [document.text for _, document in found] == texts
    for i, (position, _) in enumerate(found):
        assert pairs(source, position)[0][1].text == texts[i]


def test_a_record_over_several_lines_is_placed_at_its_first(tmp_path: Path) -> None:
    path = tmp_path / "corpus.csv"
    path.write_text('id,text\nd1,"a\nb"\nd2,c\nd3\n')
    table = table_of(path, READING, {})
    assert table is not None
    rows = table[0]
    assert [(row.number, dict(row.fields)) for row in (next(rows), next(rows))] == [
        (2, {"id": "d1", "text": "a\nb"}),
        (4, {"id": "d2", "text": "c"}),
    ]
    with pytest.raises(InputError, match=r"corpus.csv:5: 1 fields where the header has 2: d3"):
        next(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id,text\nd1,"a" b\n', "corpus.csv:2: ',' expected after '\"'"),
        ('id,text\nd1,"open\n', "corpus.csv:2: unexpected end of data"),
        ("id,id\nd1,a\n", "corpus.csv:1: a column name occurs twice: id,id"),
        ("name,blurb\nd1,a\n", "corpus.csv:2: no column is known to hold the id; the columns are name, blurb"),
        ("", "corpus.csv holds no documents"),
        ('id,text\nd1,"' + "a\n" * 600 + '"\n', "corpus.csv:2: this record is longer than max_line_bytes = 500"),
        ("id,text\n,a\n", 'corpus.csv:2: "id" must be a string that is not empty'),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(write(tmp_path, corpus__csv=text), options=LoadOptions(max_line_bytes=500)).message


def test_quotation_marks_may_be_part_of_the_text(tmp_path: Path) -> None:
    folder = write(tmp_path, corpus__csv='id,text\nd1,"a" b\nd2,"\n')
    assert list(load(folder, ",quotes=none").documents.texts()) == ['"a" b', '"']
    assert "quotes=none" in refused(folder).hint


def test_other_columns_of_queries_become_metadata(tmp_path: Path) -> None:
    folder = write(tmp_path, queries__csv='id,text,lang,metadata.kind,metadata\n1,x,de,wet,"{""words"": 5}"\n2,y,,,\n')
    assert load(folder).queries.metadata == ({"lang": "de", "kind": "wet", "words": 5}, {})


def test_metadata_that_is_no_object_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, queries__csv="id,text,metadata\n1,x,[1]\n")
    assert refused(folder).message == f"{folder / 'queries.csv'}:2: metadata must be an object, not [1]"


def test_pairs_without_grades_are_relevant(tmp_path: Path) -> None:
    assert load(write(tmp_path, qrels__csv="query_id,doc_id\n1,d1\n2,d2\n")).qrels.grades.tolist() == [1, 1]


def test_a_grade_that_is_no_number_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = write(tmp_path, qrels__csv="qid,docid,rel\n1,d1,yes\n")
    assert refused(folder).message == f'{folder / "qrels.csv"}:2: a grade must be a whole number, this one is "yes"'


def test_settings_name_files_and_parts(tmp_path: Path) -> None:
    folder = write(tmp_path)
    files = ",".join(f"{part}={folder / part}.csv" for part in ("corpus", "queries", "qrels"))
    assert load_collection(f"csv:{files}").queries.ids == ("1", "2")
    with pytest.raises(InputError, match="csv:corpus=x names no queries and no qrels"):
        load_collection("csv:corpus=x")
    assert refused(folder, ",quotes=all").message == "quotes=all is not understood"


class TestParquet:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Seven rows, two a group, with a column of vectors."""
        table = pa.table({"id": list(range(7)), "text": [f"t{i}" for i in range(7)], "vector": [[float(i)] for i in range(7)]})
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
        return tmp_path / "a.parquet"

    def test_rows_from_every_position(self, path: Path) -> None:
        for start in range(8):
            rows = [row for block in parquet_blocks(path)(start, 3) for row in block.rows()]
            assert [(row.position, dict(row.fields)) for row in rows] == [
                (i, {"id": i, "text": f"t{i}"}) for i in range(start, 7)
            ]

    def test_whole_number_ids_are_their_digits(self, path: Path) -> None:
        source = RowSource("parts", parquet_blocks(path), {})
        assert [document.id for _, document in pairs(source, 4)] == ["4", "5", "6"]
        assert source.place(4) == "parts row 5"

    def test_of_a_single_document_no_other_row_is_turned_into_text(self, path: Path) -> None:
        assert list(next(RowSource("x", parquet_blocks(path), {}).batches(2, 1)).ids) == ["2"]

    @pytest.mark.parametrize(
        ("columns", "named"),
        [
            ({"id": ["a", "b"], "text": ["x", None]}, {}),
            ({"id": ["a", "b"], "title": ["t", None], "text": ["x", "y"]}, {}),
            ({"id": [7, 8], "text": ["x", "y"]}, {}),
            ({"id": ["a", "b"], "text": [b"x", None]}, {}),
            ({"id": [1.0, 2.0], "text": ["x", "y"]}, {}),
            ({"sku": ["a", "b"], "text": ["x", "y"], "body": ["z", None]}, {"id": "sku", "text": "body"}),
            ({"doc": [{"id": "a"}, {"id": "b"}], "text": ["x", "y"]}, {"id": "doc.id"}),
        ],
    )  # fmt: skip
    def test_columns_taken_over_whole_are_what_the_rows_are(
        self, columns: dict[str, Any], named: dict[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "corpus.parquet"
        pq.write_table(pa.table(columns), path)
        source = RowSource("x", parquet_blocks(path, named.values()), named)
        one_by_one = list(documents(rows_of(source.blocks), named, source.place))
        assert pairs(source) == one_by_one
        assert len(one_by_one) == 2

    def test_a_null_text_is_empty_and_a_null_id_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "corpus.parquet"
        pq.write_table(pa.table({"id": ["a", None], "text": [None, "t"]}), path)
        batches = documents_of(path, READING).batches(0, 1)
        assert list(next(batches).texts) == [""]
        with pytest.raises(InputError, match=r'corpus.parquet row 2: "id" must be a string that is not empty, not null'):
            next(batches)

    def test_a_cut_off_file_is_refused(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(InputError, match=r"cannot read .*a.parquet: "):
            list(parquet_blocks(path)(0, 9))


@pytest.mark.parametrize("pack", [lambda data: data, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
def test_parts_read_one_after_the_other_are_the_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = "id,text\n" + "".join(f'd{i},"line\n{i}"\n' for i in range(20))
    folder = write(tmp_path, qrels__csv="qid,docid,rel\n1,d1,1\n")
    (folder / "corpus.csv").write_bytes(pack(text.encode()))
    documents = load(folder).documents
    parts = [list(documents.texts(start, start + 6)) for start in range(0, 20, 6)]
    assert [text for part in parts for text in part] == [f"line\n{i}" for i in range(20)]
    assert list(documents.texts(3, 5)) == ["line\n3", "line\n4"]
