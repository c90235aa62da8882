"""Processes that die, and processes that work side by side: real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, tree, vectors_of

from mrl_sweep.embedding import Batching, Store, embed

TEXTS = [f"text {'x' * (i * 7 % 23)} {i}" for i in range(400)]

WORKER = """
import os, signal, sys
sys.path[:0] = [{helpers!r}]
from pathlib import Path
from embedding_helpers import CountingEmbedder, collection_of
from mrl_sweep.embedding import Batching, Store, embed
texts = [f"text {{'x' * (i * 7 % 23)}} {{i}}" for i in range({n})]
class Logged(CountingEmbedder):
    calls, log = 0, open({log!r}, "a", buffering=1)
    def encode(self, texts, role):
        self.calls += 1
        if self.calls == {at}:
            {act}
        self.log.write("".join(text + "\\n" for text in texts))
        return super().encode(texts, role)

def fill():
    embed(collection_of(texts), Logged(batching=Batching(texts=4, paid=True, window=64)), Store(Path({store!r})))

for _ in range({beside}):
    if not os.fork():
        fill()
        os._exit(0)
fill()
sys.exit(any(os.wait()[1] for _ in range({beside})))
"""


def started(tmp_path: Path, name: str, at: int = -1, act: str = "pass", beside: int = 0) -> subprocess.Popen:
    """A process that fills the store, with so many others beside it; each does `act` in its `at`-th batch."""
    code = WORKER.format(
        helpers=str(Path(__file__).parents[1]),
        log=str(tmp_path / f"{name}.log"),
        store=str(tmp_path / "store"),
        at=at,
        act=act,
        n=len(TEXTS),
        beside=beside,
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def logged(tmp_path: Path, name: str) -> list[str]:
    return (tmp_path / f"{name}.log").read_text().splitlines()


@pytest.mark.parametrize("at", [1, 2, 30, 60, 100])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path: Path, at: int) -> None:
    dead = started(tmp_path, "first", at, "os.kill(os.getpid(), signal.SIGKILL)")
    assert dead.wait() == -9
    second = CountingEmbedder()
    embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    first = logged(tmp_path, "first") if at > 1 else []
    lost = len(first) + len([text for text in second.asked if text in set(TEXTS)]) - len(TEXTS)
    assert lost == 0, "each paid batch was stored before the next was asked for"
    for path in (tmp_path / "store").rglob(".*.draft"):  # of the process that was killed; an hour later the next run does it
        path.unlink()
    embed(collection_of(TEXTS), CountingEmbedder(), Store(tmp_path / "undisturbed"))
    assert tree(tmp_path / "store") == tree(tmp_path / "undisturbed")


def test_sigterm_finishes_the_batch_and_ends_the_process_as_asked(tmp_path: Path) -> None:
    dead = started(tmp_path, "first", 30, "os.kill(os.getpid(), signal.SIGTERM)")
    assert dead.wait() == -15
    second = CountingEmbedder()
    embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    assert len(logged(tmp_path, "first")) == 30 * 4
    assert len(second.asked) == len(TEXTS) + 1 - 30 * 4


def test_a_full_disk_in_earnest_leaves_a_whole_store(tmp_path: Path) -> None:
    """The system itself refuses to let the file grow."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); self.log = open(os.devnull, 'w')"
    full = started(tmp_path, "first", 30, limit)
    _, told = full.communicate()
    assert full.returncode == 1
    assert "cannot write to the store" in told
    assert not [path for path in (tmp_path / "store").rglob("*") if path.name.endswith(".draft")]
    second = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), second, Store(tmp_path / "store"))
    assert np.array_equal(embeddings.documents.read(0, len(TEXTS)), vectors_of(TEXTS))
    assert len(second.asked) == len(TEXTS) + 1 - 29 * 4, "what fitted was kept"


