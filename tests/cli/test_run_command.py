"""The main job through the real command: small collection, stored vectors, every ending a user can bring about."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mrl_sweep
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline import run as pipeline

Command = Callable[..., "subprocess.CompletedProcess[str]"]

N_DOCUMENTS, N_QUERIES, DIM, TELLING = 300, 100, 32, 16


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A BEIR folder `corpus` with vectors whose first 16 components hold all the meaning; the others are noise shared by all."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "corpus"
    (folder / "qrels").mkdir(parents=True)
    relevant = rng.integers(0, N_DOCUMENTS, N_QUERIES)
    documents = np.hstack([rng.standard_normal((N_DOCUMENTS, TELLING)), np.zeros((N_DOCUMENTS, DIM - TELLING))]).astype("f4")
    noise = np.hstack([0.5 * rng.standard_normal((N_QUERIES, TELLING)), np.zeros((N_QUERIES, DIM - TELLING))])
    np.save(folder / "docs.npy", documents)
    np.save(folder / "queries.npy", (documents[relevant] + noise).astype("f4"))
    write_lines(
        folder / "corpus.jsonl", [{"_id": f"d{i}", "title": f"title {i}", "text": f"text {i}"} for i in range(N_DOCUMENTS)]
    )
    queries: list[dict[str, Any]] = [
        {"_id": f"q{i}", "text": f"query {i}", "metadata": {"kind": "ab"[i % 2]}} for i in range(N_QUERIES)
    ]
    write_lines(folder / "queries.jsonl", queries)
    judged = "".join(f"q{i}\td{relevant[i]}\t1\n" for i in range(N_QUERIES))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


ARGV = ("run", "--collection", "corpus", "--model", "vectors:corpus", "--index", "none", "--dims", "32,16,2")


@pytest.mark.usefixtures("corpus")
def test_the_document_on_stdout_is_the_report_in_the_run_folder(command: Command, tmp_path: Path) -> None:
    done = command(*ARGV, "--out", "made", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads((tmp_path / "made" / "report.json").read_text())
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"report.json", "ranks.npz", "scores.parquet"}


@pytest.mark.usefixtures("corpus")
def test_the_planted_answer_is_found_and_the_command_succeeds_whatever_the_verdict(command: Command) -> None:
    for retain, dimension, status in (("95%", 16, "pass"), ("98%", 32, "inconclusive")):
        report = json.loads(command(*ARGV, "--retain", retain, "--format", "json").stdout)
        assert (report["verdict"]["dimension"], report["status"]) == (dimension, status)


@pytest.mark.usefixtures("corpus")
def test_text_ends_with_the_sentence_and_quiet_is_the_sentence_alone(command: Command) -> None:
    text, quiet, silent = command(*ARGV), command(*ARGV, "-q"), command(*ARGV, "-qq")
    assert quiet.stdout.startswith(
        "Keep all 32 dimensions for now: 16 keeps 100.0% of nDCG@10, but 100 judged queries prove only "
    )
    assert " ".join(text.stdout.split()).endswith(quiet.stdout.strip())
    assert (quiet.stderr, silent.stdout, silent.stderr, silent.returncode) == ("", "", "", 0)


@pytest.mark.usefixtures("corpus")
def test_settings_may_come_from_a_file_beside_the_data(command: Command, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    text = (
        "[collection]\nsource = '../corpus'\n[model]\nname = 'vectors:../corpus'\n[sweep]\nindex = 'none'\n[run]\nout = 'made'\n"
    )
    (tmp_path / "conf" / "sweep.toml").write_text(text)
    done = command("run", "conf/sweep.toml", "--dims", "32,16", "-q")
    assert (done.returncode, (tmp_path / "conf" / "made" / "report.json").exists()) == (0, True)


@pytest.mark.usefixtures("corpus")
def test_a_gate_on_settings_runs_the_main_job_first(command: Command, tmp_path: Path) -> None:
    text = "[collection]\nsource = 'corpus'\n[model]\nname = 'vectors:corpus'\n[sweep]\nindex = 'none'\ndims = [32, 16, 2]\n"
    (tmp_path / "sweep.toml").write_text(text + "[decision]\nretain = '95%'\n[gate]\ndim = 16\n")
    assert command("gate", "sweep.toml", "-q").returncode == 0
    assert command("gate", "sweep.toml", "-q", "--dim", "2").returncode == 1
    assert command("gate", "sweep.toml", "-q", "--retain", "98%").returncode == 4
    assert command("gate", "sweep.toml", "-q", "--dim", "3").returncode == 2


def break_vectors(corpus: Path) -> None:
    vectors = np.load(corpus / "docs.npy")
    vectors[7, 3] = np.nan
    np.save(corpus / "docs.npy", vectors)


def break_line(corpus: Path) -> None:
    lines = (corpus / "corpus.jsonl").read_text().split("\n")
    (corpus / "corpus.jsonl").write_text("\n".join([*lines[:16], '{"_id": oops', *lines[17:]]))


@pytest.mark.parametrize(
    ("argv", "breaks", "code", "message"),
    [
        ((), lambda corpus: (corpus / "queries.jsonl").unlink(), 2, "cannot read corpus/queries.jsonl: "),
        ((), break_line, 2, "corpus/corpus.jsonl:17: not JSON"),
        ((), break_vectors, 2, "corpus/docs.npy: NaN or infinite values for documents d7"),
        (("--dims", "64"), None, 2, "the model has 32 dimensions, 64 asked for"),
        (("--retian", "0.9"), None, 2, "no such option: --retian"),
        (("--slice", "colour"), None, 2, "no query has the field colour"),
        (("--out", "corpus/corpus.jsonl"), None, 2, "cannot write to corpus/corpus.jsonl"),
        (("-o", "corpus/corpus.jsonl"), None, 2, "will not write corpus/corpus.jsonl: it belongs to the input corpus"),
        (("-o", "absent/report.md"), None, 2, "cannot write absent/report.md: there is no folder absent"),
        (("-o", "corpus"), None, 2, "cannot write corpus: it is a folder"),
        (("--model", "wordllama", "--store", "corpus/corpus.jsonl"), None, 3, "cannot use the store corpus/corpus.jsonl"),
    ],
)
def test_a_fault_ends_with_message_hint_and_code_and_leaves_nothing_behind(
    command: Command,
    corpus: Path,
    tmp_path: Path,
    argv: tuple[str, ...],
    breaks: Callable[[Path], None] | None,
    code: int,
    message: str,
) -> None:
    if breaks is not None:
        breaks(corpus)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = command(*ARGV, "--format", "json", *argv)
    assert done.stderr.splitlines()[-2].startswith(f"error: {message}")
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"], error["message"].startswith(message)) == (code, code, True)
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("corpus")
def test_a_bug_of_ours_is_no_verdict(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "rank_all", lambda *_: 1 / 0)
    done = command(*ARGV)
    assert done.returncode == 70
    assert "\nerror: this is a fault of mrl-sweep, not of your data: ZeroDivisionError" in done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_with_its_own_code_and_no_traceback(corpus: Path, number: int, code: int) -> None:
    (corpus / "corpus.jsonl").unlink()
    os.mkfifo(corpus / "corpus.jsonl")
    argv = [sys.executable, "-m", "mrl_sweep", *ARGV]
    with (
        subprocess.Popen(argv, cwd=corpus.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running,
        (corpus / "corpus.jsonl").open("w"),  # opens once the command has opened the other end, which then waits for us
    ):
        running.send_signal(number)
        out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (code, "")
    assert err == "error: interrupted\nhint: what is done is kept: the same command resumes\n"


def test_the_same_job_from_a_notebook(corpus: Path, tmp_path: Path) -> None:
    report = mrl_sweep.run(
        collection=str(corpus), model=f"vectors:{corpus}", dims=[32, 16], index="none", retain="95%", out=tmp_path / "made"
    )
    assert (report.verdict.dimension, report.folder) == (16, tmp_path / "made")
    frame = report.to_frame()
    assert list(frame.columns) == ["basis", "dim", "index", "precision", "rescore", "measure", "query_id", "value"]
    assert len(frame) == 2 * 3 * N_QUERIES
    with pytest.raises(InputError, match="no setting 'retian'"):
        mrl_sweep.run(retian=1)


@pytest.mark.parametrize("out", ["corpus", "./corpus", "corpus/../corpus"])
def test_a_run_is_never_written_among_its_inputs(out: str, corpus: Path, command: Command) -> None:
    before = sorted(path.name for path in corpus.iterdir())
    done = command(*ARGV, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: will not write the run to {Path(out)}: it is an input")
    assert "hint: give --out another folder" in done.stderr
    assert sorted(path.name for path in corpus.iterdir()) == before
