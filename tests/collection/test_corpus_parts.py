"""A corpus of many files is the corpus of their lines in one file, and a fault in it names its file and line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reread import load_collection

from mrl_sweep.collection import LoadOptions
from mrl_sweep.errors import InputError

LINES = [{"_id": f"d{i}", "title": f"title {i}", "text": f"text number {i}"} for i in range(30)]


def plain(path: Path, lines: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def gzipped(path: Path, lines: Sequence[dict[str, str]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))


def zstd(path: Path, lines: Sequence[dict[str, str]]) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in lines).encode())


def parquet(path: Path, lines: Sequence[dict[str, str]]) -> None:
    pq.write_table(pa.Table.from_pylist(list(lines)), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Queries and judgments of a BEIR folder, without a corpus."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "which?"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td29\t1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("corpus-{}.jsonl", plain),
        ("corpus-{}.jsonl.gz", gzipped),
        ("corpus-{}.jsonl.zst", zstd),
        ("corpus-0000{}-of-00003.parquet", parquet),
        ("corpus/part-{}.jsonl", plain),
        ("corpus/{}.parquet", parquet),
    ],
)
def test_parts_are_read_as_one_corpus_wherever_a_document_lies(
    folder: Path, name: str, write: Callable[[Path, Sequence[dict[str, str]]], None]
) -> None:
    for number, (start, stop) in enumerate([(0, 7), (7, 8), (8, 30)]):
        (folder / name.format(number)).parent.mkdir(exist_ok=True)
        write(folder / name.format(number), LINES[start:stop])
    documents = load_collection(str(folder)).documents
    assert list(documents.ids) == [f"d{i}" for i in range(30)]
    assert list(documents.texts()) == [f"title {i} text number {i}" for i in range(30)]
    assert list(documents.texts(6, 9)) == [f"title {i} text number {i}" for i in (6, 7, 8)]
    assert documents.titles([29, 0, 7]) == ["title 29", "title 0", "title 7"]


def test_every_file_counts_in_the_facts(folder: Path) -> None:
    digests = []
    for texts in (LINES, [*LINES[:-1], {**LINES[-1], "text": "other"}]):
        plain(folder / "corpus-0.jsonl", texts[:5])
        plain(folder / "corpus-1.jsonl", texts[5:])
        facts = load_collection(str(folder)).facts
        assert set(facts["files"]) == {"corpus-0.jsonl", "corpus-1.jsonl", "queries.jsonl", "qrels/test.tsv"}
        digests.append(facts["digest"])
    assert digests[0] != digests[1]


def test_a_corpus_in_one_file_comes_before_parts(folder: Path) -> None:
    plain(folder / "corpus.jsonl", LINES)
    plain(folder / "corpus-0.jsonl", LINES[:3])
    assert len(load_collection(str(folder)).documents) == 30


def test_a_fault_names_the_part_and_the_line(folder: Path) -> None:
    plain(folder / "corpus-0.jsonl", LINES[:5])
    (folder / "corpus-1.jsonl").write_text(json.dumps(LINES[29]) + "\n{broken\n")
    with pytest.raises(InputError, match=r"corpus-1\.jsonl:2"):
        load_collection(str(folder))
    plain(folder / "corpus-1.jsonl", [LINES[29], {**LINES[2], "text": "another"}])
    with pytest.raises(InputError, match=r"corpus-0\.jsonl:3 .*corpus-1\.jsonl:2|corpus-1\.jsonl:2.*corpus-0\.jsonl:3"):
        load_collection(str(folder))


def test_distractors_stand_behind_all_parts(folder: Path) -> None:
    plain(folder / "corpus-0.jsonl", LINES[:5])
    plain(folder / "corpus-1.jsonl", LINES[5:])
    plain(folder / "more.jsonl", [{"_id": "x", "title": "", "text": "more"}])
    documents = load_collection(str(folder), options=LoadOptions(distractors=folder / "more.jsonl")).documents
    assert list(documents.ids)[-2:] == ["d29", "x"]
    assert list(documents.texts(29, 31)) == ["title 29 text number 29", "more"]
