"""A collection checked and described, without a model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def _corpus(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"_id": f"d{i}", "text": "abc"}) + "\n" for i in range(3)))
    queries = [{"_id": f"q{i}", "text": "rope", "metadata": {"kind": "\x1b[31mx"}} for i in range(2)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td2\t2\n")


def test_a_sound_collection_is_told_in_figures(command: Command) -> None:
    done = command("check", "--collection", "corpus")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert "judgments 2 (grades: 1 x 2, 1 x 1)" in lines
    assert lines[-1] == "corpus is sound: 3 documents, 2 judged queries."
    assert "\x1b" not in done.stdout


def test_json_and_quiet_say_the_same(command: Command) -> None:
    found = json.loads(command("check", "--collection", "corpus", "--format", "json").stdout)
    assert (found["documents"], found["queries"], found["judgments"], found["slices"][0]["name"]) == (3, 2, 2, "kind")
    assert command("check", "--collection", "corpus", "-q").stdout == "corpus is sound: 3 documents, 2 judged queries.\n"


def test_a_broken_collection_is_refused_with_its_line(command: Command, tmp_path: Path) -> None:
    with (tmp_path / "corpus" / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d3"')
    done = command("check", "--collection", "corpus")
    assert (done.returncode, done.stderr.startswith("error: corpus/corpus.jsonl:4: ")) == (2, True)


def test_no_model_is_asked_for_but_a_collection_is(command: Command) -> None:
    done = command("check")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: no collection given")
