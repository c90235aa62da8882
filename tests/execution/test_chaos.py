"""What is killed changes no integer: a worker, a driver, a run that is interrupted; and nothing is left running (FAULTS 72)."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import prefix_pass
from processes import of_session

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.events import Note
from mrl_sweep.execution.parts import FileCheckpoint
from mrl_sweep.ranking.exact import ONE_WORKER, Pass, RankOptions, count, rank
from mrl_sweep.types import Qrels, Vectors

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

DIMS = (8, 32)
PATIENCE_S = 20.0
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Of Ray itself: they outlive a driver that is killed."""

N_DOCS = 60_000

BLOCKS = itertools.count()
"""In a worker: how many blocks it has turned."""


@dataclass(frozen=True)
class Deadly:
    """A turn that changes nothing and kills the worker it runs in, `times` times in all; it spares the driver.

    First it kills one that has just begun, later one that has counted some blocks of its task already.
    """

    driver: int
    folder: str
    times: int

    def __call__(self, rows: Any) -> Any:
        if os.getpid() != self.driver:
            n_blocks = next(BLOCKS)
            for life in range(min(self.times, 1 + n_blocks // 5)):
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(f"{self.folder}/killed-{life}", os.O_CREAT | os.O_EXCL))
                    os.kill(os.getpid(), signal.SIGKILL)
        return rows

    @property
    def key(self) -> Any:
        return f"{self.folder} {self.times}".encode()


def stored(folder: Path) -> tuple[Vectors, np.ndarray, Qrels]:
    """Vectors in a file, made once, with queries and judgments."""
    rng = np.random.default_rng(2)
    docs = rng.integers(-2, 3, (N_DOCS, 32)).astype(np.float32)
    if not (folder / "docs.npy").exists():
        np.save(folder / "docs.npy", docs)
    qrels = Qrels(np.arange(0, 41, 4), rng.integers(0, N_DOCS, 40), np.ones(40, np.int64))
    return Vectors((np.load(folder / "docs.npy", mmap_mode="r"),)), rng.standard_normal((10, 32)).astype(np.float32), qrels


def deadly_pass(ray: Any, folder: Path, options: RankOptions, times: int) -> Pass:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    one = prefix_pass(*stored(folder), DIMS, options)
    return replace(one, task=replace(one.task, turns=(Deadly(os.getpid(), str(folder), times),)))


def assert_same(one: Any, other: Any) -> None:
    for name in ("above", "tied", "zero_prefixes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.top.rows, other.top.rows)


def test_workers_that_are_killed_are_replaced_and_the_integers_stay(ray_executor: Any, tmp_path: Path) -> None:
    alone = rank(*stored(tmp_path), DIMS, RankOptions(executor=ONE_WORKER))
    options = RankOptions(executor=replace(ray_executor, task_s=0.005), shard_bytes=4 * 32 * 640)
    one = deadly_pass(ray_executor.ray, tmp_path, options, times=2)
    assert_same(one.ranks(count(one, options)), alone)
    assert len(list(tmp_path.glob("killed-*"))) == 2


def test_a_task_that_kills_every_worker_ends_with_what_to_do(ray_executor: Any, tmp_path: Path) -> None:
    options = RankOptions(executor=replace(ray_executor, retries=0))
    with pytest.raises(EnvironmentFault, match="the Ray cluster could not finish the work: WorkerCrashedError") as caught:
        count(deadly_pass(ray_executor.ray, tmp_path, options, times=100), options)
    assert "the same command resumes" in caught.value.hint


DRIVER = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = [{here!r}, {tests!r}]
from test_chaos import DIMS, stored
from mrl_sweep.execution.parts import FileCheckpoint
from mrl_sweep.execution.ray import joined
from mrl_sweep.ranking.exact import RankOptions, rank

def listen(event):
    print(event.done, flush=True)
    if event.done > 20_000:
        {act}

folder = Path({folder!r})
inputs = stored(folder)
checkpoint = FileCheckpoint(folder / "partial", inputs[0], every_s=0)
with joined(n_threads=2) as executor:
    options = RankOptions(executor=replace(executor, task_s=0.002), shard_bytes=4 * 32 * 640, checkpoint=checkpoint)
    rank(*inputs, DIMS, options, on_event=listen)
"""


def drive(folder: Path, act: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """A driver with a Ray of its own, in a session of its own; also what of that session outlives it, which is ended then."""
    here = Path(__file__).parent
    code = DRIVER.format(here=str(here), tests=str(here.parent), folder=str(folder), act=act)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    out, err = process.communicate(timeout=120)
    deadline = time.monotonic() + PATIENCE_S
    while set((left := of_session(process.pid)).values()) - AGENTS and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return subprocess.CompletedProcess(code, process.returncode, out, err), set(left.values())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted as Linux shows them")
@pytest.mark.parametrize(("signal_number", "may_stay"), [(signal.SIGKILL, AGENTS), (signal.SIGINT, set())], ids=["kill", "int"])
def test_a_driver_that_is_stopped_is_begun_again_where_it_was(
    ray_executor: Any, tmp_path: Path, signal_number: Any, may_stay: Any
) -> None:
    """An interrupted one leaves nothing running; a killed one no worker, though Ray's own agents do not notice its end."""
    done, left = drive(tmp_path, f"os.kill(os.getpid(), {int(signal_number)})")
    assert done.returncode == -signal_number, done.stderr
    assert left <= may_stay
    assert done.stdout == "", "what is printed while Ray runs goes to stderr"
    vectors, queries, qrels = stored(tmp_path)
    notes = []
    checkpoint = FileCheckpoint(tmp_path / "partial", vectors, on_event=notes.append)
    options = RankOptions(executor=ray_executor, checkpoint=checkpoint, shard_bytes=4 * 32 * 640)
    got = rank(vectors, queries, qrels, DIMS, options)
    counted_before = [note for note in notes if isinstance(note, Note)]
    assert [note.text.endswith("documents ranked by an interrupted run") for note in counted_before] == [True]
    assert_same(got, rank(vectors, queries, qrels, DIMS))
