"""Processes that die, and processes that work side by side: real ones."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, tree, vectors_of

from mrl_sweep.embedding import Batching, Store, embed
from mrl_sweep.embedding import batches as batching_module

TEXTS = [f"text {'x' * (i * 7 % 23)} {i}" for i in range(400)]

WORKER = """
import os, signal, sys
sys.path[:0] = [{helpers!r}]
from pathlib import Path
from embedding_helpers import CountingEmbedder, collection_of
from mrl_sweep.embedding import Batching, Store, batches, embed
batches.WINDOW_TEXTS = 64
texts = [f"text {{'x' * (i * 7 % 23)}} {{i}}" for i in range({n})]
log = open({log!r}, "a", buffering=1)

class Logged(CountingEmbedder):
    calls = 0
    def encode(self, texts, role):
        self.calls += 1
        if self.calls == {at}:
            {act}
        log.write("".join(text + "\\n" for text in texts))
        return super().encode(texts, role)

embed(collection_of(texts), Logged(batching=Batching(texts={batch}, paid={paid})), Store(Path({store!r})))
"""


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(batching_module, "WINDOW_TEXTS", 64)


def started(
    tmp_path: Path, name: str, at: int = -1, act: str = "pass", n: int = 400, batch: int = 4, paid: bool = True
) -> subprocess.Popen:
    code = WORKER.format(
        helpers=str(Path(__file__).parents[1]),
        log=str(tmp_path / f"{name}.log"),
        store=str(tmp_path / "store"),
        at=at,
        act=act,
        n=n,
        batch=batch,
        paid=paid,
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def logged(tmp_path: Path, name: str) -> list[str]:
    return (tmp_path / f"{name}.log").read_text().splitlines()


@pytest.mark.parametrize("at", [1, 2, 30, 60, 100])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path, at):
    dead = started(tmp_path, "first", at, "os.kill(os.getpid(), signal.SIGKILL)")
    assert dead.wait() == -9
    second = CountingEmbedder()
    embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    first = logged(tmp_path, "first") if at > 1 else []
    lost = len(first) + len([text for text in second.asked if text in set(TEXTS)]) - len(TEXTS)
    assert 0 <= lost <= 9 * 4, "only batches that were on their way to the disk"
    for path in (tmp_path / "store").rglob(".*.draft"):  # of the process that was killed; an hour later the next run does it
        path.unlink()
    embed(collection_of(TEXTS), CountingEmbedder(), Store(tmp_path / "undisturbed"))
    assert tree(tmp_path / "store") == tree(tmp_path / "undisturbed")


def test_sigterm_finishes_the_batch_and_ends_the_process_as_asked(tmp_path):
    dead = started(tmp_path, "first", 30, "os.kill(os.getpid(), signal.SIGTERM)")
    assert dead.wait() == -15
    second = CountingEmbedder()
    embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    assert len(logged(tmp_path, "first")) == 30 * 4
    assert len(second.asked) == len(TEXTS) + 1 - 30 * 4


def test_a_full_disk_in_earnest_leaves_a_whole_store(tmp_path):
    """The system itself refuses to let the file grow."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)) if len(self.asked) == 0 else None"
    full = started(tmp_path, "first", 1, limit)
    _, told = full.communicate()
    assert full.returncode == 1
    assert "cannot write to the store" in told
    assert not [path for path in (tmp_path / "store").rglob("*") if path.name.endswith(".draft")]
    second = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    assert np.array_equal(embeddings.documents.read(0, len(TEXTS)), vectors_of(TEXTS))
    assert len(second.asked) < len(TEXTS), "what fitted was kept"


@pytest.mark.parametrize("n_runs", [2, 5])
def test_processes_that_share_a_store_are_all_right(tmp_path, n_runs):
    workers = [started(tmp_path, f"run-{i}") for i in range(n_runs)]
    for worker in workers:
        assert worker.wait() == 0, worker.communicate()[1]
    last = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), last, Store(tmp_path / "store"))
    assert last.asked == []
    assert np.array_equal(embeddings.documents.read(0, len(TEXTS)), vectors_of(TEXTS))
    assert embeddings.warnings == ()


def test_kills_at_any_moment_cost_seconds_and_change_no_byte(tmp_path):
    """A fill of 20,000 texts that is killed and started again, fifteen times, at moments that nobody chose."""
    n, chance = 20_000, random.Random(5)
    texts = [f"text {'x' * (i * 7 % 23)} {i}" for i in range(n)]
    for _ in range(15):
        worker = started(tmp_path, "killed", at=-1, act="pass", n=n, batch=32, paid=bool(chance.getrandbits(1)))
        time.sleep(chance.uniform(0.3, 1.6))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    last = CountingEmbedder(batching=Batching(texts=32))
    embeddings = embed(collection_of(texts), last, Store(tmp_path / "store"))
    assert embeddings.warnings == ()
    undisturbed = embed(collection_of(texts), CountingEmbedder(batching=Batching(texts=32)), Store(tmp_path / "undisturbed"))
    assert embeddings.documents.read(0, n).tobytes() == undisturbed.documents.read(0, n).tobytes()
    assert embeddings.documents.order is None
