"""Folders as people have them: told by content, any column named in one syntax, and every hint leads on."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from reread import load_collection

from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a' * 16}\nsize 12345\n"
CORPUS = [{"_id": "d1", "title": "", "text": "copper lantern"}, {"_id": "d2", "title": "", "text": "quiet river"}]
QUERIES = [{"_id": "q1", "text": "lantern"}, {"_id": "q2", "text": "river"}]
JUDGED = [("q1", "d1", 1), ("q2", "d2", 2)]


def lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def tsv(rows: list[tuple[Any, ...]], header: str = "") -> str:
    return header + "".join("\t".join(map(str, row)) + "\n" for row in rows)


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(content if isinstance(content, pa.Table) else pa.Table.from_pylist(content), path)
    return folder


def judged(collection: Collection) -> dict[str, dict[str, int]]:
    qrels, ids = collection.qrels, collection.documents.ids
    grades: dict[str, dict[str, int]] = {name: {} for name in collection.queries.ids}
    for query, row, grade in zip(qrels.queries.tolist(), qrels.rows.tolist(), qrels.grades.tolist(), strict=True):
        grades[collection.queries.ids[query]][ids[row]] = grade
    return grades


RIGHT = {"q1": {"d1": 1}, "q2": {"d2": 2}}
BEIR = {"corpus.jsonl": lines(CORPUS), "queries.jsonl": lines(QUERIES)}
MTEB = lines([{"query-id": q, "corpus-id": d, "score": s} for q, d, s in JUDGED])
TOPICS = "<top>\n<num> Number: q1\n<title> lantern\n</top>\n<top>\n<num> Number: q2\n<title> river\n</top>\n"
OTHER: dict[str, dict[str, Any]] = {
    "MTEB": BEIR | {"qrels/test.jsonl": MTEB},
    "judgments as CSV": BEIR | {"qrels/test.csv": "query-id,corpus-id,score\nq1,d1,1\nq2,d2,2\n"},
    "judgments as Parquet": BEIR | {"qrels/test.parquet": [{"query-id": q, "corpus-id": d, "score": s} for q, d, s in JUDGED]},
    "judgments of TREC": BEIR | {"qrels/test.tsv": tsv([(q, 0, d, s) for q, d, s in JUDGED])},
    "one judgments file": BEIR | {"qrels.tsv": tsv(JUDGED)},
    "TREC topics": {"corpus.jsonl": lines(CORPUS), "topics.txt": TOPICS, "qrels.txt": tsv([(q, 0, d, s) for q, d, s in JUDGED])},
    "ids called id": {
        "corpus.jsonl": lines([{"id": r["_id"], "text": r["text"]} for r in CORPUS]),
        "queries.jsonl": lines([{"id": r["_id"], "text": r["text"]} for r in QUERIES]),
        "qrels/test.jsonl": MTEB,
    },
    "all Parquet": {"corpus.parquet": CORPUS, "queries.parquet": QUERIES, "qrels/test.tsv": tsv(JUDGED)},
    "documents as TSV": {
        "corpus.tsv": "id\ttext\nd1\tcopper lantern\nd2\tquiet river\n",
        "queries.tsv": "q1\tlantern\nq2\triver\n",
        "qrels/test.tsv": tsv(JUDGED),
    },
}


@pytest.mark.parametrize("kind", OTHER)
@pytest.mark.parametrize("scheme", ["", "trec:"])
def test_a_folder_is_read_by_what_is_in_it(tmp_path: Path, kind: str, scheme: str) -> None:
    assert judged(load_collection(f"{scheme}{write(tmp_path, OTHER[kind])}")) == RIGHT


NAMED: dict[str, list[dict[str, Any]]] = {
    "corpus.{}": [{"sku": "d1", "words": "copper lantern"}, {"sku": "d2", "words": "quiet river"}],
    "queries.{}": [{"number": "q1", "asked": "lantern"}, {"number": "q2", "asked": "river"}],
    "qrels/test.{}": [{"who": "q1", "what": "d1", "how": 1}, {"who": "q2", "what": "d2", "how": 2}],
}
COLUMNS = (
    "corpus.id=sku,corpus.text=words,queries.id=number,queries.text=asked,qrels.query=who,qrels.document=what,qrels.grade=how"
)


def in_format(records: list[dict[str, Any]], ending: str) -> Any:
    if ending == "parquet":
        return records
    if ending == "jsonl":
        return lines(records)
    between = "\t" if ending == "tsv" else ","
    return "".join(between.join(map(str, row)) + "\n" for row in [list(records[0]), *(list(r.values()) for r in records)])


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "csv", "tsv"])
@pytest.mark.parametrize("scheme", ["", "csv:", "trec:"])
def test_any_column_can_be_named_in_any_format_in_one_syntax(tmp_path: Path, ending: str, scheme: str) -> None:
    folder = write(tmp_path, {name.format(ending): in_format(records, ending) for name, records in NAMED.items()})
    names = COLUMNS if scheme != "trec:" else COLUMNS.replace("corpus.", "docs.", 2).replace("queries.", "topics.")
    if ending == "csv" and scheme != "csv:":
        names += ",quotes=none"
    assert judged(load_collection(f"{scheme}{folder},{names}")) == RIGHT


@pytest.mark.parametrize("scheme", ["", "csv:", "trec:"])
def test_each_hint_of_a_missing_column_leads_to_the_next(tmp_path: Path, scheme: str) -> None:
    source = f"{scheme}{write(tmp_path, {name.format('jsonl'): lines(records) for name, records in NAMED.items()})}"
    right = dict(item.split("=") for item in COLUMNS.split(","))
    for _ in range(len(right)):
        try:
            assert judged(load_collection(source)) in (RIGHT, {"q1": {"d1": 1}, "q2": {"d2": 1}})
            return
        except InputError as refused:
            role = re.findall(r"name it: ([a-z]+\.[a-z]+)=NAME", refused.hint)[0]
            source += f",{role}={right[role]}"
    raise AssertionError("the hints lead nowhere")


NO_LINES = {
    "a zip archive or a spreadsheet": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "save the sheet as CSV"),
    "a web page": (b"\xef\xbb\xbf\n<!DOCTYPE HTML><html>404</html>\n", "download the file itself"),
    "a PDF": (b"%PDF-1.7\n", "its text as JSON lines"),
    "an SQLite database": (b"SQLite format 3\x00\x10\x00", "export its table"),
    "one JSON array": (b'[\n {"_id": "d1", "text": "a"}]', "jq -c '.[]' "),
}


@pytest.mark.parametrize("what", NO_LINES)
@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, what: str, name: str) -> None:
    content, hint = NO_LINES[what]
    folder = write(tmp_path, {**BEIR, "qrels/test.tsv": tsv(JUDGED)})
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"is {what}, not lines of text") as caught:
        load_collection(str(folder))
    assert hint in caught.value.hint


# K7


def topics(tmp_path: Path, text: str, asked: str = "") -> dict[str, str]:
    files = {"docs.jsonl": lines(CORPUS), "topics.txt": text, "qrels.txt": tsv([(q, 0, d, s) for q, d, s in JUDGED])}
    found = load_collection(f"trec:{write(tmp_path, files)}{asked}").queries
    return dict(zip(found.ids, found.texts, strict=True))


@pytest.mark.parametrize("tag", ["querytime", "querytweettime", "ref", "EN-narr", "my.part", "x"])
@pytest.mark.parametrize("closing", ["", "</{}>"])
@pytest.mark.parametrize("between", ["\n", " "])
def test_any_tag_ends_the_part_before_it(tmp_path: Path, tag: str, closing: str, between: str) -> None:
    end = closing.format(tag)
    text = "".join(
        f"<top>{between}<num> Number: {q}{between}<title> {words}{between}<{tag}> Tue 08 {end}{between}</top>\n"
        for q, words in (("q1", "which old basket"), ("q2", "hides bottle"))
    )
    assert topics(tmp_path, text) == {"q1": "which old basket", "q2": "hides bottle"}


def test_a_tag_inside_a_text_is_part_of_it(tmp_path: Path) -> None:
    text = TOPICS.replace("lantern", "an <i>old</i> lantern, 3 < 4 > 2")
    assert topics(tmp_path, text)["q1"] == "an <i>old</i> lantern, 3 < 4 > 2"


CLEF = "<top>\n<num>{}</num>\n<EN-title> {} </EN-title>\n<EN-desc> more </EN-desc>\n</top>\n"


def test_parts_with_a_language_before_their_name_are_known(tmp_path: Path) -> None:
    text = CLEF.format("q1", "lantern") + CLEF.format("q2", "river")
    assert topics(tmp_path, text) == {"q1": "lantern", "q2": "river"}
    assert topics(tmp_path, text, ",topics.text=EN-desc") == {"q1": "more", "q2": "more"}


@pytest.mark.parametrize("form", ["<top>\n<num>{}\n<subject>{}\n</top>\n", "<topic number='{}'><subject>{}</subject></topic>\n"])
def test_the_hint_of_an_unknown_part_names_one_that_works(tmp_path: Path, form: str) -> None:
    text = form.format("q1", "lantern") + form.format("q2", "river")
    with pytest.raises(InputError, match="its parts are subject") as caught:
        topics(tmp_path, text)
    assert topics(tmp_path, text, f",{caught.value.hint.removeprefix('name one: ')}") == {"q1": "lantern", "q2": "river"}


# K8


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "corpus.parquet", "qrels/test.jsonl"])
def test_a_git_lfs_pointer_is_called_so(tmp_path: Path, name: str) -> None:
    files = {**BEIR, "qrels/test.tsv": tsv(JUDGED)}
    for other in [other for other in files if other.partition(".")[0] == name.partition(".")[0]]:
        files.pop(other)
    with pytest.raises(InputError, match="is a Git LFS pointer, not the file itself") as caught:
        load_collection(str(write(tmp_path, {**files, name: POINTER})))
    assert caught.value.hint.endswith("lfs pull")


def test_row_67_two_files_of_one_split_are_told_apart_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, BEIR | {"qrels/test.tsv": tsv(JUDGED), "qrels/test.jsonl": MTEB})
    with pytest.raises(InputError, match="two files hold the judgments of test") as caught:
        load_collection(str(folder))
    assert judged(load_collection(caught.value.hint.removeprefix("name one: "))) == RIGHT


@pytest.mark.parametrize(
    ("column", "said"),
    [([["a"], ["b"]], r'"text" must be a string, not \["a"\]'), ([1.5, 2.5], '"text" must be a string, not 1.5')],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, column: list[Any], said: str) -> None:
    corpus = [{"_id": f"d{i}", "text": value} for i, value in enumerate(column, 1)]
    files = {"corpus.parquet": corpus, "queries.jsonl": lines(QUERIES), "qrels/test.tsv": tsv(JUDGED)}
    with pytest.raises(InputError, match=said):
        load_collection(str(write(tmp_path, files)))


def test_parquet_text_kept_as_bytes_is_text_and_what_is_not_utf_8_is_named(tmp_path: Path) -> None:
    import pyarrow as pa

    def table(second: bytes) -> Any:
        return pa.table({"_id": ["d1", "d2"], "text": pa.array([b"copper lantern", second], pa.binary())})

    files: dict[str, Any] = {"queries.jsonl": lines(QUERIES), "qrels/test.tsv": tsv(JUDGED)}
    assert judged(load_collection(str(write(tmp_path, {**files, "corpus.parquet": table(b"river")})))) == RIGHT
    with pytest.raises(InputError, match="is not UTF-8"):
        load_collection(str(write(tmp_path, {**files, "corpus.parquet": table(b"\xff\xfe")})))


def test_hf_takes_column_names_too_and_its_library_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    folder = write(tmp_path / "set", {f"{part}/test-0.parquet": records for part, records in _hub().items()})
    configs = "".join(f"- config_name: {part}\n  data_files: {part}/*.parquet\n" for part in _hub())
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError) as caught:
        load_collection(f"hf:{folder}")
    assert caught.value.hint.startswith("name it: qrels.query=NAME")
    assert judged(load_collection(f"hf:{folder},{COLUMNS}")) == RIGHT
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs.replace('data_files', 'd0ata_files')}---\n")
    with suppress(InputError):
        load_collection(f"hf:{folder}")
    assert capfd.readouterr().err == ""


def _hub() -> dict[str, list[dict[str, Any]]]:
    return {name.partition(".")[0].partition("/")[0]: records for name, records in NAMED.items()}
