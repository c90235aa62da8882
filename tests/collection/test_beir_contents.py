"""BEIR folders: what ids, judgments and texts say of each other, FAULTS.md rows 11 to 21, 61 and 66."""

from __future__ import annotations

import unicodedata

import pytest
from beir_folders import COUNT, STRICT, Folder, codes, judged, load, refused

from mrl_sweep.collection import LoadOptions, MissingDocs, NoRelevant, own_rows
from mrl_sweep.types import Qrels

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
    assert refused(path, strict).message == "strict: 1 missing document"


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
    assert refused(path, STRICT).message == "strict: 1 query without relevant"


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
    assert refused(path, STRICT).message == "strict: 1 query without text (q1)"


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
            "corpus": "strict: 1 document with half a character (q2)",
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
