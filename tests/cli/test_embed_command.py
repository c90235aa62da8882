"""Filling the store without a run, and what it would take, before anything is embedded or paid."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

ARGV = ("embed", "--collection", "corpus", "--model", "wordllama", "--store", "store")


@pytest.fixture(autouse=True)
def _corpus(tmp_path: Path) -> None:
    """Three documents, two of them alike, of 8, 8 and 12 characters; one query of 4."""
    folder = tmp_path / "corpus"
    (folder / "qrels").mkdir(parents=True)
    texts = ["rope ice", "rope ice", "long sleeping"[:12]]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts))
    )
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "rope"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\n")


def test_a_dry_run_counts_each_missing_text_once_and_embeds_nothing(command: Command, tmp_path: Path) -> None:
    done = command(*ARGV, "--dry-run", "--price-per-million", "2000000", "--format", "json")
    found = json.loads(done.stdout)
    assert found["documents"] == {
        "texts": 3,
        "stored": 0,
        "share_stored": 0.0,
        "to_embed": 2,
        "characters": 20,
        "tokens_estimated": 5,
    }
    assert (found["tokens_estimated"], found["price"]) == (6, 12.0)
    assert list(tmp_path.rglob("*.npy")) == []


def test_what_is_stored_is_neither_counted_nor_embedded_again(command: Command) -> None:
    first = command(*ARGV)
    assert (first.returncode, first.stdout) == (0, "3 documents and 1 query are stored, 256 dimensions each.\n")
    again = command(*ARGV, "--dry-run")
    assert again.stdout.splitlines() == [
        "  texts       number   stored    share   to embed   tokens",
        "  documents        3        3   100.0%          0       ~0",
        "  queries          1        1   100.0%          0       ~0",
        "",
        "To embed: about 0 tokens.",
    ]


def test_parts_embed_every_text_once_and_their_run_and_merge_report_what_one_run_does(command: Command) -> None:
    for part, said in (("2/2", "2 documents and 0 queries"), ("1/2", "1 document and 1 query")):
        done = command(*ARGV, "--part", part)
        assert (done.returncode, done.stdout) == (0, f"{said} are stored, 256 dimensions each.\n"), done.stderr
    ready = json.loads(command(*ARGV, "--dry-run", "--format", "json").stdout)
    assert (ready["documents"]["to_embed"], ready["queries"]["to_embed"]) == (0, 0)
    run = ("run", *ARGV[1:], "--dims", "256,64", "--index", "none", "--format", "json")
    for part in ("2/2", "1/2"):
        assert command(*run, "--out", "parts", "--part", part).returncode == 0
    merged, whole = json.loads(command("merge", "parts", "--format", "json").stdout), json.loads(command(*run).stdout)
    assert merged["candidates"] == whole["candidates"]
    assert [candidate["dim"] for candidate in whole["candidates"]] == [64, 256]


def test_vectors_that_exist_need_no_embedding(command: Command) -> None:
    done = command("embed", "--collection", "corpus", "--model", "vectors:corpus")
    assert (done.returncode, done.stderr.startswith("error: vectors:corpus: these vectors exist already")) == (2, True)


def test_what_is_stored_has_the_forms_of_an_article_and_no_verdict(command: Command) -> None:
    page = command(*ARGV, "--dry-run", "--format", "html")
    assert (page.returncode, page.stdout.count("<tr class="), "To embed: about 6 tokens." in page.stdout) == (0, 2, True)
    done = command(*ARGV, "--format", "junit")
    assert (done.returncode, done.stderr) == (
        2,
        "error: there is no junit format here\nhint: --format text, json, markdown, html\n",
    )
