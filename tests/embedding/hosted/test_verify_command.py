"""`--verify-api` through the whole command: what the vendor's small vectors are, in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mrl_sweep.cli import main


def test_the_report_says_whether_the_small_vectors_are_the_cut_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus" / "qrels").mkdir(parents=True)
    texts = [f"river bridge {i} garden" for i in range(40)]
    (tmp_path / "corpus" / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{i}", "text": t}) + "\n" for i, t in enumerate(texts))
    )
    (tmp_path / "corpus" / "queries.jsonl").write_text('{"_id": "q", "text": "river"}\n')
    (tmp_path / "corpus" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td0\t1\n")
    argv = ["run", "--collection", "corpus", "--model", "openai:wordllama", "--base-url", f"{server.url}/v1", "--store", "store"]
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--dims", "64,256", "--index", "none", "--verify-api", "7", "--format", "json"])
    assert ended.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["manifest"]["model"]["api_verified"]["texts"] == 7
    assert report["manifest"]["model"]["api_verified"]["dim"] == 64
    assert "api-verified" in [warning["code"] for warning in report["warnings"]]
