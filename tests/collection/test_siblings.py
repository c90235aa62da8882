"""Collections as people find them on their disks: read where they can be, else refused with a hint that leads on."""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import lzma
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reread import load_collection

from mrl_sweep.collection.reading.documents import read_corpus
from mrl_sweep.collection.reading.text_sources import FileSource
from mrl_sweep.errors import InputError

N = 6
DOCS = [(f"d{i}", f"Title {i}", f"The rain falls in {i}.") for i in range(N)]
QUERIES = [(f"q{i}", f"where does rain fall {i}") for i in range(N)]
Rows = list[tuple[str, ...]]
Files = dict[str, str | bytes]


def lines(rows: Any, *keys: str) -> str:
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)


def joined(rows: Any, between: str) -> str:
    return "".join(between.join(row) + "\n" for row in rows)


CORPUS, ASKED = lines(DOCS, "_id", "title", "text"), lines(QUERIES, "_id", "text")
PAIRS = [(f"q{i}", f"d{i}", "1") for i in range(N)]
JUDGED = "query-id\tcorpus-id\tscore\n" + joined(PAIRS, "\t")
TREC = joined([(q, "0", d, "1") for q, d, _ in PAIRS], "\t")
BEIR: Files = {"corpus.jsonl": CORPUS, "queries.jsonl": ASKED, "qrels/test.tsv": JUDGED}
TOPICS: Files = {"docs.jsonl": CORPUS, "qrels.txt": TREC}
TEXTS = [(d, text) for d, _, text in DOCS]
PASSAGES = joined(TEXTS, "\t")
CSV: Files = {
    "corpus.csv": "id,text\n" + joined(TEXTS, ","),
    "queries.csv": "id,text\n" + joined(QUERIES, ","),
    "qrels.csv": "query,document,grade\n" + joined(PAIRS, ","),
}


