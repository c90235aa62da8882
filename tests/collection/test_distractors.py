"""Distractors are searched behind the collection's own documents, and change no judgment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from reread import load_collection

from mrl_sweep.collection import LoadOptions
from mrl_sweep.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    corpus = [{"_id": "a", "title": "A", "text": "first"}, {"_id": "b", "title": "", "text": "second"}]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "ask"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    return tmp_path


def write_distractors(folder: Path, *documents: Any) -> Any:
    path = folder / "more.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return LoadOptions(distractors=path)


def test_distractors_stand_behind_the_corpus_and_are_read_in_any_order(folder: Path) -> None:
    options = write_distractors(folder, {"_id": "x", "title": "X", "text": "third"}, {"_id": "y", "title": "", "text": "fourth"})
    documents = load_collection(str(folder), options=options).documents
    assert list(documents.ids) == ["a", "b", "x", "y"]
    assert list(documents.texts()) == ["A first", "second", "X third", "fourth"]
    assert list(documents.texts(3)) == ["fourth"]
    assert documents.titles([2, 0]) == ["X", "A"]


def test_judgments_stay_as_they_are(folder: Path) -> None:
    plain = load_collection(str(folder))
    more = load_collection(str(folder), options=write_distractors(folder, {"_id": "x", "text": "third"}))
    assert more.qrels.rows.tolist() == plain.qrels.rows.tolist() == [1]
    assert more.facts["judgments_digest"] == plain.facts["judgments_digest"]


def test_a_distractor_with_the_id_of_a_document_and_another_text_is_refused_by_line(folder: Path) -> None:
    with pytest.raises(InputError, match=r"more\.jsonl:1"):
        load_collection(str(folder), options=write_distractors(folder, {"_id": "b", "text": "not the second"}))


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.jsonl"):
        load_collection(str(folder), options=LoadOptions(distractors=folder / "nothing.jsonl"))
