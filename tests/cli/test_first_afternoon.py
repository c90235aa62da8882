"""What people type on their first afternoon, and the answer that leads on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrl_sweep.embedding import open_embedder
from mrl_sweep.embedding.hosted.model import HostedModel
from mrl_sweep.errors import InputError

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("text-embedding-3-small", "openai:text-embedding-3-small"),
        ("text-embedding-3-large", "openai:text-embedding-3-large"),
        ("voyage-4-lite", "voyage:voyage-4-lite"),
        ("embed-v4.0", "cohere:embed-v4.0"),
        ("gemini-embedding-001", "gemini:gemini-embedding-001"),
    ],
)
def test_a_hosted_model_without_its_provider_is_answered_with_it(command: Command, name: str, meant: str) -> None:
    done = command("run", "--collection", "pydocs", "--model", name, "--offline")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"hint: --model {meant}")
    assert isinstance(open_embedder(meant), HostedModel)


@pytest.mark.parametrize(("typed", "meant"), [("opnai:x", "openai:x"), ("vector:v", "vectors:v"), ("wordlama", "wordllama")])
def test_a_misspelt_model_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        open_embedder(typed)
    assert f"did you mean {meant}?" in caught.value.hint.replace("'", "")


@pytest.mark.parametrize(("typed", "meant"), [("pydoc", "pydocs"), ("trek:folder", "trec:folder"), ("cvs:a", "csv:a")])
def test_a_misspelt_collection_is_answered_with_the_nearest(command: Command, typed: str, meant: str) -> None:
    done = command("check", "--collection", typed)
    assert (done.returncode, f"did you mean {meant}?" in done.stderr.replace("'", "")) == (2, True)


@pytest.mark.parametrize("option", ["--budget-ms", "--budget-gib"])
def test_a_budget_of_nothing_is_refused(command: Command, option: str) -> None:
    done = command("run", "--collection", "pydocs", "--model", "wordllama", option, "0")
    assert (done.returncode, "is a budget that nothing keeps" in done.stderr) == (2, True)


@pytest.mark.parametrize("argv", [("run", "--help"), ("run", "--collection", "pydocs")])
def test_help_and_hint_name_the_providers(command: Command, argv: tuple[str, ...]) -> None:
    done = command(*argv, env={"COLUMNS": "300"})
    assert all(f"{name}:" in done.stdout + done.stderr for name in ("openai", "voyage", "cohere", "gemini", "vectors"))


def test_vectors_say_which_sizes_were_chosen_and_why(command: Command, tmp_path: Path) -> None:
    (tmp_path / "c" / "qrels").mkdir(parents=True)
    (tmp_path / "c" / "corpus.jsonl").write_text("".join(f'{{"_id": "d{i}", "text": "t{i}"}}\n' for i in range(5)))
    (tmp_path / "c" / "queries.jsonl").write_text("".join(f'{{"_id": "q{i}", "text": "t{i}"}}\n' for i in range(5)))
    (tmp_path / "c" / "qrels" / "test.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(5)))
    (tmp_path / "v").mkdir()
    rows = np.random.default_rng(1).standard_normal((5, 128)).astype(np.float32)
    np.save(tmp_path / "v" / "docs.npy", rows)
    np.save(tmp_path / "v" / "queries.npy", rows)
    done = command("run", "--collection", "c", "--model", "vectors:v", "--index", "none", "--out", "r", "--store", "s")
    assert done.returncode == 0
    assert "sizes 128, 64, 32: halved, for vectors do not say what their model was trained for" in done.stderr