def saved(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def topics(form: str, around: tuple[str, str] = ("", "")) -> Files:
    return {**TOPICS, "topics.txt": around[0] + "".join(form.format(q, text) for q, text in QUERIES) + around[1]}


def but(files: Files, name: str, **others: Any) -> Files:
    return {key: value for key, value in files.items() if key != name} | others


SUBTOPICS = "<topic number='{}'><query>{}</query><subtopic number='1'>x</subtopic><subtopic number='2'>y</subtopic></topic>"
READ: dict[str, tuple[str, Files]] = {
    "NDJSON by its own name": ("", {"corpus.ndjson": CORPUS, "queries.ndjson": ASKED, "qrels/test.tsv": JUDGED}),
    "JSON lines named .json": ("", {"corpus.json": CORPUS, "queries.json": ASKED, "qrels/test.tsv": JUDGED}),
    "judgments as pytrec_eval has them": (
        "",
        but(BEIR, "qrels/test.tsv", **{"qrels.json": json.dumps({q: {d: 1} for q, d, _ in PAIRS})}),
    ),
    "bzip2": ("", but(BEIR, "corpus.jsonl", **{"corpus.jsonl.bz2": bz2.compress(CORPUS.encode())})),
    "xz": ("", but(BEIR, "queries.jsonl", **{"queries.jsonl.xz": lzma.compress(ASKED.encode())})),
    "bzip2 under another name": ("", {**BEIR, "corpus.jsonl": bz2.compress(CORPUS.encode())}),
    "judgments in xz": ("", {**BEIR, "qrels/test.tsv": lzma.compress(JUDGED.encode())}),
    "capital letters": ("", {"Corpus.jsonl": CORPUS, "QUERIES.JSONL": ASKED, "Qrels/test.TSV": JUDGED}),
    "MS MARCO": ("", {"collection.tsv": PASSAGES, "queries.dev.small.tsv": joined(QUERIES, "\t"), "qrels.dev.small.tsv": TREC}),
    "judgments between commas": ("", {**BEIR, "qrels/test.tsv": JUDGED.replace("\t", ",")}),
    "a header with spaces": ("", {**BEIR, "qrels/test.tsv": JUDGED.replace("query-id\tcorpus-id", "Query ID\tDoc ID")}),
    "CSV in a BEIR folder": ("", CSV),
    "CSV without a header for judgments": ("csv:", {**CSV, "qrels.csv": joined(PAIRS, ",")}),
    "CSV that states its delimiter": ("csv:", {**CSV, "corpus.csv": "sep=;\nid;text\n" + joined(TEXTS, ";")}),
    "CSV with empty columns behind": (
        "csv:",
        {**CSV, "queries.csv": "id,text,,\n" + joined([(*q, "", "") for q in QUERIES], ",")},
    ),
    "CLEF topics": ("trec:", topics("<topic lang='en'><identifier>{}</identifier><title>{}</title></topic>\n")),
    "topics with topicId": ("trec:", topics("<topic><topicId>{}</topicId><query>{}</query></topic>\n")),
    "topics in upper case": ("trec:", topics("<TOPIC><NUM>{}</NUM><SLANG>EN</SLANG><TITLE>{}</TITLE></TOPIC>\n")),
    "topics with a language": ("trec:", topics("<top lang='en'>\n<num>{}</num>\n<title>{}</title>\n</top>\n")),
    "topics with subtopics": ("trec:", topics(SUBTOPICS)),
    "topics with a lone ampersand": ("trec:", topics("<topic number='{}'><title>AT&T caf&eacute; &lt; {}</title></topic>\n")),
    "topics of Indri": (
        "trec:",
        topics("<query><number>{}</number><text>{}</text></query>", ("<parameters>", "</parameters>")),
    ),
    "topics as documents": ("trec:", topics("<DOC>\n<DOCNO>{}</DOCNO>\n<TEXT>{}</TEXT>\n</DOC>\n")),
}


@pytest.mark.parametrize("kind", READ)
def test_it_is_read(tmp_path: Path, kind: str) -> None:
    scheme, files = READ[kind]
    loaded = load_collection(f"{scheme}{saved(tmp_path / 'c', files)}")
    assert (len(loaded.documents.ids), loaded.queries.ids, len(loaded.qrels.rows)) == (N, tuple(q for q, _ in QUERIES), N)
    assert all("rain" in text for text in [*loaded.queries.texts, *loaded.documents.texts()])


def test_a_corpus_in_parts_may_be_named_by_its_folder(tmp_path: Path) -> None:
    files: Files = {
        "all/docs-0.jsonl.gz": gzip.compress(lines(DOCS[:3], "docid", "title", "text").encode()),
        "all/docs-1.jsonl.gz": gzip.compress(lines(DOCS[3:], "docid", "title", "text").encode()),
        "asked.tsv": joined(QUERIES, "\t"),
        "judged.tsv": TREC,
    }
    folder = saved(tmp_path, files)
    loaded = load_collection(f"trec:docs={folder}/all,topics={folder}/asked.tsv,qrels={folder}/judged.tsv")
    assert len(loaded.documents.ids) == N


def test_what_lies_inside_an_object_is_named_with_a_dot(tmp_path: Path) -> None:
    nested = "".join(json.dumps({"doc": {"id": d, "text": text}}) + "\n" for d, text in TEXTS)
    folder = saved(tmp_path / "c", {**BEIR, "corpus.jsonl": nested})
    assert load_collection(f"{folder},corpus.id=doc.id,corpus.text=doc.text").documents.ids[0] == "d0"
    table = pa.table({"doc": [{"id": d, "text": text} for d, text in TEXTS]})
    pq.write_table(table, folder / "corpus.jsonl")
    assert load_collection(f"{folder},corpus.id=doc.id,corpus.text=doc.text").documents.ids[0] == "d0"


def test_a_query_may_list_all_that_is_relevant_to_it(tmp_path: Path) -> None:
    """LoTTE's answers; the hint of the missing column leads there."""
    answers = "".join(json.dumps({"qid": q, "query": "x", "answer_pids": [d, "d0"]}) + "\n" for q, d, _ in PAIRS[1:])
    files: Files = {"collection.tsv": PASSAGES, "questions.search.tsv": joined(QUERIES, "\t"), "qas.jsonl": answers}
    spec = f"{saved(tmp_path / 'c', files)},queries=questions.search.tsv,qrels=qas.jsonl"
    with pytest.raises(InputError) as caught:
        load_collection(spec)
    assert "qrels.document=NAME" in caught.value.hint
    assert len(load_collection(f"{spec},qrels.document=answer_pids").qrels.rows) == 2 * (N - 1)


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        (pa.array([float(i) for i in range(N)]), "0"),
        (pa.array([Decimal(i) for i in range(N)]), "0"),
        (pa.array([datetime.date(2020, 1, 1 + i) for i in range(N)]), "2020-01-01"),
        (pa.array([str(i) for i in range(N)]).dictionary_encode(), "0"),
        (pa.array([2**64 - N + i for i in range(N)], pa.uint64()), str(2**64 - N)),
    ],
    ids=["floats", "decimals", "dates", "categories", "beyond 63 bits"],
)
def test_ids_of_any_type_are_read_as_written(tmp_path: Path, ids: Any, first: str) -> None:
    folder = saved(tmp_path / "c", {"queries.jsonl": ASKED, "qrels.tsv": f"q0\t{first}\t1\n"})
    pq.write_table(pa.table({"id": ids, "text": [text for _, text in TEXTS]}), folder / "corpus.parquet")
    assert load_collection(str(folder)).documents.ids[0] == first


