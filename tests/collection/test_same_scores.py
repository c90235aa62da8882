"""The whole command on the same data laid out five ways: the same scores, byte for byte."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import test_layouts
from test_layouts import isolate_hub, write_beir, write_csv, write_hf_mteb, write_ir, write_trec_tsv

from mrl_sweep.cli import main

WAYS = {"beir": write_beir, "trec": write_trec_tsv, "csv": write_csv, "ir": write_ir, "hf": write_hf_mteb}
THINGS = ("rain", "snow", "hail", "fog", "wind", "glacier", "rivière", "desert", "ocean", "volcano")
DOINGS = ("falls", "melts", 'is "cold"', "rises; slowly", "blows, hard", "– 30 °C –", "erodes", "freezes")
N_DOCUMENTS, N_QUERIES = 60, 32
ASKED = ("--dims", "256,64,8", "--measure", "nDCG@60", "--measure", "R@10", "--measure", "RR")


@pytest.fixture
def laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Made-up documents with every third untitled, and per query two or three graded judgments; by way, what to call them."""
    rng = random.Random(5)
    documents = [
        (f"d{i}", rng.choice(THINGS).title() if i % 3 else "", f"The {rng.choice(THINGS)} {rng.choice(DOINGS)} in {i}.")
        for i in range(N_DOCUMENTS)
    ]
    queries = [(str(i), f"when the {rng.choice(THINGS)} {rng.choice(DOINGS)}") for i in range(N_QUERIES)]
    judgments = [(q, f"d{d}", rng.randint(0, 2)) for q, _ in queries for d in rng.sample(range(N_DOCUMENTS), 2)]
    judgments += [(q, f"d{i}", 1) for i, (q, _) in enumerate(queries) if (q, f"d{i}") not in {j[:2] for j in judgments}]
    for name, rows in {"DOCUMENTS": documents, "QUERIES": queries, "JUDGMENTS": judgments}.items():
        monkeypatch.setattr(test_layouts, name, rows)
    isolate_hub(tmp_path / "hub", monkeypatch)
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "catalogue"))
    monkeypatch.chdir(tmp_path)
    specs = {}
    for way, write in WAYS.items():
        (tmp_path / way).mkdir()
        specs[way] = write(tmp_path / way)
    return specs


def run(*argv: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(("run", *argv, "--model", "wordllama", "--index", "none", "--store", "store", *ASKED))
    return ended.value.code


def test_five_ways_give_identical_scores(laid_out: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One alone, then all in one run."""
    assert [spec.partition(":")[0] for spec in laid_out.values()][1:] == ["trec", "csv", "ir", "hf"]
    assert run("--collection", laid_out["beir"], "--out", "alone", "-qq") == 0
    argv = [part for spec in laid_out.values() for part in ("--collection", spec)]
    assert run(*argv, "--out", "runs", "--format", "json") == 0
    by_itself = tmp_path / "alone" / "scores.parquet"
    files = sorted((tmp_path / "runs").glob("*/scores.parquet"))
    assert len(files) == len(WAYS)
    assert {path.read_bytes() for path in files} == {by_itself.read_bytes()}
    table = pq.read_table(by_itself)
    assert table.num_rows == 3 * 3 * N_QUERIES
    assert len(set(table.column("value").to_pylist())) > 50, "figures that tell something apart"
    reports = [json.loads(path.with_name("report.json").read_text()) for path in (by_itself, *files)]
    assert [report["candidates"] for report in reports] == [reports[0]["candidates"]] * len(reports)
    assert len({report["manifest"]["collection"]["judgments_digest"] for report in reports}) == 1
    found = json.loads(capsys.readouterr().out)
    alone = {row["dim"]: row["measures"] for row in reports[0]["candidates"] if row["index"] == "exact"}
    for row in found["macro"]:
        for name, measure in row["measures"].items():
            assert measure["mean"] == pytest.approx(alone[row["dim"]][name]["mean"], rel=1e-15)
