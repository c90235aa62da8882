"""CSV, TSV and Parquet tables: quoted fields, usual names, and what is refused with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.collection import LoadOptions, load_collection
from mrl_sweep.collection.files import Reading, documents_of, table_of
from mrl_sweep.collection.reading.folders import Spec
from mrl_sweep.collection.reading.text_sources import RowSource, parquet_rows
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

READING = Reading(Spec("", None), quoted=True, limit=1000)
TEXT = st.text(st.sampled_from('ab",;\t\n\r \u2028é'), max_size=6)


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
    found = list(source.scan())
    assert [document.text for _, document in found] == texts
    for i, (position, _) in enumerate(found):
        assert next(source.scan(position))[1].text == texts[i]


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
    def paths(self, tmp_path: Path) -> list[Path]:
        """Rows 0 to 4 and 5 to 6 in two files, two a group, with a column of vectors."""
        table = pa.table({"id": list(range(7)), "text": [f"t{i}" for i in range(7)], "vector": [[float(i)] for i in range(7)]})
        paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
        pq.write_table(table.slice(0, 5), paths[0], row_group_size=2)
        pq.write_table(table.slice(5), paths[1])
        return paths

    def test_rows_from_every_position(self, paths: list[Path]) -> None:
        rows = parquet_rows(paths)
        for start in range(8):
            assert [(row.position, dict(row.fields)) for row in rows(start)] == [
                (i, {"id": i, "text": f"t{i}"}) for i in range(start, 7)
            ]

    def test_whole_number_ids_are_their_digits(self, paths: list[Path]) -> None:
        source = RowSource("parts", parquet_rows(paths), {})
        assert [document.id for _, document in source.scan(4)] == ["4", "5", "6"]
        assert source.place(4) == "parts row 5"

    def test_a_null_text_is_empty_and_a_null_id_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "corpus.parquet"
        pq.write_table(pa.table({"id": ["a", None], "text": [None, "t"]}), path)
        scan = documents_of(path, READING).scan()
        assert next(scan)[1].text == ""
        with pytest.raises(InputError, match=r'corpus.parquet row 2: "id" must be a string that is not empty, not null'):
            next(scan)

    def test_a_cut_off_file_is_refused(self, paths: list[Path]) -> None:
        paths[0].write_bytes(paths[0].read_bytes()[:-20])
        with pytest.raises(InputError, match=r"cannot read .*a.parquet: "):
            list(parquet_rows(paths)(0))


@pytest.mark.parametrize("pack", [lambda data: data, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
def test_parts_read_one_after_the_other_are_the_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = "id,text\n" + "".join(f'd{i},"line\n{i}"\n' for i in range(20))
    folder = write(tmp_path, qrels__csv="qid,docid,rel\n1,d1,1\n")
    (folder / "corpus.csv").write_bytes(pack(text.encode()))
    documents = load(folder).documents
    parts = [list(documents.texts(start, start + 6)) for start in range(0, 20, 6)]
    assert [text for part in parts for text in part] == [f"line\n{i}" for i in range(20)]
    assert list(documents.texts(3, 5)) == ["line\n3", "line\n4"]
