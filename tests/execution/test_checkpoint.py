"""Partial counts on disk: only for the vectors they were counted over, whole or not at all, gone when they are used up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.events import Note
from mrl_sweep.execution.parts import STALE_S, FileCheckpoint, identity_of
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.ranking.pass_plan import Tally
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.task import Partial
from mrl_sweep.types import Qrels, Vectors

TALLY = Tally(
    placed=np.array([[3, 4]]),
    tied=np.array([[0, 1]]),
    zeros=np.array([2]),
    top_scores=np.array([[[0.5, -np.inf]]], np.float32),
    top_rows=np.array([[[7, -1]]]),
    floor=np.array([[-np.inf]], np.float32),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def stored(tmp_path: Path, n: int = 200) -> Vectors:
    rng = np.random.default_rng(0)
    if not (tmp_path / "docs.npy").exists():
        np.save(tmp_path / "docs.npy", rng.integers(-1, 2, (n, 8)).astype(np.float32))
    rows = np.load(tmp_path / "docs.npy", mmap_mode="r")
    return Vectors((rows[:90], rows[90:]))


def question() -> Any:
    rng = np.random.default_rng(1)
    return rng.standard_normal((5, 8)).astype(np.float32), Qrels(np.arange(6), rng.integers(0, 200, 5), np.ones(5, np.int64))


def test_what_is_saved_is_loaded_by_another_process_and_gone_when_cleared(tmp_path: Path) -> None:
    vectors = stored(tmp_path)
    FileCheckpoint(tmp_path / "partial", vectors).save("key", Partial(((0, 30), (50, 60)), TALLY))
    second = FileCheckpoint(tmp_path / "partial", stored(tmp_path))
    loaded = second.load("key")
    assert loaded is not None
    rows, tally = loaded
    assert rows == ((0, 30), (50, 60))
    for name in Tally._fields:
        np.testing.assert_array_equal(getattr(tally, name), getattr(TALLY, name))
        assert getattr(tally, name).dtype == getattr(TALLY, name).dtype
    assert second.load("other") is None
    second.clear()
    assert list((tmp_path / "partial").iterdir()) == []


def test_other_vectors_find_nothing(tmp_path: Path) -> None:
    vectors = stored(tmp_path)
    FileCheckpoint(tmp_path / "partial", vectors).save("key", Partial(((0, 30), (50, 60)), TALLY))
    others = [Vectors(vectors.parts[::-1]), Vectors(vectors.parts, order=np.arange(200)), Vectors((np.ones((200, 8)),))]
    assert [FileCheckpoint(tmp_path / "partial", other).load("key") for other in others] == [None] * 3
    os.utime(tmp_path / "docs.npy", (1, 1))
    assert FileCheckpoint(tmp_path / "partial", stored(tmp_path)).load("key") is None


def test_vectors_in_memory_are_known_by_their_content() -> None:
    rows = np.arange(24, dtype=np.float32).reshape(6, 4)
    assert identity_of(Vectors((rows,))) == identity_of(Vectors((rows.copy(),)))
    changed = rows.copy()
    changed[5, 3] += 1
    assert identity_of(Vectors((rows,))) != identity_of(Vectors((changed,)))


@pytest.mark.parametrize("damage", ["cut", "rubbish", "missing"])
def test_a_damaged_file_is_no_checkpoint(tmp_path: Path, damage: str) -> None:
    checkpoint = FileCheckpoint(tmp_path / "partial", stored(tmp_path))
    checkpoint.save("key", Partial(((0, 30), (50, 60)), TALLY))
    (file,) = (tmp_path / "partial").iterdir()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-200])
    elif damage == "rubbish":
        file.write_bytes(b"rubbish")
    else:
        np.savez(file, rows=np.array([[0, 3]]))
    assert FileCheckpoint(tmp_path / "partial", stored(tmp_path)).load("key") is None


def test_it_is_due_when_the_time_has_passed_and_not_again_at_once(tmp_path: Path) -> None:
    clock = Clock()
    checkpoint = FileCheckpoint(tmp_path / "partial", stored(tmp_path), every_s=30, clock=clock)
    clock.now = 29.9
    assert not checkpoint.due()
    clock.now = 30
    assert checkpoint.due()
    checkpoint.save("key", Partial(((0, 30), (50, 60)), TALLY))
    assert not checkpoint.due()


def test_counts_that_nobody_came_back_for_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    FileCheckpoint(folder, stored(tmp_path)).save("old", Partial(((0, 30), (50, 60)), TALLY))
    (old,) = folder.iterdir()
    os.utime(old, (old.stat().st_mtime - STALE_S - 60,) * 2)
    FileCheckpoint(folder, stored(tmp_path)).save("new", Partial(((0, 30), (50, 60)), TALLY))
    assert old not in folder.iterdir()
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "partial").write_text("a file")
    clock, events = Clock(), []
    checkpoint = FileCheckpoint(tmp_path / "partial", stored(tmp_path), every_s=1, clock=clock, on_event=events.append)
    clock.now = 5
    for _ in range(2):
        checkpoint.save("key", Partial(((0, 30), (50, 60)), TALLY))
    clock.now = 50
    assert not checkpoint.due()
    assert [type(event) for event in events] == [Note]


RANKING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{here!r}]
from test_checkpoint import question, stored
from mrl_sweep.execution.parts import FileCheckpoint
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.ranking.portable import PortableKernel

def listen(event):
    if event.done == 120:
        {act}

vectors, (queries, qrels), clock = stored(Path({tmp!r})), question(), iter(range(10**9))
checkpoint = FileCheckpoint(Path({tmp!r}) / "partial", vectors, every_s=2.5, clock=lambda: next(clock))
rank(vectors, queries, qrels, (4, 8), RankOptions(
    kernel=PortableKernel(), executor=LocalThreads(1), shard_bytes=320, checkpoint=checkpoint), on_event=listen)
"""


@pytest.mark.parametrize(("signal_number", "kept"), [(signal.SIGINT, range(120, 201)), (signal.SIGKILL, range(90, 121))])
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_stopped_process_leaves_counts_that_the_next_one_completes(tmp_path: Path, signal_number: Any, kept: Any) -> None:
    vectors, (queries, qrels) = stored(tmp_path), question()
    act = f"os.kill(os.getpid(), {int(signal_number)})"
    code = RANKING.format(here=str(Path(__file__).parent), tmp=str(tmp_path), act=act)
    stopped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert stopped.returncode == -signal_number, stopped.stderr

    class Counting(PortableKernel):
        first = None

        def tally(self, targets: Any, tally: Any, docs: Any, first_row: Any) -> Any:
            self.first = first_row if self.first is None else self.first
            return super().tally(targets, tally, docs, first_row)

    kernel, checkpoint = Counting(), FileCheckpoint(tmp_path / "partial", vectors)
    options: dict[str, Any] = {"executor": LocalThreads(2), "shard_bytes": 500}
    got = rank(vectors, queries, qrels, (4, 8), RankOptions(kernel=kernel, checkpoint=checkpoint, **options))
    assert (kernel.first or 200) in kept
    whole = rank(vectors, queries, qrels, (4, 8), RankOptions())
    np.testing.assert_array_equal(got.above, whole.above)
    np.testing.assert_array_equal(got.tied, whole.tied)
    np.testing.assert_array_equal(got.top.rows, whole.top.rows)
    checkpoint.clear()
    assert list((tmp_path / "partial").iterdir()) == []
