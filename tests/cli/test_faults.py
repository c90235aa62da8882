"""Faults of data and settings through the command itself: the exit code, the cause, and that nothing was embedded before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

WORDS = ("copper lantern", "quiet river", "old violin", "green meadow", "iron anchor", "black pepper", "leather saddle")
METADATA = [{"tenant": "north" if i % 2 else "south", "origin": f"o{i // 2}"} for i in range(len(WORDS))]
NO_METADATA = "the queries have no metadata: leave --slice out, or give each query such a field"
RUN = ("--model", "wordllama", "--dims", "256,64", "--index", "none", "--store", "store")


def write_collection(folder: Path, *, metadata: str | None = None, ids: str = "d{}", grade: int = 1) -> Path:
    """A collection in which every query is the text of one document; `metadata` is JSON for the first query."""
    (folder / "qrels").mkdir(parents=True)
    names = [ids.format(i) for i in range(len(WORDS))]
    corpus = [json.dumps({"_id": name, "text": text}) for name, text in zip(names, WORDS, strict=True)]
    queries = [json.dumps({"_id": f"q{i}", "text": text, "metadata": METADATA[i]}) for i, text in enumerate(WORDS)]
    if metadata is not None:
        queries[0] = f'{{"_id": "q0", "text": "copper lantern", "metadata": {metadata}}}'
    (folder / "corpus.jsonl").write_text("\n".join(corpus) + "\n")
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    judged = "".join(f"q{i}\t{name}\t{grade}\n" for i, name in enumerate(names))
    (folder / "qrels" / "test.tsv").write_text(judged)
    return folder


def write_vectors(folder: Path, *, zero_documents: int = 0, zero_queries: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, zeros in (("docs", zero_documents), ("queries", zero_queries)):
        rows = rng.standard_normal((len(WORDS), 16)).astype(np.float32)
        rows[:zeros] = 0
        np.save(folder / f"{name}.npy", rows)
    return folder


def nothing_was_embedded(place: Path) -> bool:
    return not any(path.is_file() and path.stat().st_size > 5_000 for path in (place / "store").rglob("*"))


# Row 59


@pytest.mark.parametrize("side", ["zero_documents", "zero_queries"])
@pytest.mark.parametrize("command_name", ["run", "gate"])
def test_row_59_zero_vectors_are_refused_where_strict(command: Command, tmp_path: Path, side: str, command_name: str) -> None:
    write_collection(tmp_path / "c")
    write_vectors(tmp_path / "v", **{side: 3})
    settings = ['[collection]\nsource = "c"', '[model]\nname = "vectors:v"', '[sweep]\ndims = "16,8"\nindex = ["none"]']
    (tmp_path / "s.toml").write_text("\n".join(settings) + '\n[run]\nstore = "store"\nout = "out"\n')
    done = command(*([command_name, "s.toml", "--strict"] if command_name == "run" else ["gate", "s.toml", "--dim", "8"]))
    first = "d0, d1, d2" if side == "zero_documents" else "q0, q1, q2"
    assert (done.returncode, f"strict: 3 {side[5:]} have a zero vector" in done.stderr, first in done.stderr) == (2, True, True)
    assert command("run", "s.toml").returncode == 0


# Row 61


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_row_61_a_number_that_is_none_in_the_metadata_is_counted(command: Command, tmp_path: Path, value: str) -> None:
    write_collection(tmp_path / "c", metadata=f'{{"tenant": "a", "age": {value}}}')
    done = command("run", "--collection", "c", *RUN, "--out", "out", "--format", "json")
    codes = [warning["code"] for warning in json.loads(done.stdout)["warnings"]]
    assert (done.returncode, "metadata-missing" in codes) == (0, True)
    checked = command("check", "--collection", "c", "--format", "json")
    assert "metadata-missing" in [warning["code"] for warning in json.loads(checked.stdout)["warnings"]]
    assert command("run", "--collection", "c", *RUN, "--out", "out", "--strict").returncode == 2


# Row 64: settings


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("decision", "measures = []"),
        ("decision", 'measures = ""'),
        ("decision", 'measures = ["nDCG@99999999999999999999"]'),
        ("decision", 'measures = ["R(rel=99999999999999999999)@10"]'),
        ("decision", f'measures = ["nDCG@{"9" * 5000}"]'),
        ("decision", "alpha = 1e-300"),
        ("decision", "alpha = 0.0000001"),
        ("sweep", "basis = []"),
        ("sweep", "dims = []"),
        ("run", f"threads = {10**30}"),
        ("run", f'threads = "{"9" * 5000}"'),
        ("run", f'max_memory = "{"9" * 400}GiB"'),
        ("run", 'out = "a\\u0000b"'),
        ("run", 'store = "a\\u0000b"'),
        ("collection", 'source = "a\\u0000b"'),
        ("collection", f'source = "{"x" * 300}"'),
        ("collection", f'distractors = "{"x" * 300}"'),
        ("model", 'name = "a\\u0000b"'),
        ("deploy", f'project_docs = ["1{"0" * 400}"]'),
        ("deploy", f'budget_ms = ["1{"0" * 400}"]'),
        ("plan", f'docs = "{"9" * 5000}"'),
        ("gate", f"dim = {10**40}"),
    ],
)
def test_row_64_a_silly_setting_is_an_input_error(command: Command, tmp_path: Path, table: str, line: str) -> None:
    write_collection(tmp_path / "c")
    (tmp_path / "s.toml").write_text(f"[{table}]\n{line}\n")
    given = () if table == "collection" and line.startswith("source") else ("--collection", "c")
    model = () if table == "model" else ("--model", "wordllama")
    done = command("run", "s.toml", *given, *model)
    assert (done.returncode, done.stderr.count("error:")) == (2, 1), done.stderr
    assert nothing_was_embedded(tmp_path)


@pytest.mark.parametrize("option", ["--collection", "--model", "--out", "--store", "--distractors"])
def test_row_64_a_path_that_is_not_utf_8_works_or_is_refused(process: Command, tmp_path: Path, option: str) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/c\xff\xfe")
    try:
        write_collection(Path(folder))
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    write_collection(tmp_path / "c")
    value = {"--distractors": f"{folder}/corpus.jsonl"}.get(option, folder)
    argv = ["run", "--collection", "c", *RUN, "--out", "out", "--format", "json"]
    place = argv.index(option) + 1 if option in argv else len(argv) + 1
    argv = [*argv[: place - 1], option, value, *argv[place + 1 :]]
    assert process(*argv).returncode in (0, 2, 3)


# Row 65


def test_row_65_edited_facts_of_the_store_are_set_aside_and_change_no_figure(command: Command, tmp_path: Path) -> None:
    write_collection(tmp_path / "c")
    argv = ("run", "--collection", "c", "--model", "wordllama", "--index", "none", "--store", "store", "--format", "json")
    before = json.loads(command(*argv, "--out", "a").stdout)
    for file in (tmp_path / "store").rglob("model-*.json"):
        facts = json.loads(file.read_text())
        facts["facts"] |= {"trained_dims": [32, 16], "max_length": 7, "similarity": "dot"}
        file.write_text(json.dumps(facts))
    after = json.loads(command(*argv, "--out", "b").stdout)
    assert [row["dim"] for row in after["candidates"]] == [row["dim"] for row in before["candidates"]] == [64, 128, 256]
    assert after["verdict"] == before["verdict"]
    assert "store-damaged" in {one["code"] for one in after["warnings"]} - {one["code"] for one in before["warnings"]}


# Row 67


def test_row_67_a_run_folder_named_like_a_configuration_is_a_run(command: Command, tmp_path: Path) -> None:
    write_collection(tmp_path / "c")
    assert command("run", "--collection", "c", *RUN, "--out", "r.toml").returncode == 0
    assert command("gate", "r.toml", "--dim", "64").returncode in (0, 1, 4)


def other_corpus(place: Path) -> None:
    """One letter of a document is another: as long, and written over the file as it was."""
    path = place / "c" / "corpus.jsonl"
    path.write_text(path.read_text().replace("copper lantern", "copper lanterm"))


def other_judgments(place: Path) -> None:
    path = place / "c" / "qrels" / "test.tsv"
    path.write_text(path.read_text().replace("q0\td0\t1", "q0\td1\t1"))


def other_vectors(place: Path) -> None:
    path = place / "v" / "docs.npy"
    np.save(path, np.load(path)[::-1])


OTHER_COLLECTION = "r holds another run (collection c, whose documents or judgments are not those of c now)"
OTHER_MODEL = "r holds another run (model vectors:v, whose weights or prompts are not those of {} now)"
OTHER_RUNS: dict[str, tuple[Callable[[Path], None] | None, tuple[str, ...], str]] = {
    "documents": (other_corpus, (), OTHER_COLLECTION),
    "judgments": (other_judgments, (), OTHER_COLLECTION),
    "vectors": (other_vectors, (), OTHER_MODEL.format("vectors:v")),
    "model": (None, ("--model", "wordllama"), OTHER_MODEL.format("wordllama")),
    "sizes": (None, ("--dims", "16,4"), "r holds another run (dims 16,8, now 16,4)"),
    "precisions": (None, ("--precision", "float32,int8"), "r holds another run (precision float32, now float32,int8)"),
}


@pytest.mark.parametrize("what", OTHER_RUNS)
def test_row_67_another_run_is_not_overwritten_without_force(command: Command, tmp_path: Path, what: str) -> None:
    write_collection(tmp_path / "c")
    write_vectors(tmp_path / "v")
    change, options, said = OTHER_RUNS[what]
    argv = ("run", "--collection", "c", *RUN, "--model", "vectors:v", "--dims", "16,8", "--out", "r")
    assert command(*argv).returncode == 0
    before = (tmp_path / "r" / "report.json").read_bytes()
    if change is not None:
        change(tmp_path)
    done = command(*argv, *options)
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        2,
        [f"error: {said}", "hint: give --out another folder, or --force"],
    )
    assert (tmp_path / "r" / "report.json").read_bytes() == before
    assert command(*argv, *options, "--force").returncode == 0


def test_row_67_the_same_run_is_repeated_under_any_name_and_with_another_share(command: Command, tmp_path: Path) -> None:
    write_collection(tmp_path / "c")
    assert command("run", "--collection", "c", *RUN, "--out", "r").returncode == 0
    (tmp_path / "c").rename(tmp_path / "d")
    assert command("run", "--collection", "./d", *RUN, "--out", "r", "--retain", "0.9", "--measure", "R@10").returncode == 0


# Row 70


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--slice", "tenent"), "error: no query has the field tenent\nhint: did you mean --slice tenant? the fields are"),
        (("--cluster", "orgin"), "error: no query has the field orgin\nhint: did you mean --cluster origin? the fields are"),
        (("--slice", "zzz"), "error: no query has the field zzz\nhint: the fields are origin, tenant; name one"),
        (("--slice-retain", "0.9"), "error: --slice-retain says what each slice must keep"),
        (("--measure", "R(rel=2)@10"), "error: R(rel=2)@10: no judgment has a grade of 2 or more; the highest is 1\nhint: "),
        (("--funnel", "64:5:512"), "error: funnel 64:5:512: the model has 256 dimensions\nhint: --funnel 64:5:256"),
        (("--dims", "512,64"), "error: the model has 256 dimensions, 512 asked for"),
        (("--rescore", "4x"), "error: --rescore 4x orders the answers of codes again, and only float32 is measured"),
        (
            ("--rescore", "4x@768", "--precision", "int8"),
            "error: rescoring 4x@768: the model has 256 dimensions\nhint: --rescore 4x@256",
        ),
        (("--rescore", "0x"), "error: --rescore: '0x' is no rescoring"),
        (("--target", "qdrnt"), "error: there is no target 'qdrnt'\nhint: did you mean qdrant?"),
        (("--target", "qdrant", "--precision", "int4"), "error: Qdrant offers no int4\nhint: --target qdrant has float32"),
        (("--require", "R(rel=3)@10"), "error: R(rel=3)@10: no judgment has a grade of 3 or more; the highest is 1"),
        (("--device", "cdua"), "error: --device: 'cdua' is no device\nhint: did you mean 'cuda'?"),
        (("--device", "cuda:x"), "error: --device: 'cuda:x' is no device"),
        (("--backend", "onx"), "error: --backend: 'onx' is not accepted\nhint: did you mean 'onnx'?"),
        (("--base-url", "http://h/v1"), "hint: --model openai:wordllama asks the server for it; or leave --base-url out"),
        (("--split", "tst"), "error: no split tst in c/qrels; the splits there are test\nhint: --split test"),
        (("--query-model", "wordlama"), "hint: did you mean wordllama?"),
        (("--distractors", "none.jsonl"), "error: cannot read none.jsonl"),
        (("--verify-api", "5"), "error: wordllama is no hosted model: there is nothing to verify\nhint: leave --verify-api out"),
        (("--label-free", "--measure", "nDCG@10"), "error: nDCG@10 needs judgments, and a label-free run has none"),
    ],
)
def test_row_70_what_does_not_fit_is_refused_before_anything_is_embedded(
    command: Command, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    write_collection(tmp_path / "c")
    done = command("run", "--collection", "c", *RUN, "--out", "r", *options)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert nothing_was_embedded(tmp_path)


def test_row_70_the_second_collection_is_looked_at_before_the_first_is_embedded(command: Command, tmp_path: Path) -> None:
    write_collection(tmp_path / "c")
    write_collection(tmp_path / "d", metadata='{"kind": "x"}')
    other = [json.loads(line) | {"metadata": {}} for line in (tmp_path / "d" / "queries.jsonl").read_text().splitlines()]
    (tmp_path / "d" / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in other))
    done = command("run", "--collection", "c", "--collection", "d", *RUN, "--out", "r", "--slice", "tenant")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: d: no query has the field tenant\nhint: {NO_METADATA}\n",
    )
    assert nothing_was_embedded(tmp_path)


# Row 71


@pytest.mark.parametrize("name", ["d {}", "d\u2003{}", "d\x01{}"])
def test_row_71_ids_that_run_files_cannot_hold_are_warned_of_in_the_report(command: Command, tmp_path: Path, name: str) -> None:
    write_collection(tmp_path / "c", ids=name)
    done = command("run", "--collection", "c", *RUN, "--out", "r", "--run-files", "--format", "json")
    warning, *_ = json.loads(done.stdout)["warnings"]
    assert warning["code"] == "trec-ids-encoded", "text shows the first three"
    assert warning["message"].startswith("7 ids with white space or control characters")
    assert json.loads((tmp_path / "r" / "report.json").read_text())["warnings"][0] == warning