@pytest.mark.parametrize("n_runs", [2, 5])
def test_processes_that_share_a_store_are_all_right(tmp_path: Path, n_runs: int) -> None:
    together = started(tmp_path, "runs", beside=n_runs - 1)
    assert together.wait() == 0, together.communicate()[1]
    last = CountingEmbedder()
    embeddings = embed(collection_of(TEXTS), last, Store(tmp_path / "store"))
    assert last.asked == []
    assert np.array_equal(embeddings.documents.read(0, len(TEXTS)), vectors_of(TEXTS))
    assert embeddings.warnings == ()


LIVES = """
import os, random, signal, sys, threading, time
sys.path[:0] = [{helpers!r}]
from pathlib import Path
from embedding_helpers import CountingEmbedder, collection_of
from mrl_sweep.embedding import Batching, Store, embed

class Logged(CountingEmbedder):
    def encode(self, texts, role):
        os.write(at_work[1], b".")
        started = time.perf_counter()
        encoded = super().encode(texts, role)
        pause.wait(0.005)
        if role == "document":
            log.write(f"\\n{{life}} {{time.perf_counter() - started}} {{','.join(texts)}} whole")
        return encoded

def fill(n):
    embed(collection_of([str(i) for i in range(n)]), Logged(batching={batching}), Store(Path({store!r})))

embed(collection_of(["warm"]), CountingEmbedder(), Store(Path({store!r}).with_name("warm")))
log, pause, chance = open({log!r}, "a", buffering=1), threading.Event(), random.Random({seed})
for life in range({lives}):
    at_work = os.pipe()
    child = os.fork()
    if not child:
        fill({n})
        os._exit(0)
    os.close(at_work[1])  # so that a child that ends with nothing left to encode is read as an end
    if life % 3:
        os.read(at_work[0], 1)
    pause.wait(chance.uniform(0, {longest}))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
life, at_work = {lives}, os.pipe()
fill({n} + 1)  # one more text, so that this one finds something to do and puts all of it into one shard
"""


@pytest.mark.parametrize(
    ("batching", "lives", "longest"),
    [(Batching(texts=128, paid=True, window=4096), 30, 0.15), (Batching(texts=128, flush_s=0.1, window=4096), 20, 0.3)],
    ids=["paid", "local"],
)
def test_kills_at_any_moment_cost_a_batch_or_a_moment_and_change_no_byte(
    tmp_path: Path, batching: Any, lives: int, longest: float
) -> None:
    """A fill of 20,000 texts that is killed and started again, fifty times in all, at moments that nobody chose."""
    n, log = 20_000, tmp_path / "log"
    code = LIVES.format(
        helpers=str(Path(__file__).parents[1]), n=n, batching=batching, store=str(tmp_path / "store"), log=str(log), seed=n,
        lives=lives, longest=longest,
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    last: dict[str, int] = {}
    lines = [line.split() for line in log.read_text().splitlines() if line.endswith(" whole")]  # a kill may tear one
    encoded = [(int(life), float(s), texts.split(",")) for life, s, texts, _ in lines]
    for life, _, texts in encoded:
        last |= dict.fromkeys(texts, life)
    assert set(last) == {str(i) for i in range(n + 1)}
    lost: dict[int, list[float]] = {life: [] for life in range(lives + 1)}
    for life, seconds, texts in encoded:
        if any(last[text] > life for text in texts):
            lost[life].append(seconds)
    assert lost[lives] == []
    assert len({life for life, _, _ in encoded}) > lives // 2, "it was killed at work, not before or after"
    longest_s = max(seconds for _, seconds, _ in encoded)
    for times in lost.values():
        assert len(times) <= 1 if batching.paid else sum(times) <= 2 * (batching.flush_s + longest_s)
    for path in (tmp_path / "store").rglob(".*.draft"):
        path.unlink()
    embed(collection_of([str(i) for i in range(n + 1)]), CountingEmbedder(batching=batching), Store(tmp_path / "undisturbed"))
    assert tree(tmp_path / "store") == tree(tmp_path / "undisturbed")
