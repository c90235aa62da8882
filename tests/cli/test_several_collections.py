"""Several collections in one run through the real command: a run each, the averages, one answer, one exit code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import mrl_sweep
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline.run import run_each
from mrl_sweep.settings.config import SweepConfig

Command = Callable[..., "subprocess.CompletedProcess[str]"]

N_DOCUMENTS, N_QUERIES, DIM, TELLING = 300, 300, 32, 16
MODEL = ("--model", "vectors:vectors", "--index", "none", "--dims", "32,16,2")


@pytest.fixture(autouse=True)
def collections(tmp_path: Path) -> None:
    """`hard` and `easy`: the same texts and vectors, whose first 16 components tell all. In `easy` two thirds of the queries
    have the two documents that any size finds, so that more of it is kept at 2 dimensions.
    """
    rng = np.random.default_rng(3)
    documents = np.hstack([rng.standard_normal((N_DOCUMENTS, TELLING)), np.zeros((N_DOCUMENTS, DIM - TELLING))]).astype("f4")
    relevant = rng.permutation(N_DOCUMENTS)[:N_QUERIES]
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "docs.npy", documents)
    np.save(tmp_path / "vectors" / "queries.npy", documents[relevant] + 0.3 * rng.standard_normal(DIM).astype("f4"))
    found_at_two = np.argsort(-cosine(documents[relevant, :2], documents[:, :2]), axis=1)[:, 0]
    for name, judged in {"hard": relevant, "easy": np.where(np.arange(N_QUERIES) % 3, relevant, found_at_two)}.items():
        (tmp_path / name / "qrels").mkdir(parents=True)
        lines(tmp_path / name / "corpus.jsonl", [{"_id": f"d{i}", "text": f"text {i}"} for i in range(N_DOCUMENTS)])
        queries: list[dict[str, Any]] = [
            {"_id": f"q{i}", "text": f"query {i}", "metadata": {"language": ("de", "sw")[i % 2]}} for i in range(N_QUERIES)
        ]
        lines(tmp_path / name / "queries.jsonl", queries)
        rows = "".join(f"q{i}\td{row}\t1\n" for i, row in enumerate(judged))
        (tmp_path / name / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In float64: two documents may point so nearly alike that float32 cannot tell which is the query's own."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def both(command: Command, *argv: str) -> subprocess.CompletedProcess[str]:
    return command("run", "--collection", "hard", "--collection", "easy", *MODEL, *argv)


def test_each_collection_has_its_run_and_the_document_holds_both(command: Command, tmp_path: Path) -> None:
    done = both(command, "--out", "made", "--format", "json", "--retain", "95%")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert list(found) == ["schema_version", "status", "verdict", "macro", "collections", "gate"]
    runs = [json.loads((tmp_path / "made" / name / "report.json").read_text()) for name in ("hard", "easy")]
    assert found["collections"] == runs
    assert [run["manifest"]["settings"]["collection.source"] for run in runs] == ["hard", "easy"]
    for row in found["macro"]:
        for name, measure in row["measures"].items():
            alone = [c["measures"][name]["mean"] for run in runs for c in run["candidates"] if c["dim"] == row["dim"]]
            assert measure["mean"] == sum(alone) / 2
    assert (found["status"], found["verdict"]["dimension"], found["macro"][2]["verdict"]) == ("pass", 16, "fail")


def test_a_run_among_several_is_the_run_alone(command: Command, tmp_path: Path) -> None:
    assert both(command, "-qq").returncode == 0
    assert command("run", "--collection", "hard", *MODEL, "-qq").returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2, "the run alone is written to the folder of the run among several"


def test_the_text_ends_with_the_joint_sentence_and_quiet_is_that_sentence(command: Command) -> None:
    text, quiet, silent = both(command, "--retain", "95%"), both(command, "--retain", "95%", "-q"), both(command, "-qq")
    assert quiet.stdout.startswith("Use 16 dimensions for both collections: each keeps at least ")
    assert quiet.stdout.endswith("you asked for 95%. 2 is too low in hard, easy.\n")
    assert " ".join(text.stdout.split()).endswith(" ".join(quiet.stdout.split()))
    assert max(map(len, text.stdout.splitlines())) <= 80
    assert "2 collections, each by itself\n" in text.stdout
    assert [line.split()[0] for line in text.stderr.splitlines()] == ["collection", "300", "run", "collection", "300", "run"]
    assert (silent.stdout, silent.stderr) == ("", "")


def test_markdown_begins_with_the_joint_answer(command: Command, tmp_path: Path) -> None:
    done = both(command, "--retain", "95%", "-o", "all.md")
    page = (tmp_path / "all.md").read_text()
    assert (done.returncode, done.stdout) == (0, "")
    assert page.startswith(
        "<!-- mrl-sweep -->\n### mrl-sweep: 2 collections: ✅ pass\n\n**Use 16 dimensions for both collections: "
    )
    assert page.endswith("\n\nOn the page (`--format html`): hard; easy.\n")
    assert len(page.splitlines()) <= 30
    assert "| hard | 300 |" in page
    assert "Use 16 dimensions for both" in done.stderr


def test_a_broken_collection_stops_before_any_work(command: Command, tmp_path: Path) -> None:
    (tmp_path / "easy" / "queries.jsonl").unlink()
    done = both(command, "--out", "made", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["status"]) == (2, "error")
    assert "cannot read easy/queries.jsonl" in done.stderr
    assert list((tmp_path / "made").iterdir()) == []


def test_a_later_error_names_its_collection(command: Command, tmp_path: Path) -> None:
    queries: list[dict[str, Any]] = [{"_id": f"q{i}", "text": f"query {i}", "metadata": {}} for i in range(N_QUERIES)]
    lines(tmp_path / "easy" / "queries.jsonl", queries)
    done = both(command, "--out", "made", "--slice", "language")
    assert done.returncode == 2
    assert "error: easy: no query has the field language" in done.stderr
    assert list((tmp_path / "made").glob("*/report.json")) == [], "it is seen before the first collection is embedded"


def test_every_collection_is_checked(command: Command) -> None:
    argv = ("check", "--collection", "hard", "--collection", "easy")
    found = json.loads(command(*argv, "--format", "json").stdout)["collections"]
    assert [(one["name"], one["documents"], one["queries"]) for one in found] == [("hard", 300, 300), ("easy", 300, 300)]
    sound = "{0} is sound: 300 documents, 300 judged queries.\n"
    assert command(*argv, "-q").stdout == sound.format("hard") + sound.format("easy")


def test_every_collection_is_embedded_into_one_store(command: Command) -> None:
    argv = ("embed", "--collection", "hard", "--collection", "easy", "--model", "wordllama", "--store", "store")
    done = command(*argv, "--format", "json")
    assert [one["name"] for one in json.loads(done.stdout)["collections"]] == ["hard", "easy"]
    assert "300 documents: 0 embedded, 300 already stored or alike" in done.stderr, "both hold the same texts"
    assert command(*argv, "--dry-run", "-q").stdout == "".join(f"{n}: To embed: about 0 tokens.\n" for n in ("hard", "easy"))


def test_the_notebook_s_run_takes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="2 collections are named, and this takes one"):
        mrl_sweep.run(collection=["hard", "easy"], model="vectors:vectors")
    reports = run_each(SweepConfig.of(collection=["hard", "easy"], model="vectors:vectors", index="none", dims="32,16"))
    assert {name: report.verdict.queries for name, report in reports.items()} == {"hard": 300, "easy": 300}


def test_a_format_of_one_report_is_refused_before_any_work(command: Command, tmp_path: Path) -> None:
    done = both(command, "--format", "ship", "--out", "made")
    assert (done.returncode, (tmp_path / "made").exists()) == (2, False)
    assert "error: there is no ship format here" in done.stderr


def test_junit_has_a_suite_for_each_collection(command: Command) -> None:
    root = ElementTree.fromstring(both(command, "--format", "junit", "--retain", "95%").stdout.encode())
    assert [(suite.get("id"), suite.get("name"), suite.get("failures")) for suite in root] == [
        ("0", "mrl-sweep hard", "0"),
        ("1", "mrl-sweep easy", "0"),
    ]


def test_finished_runs_are_gated_and_rendered_again_by_their_folder(command: Command, tmp_path: Path) -> None:
    assert both(command, "--out", "made", "--retain", "95%", "-qq").returncode == 0
    first = command("report", "made", "--format", "json").stdout
    assert json.loads(first)["verdict"]["dimension"] == 16
    assert json.loads(first)["collections"][1] == json.loads((tmp_path / "made" / "easy" / "report.json").read_text())
    page = tmp_path / "page.md"
    gated = command("gate", "made", "--dim", "2", "--format", "github", env={"GITHUB_STEP_SUMMARY": str(page)})
    assert gated.returncode == 1
    verdict, *others = gated.stdout.splitlines()
    assert verdict.startswith("::error title=mrl-sweep%3A fail in 2 collections::The gate is not met in hard, easy. hard: 2 dim")
    assert others[0].startswith("::error title=mrl-sweep gate::easy: 2 dimensions are not acceptable")
    assert gated.stdout.count("hard: 2 dimensions are not") == gated.stdout.count("easy: 2 dimensions are not") == 1
    assert page.read_text().startswith("<!-- mrl-sweep -->\n### mrl-sweep: 2 collections: ❌ fail\n")
    assert command("gate", "made", "--dim", "16", "-qq").returncode == 0
    assert command("gate", "made", "--retain", "99.9999%", "--dim", "2", "-qq").returncode == 1


def test_a_folder_of_several_is_rendered_planned_and_compared_by_name(command: Command) -> None:
    for folder, share in (("made", "95%"), ("again", "90%")):
        assert both(command, "--out", folder, "--retain", share, "-qq").returncode == 0
    page = command("report", "made", "--format", "html").stdout
    assert [page.count(f"<h2>{name}</h2>") for name in ("hard", "easy")] == [1, 1]
    text = command("report", "made").stdout
    assert "  hard: mrl-sweep report made/hard\n" in text
    assert (text.count("300 docs"), command("report", "made", "-v").stdout.count("300 docs")) == (0, 2)

    argv = ("plan", "made", "--docs", "1k", "--index", "Flat")
    planned = json.loads(command(*argv, "--format", "json").stdout)["collections"]
    assert [(one["name"], [row["dim"] for row in one["rows"]]) for one in planned] == [("hard", [32, 16]), ("easy", [32, 16])]
    shown = command(*argv).stdout.splitlines()
    assert shown[0] == "The cheapest acceptable configuration of each"
    assert [" ".join(line.split()[:2]) for line in shown[2:4]] == ["hard 16:float32:Flat", "easy 16:float32:Flat"]
    assert max(map(len, shown)) <= 80

    compared = json.loads(command("compare", "made", "again", "--format", "json").stdout)["collections"]
    assert [(one["name"], [run["name"] for run in one["runs"]]) for one in compared] == [
        ("hard", ["made/hard", "again/hard"]),
        ("easy", ["made/easy", "again/easy"]),
    ]
    side = command("compare", "made", "again").stdout.splitlines()
    assert [" ".join(line.split()[:3]) for line in side[2:4]] == ["hard 16: 1.0000", "easy 16: 1.0000"]
    alone = json.loads(command("compare", "made", "--format", "json").stdout)
    assert [run["name"] for run in alone["runs"]] == ["made/hard", "made/easy"]
    refused = command("compare", "made", "again/hard")
    assert (refused.returncode, "hint: name one of them: made/hard" in refused.stderr) == (2, True)


def test_a_run_that_stops_leaves_no_list_of_runs(command: Command, tmp_path: Path) -> None:
    assert both(command, "--out", "made", "-qq").returncode == 0
    assert both(command, "--out", "made", "--slice", "colour", "-qq").returncode == 2
    assert not (tmp_path / "made" / "runs.json").exists()
    assert command("run", "--collection", "hard", *MODEL, "--out", "made", "-qq").returncode == 0
    assert json.loads(command("report", "made", "--format", "json").stdout)["manifest"]["collection"]["name"] == "hard"


def test_a_list_of_runs_that_is_none_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "runs.json").write_text('{"schema_version": 2, "runs": {"a": "a"}}')
    done = command("report", "made")
    assert (done.returncode, "error: made/runs.json is no list of runs" in done.stderr) == (2, True)


def test_collections_of_one_name_are_told_apart(command: Command, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "easy").rename(tmp_path / "other" / "hard")
    done = command("run", "--collection", "hard", "--collection", "other/hard", *MODEL, "--out", "made", "--format", "json")
    assert [row["name"] for row in json.loads(done.stdout)["verdict"]["by_collection"]] == ["hard", "other/hard"]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["hard", "other-hard", "runs.json"]


@pytest.mark.parametrize(
    ("ask", "code", "says"),
    [
        (("--retain", "95%", "--dim", "16"), 0, "The gate is met in both collections."),
        (("--retain", "95%", "--dim", "2"), 1, "The gate is not met in hard, easy. hard: 2 dimensions are not acceptable"),
        (("--retain", "99.99%", "--max-dim", "2"), 1, "The gate is not met in hard, easy."),
        (("--dim", "16", "--baseline", "made/hard"), 2, ""),
    ],
)
def test_the_gate_must_be_met_everywhere(command: Command, tmp_path: Path, ask: tuple[str, ...], code: int, says: str) -> None:
    text = "[collection]\nsource = ['hard', 'easy']\n[model]\nname = 'vectors:vectors'\n"
    (tmp_path / "sweep.toml").write_text(text + "[sweep]\nindex = 'none'\ndims = [32, 16, 2]\n")
    done = command("gate", "sweep.toml", *ask, "-q")
    assert done.returncode == code
    assert done.stdout.startswith(says)


def test_the_language_of_the_queries_is_a_slice_like_any_other(command: Command) -> None:
    found = json.loads(both(command, "--format", "json", "--retain", "95%").stdout)
    for report in found["collections"]:
        rows = [(row["field"], row["value"], row["queries"]) for row in report["slices"] if row["field"] == "language"]
        assert set(rows) == {("language", "de", 150), ("language", "sw", 150)}


def test_a_language_beside_the_text_of_a_query_is_found_too(command: Command, tmp_path: Path) -> None:
    queries: list[dict[str, Any]] = [
        {"_id": f"q{i}", "text": f"query {i}", "language": ("de", "sw")[i % 3 > 0]} for i in range(N_QUERIES)
    ]
    lines(tmp_path / "easy" / "queries.jsonl", queries)
    alone = json.loads(command("run", "--collection", "easy", *MODEL, "--format", "json", "--retain", "95%").stdout)
    counted = {(row["value"], row["queries"]) for row in alone["slices"] if row["field"] == "language"}
    assert counted == {("de", 100), ("sw", 200)}
