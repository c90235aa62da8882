"""The same data laid out in every way the loaders understand gives the same collection."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reread import load_collection

from mrl_sweep.collection import LoadOptions, MissingDocs
from mrl_sweep.types import Collection

DOCUMENTS = [
    ("d1", "Rain, hail", 'It falls; "mainly" on the plain.'),
    ("2", "", "Snow is cold."),
    ("d-3", "Été", "Il fait chaud – 30 °C."),
    ("d4", "Twice", "Said twice."),
    ("d4", "Twice", "Said twice."),
    ("d5", "", ""),
]
QUERIES = [("q1", "what falls, and where"), ("7", "what is cold"), ("q3", "never asked"), ("q4", "été")]
JUDGMENTS = [("q1", "d1", 2), ("q1", "d4", 0), ("q1", "gone", 1), ("7", "2", 1), ("7", "d1", -1), ("q4", "d-3", 1)]


def write_beir(folder: Path) -> str:
    (folder / "qrels").mkdir()
    json_lines(folder / "corpus.jsonl", [{"_id": i, "title": title, "text": text} for i, title, text in DOCUMENTS])
    json_lines(folder / "queries.jsonl", [{"_id": i, "text": text} for i, text in QUERIES])
    lines(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{g}" for q, d, g in JUDGMENTS)])
    return str(folder)


def write_beir_compressed(folder: Path) -> str:
    write_beir(folder)
    for file in [*folder.glob("*.jsonl"), *folder.glob("qrels/*")]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    return f"beir:{folder}"


def write_trec_tsv(folder: Path) -> str:
    lines(folder / "docs.tsv", ["\t".join(document) for document in DOCUMENTS])
    lines(folder / "topics.tsv", ["\t".join(query) for query in QUERIES])
    write_trec_qrels(folder / "qrels.txt")
    return f"trec:{folder}"


def write_trec_blocks(folder: Path) -> str:
    json_lines(folder / "docs.jsonl", [{"docno": i, "title": title, "contents": text} for i, title, text in DOCUMENTS])
    topics = [f"<top>\n<num> Number: {i}\n<title> {text}\n\n<desc> Description:\nlonger\n</top>\n" for i, text in QUERIES]
    lines(folder / "topics.test.txt", topics)
    write_trec_qrels(folder / "qrels.test.txt")
    return f"trec:{folder}"


def write_trec_xml(folder: Path) -> str:
    lines(folder / "d.tsv", ["docid\turl\ttitle\tbody", *(f"{i}\thttp\t{title}\t{text}" for i, title, text in DOCUMENTS)])
    topics = [f'<topic number="{i}"><query>{text}</query><narrative>more</narrative></topic>' for i, text in QUERIES]
    lines(folder / "t.xml", ['<?xml version="1.0" encoding="UTF-8"?>', "<topics>", *topics, "</topics>"])
    write_trec_qrels(folder / "q.txt")
    return f"trec:docs={folder / 'd.tsv'},topics={folder / 't.xml'},qrels={folder / 'q.txt'}"


def write_csv(folder: Path) -> str:
    comma(folder / "corpus.csv", [("id", "title", "text"), *DOCUMENTS])
    comma(folder / "queries.csv", [("id", "text"), *QUERIES])
    comma(folder / "qrels.csv", [("query_id", "doc_id", "score"), *JUDGMENTS])
    return f"csv:{folder}"


def write_csv_named_columns(folder: Path) -> str:
    comma(folder / "corpus.csv", [("text", "sku", "name"), *((text, i, title) for i, title, text in DOCUMENTS)], ";")
    comma(folder / "queries.tsv", [("asked", "no"), *((text, i) for i, text in QUERIES)], "\t")
    comma(folder / "qrels.test.csv", [("good", "a", "b"), *((grade, q, d) for q, d, grade in JUDGMENTS)])
    columns = "corpus.id=sku,corpus.title=name,queries.id=no,queries.text=asked,qrels.query=a,qrels.document=b,qrels.grade=good"
    return f"csv:{folder},{columns}"


def write_parquet(folder: Path) -> str:
    parquet(folder / "corpus.parquet", ["id", "title", "text"], DOCUMENTS)
    parquet(folder / "queries.parquet", ["qid", "query"], QUERIES)
    (folder / "qrels").mkdir()
    parquet(folder / "qrels" / "test.parquet", ["qid", "docid", "relevance"], JUDGMENTS)
    return f"csv:{folder}"


def write_ir(folder: Path) -> str:
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets import formats
    from ir_datasets.util import LocalDownload

    lines(folder / "docs.tsv", ["\t".join(document) for document in DOCUMENTS])
    lines(folder / "queries.tsv", ["\t".join(query) for query in QUERIES])
    write_trec_qrels(folder / "qrels")
    dataset = ir_datasets.Dataset(
        formats.TsvDocs(LocalDownload(folder / "docs.tsv"), doc_cls=TitledDocument),
        formats.TsvQueries(LocalDownload(folder / "queries.tsv")),
        formats.TrecQrels(LocalDownload(folder / "qrels"), {}),
    )
    name = f"layouts{len(list(ir_datasets.registry))}/test"
    ir_datasets.registry.register(name, dataset)
    return f"ir:{name}"


class TitledDocument(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self) -> str:
        return f"{self.title} {self.text}"


def write_hf_mteb(folder: Path) -> str:
    return write_hub(folder, qrels="default", split="test", judgments=["query-id", "corpus-id", "score"])


def write_hf_nano(folder: Path) -> str:
    return write_hub(folder, qrels="qrels", split="train", judgments=["query-id", "corpus-id", "score"])


def write_hub(folder: Path, *, qrels: str, split: str, judgments: list[str]) -> str:
    pytest.importorskip("datasets")
    parts: dict[str, tuple[list[str], list[Any]]] = {
        "corpus": (["_id", "title", "text"], DOCUMENTS),
        "queries": (["_id", "text"], QUERIES),
        qrels: (judgments, [(q, d, float(g)) for q, d, g in JUDGMENTS]),
    }
    card = ["---", "configs:"]
    for config, (names, rows) in parts.items():
        (folder / config).mkdir()
        parquet(folder / config / f"{split}-00000-of-00001.parquet", names, rows)
        card += [f"- config_name: {config}", "  data_files:", f"  - split: {split}", f"    path: {config}/{split}-*"]
    lines(folder / "README.md", [*card, "---"])
    return f"hf:{folder}"


def json_lines(path: Path, records: list[dict[str, Any]]) -> None:
    lines(path, [json.dumps(record, ensure_ascii=False) for record in records])


def lines(path: Path, rows: list[str]) -> None:
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8", newline="")


def comma(path: Path, rows: list[Any], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def parquet(path: Path, names: list[str], rows: list[Any]) -> None:
    columns = list(zip(*rows, strict=True))
    pq.write_table(pa.table({name: list(column) for name, column in zip(names, columns, strict=True)}), path, row_group_size=4)


def write_trec_qrels(path: Path) -> None:
    lines(path, [f"{q}\t0\t{d}\t{g}" for q, d, g in JUDGMENTS])


LAYOUTS: list[Callable[[Path], str]] = [
    write_beir,
    write_beir_compressed,
    write_trec_tsv,
    write_trec_blocks,
    write_trec_xml,
    write_csv,
    write_csv_named_columns,
    write_parquet,
    write_ir,
    write_hf_mteb,
    write_hf_nano,
]


@pytest.fixture(params=LAYOUTS, ids=lambda write: write.__name__.removeprefix("write_"))
def laid_out(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    if request.param in (write_hf_mteb, write_hf_nano):
        isolate_hub(tmp_path / "hub", monkeypatch)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "catalogue"))
    folder = tmp_path / "layout"
    folder.mkdir()
    split = "train" if request.param is write_hf_nano else "test"
    return load_collection(request.param(folder), split=split, options=LoadOptions(missing_docs=MissingDocs.COUNT))


def isolate_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and nothing left in the user's cache."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def test_ids_texts_and_titles_are_the_same(laid_out: Collection) -> None:
    documents = laid_out.documents
    assert list(documents.ids) == ["d1", "2", "d-3", "d4", "d5"]
    texts = [
        'Rain, hail It falls; "mainly" on the plain.',
        "Snow is cold.",
        "Été Il fait chaud – 30 °C.",
        "Twice Said twice.",
        "",
    ]
    assert list(documents.texts()) == texts
    assert list(documents.texts(2, 4)) == texts[2:4]
    assert list(documents.texts(4)) == texts[4:]
    assert documents.titles([2, 0, 1]) == ["Été", "Rain, hail", "Snow is cold."]


def test_queries_are_the_same(laid_out: Collection) -> None:
    assert laid_out.queries.ids == ("q1", "7", "q4")
    assert laid_out.queries.texts == ("what falls, and where", "what is cold", "été")
    assert laid_out.queries.file_rows is not None
    assert laid_out.queries.file_rows.rows.tolist() == [0, 1, 3]


def test_judgments_are_the_same(laid_out: Collection) -> None:
    assert laid_out.qrels.offsets.tolist() == [0, 3, 5, 6]
    assert laid_out.qrels.rows.tolist() == [0, 3, -1, 1, 0, 2]
    assert laid_out.qrels.grades.tolist() == [2, 0, 1, 1, -1, 1]


def test_counts_and_remarks_are_the_same(laid_out: Collection) -> None:
    assert laid_out.excluded == {"queries_without_judgments": 1, "repeated_documents": 1, "missing_documents": 1}
    assert [remark.code for remark in laid_out.warnings] == ["missing-documents", "empty-documents"]
    assert laid_out.facts["judgments_digest"] == "b3d540047ca50d59ab2ee097bd8a3fcc"
    json.dumps(dict(laid_out.facts))
