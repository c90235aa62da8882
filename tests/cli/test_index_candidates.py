"""Index strings through the command: one that cannot be built never takes the others along."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    (folder / "c" / "qrels").mkdir(parents=True)
    rng = np.random.default_rng(4)
    corpus = "".join(json.dumps({"_id": f"d{i}", "text": f"text {i}"}) + "\n" for i in range(80))
    (folder / "c" / "corpus.jsonl").write_text(corpus)
    (folder / "c" / "queries.jsonl").write_text("".join(json.dumps({"_id": f"q{i}", "text": f"q {i}"}) + "\n" for i in range(10)))
    (folder / "c" / "qrels" / "test.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(10)))
    (folder / "v").mkdir()
    documents = rng.standard_normal((80, 12)).astype(np.float32)
    np.save(folder / "v" / "docs.npy", documents)
    np.save(folder / "v" / "queries.npy", documents[:10] + np.float32(0.1))


RUN = ("run", "--collection", "c", "--model", "vectors:v", "--dims", "12,8,6", "--store", "s", "--out", "r", "--format", "json")


def test_one_bad_size_is_left_out_and_the_others_go_on(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    write(tmp_path)
    done = command(*RUN, "--index", "PQ4x4", "--index", "IDMap,Flat", "--index", "Flat")
    report = json.loads(done.stdout)
    (reason,) = [warning["message"] for warning in report["warnings"] if warning["code"] == "index-left-out"]
    assert reason.startswith("PQ4x4 at 6 dimensions is left out: FAISS cannot")
    measured = {(row["index"], row["dim"]) for row in report["candidates"] if row["index"] != "exact"}
    assert {("PQ4x4", 12), ("PQ4x4", 8), ("IDMap,Flat", 6), ("Flat", 6)} <= measured
    assert ("PQ4x4", 6) not in measured
    assert command(*RUN, "--index", "PQ4x4", "--strict").returncode == 2


def test_what_can_be_built_at_no_size_is_refused_before_the_ranking(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    write(tmp_path)
    done = command(*RUN, "--index", "IDMap2,IDMap,Flat", "--index", "Flat")
    assert (done.returncode, "FAISS cannot fill IDMap2,IDMap,Flat" in done.stderr) == (2, True)
    assert not (tmp_path / "r" / "report.json").exists()
