"""A run over an object store on Ray: other machines fetch what they count, and a 503 now and then changes no integer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of

from mrl_sweep.embedding import Store, embed
from mrl_sweep.execution.places import places_of, unreadable
from mrl_sweep.settings.paths import copies_of

TEXTS = [f"text {i}" for i in range(300)]


def test_a_machine_without_a_copy_fetches_the_objects_of_the_rows_that_it_reads_and_no_others(s3: Any) -> None:
    address, _ = s3
    for some, new in ((TEXTS[:100], 100), (TEXTS, 200)):  # a shard each, and neither is small beside the other
        embed(collection_of(some), CountingEmbedder(), Store(address, shard_bytes=new * (8 * 4 + 21)))
    vectors = embed(collection_of(TEXTS), CountingEmbedder(), Store(address)).documents
    rows, places = vectors.read(0, 50), places_of(vectors)
    assert len(places.files) == 2
    shutil.rmtree(copies_of(address))
    assert unreadable(sorted(places.files.items())) == []
    np.testing.assert_array_equal(places.open([(0, 50)]).read(0, 50), rows)
    assert len(list(copies_of(address).rglob("*.arrow"))) == 1


def command(*arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "mrl_sweep", *arguments], capture_output=True, text=True, check=False, timeout=230
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_on_ray_over_a_store_that_answers_503_now_and_then_is_that_of_threads_over_a_folder(
    s3: Any, tmp_path: Path, reported: Any
) -> None:
    pytest.importorskip("ray")
    address, weather = s3
    corpus = [{"_id": f"d{i}", "text": f"a text about {i * 7919 % 1000} and {i % 13}"} for i in range(400)]
    queries = [{"_id": f"q{i}", "text": f"what about {i * 7919 % 1000}?"} for i in range(40)]
    (tmp_path / "qrels").mkdir()
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(40))
    (tmp_path / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    same = [
        "run",
        "--collection",
        str(tmp_path),
        "--model",
        "wordllama",
        "--dims",
        "256,64",
        "--index",
        "none",
        "--format",
        "json",
    ]
    here = reported(*same, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "threads"))
    weather.calm()
    weather.every = 5
    there = command(*same, "--store", address, "--out", str(tmp_path / "ray"), "--executor", "ray", "--threads", "2")
    assert len(weather.requests) >= 5
    assert there["candidates"] == here["candidates"]
    assert there["verdict"] == here["verdict"]