PARTS: Files = {
    "docs-0.jsonl": CORPUS,
    "topics/topics.miracl-v1.0-en-dev.tsv": joined(QUERIES, "\t"),
    "qrels/qrels.miracl-v1.0-en-dev.tsv": TREC,
}
REFUSED: dict[str, tuple[str, Files, str, str]] = {
    "a file of the folder": ("/corpus.jsonl", BEIR, "is a file, not a folder", "name its folder"),
    "one folder too high": ("", {f"scifact/{k}": v for k, v in BEIR.items()}, "no such file", "name the folder below"),
    "a file of nearly the name": ("", but(BEIR, "queries.jsonl", **{"query.jsonl": ASKED}), "no such file", "name the file"),
    "the only file that is left": ("", but(BEIR, "corpus.jsonl", **{"passages.jsonl": CORPUS}), "no such file", "name the file"),
    "topics in a folder": ("", PARTS, "no such file", "name the file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_the_hint_is_followed(tmp_path: Path, kind: str) -> None:
    below, files, says, hint = REFUSED[kind]
    with pytest.raises(InputError, match=says) as caught:
        load_collection(f"{saved(tmp_path / 'c', files)}{below}")
    found = re.search(rf"{hint}: (\S+);", caught.value.hint)
    assert found, caught.value.hint
    assert len(load_collection(found[1]).documents.ids) == N


WHY: dict[str, tuple[Files, str, str]] = {
    "torn gzip": ({**BEIR, "corpus.jsonl": gzip.compress(CORPUS.encode())[:-30]}, "cannot read", "copy it again"),
    "torn xz": ({**BEIR, "corpus.jsonl": lzma.compress(CORPUS.encode())[:-30]}, "cannot read", "copy it again"),
    "torn bzip2": ({**BEIR, "qrels/test.tsv": bz2.compress(JUDGED.encode())[:-9]}, "cannot read", "copy it again"),
    "UTF-16 without a mark": ({**BEIR, "queries.jsonl": ASKED.encode("utf-16-le")}, "UTF-16", "iconv -f UTF-16LE"),
    "the same, the other way round": ({**BEIR, "queries.jsonl": ASKED.encode("utf-16-be")}, "UTF-16", "iconv -f UTF-16BE"),
    "carriage returns alone": ({**BEIR, "qrels/test.tsv": JUDGED.replace("\n", "\r")}, "carriage return alone", "tr "),
    "a run for judgments": ({**BEIR, "qrels/test.tsv": "q0 Q0 d0 1 14.3 tag\n"}, "6 columns", "six columns are a run"),
    "a comma in a text": ({**CSV, "corpus.csv": "id,text\nd0,a, b\n"}, "3 fields where the header has 2", "in quotation marks"),
    "a list for a text": ({**BEIR, "corpus.jsonl": '{"_id": "d0", "text": ["a"]}\n'}, "must be a string", "join its pieces"),
    "an object for a text": ({**BEIR, "corpus.jsonl": '{"_id": "d0", "text": {"t": "a"}}\n'}, "must be a string", "text.t"),
}


@pytest.mark.parametrize("kind", WHY)
def test_what_cannot_be_read_is_refused_with_its_cause(tmp_path: Path, kind: str) -> None:
    files, says, hint = WHY[kind]
    with pytest.raises(InputError, match=says) as caught:
        load_collection(str(saved(tmp_path / "c", files)))
    assert hint in caught.value.hint


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_large_file_that_is_damaged_is_refused_as_a_small_one(tmp_path: Path, pack: Any, harm: str) -> None:
    """Large files are read a block at a time."""
    packed = bytearray(pack("".join(json.dumps({"_id": f"d{i}", "text": f"{i * i}"}) + "\n" for i in range(2000)).encode()))
    if harm == "cut":
        del packed[-40:]
    else:
        packed[len(packed) // 2] ^= 255
    folder = saved(tmp_path / "c", {**BEIR, "corpus.jsonl": bytes(packed)})
    with pytest.raises(InputError):
        load_collection(str(folder))
    with pytest.raises(InputError):
        read_corpus(replace(FileSource.of(folder / "corpus.jsonl"), least_bytes=0))


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("s3://bucket/scifact", "download and unpack it"),
        ("https://host/scifact.zip", "download and unpack it"),
        ("BeIR/scifact", "hf:BeIR/scifact"),
    ],
)
def test_an_address_or_a_name_of_the_hub_is_told_as_such(spec: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load_collection(spec)
    assert hint in caught.value.hint


def test_a_packed_folder_is_to_be_unpacked(tmp_path: Path) -> None:
    folder = saved(tmp_path, {"scifact.zip": b"PK\x03\x04", "scifact.tar.gz": gzip.compress(b"x")})
    for name in ("scifact.zip", "scifact.tar.gz"):
        with pytest.raises(InputError, match="it is a file") as caught:
            load_collection(str(folder / name))
        assert "unpack it" in caught.value.hint


def test_a_named_number_of_a_topic_counts_and_its_hint_leads_there(tmp_path: Path) -> None:
    folder = saved(tmp_path / "c", topics("<topic><label>{}</label><title>{}</title></topic>"))
    with pytest.raises(InputError, match="no number; its parts are label, title") as caught:
        load_collection(f"trec:{folder}")
    assert "queries.id=label" in caught.value.hint
    assert load_collection(f"trec:{folder},queries.id=label").queries.ids[0] == "q0"
