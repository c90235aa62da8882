"""BEIR folders: what is read, and every fault of FAULTS.md rows 1 to 19 and 21."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.collection import LoadOptions, MissingDocs, NoRelevant, load_collection, own_rows
from mrl_sweep.collection.reading.folders import files_digest
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection, Qrels

Folder = Callable[..., Path]
STRICT = LoadOptions(strict=True)
COUNT = LoadOptions(missing_docs=MissingDocs.COUNT)


def load(path: Path, options: LoadOptions | None = None, split: str | None = None) -> Collection:
    return load_collection(str(path), split=split, options=options or LoadOptions())


def refused(path: Path, options: LoadOptions | None = None, split: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load(path, options, split)
    assert caught.value.exit_code == 2
    return caught.value


def judged(collection: Collection) -> dict[str, dict[str, int]]:
    """Judgments by id again; missing documents under "?"."""
    qrels = collection.qrels
    found: dict[str, dict[str, int]] = {query: {} for query in collection.queries.ids}
    for query, row, grade in zip(qrels.queries.tolist(), qrels.rows.tolist(), qrels.grades.tolist(), strict=True):
        found[collection.queries.ids[query]][collection.documents.ids[row] if row >= 0 else "?"] = grade
    return found


def codes(collection: Collection) -> list[str]:
    return [remark.code for remark in collection.warnings]


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
    assert error.hint == "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"


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
    assert refused(path, STRICT).message == "strict: 1 repeated documents"


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
    assert refused(path, STRICT).message == "strict: 1 repeated judgments"


def test_row_10_conflicting_judgments_name_both_lines(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq2\td2\t1\nq1\td1\t0\n")
    file = path / "qrels" / "test.tsv"
    assert refused(path).message == f"{file}:3: query q1, document d1 has grade 0 here and 1 at {file}:1"


# Row 11


def test_row_11_whole_number_ids_are_their_digits(folder: Folder) -> None:
    path = folder(corpus='{"_id": 1, "text": "a"}\n{"_id": "01", "text": "b"}\n', qrels="q1\t1\t1\nq2\t01\t1\n")
    assert judged(load(path)) == {"q1": {"1": 1}, "q2": {"01": 1}}


def test_row_11_the_likely_cause_is_named_when_nothing_matches(folder: Folder) -> None:
    path = folder(corpus='{"_id": "001", "text": "a"}\n{"_id": "002", "text": "b"}\n', qrels="q1\t1\t1\nq2\t2\t1\n")
    error = refused(path)
    assert (
        error.message == f"2 of 2 judged documents (100.0%) in {path / 'qrels/test.tsv'} are not in {path / 'corpus.jsonl'}: 1, 2"
    )
    assert error.hint.startswith('the ids differ by leading zeros or a decimal point: "1" in ')


def test_row_11_unicode_forms_are_told_apart(folder: Folder) -> None:
    nfc, nfd = "é", unicodedata.normalize("NFD", "é")
    path = folder(corpus=[{"_id": nfc, "text": "a"}], qrels=f"q1\t{nfd}\t1\n")
    assert "the Unicode form (NFC against NFD)" in refused(path).hint


def test_row_11_swapped_columns_are_recognised(folder: Folder) -> None:
    error = refused(folder(qrels="d1\tq1\t1\nd2\tq2\t1\n"))
    assert "look swapped: its document column holds query ids" in error.hint


def test_row_11_a_wrong_split_is_suspected(folder: Folder) -> None:
    error = refused(folder(qrels={"test": "z1\td1\t1\n", "dev": "q1\td1\t1\n"}))
    assert error.hint == "is it the right --split? There are dev, test"


# Row 12


def test_row_12_missing_documents_are_refused_with_count_and_share(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq1\tgone\t1\nq2\td2\t1\nq2\tgone\t2\n")
    error = refused(path)
    assert (
        error.message == f"1 of 3 judged documents (33.3%) in {path / 'qrels/test.tsv'} are not in {path / 'corpus.jsonl'}: gone"
    )
    assert error.hint.startswith("--missing-docs count keeps them")


def test_row_12_missing_documents_stay_in_the_judgments_when_counted(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq1\tgone\t1\nq2\td2\t1\nq2\tgone\t2\n")
    collection = load(path, COUNT)
    assert collection.qrels.rows.tolist() == [0, Qrels.MISSING, 1, Qrels.MISSING]
    assert collection.qrels.grades.tolist() == [1, 1, 1, 2]
    assert collection.excluded == {"missing_documents": 1}
    assert [remark.message for remark in collection.warnings] == [
        "2 of 4 judgments are of documents that are not in the corpus: they count as never found"
    ]
    strict = LoadOptions(missing_docs=MissingDocs.COUNT, strict=True)
    assert refused(path, strict).message == "strict: 1 missing documents"


def test_row_12_a_corpus_without_any_judged_document_is_never_evaluated(folder: Folder) -> None:
    assert "2 of 2 judged documents (100.0%)" in refused(folder(qrels="q1\tx\t1\nq2\ty\t1\n"), COUNT).message


# Rows 13 and 14


def test_row_13_a_judged_query_that_does_not_exist_is_refused(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t1\nq9\td1\t1\n")
    error = refused(path)
    assert error.message == f"1 of 2 judged queries (50.0%) in {path / 'qrels/test.tsv'} are not in {path / 'queries.jsonl'}: q9"


def test_row_13_a_query_without_judgments_is_set_aside_and_counted(folder: Folder) -> None:
    path = folder(qrels="q2\td2\t1\n")
    collection = load(path, STRICT)
    assert collection.queries.ids == ("q2",)
    assert collection.excluded == {"queries_without_judgments": 1}
    file_rows = collection.queries.file_rows
    assert file_rows is not None
    assert (file_rows.rows.tolist(), file_rows.count) == ([1], 2)


def test_row_14_a_query_without_a_relevant_document_is_set_aside_and_counted(folder: Folder) -> None:
    path = folder(qrels="q1\td1\t0\nq1\td2\t-1\nq2\td2\t1\n")
    collection = load(path)
    assert judged(collection) == {"q2": {"d2": 1}}
    assert collection.excluded == {"queries_without_relevant": 1}
    assert refused(path, STRICT).message == "strict: 1 queries without relevant"


def test_row_14_or_kept_as_zero(folder: Folder) -> None:
    collection = load(folder(qrels="q1\td1\t0\nq2\td2\t1\n"), LoadOptions(no_relevant=NoRelevant.ZERO))
    assert judged(collection) == {"q1": {"d1": 0}, "q2": {"d2": 1}}
    assert collection.excluded == {}


# Rows 15 and 16


@pytest.mark.parametrize("grade", ["1.7", "yes", "", "99999999999"])
def test_row_15_other_grades_are_refused_with_their_line(folder: Folder, grade: str) -> None:
    path = folder(qrels=f"query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t{grade}\n")
    assert refused(path).message.startswith(f"{path / 'qrels/test.tsv'}:3: ")


@pytest.mark.parametrize(
    "qrels", ["q1\td1\t1\nq2\td2\t1\n", "q1 0 d1 1\nq2 0 d2 1\n", "query-id corpus-id score\nq1 d1 1\nq2 d2 1"]
)
def test_row_16_every_layout_gives_the_same_judgments(folder: Folder, qrels: str) -> None:
    assert judged(load(folder(qrels=qrels))) == {"q1": {"d1": 1}, "q2": {"d2": 1}}


# Rows 17, 18 and 19


def test_row_17_queries_that_are_documents_suggest_the_flag(folder: Folder) -> None:
    path = folder(
        queries=[{"_id": "d2", "text": "Snow is cold."}, {"_id": "q1", "text": "x"}],
        qrels="d2\td1\t1\nq1\td1\t1\n",
    )
    collection = load(path)
    (remark,) = collection.warnings
    assert remark.code == "queries-are-documents"
    assert remark.message == "1 of 2 query ids are document ids too, with the same text: each such query finds itself first"
    assert "--exclude-identical" in remark.hint
    assert own_rows(collection).tolist() == [1, -1]


def test_row_17_equal_numbers_with_other_texts_are_told_apart(folder: Folder) -> None:
    path = folder(queries=[{"_id": "d2", "text": "a question"}], qrels="d2\td1\t1\n")
    (remark,) = load(path).warnings
    assert "but the texts differ" in remark.message


def test_row_17_is_silent_where_it_is_rare(folder: Folder) -> None:
    queries = [{"_id": f"q{i}", "text": "x"} for i in range(10)] + [{"_id": "d2", "text": "Snow is cold."}]
    qrels = "".join(f"{query['_id']}\td1\t1\n" for query in queries)
    assert codes(load(folder(queries=queries, qrels=qrels))) == []


def test_row_18_copies_of_a_relevant_document_without_a_judgment_are_counted(folder: Folder) -> None:
    copies = [{"_id": f"c{i}", "text": "same"} for i in range(3)] + [{"_id": "d", "title": "sa", "text": "me"}]
    collection = load(folder(corpus=copies, qrels="q1\tc0\t1\nq1\tc2\t0\nq2\td\t1\n"))
    (remark,) = collection.warnings
    assert remark.code == "unjudged-copies"
    assert remark.message == "1 document has exactly the text of a relevant one but no judgment of the same query: c1"


def test_row_19_texts_that_are_empty_are_counted_and_named(folder: Folder) -> None:
    corpus = [{"_id": "d1", "text": "a"}, {"_id": "e1", "text": ""}, {"_id": "e2", "title": " ", "text": "\n"}]
    path = folder(corpus=corpus, qrels="q1\td1\t1\nq2\td1\t1\n")
    collection = load(path)
    (remark,) = collection.warnings
    assert remark.code == "empty-documents"
    assert remark.message == "2 documents have no text: e1, e2"
    assert list(collection.documents.texts()) == ["a", "", ""]
    assert refused(path, STRICT).message == "strict: 2 documents without text (e1, e2)"


def test_row_19_empty_queries_are_counted_and_named(folder: Folder) -> None:
    path = folder(queries=[{"_id": "q1", "text": " "}, {"_id": "q2", "text": "b"}], qrels="q1\td1\t1\nq2\td1\t1\n")
    (remark,) = load(path).warnings
    assert remark.message == "1 query has no text: q1"
    assert refused(path, STRICT).message == "strict: 1 queries without text (q1)"


# Row 21


HALF = '{"_id": "q1", "text": "a"}\n{"_id": "q2", "text": "ab\\ud83d"}\n'


@pytest.mark.parametrize("name", ["corpus", "queries"])
def test_row_66_a_text_with_half_a_character_is_named_and_the_others_go_on(folder: Folder, name: str) -> None:
    judged_document = "q1" if name == "corpus" else "d1"
    path = folder(**{name: HALF}, qrels=f"q1\t{judged_document}\t1\n")
    (remark,) = [remark for remark in load(path).warnings if remark.code == "half-characters"]
    holder = "document holds" if name == "corpus" else "query holds"
    assert remark.message == f"1 {holder} half a character, cut inside a surrogate pair, which is read as U+FFFD: q2"
    message = refused(path, STRICT).message
    assert (
        message
        == {
            "corpus": "strict: 1 documents with half a character (q2)",
            "queries": f"strict: {path / 'queries.jsonl'}:2: query q2: its text holds half a character",
        }[name]
    )


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ('{"lang": NaN}', {}),
        ('{"lang": -Infinity, "kind": "a"}', {"kind": "a"}),
        ('{"lang": 1e999}', {}),
        ('{"tags": ["a", NaN], "of": {"score": Infinity, "n": 1}}', {"tags": ["a"], "of": {"score": None, "n": 1}}),
    ],
)
def test_row_61_a_number_that_is_none_is_read_as_missing_and_counted(folder: Folder, written: str, left: object) -> None:
    path = folder(queries=f'{{"_id": "q1", "text": "a", "metadata": {written}}}\n', qrels="q1\td1\t1\n")
    collection = load(path)
    assert collection.queries.metadata == (left,)
    (remark,) = collection.warnings
    assert (remark.code, remark.message.endswith("read as missing: q1")) == ("metadata-missing", True)
    assert refused(path, STRICT).message.startswith(f"strict: {path / 'queries.jsonl'}:1: query q1: its metadata holds")


@pytest.mark.parametrize("field", ["score", "views"])
def test_row_61_beside_the_metadata_too(folder: Folder, field: str) -> None:
    path = folder(queries=f'{{"_id": "q1", "text": "a", "{field}": NaN}}\n', qrels="q1\td1\t1\n")
    assert load(path).queries.metadata == ({},)


def test_row_21_odd_ids_are_accepted_and_escaped_in_messages(folder: Folder) -> None:
    corpus = [{"_id": "a\x00b", "text": ""}, {"_id": "\ud800", "text": ""}, {"_id": "c\x1b[31m", "text": "x"}]
    path = folder(corpus=corpus, qrels="q1\tc\x1b[31m\t1\nq2\ta\x00b\t1\n")
    collection = load(path)
    assert list(collection.documents.ids) == ["a\x00b", "\ud800", "c\x1b[31m"]
    assert judged(collection) == {"q1": {"c\x1b[31m": 1}, "q2": {"a\x00b": 1}}
    assert collection.warnings[0].message == "2 documents have no text: a\\x00b, \\ud800"
    assert "\\x1b[31m" in refused(folder(corpus=corpus, qrels="q1\tz\x1b[31m\t1\nq2\ta\x00b\t1\n")).message
