"""Collections read without judgments: every query counts; where there are none, documents drawn at random serve as queries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reread import load_collection

from mrl_sweep.collection import LoadOptions, left_out
from mrl_sweep.errors import InputError

LABEL_FREE = LoadOptions(label_free=True)


def write_lines(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def folder_of(tmp_path: Path, n_documents: int, *, n_queries: int = 0) -> Path:
    write_lines(tmp_path / "corpus.jsonl", [{"_id": f"d{i}", "title": "t", "text": f"text {i}"} for i in range(n_documents)])
    if n_queries:
        write_lines(tmp_path / "queries.jsonl", [{"_id": f"q{i}", "text": f"query {i}"} for i in range(n_queries)])
    return tmp_path


def test_every_query_counts_where_there_are_no_judgments(tmp_path: Path) -> None:
    found = load_collection(str(folder_of(tmp_path, 5, n_queries=3)), options=LABEL_FREE)
    assert found.label_free
    assert found.queries.ids == ("q0", "q1", "q2")
    assert found.queries.file_rows is None
    assert found.qrels.offsets.tolist() == [0, 0, 0, 0]
    assert (found.query_rows, left_out(found, identical=False)) == (None, None)
    assert found.facts["queries_are"] == "queries"


def test_judgments_that_are_there_are_not_even_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5, n_queries=3)
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("no judgments at all")
    found = load_collection(str(folder), options=LABEL_FREE)
    assert (len(found.queries), len(found.qrels.rows)) == (3, 0)


def test_without_queries_documents_ask_and_leave_themselves_out(tmp_path: Path) -> None:
    found = load_collection(str(folder_of(tmp_path, 4)), options=LABEL_FREE)
    assert found.queries.ids == ("d0", "d1", "d2", "d3")
    assert found.queries.texts == ("t text 0", "t text 1", "t text 2", "t text 3")
    rows = left_out(found, identical=False)
    assert rows is not None
    assert rows.tolist() == [0, 1, 2, 3]
    assert found.facts["queries_are"] == "documents"
    assert [advice.code for advice in found.warnings] == ["documents-as-queries"]


def test_at_most_a_thousand_documents_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 1500)
    first, again = (load_collection(str(folder), options=LABEL_FREE) for _ in range(2))
    assert first.query_rows is not None
    assert again.query_rows is not None
    assert first.query_rows.tolist() == again.query_rows.tolist()
    assert len(set(first.query_rows.tolist())) == len(first.queries) == 1000
    assert first.queries.ids == tuple(first.documents.ids[row] for row in first.query_rows)
    assert (np.diff(first.query_rows) > 0).all()


def test_documents_without_text_do_not_ask(tmp_path: Path) -> None:
    write_lines(tmp_path / "corpus.jsonl", [{"_id": "full", "text": "words"}, {"_id": "empty", "text": ""}])
    assert load_collection(str(tmp_path), options=LABEL_FREE).queries.ids == ("full",)
    write_lines(tmp_path / "corpus.jsonl", [{"_id": "empty", "text": ""}])
    with pytest.raises(InputError, match=r"no document in .* has a text"):
        load_collection(str(tmp_path), options=LABEL_FREE)


def test_a_file_of_queries_that_holds_none_is_a_fault_and_no_reason_to_ask_documents(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 4)
    (folder / "queries.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no queries"):
        load_collection(str(folder), options=LABEL_FREE)


def test_with_judgments_a_folder_without_them_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no judgments"):
        load_collection(str(folder_of(tmp_path, 4, n_queries=2)))
