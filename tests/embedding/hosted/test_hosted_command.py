"""The whole command against a hosted model: the same figures as the local one, and a key that is nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from embedding_helpers import tree
from hosted_servers import CANARY, Served, refuse

from mrl_sweep.cli import main

WORDS = ["river", "bridge", "tower", "engine", "garden", "winter", "letter", "market", "island", "forest"]
ARGUMENTS = ("--collection", "beir", "--index", "none", "--store", "store", "--dims", "64,256")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A BEIR folder of 60 documents and 30 queries, and a home for everything the command writes."""
    monkeypatch.chdir(tmp_path)
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    texts = [f"{WORDS[i % 10]} {WORDS[(i // 10 + i) % 10]} number {i}" for i in range(60)]
    (beir / "corpus.jsonl").write_text("".join(json.dumps({"_id": f"d{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    queries = [json.dumps({"_id": f"q{i}", "text": texts[i].rsplit(" ", 2)[0]}) + "\n" for i in range(30)]
    (beir / "queries.jsonl").write_text("".join(queries))
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(30))
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: Any) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out + err


def nothing_shows_the_key(folder: Path, printed: str) -> bool:
    files = tree(folder)
    return CANARY not in printed and not [name for name, content in files.items() if CANARY.encode() in content or CANARY in name]


def test_a_run_leaves_the_key_in_no_file_and_no_output(folder: Path, server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", "openai:wordllama", "--base-url", f"{server.url}/v1")
    code, printed = run(capsys, "run", *ARGUMENTS, *model, "--out", "run", "-v")
    assert code == 0, printed
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {CANARY}"}
    for argv in (
        ("run", *ARGUMENTS, *model, "--out", "again", "--format", "json"),
        ("report", "run", "--format", "html"),
        ("report", "run", "--format", "markdown"),
        ("config",),
    ):
        n = len(server.requests)
        code, more = run(capsys, *argv)
        assert code == 0, more
        assert len(server.requests) == n, "everything was stored"
        printed += more
    assert len(tree(folder)) > 10
    assert nothing_shows_the_key(folder, printed)
    manifest = json.loads((folder / "run" / "report.json").read_text())["manifest"]["model"]
    assert (manifest["provider"], manifest["name"], manifest["dim"]) == ("openai", "openai:wordllama", 256)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (401, f"Incorrect API key: {CANARY}", 2),
        (404, f"no model for {CANARY}", 2),
        (400, f"odd {CANARY}", 2),
        (402, f"pay, {CANARY}", 3),
    ],
)
@pytest.mark.parametrize("form", [("--debug",), ("--format", "json")])
def test_a_failing_run_shows_the_key_neither(
    folder: Path, server: Served, capsys: pytest.CaptureFixture[str], status: int, message: str, code: int, form: tuple[str, ...]
) -> None:
    server.always = refuse(status, message)
    model = ("--model", "openai:wordllama", "--base-url", f"{server.url}/v1")
    ended, printed = run(capsys, "run", *ARGUMENTS, *model, "--out", "run", *form)
    assert ended == code, printed
    assert len(server.requests) == 1
    assert nothing_shows_the_key(folder, printed)


@pytest.mark.usefixtures("folder")
def test_a_model_without_a_key_ends_in_2_and_names_the_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOYAGE_API_KEY")
    ended, printed = run(capsys, "run", *ARGUMENTS, "--model", "voyage:voyage-4", "--out", "run")
    assert ended == 2
    assert "VOYAGE_API_KEY" in printed


def test_queries_may_have_a_model_of_their_own(folder: Path, server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    large = ("--model", "voyage:voyage-4-large", "--base-url", f"{server.url}/v1")
    server.model_dims = {"voyage-4-large": 2048, "voyage-4-lite": 2048, "mine": 128}
    code, printed = run(capsys, "run", *ARGUMENTS, *large, "--query-model", "voyage:mine", "--out", "run")
    assert code == 2, printed
    assert "different sizes: 2,048 dimensions in voyage:voyage-4-large, 128 in voyage:mine" in printed
    assert [request.texts for request in server.requests] == [["size"]], "a size was asked for, no text was embedded"
    lite = ("--query-model", "voyage:voyage-4-lite")
    code, printed = run(capsys, "run", *ARGUMENTS, *large, *lite, "--out", "run", "--format", "json")
    assert code == 0, printed
    asked = {request.model: set() for request in server.requests}
    for request in server.requests:
        asked[request.model] |= {request.document["input_type"]}
    assert asked == {"voyage-4-large": {"document"}, "voyage-4-lite": {"query"}, "mine": {"query"}}
    report = json.loads((folder / "run" / "report.json").read_text())
    model = report["manifest"]["model"]
    assert (model["name"], model["query_model"]["name"]) == ("voyage:voyage-4-large", "voyage:voyage-4-lite")
    assert report["manifest"]["settings"]["model.query_model"] == "voyage:voyage-4-lite"
    code, printed = run(capsys, "run", *ARGUMENTS, *large, "--out", "run")
    assert code == 2
    assert "query model voyage:voyage-4-lite, now none" in printed
    code, printed = run(capsys, "report", "run")
    assert "voyage:voyage-4-large  queries by voyage:voyage-4-lite" in printed.replace("\n", " ")
