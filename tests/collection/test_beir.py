"""BEIR folders: what is read, and the faults of files and lines, FAULTS.md rows 1 to 10."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from beir_folders import STRICT, Folder, judged, load, refused
from hypothesis import given
from hypothesis import strategies as st
from reread import load_collection

from mrl_sweep.collection import LoadOptions
from mrl_sweep.collection.reading.folders import files_digest
from mrl_sweep.errors import InputError

# What is read


def test_a_folder_becomes_a_collection(folder: Folder) -> None:
    path = folder()
    collection = load(path)
    assert collection.name == path.name
    assert list(collection.documents.ids) == ["d1", "d2", "d3"]
    assert list(collection.documents.texts()) == ["Rain It falls on the plain.", "Snow is cold.", "Hail hurts."]
    assert collection.documents.titles([2, 0]) == ["Hail hurts.", "Rain"]
    assert collection.queries.ids == ("q1", "q2")
    assert collection.queries.texts == ("what falls on the plain", "what is cold")
    assert collection.queries.metadata == ({"kind": "wet", "words": 5}, {})
    assert collection.qrels.offsets.tolist() == [0, 1, 3]
    assert collection.qrels.rows.tolist() == [0, 1, 2]
    assert collection.qrels.grades.tolist() == [2, 1, 0]
    assert collection.excluded == {}
    assert collection.warnings == ()


def test_facts_describe_the_collection(folder: Folder) -> None:
    path = folder()
    facts = dict(load(path).facts)
    digest = facts.pop("judgments_digest")
    assert len(digest) == 32
    assert facts == {
        "source": str(path),
        "layout": "beir",
        "split": "test",
        "documents": 3,
        "document_characters": 51,
        "queries": 2,
        "judgments": 3,
        "relevant": 2,
        "files": {name: (path / name).stat().st_size for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")},
        "digest": files_digest([path / name for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")]),
    }
    json.dumps(facts)


def test_the_digest_tells_judgments_apart_and_not_their_order(folder: Folder) -> None:
    def digest(qrels: str) -> object:
        return load(folder(qrels=qrels)).facts["judgments_digest"]

    assert digest("q1\td1\t1\nq2\td2\t1\n") == digest("q2\td2\t1\nq1\td1\t1\n")
    assert digest("q1\td1\t1\nq2\td2\t1\n") != digest("q1\td1\t2\nq2\td2\t1\n")
    assert digest("q1\td1\t1\nq2\td2\t1\n") != digest("q1\td1\t1\nq2\td3\t1\n")
    assert digest("q1\td1\t1\nq2\td2\t1\n") != digest("q1\td1\t1\n")


def test_judgments_lie_in_the_order_of_document_ids_whatever_the_file_s(folder: Folder) -> None:
    collection = load(folder(qrels="q2\td3\t1\nq1\td2\t1\nq2\td1\t2\n"))
    assert collection.qrels.rows.tolist() == [1, 0, 2]
    assert collection.qrels.grades.tolist() == [1, 2, 1]


def test_the_only_split_is_taken_and_test_before_others(folder: Folder) -> None:
    assert load(folder(qrels={"dev": "q1\td1\t1\n"})).facts["split"] == "dev"
    assert load(folder(qrels={"dev": "q1\td1\t1\n", "test": "q2\td2\t1\n"})).facts["split"] == "test"
    assert load(folder(), split="dev").queries.ids == ("q1",)


def test_an_unknown_split_lists_those_that_exist(folder: Folder) -> None:
    path = folder(qrels={"dev": "q1\td1\t1\n", "train": "q2\td2\t1\n"})
    error = refused(path, split="trian")
    assert error.message == f"no split trian in {path / 'qrels'}; the splits there are dev, train"
    assert error.hint == "--split train"
    assert "the splits there are dev, train" in refused(path).message


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)), ("", gzip.compress)],
)
def test_compressed_files_are_read_transparently(folder: Folder, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = folder()
    plain = load(path)
    texts = list(plain.documents.texts())
    for file in list(path.rglob("*.jsonl")) + list(path.rglob("*.tsv")):
        data = file.read_bytes()
        file.unlink()
        file.with_name(file.name + suffix).write_bytes(pack(data))
    packed = load(path)
    assert list(packed.documents.texts()) == texts
    assert list(packed.documents.texts(1, 2)) == ["Snow is cold."]
    assert packed.documents.titles([2, 0]) == ["Hail hurts.", "Rain"]
    assert judged(packed) == judged(plain)
    assert packed.facts["judgments_digest"] == plain.facts["judgments_digest"]


def test_a_corpus_that_changes_after_loading_is_noticed(folder: Folder) -> None:
    path = folder()
    documents = load(path).documents
    with (path / "corpus.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"corpus.jsonl has changed since it was read"):
        list(documents.texts(1))


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \r\n"]),
    st.booleans(),
)
def test_any_text_survives_any_way_of_writing_it(
    folder: Folder, texts: list[tuple[str, str]], ascii_only: bool, end: str, bom: bool
) -> None:
    records = [{"_id": f"d{i}", "title": title, "text": text} for i, (title, text) in enumerate(texts)]
    corpus = end.join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    path = folder(corpus=("\ufeff" if bom else "") + corpus, qrels="q1\td0\t1\n")
    documents = load(path).documents
    assert list(documents.texts()) == [f"{title} {text}".strip() for title, text in texts]
    assert [next(documents.texts(i, i + 1)) for i in range(len(texts))] == list(documents.texts())


# Row 1


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_row_1_missing_files_are_named(folder: Folder, name: str) -> None:
    path = folder()
    (path / name).unlink()
    error = refused(path)
    assert error.message.startswith(f"cannot read {path / name}: no such file; the folder holds ")
    part = name.partition(".")[0]
    holds = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
    assert error.hint == f"name the file: {path},{part}=FILE; {holds}"


def test_row_1_missing_judgments_are_named(folder: Folder) -> None:
    path = folder()
    (path / "qrels" / "test.tsv").unlink()
    assert refused(path).message == f"nothing to evaluate: {path} holds no judgments, and qrels/ holds nothing"
    (path / "qrels").rmdir()
    holds = f"{path.name}/ holds corpus.jsonl, queries.jsonl"
    assert refused(path).message == f"nothing to evaluate: {path} holds no judgments, and {holds}"


def test_row_1_each_way_out_that_the_hint_of_missing_judgments_names_leads_on(folder: Folder) -> None:
    path = folder()
    judged = (path / "qrels" / "test.tsv").rename(path / "elsewhere.tsv")
    hint = refused(path).hint
    named = re.findall(r"put them into (\S+), .*file: (\S+)FILE; .*(--label-free)", hint)
    assert named == [(f"{path}/qrels/test.tsv", f"{path},qrels=", "--label-free")]
    right = load_collection(f"{named[0][1]}{judged}").qrels.grades.tolist()
    assert len(load_collection(str(path), options=LoadOptions(label_free=True)).qrels.grades) == 0
    judged.rename(named[0][0])
    assert load_collection(str(path)).qrels.grades.tolist() == right


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_row_1_a_folder_in_place_of_a_file(folder: Folder, name: str) -> None:
    path = folder()
    (path / name).unlink()
    (path / name).mkdir()
    assert refused(path).message == f"cannot read {path / name}: Is a directory"


def test_row_1_a_mistyped_folder_suggests_its_siblings(tmp_path: Path) -> None:
    (tmp_path / "scifact").mkdir()
    error = refused(tmp_path / "scifcat")
    assert error.message == f"cannot read {tmp_path / 'scifcat'}: no such folder"
    assert error.hint.startswith(f"did you mean {tmp_path / 'scifact'}? a BEIR folder holds ")


def test_row_1_a_file_in_place_of_the_folder(folder: Folder) -> None:
    path = folder() / "corpus.jsonl"
    assert refused(path).message == f"cannot read {path}: it is a file, not a folder"


# Row 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"corpus": ""}, "corpus.jsonl holds no documents"),
        ({"corpus": "\n\n"}, "corpus.jsonl holds no documents"),
        ({"queries": ""}, "queries.jsonl holds no queries"),
        ({"qrels": ""}, "test.tsv holds no judgments"),
        ({"qrels": "query-id\tcorpus-id\tscore\n"}, "test.tsv holds no judgments"),
        ({"qrels": "q1\td1\t0\nq2\td2\t-1\n"}, "is above 0"),
    ],
)
def test_row_2_nothing_to_evaluate(folder: Folder, files: dict[str, str], message: str) -> None:
    error = refused(folder(**files))
    assert error.message.startswith("nothing to evaluate: ")
    assert error.message.endswith(message)


# Rows 3 and 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "x", "text": "cut o', "corpus.jsonl:3: not JSON: Unterminated string starting at at column 22"),
        ("[1, 2]", "corpus.jsonl:3: a JSON object is needed, this is [1, 2]"),
        ('{"id": "x", "text": ""}', 'corpus.jsonl:3: no "_id"; the keys here are "id", "text"'),
        ('{"_id": "x"}', 'corpus.jsonl:3: no "text"; the keys here are "_id"'),
        ('{"_id": "", "text": "t"}', 'corpus.jsonl:3: "_id" must be a string that is not empty, not ""'),
        ('{"_id": true, "text": "t"}', 'corpus.jsonl:3: "_id" must be a string that is not empty, not true'),
        ('{"_id": 1.5, "text": "t"}', 'corpus.jsonl:3: "_id" must be a string that is not empty, not 1.5'),
        ('{"_id": "x", "text": ["t"]}', 'corpus.jsonl:3: "text" must be a string, not ["t"]'),
        ('{"_id": "x", "text": null}', 'corpus.jsonl:3: "text" must be a string, not null'),
        ('{"_id": "x", "title": 3, "text": "t"}', 'corpus.jsonl:3: "title" must be a string, not 3'),
        ("[" * 100_000, "corpus.jsonl:3: not JSON that can be read"),
        ('{"_id": ' + "1" * 5000 + "}", "corpus.jsonl:3: not JSON that can be read"),
    ],
)
def test_row_3_malformed_lines_name_file_and_line(folder: Folder, line: str, message: str) -> None:
    path = folder(corpus='{"_id": "d1", "text": "a"}\n\n' + line + "\n")
    assert message in refused(path).message


def test_row_3_a_malformed_query_names_its_line(folder: Folder) -> None:
    path = folder(queries='{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b", "metadata": [1]}\n')
    assert refused(path).message == f'{path / "queries.jsonl"}:2: "metadata" must be an object, not [1]'


def test_row_4_a_last_line_without_its_end_is_accepted(folder: Folder) -> None:
    path = folder(corpus='{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "b"}', qrels="q1\td1\t1\nq2\td2\t1")
    assert list(load(path).documents.texts()) == ["a", "b"]


def test_row_4_a_cut_off_last_line_is_refused(folder: Folder) -> None:
    path = folder(corpus='{"_id": "d1", "text": "a"}\n{"_id": "d2", "te')
    error = refused(path)
    assert "corpus.jsonl:2: not JSON" in error.message
    assert "was the file cut off?" in error.hint


# Row 5


def test_row_5_what_other_readers_break_lines_at_stays_in_the_text(folder: Folder) -> None:
    text = "a\u2028b\u2029c\x85d\x0ce\x0bf\x1cg"
    raw = json.dumps({"_id": "d1", "text": text}, ensure_ascii=False)
    raw = raw.replace("\\f", "\x0c").replace("\\u000b", "\x0b").replace("\\u001c", "\x1c")
    escaped = json.dumps({"_id": "d1", "text": text}, ensure_ascii=False)
    assert list(load(folder(corpus=escaped, qrels="q1\td1\t1\n")).documents.texts()) == [text]
    assert "corpus.jsonl:1: not JSON: Invalid control character" in refused(folder(corpus=raw)).message


def test_row_5_mark_crlf_and_blank_lines_are_accepted_everywhere(folder: Folder) -> None:
    path = folder()
    plain = load(path)
    texts = list(plain.documents.texts())
    for file in [*path.glob("*.jsonl"), path / "qrels" / "test.tsv"]:
        file.write_bytes(b"\xef\xbb\xbf\r\n\n" + file.read_bytes().replace(b"\n", b"\r\n\r\n  \r\n"))
    again = load(path)
    assert list(again.documents.texts()) == texts
    assert again.queries == plain.queries
    assert judged(again) == judged(plain)


# Rows 6 and 7


@pytest.mark.parametrize("name", ["corpus", "queries", "qrels"])
def test_row_6_bytes_that_are_not_utf8_are_named_by_offset(folder: Folder, name: str) -> None:
    data = {
        "corpus": b'{"_id": "d1", "text": "caf\xe9"}\n',
        "queries": b'{"_id": "q1", "text": "caf\xe9"}\n',
        "qrels": b"query-id\tcorpus-id\tscore\nq1\td\xe9\t1\n",
    }[name]
    error = refused(folder(**{name: data}))
    assert f"not UTF-8: byte 0xe9 at offset {data.index(0xE9)} of the file" in error.message
    assert "iconv" in error.hint


def test_row_7_a_line_beyond_the_limit_is_refused_with_the_limit_s_name(folder: Folder) -> None:
    path = folder(corpus='{"_id": "d1", "text": "' + "a" * 2000 + '"}\n')
    error = refused(path, LoadOptions(max_line_bytes=1000))
    assert error.message == f"{path / 'corpus.jsonl'}:1: this line is longer than max_line_bytes = 1,000"


# Rows 8, 9 and 10


def test_row_8_the_same_document_twice_counts_once(folder: Folder) -> None:
    path = folder(
        corpus='{"_id": "d1", "text": "a"}\n{"_id": "d2", "text": "b"}\n{"_id": "d1", "text": "a"}\n', qrels="q1\td1\t1\n"
    )
    collection = load(path)
    assert list(collection.documents.texts()) == ["a", "b"]
    assert collection.excluded == {"queries_without_judgments": 1, "repeated_documents": 1}
    assert refused(path, STRICT).message == "strict: 1 repeated document"


def test_row_8_one_id_with_two_texts_names_both_lines(folder: Folder) -> None:
    path = folder(corpus='{"_id": "d1", "text": "a"}\n\n{"_id": 2, "text": "b"}\n{"_id": "d1", "text": "c"}\n')
    file = path / "corpus.jsonl"
    assert refused(path).message == f"{file}:4: document id d1 is also at {file}:1, with another text"


def test_row_9_a_repeated_query_id_names_both_lines(folder: Folder) -> None:
    path = folder(queries='{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "b"}\n{"_id": "q1", "text": "a"}\n')
    file = path / "queries.jsonl"
    assert refused(path).message == f"{file}:3: query id q1 is also at {file}:1"


def test_row_10_a_repeated_judgment_counts_once(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq2\td2\t1\nq1\td1\t1\n")
    collection = load(path)
    assert judged(collection) == {"q1": {"d1": 1}, "q2": {"d2": 1}}
    assert collection.excluded == {"repeated_judgments": 1}
    assert refused(path, STRICT).message == "strict: 1 repeated judgment"


def test_row_10_conflicting_judgments_name_both_lines(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq2\td2\t1\nq1\td1\t0\n")
    file = path / "qrels" / "test.tsv"
    assert refused(path).message == f"{file}:3: query q1, document d1 has grade 0 here and 1 at {file}:1"
