"""A run over an object store on Ray: other machines fetch what they count, and a 503 now and then changes no integer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of
from processes import of_session

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


FILLER = """
import os, sys
from pathlib import Path
from embedding_helpers import Dying, collection_of
from mrl_sweep.embedding import Batching, Store
from mrl_sweep.execution.ray import joined
from mrl_sweep.pipeline.models import embed_on_cluster
from mrl_sweep.store.space import COSTLY_S

folder, address, deadly = sys.argv[1:]
deaths = {10: 0, 20: os.getpid()} if deadly == "deadly" else {}
model = Dying(batching=Batching(texts=20, window=500), folder=folder, deaths=deaths, batch_s=COSTLY_S)
texts = [f"text {i}" for i in range(1000)]
with joined(n_threads=2) as executor:
    embed_on_cluster(executor, collection_of(texts), (model, Store(address)), lambda: (model, Store(address)), least=1)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found as Linux shows them")
def test_an_actor_and_a_driver_that_are_killed_cost_a_finished_batch_each_at_most_and_a_503_none(s3: Any, tmp_path: Path) -> None:
    """Of a model of which a batch is worth a shard: the one that is being put, besides the one in hand."""
    pytest.importorskip("ray")
    address, weather = s3
    weather.every = 5
    tests = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (tests.parent, tests)))}
    for how, ends in (("deadly", -signal.SIGKILL), ("calm", 0)):
        argv = [sys.executable, "-c", FILLER, str(tmp_path), address, how]
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=env
        )
        _, err = process.communicate(timeout=230)
        assert process.returncode == ends, err
        for pid in of_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    texts = [f"text {i}" for i in range(1000)]
    begun, finished = ((tmp_path / name).read_text().splitlines() for name in ("embedded", "finished"))
    assert set(finished) - {"which one?"} == set(texts)
    assert sorted(path.name for path in tmp_path.glob("died-*")) == ["died-10", "died-20"]
    twice = Counter(finished)
    del twice["which one?"]
    assert max(twice.values()) <= 2
    assert sum(n - 1 for n in twice.values()) <= 2 * 20
    assert 20 <= len(begun) - begun.count("which one?") - len(texts) <= 2 * (20 + 20)
    here = CountingEmbedder()
    embed(collection_of(texts), here, Store(address))
    assert [text for text in here.asked if text in set(texts)] == [], "all of it is in the store"


def made(folder: Path, n_documents: int) -> list[str]:
    """A collection, and the command that runs it."""
    corpus = [{"_id": f"d{i}", "text": f"a text about {i * 7919 % 1000} and {i % 13}, {i // 1000}"} for i in range(n_documents)]
    queries = [{"_id": f"q{i}", "text": f"what about {i * 7919 % 1000}?"} for i in range(40)]
    (folder / "qrels").mkdir()
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(40))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    how = "--model wordllama --dims 256,64 --index none --format json"
    return ["run", "--collection", str(folder), *how.split()]


def started(*arguments: str) -> subprocess.Popen[str]:
    """The command with a Ray of its own, in a session of its own."""
    argv = [sys.executable, "-m", "mrl_sweep", *arguments, "--executor", "ray", "--threads", "2"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """A report without dates, timings and the executor's name."""
    return {key: value for key, value in report.items() if key not in ("manifest", "timings")}


def test_a_run_on_ray_over_a_store_that_answers_503_now_and_then_is_that_of_threads_over_a_folder(
    s3: Any, tmp_path: Path, reported: Any
) -> None:
    pytest.importorskip("ray")
    address, weather = s3
    same = made(tmp_path, 400)
    here = reported(*same, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "threads"))
    weather.calm()
    weather.every = 5
    process = started(*same, "--store", address, "--out", str(tmp_path / "ray"))
    out, err = process.communicate(timeout=230)
    assert process.returncode == 0, err
    assert len(weather.requests) >= 5
    assert comparable(json.loads(out)) == comparable(here)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found as Linux shows them")
def test_an_actor_and_then_the_driver_are_killed_over_an_object_store_and_the_report_is_that_of_threads(
    s3: Any, tmp_path: Path, reported: Any
) -> None:
    """The actor dies as it puts its first shard, the driver as it puts the queries; every fifth request is answered 503."""
    pytest.importorskip("ray")
    address, weather = s3
    same = made(tmp_path, 1_200)
    here = reported(*same, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "threads"))
    there = [*same, "--store", address, "--out", str(tmp_path / "ray")]
    weather.calm()
    weather.every = 5
    process, killed = started(*there), []

    def kill(request: str) -> None:
        """Whoever puts a shard of documents first, and whoever puts one of queries."""
        for role, name in (("document", "ray::Filler"), ("query", "")):
            if role not in killed and request.startswith("PUT") and ".arrow" in request and f"-{role}-" in request:
                killed.append(role)
                for pid, command in of_session(process.pid).items():
                    if command.startswith(name) and (name or pid == process.pid):
                        os.kill(pid, signal.SIGKILL)

    weather.listener = kill
    _, err = process.communicate(timeout=230)
    for pid in of_session(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert (process.returncode, killed) == (-signal.SIGKILL, ["document", "query"]), err
    n_before = len(weather.requests)
    process = started(*there)
    out, err = process.communicate(timeout=230)
    assert process.returncode == 0, err
    puts = [request for request in weather.requests[n_before:] if request.startswith("PUT") and ".arrow" in request]
    assert {request for request in puts if "-document-" in request} == set(), "what was put is not embedded again"
    assert comparable(json.loads(out)) == comparable(here)
