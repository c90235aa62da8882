"""TREC folders and files: which is which, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from reread import load_collection

from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection


def write(folder: Path, **files: str) -> Path:
    usual = {"docs.tsv": "d1\ta\nd2\tb\n", "topics.txt": "1\tx\n2\ty\n", "qrels.txt": "1 0 d1 1\n2 0 d2 2\n"}
    for name, text in {**usual, **{name.replace("__", "."): text for name, text in files.items()}}.items():
        (folder / name).write_text(text)
    return folder


def load(folder: Path, settings: str = "", split: str | None = None) -> Collection:
    return load_collection(f"trec:{folder}{settings}", split=split)


def refused(folder: Path, settings: str = "", split: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, settings, split)
    return caught.value


def test_a_folder(tmp_path: Path) -> None:
    collection = load(write(tmp_path))
    assert list(collection.documents.texts()) == ["a", "b"]
    assert collection.queries.ids == ("1", "2")
    assert collection.qrels.rows.tolist() == [0, 1]
    assert collection.facts["files"] == {"docs.tsv": 10, "topics.txt": 8, "qrels.txt": 18}
    assert collection.facts["split"] == "test"
    assert collection.name == tmp_path.name


def test_splits_have_their_own_topics_and_judgments(tmp_path: Path) -> None:
    folder = write(tmp_path, qrels__dev__txt="9 0 d2 1\n", topics__dev__txt="9\tz\n")
    assert load(folder, split="dev").queries.ids == ("9",)
    assert load(folder).queries.ids == ("1", "2")
    assert "the splits there are dev, test" in refused(folder, split="train").message


def test_tsv_of_msmarco_documents(tmp_path: Path) -> None:
    folder = write(tmp_path, docs__tsv="d1\thttp://x\tTitle\tbody\nd2\thttp://y\t\tother\n")
    assert list(load(folder).documents.texts()) == ["Title body", "other"]


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    folder = write(tmp_path, docs__tsv="text\tdocno\na\td1\nb\td2\n")
    assert list(load(folder).documents.ids) == ["d1", "d2"]


def test_columns_and_files_may_be_named(tmp_path: Path) -> None:
    folder = write(tmp_path, docs__tsv="sku\tblurb\nd1\ta\nd2\tb\n", mine__tsv="1\tx\n2\tother\n")
    collection = load(folder, ",docs.id=sku,docs.text=blurb,topics=mine.tsv")
    assert list(collection.documents.texts()) == ["a", "b"]
    assert collection.queries.texts == ("x", "other")


def test_an_unknown_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    folder = write(tmp_path, docs__tsv="docid\ttext\nd1\ta\n")
    error = refused(folder, ",docs.text=texts")
    assert error.message == f"{folder / 'docs.tsv'}:2: no column texts; the columns are docid, text"
    assert error.hint == "did you mean text?"


def test_an_unknown_setting_is_refused_with_the_nearest(tmp_path: Path) -> None:
    error = refused(write(tmp_path), ",topic=x")
    assert error.message.startswith("unknown setting topic in ")
    assert error.hint.startswith("did you mean topics? ")


def test_files_must_all_be_named_without_a_folder() -> None:
    with pytest.raises(InputError, match=r"trec:docs=a.tsv,topics=b.tsv names no qrels"):
        load_collection("trec:docs=a.tsv,topics=b.tsv")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("docs.tsv", "cannot read {}/docs.jsonl: no such file; the folder holds "),
        ("topics.txt", "cannot read {}/topics.txt: no such file; the folder holds "),
        ("qrels.txt", "nothing to evaluate: {} holds no judgments, and "),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    folder = write(tmp_path)
    (folder / name).unlink()
    assert refused(folder).message.startswith(message.format(folder))


def test_a_text_with_a_tab_is_refused_with_its_line(tmp_path: Path) -> None:
    folder = write(tmp_path, docs__tsv="d1\ta\n\nd2\tb\tc\n")
    assert refused(folder).message.startswith(f"{folder / 'docs.tsv'}:3: 3 columns where 2 are expected (id, text): d2")


def test_padded_topic_numbers_are_explained(tmp_path: Path) -> None:
    folder = write(tmp_path, topics__txt="001\tx\n002\ty\n")
    assert "leading zeros" in refused(folder).hint
