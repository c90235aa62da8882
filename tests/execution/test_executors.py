"""The contract of executors: the integers of one thread, whatever the vectors, axes and pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import prefix_pass

from mrl_sweep.errors import InputError
from mrl_sweep.execution.parts import Part, PartsExecutor, write_part
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.counting import CountContext, count_pass, pass_key
from mrl_sweep.ranking.exact import ONE_WORKER, RankOptions, coded_spaces, rank, rank_in
from mrl_sweep.ranking.kernel import MachineKernel
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.task import Partial, join_spans
from mrl_sweep.types import Qrels, Similarity, Vectors

DIMS = (8, 24, 48)
N_DOCS = 3000
N_QUERIES = 12
SHARD_BYTES = 4 * 48 * 640


@dataclass(frozen=True)
class ThreeRuns:
    """What three runs with `--part I/3` do, in some order and one of them twice, and the merge that adds them up."""

    folder: Path

    def count(self, task: Any, context: Any) -> Iterator[Any]:
        whole = task.of([(0, len(task.vectors))])
        for number in (2, 3, 1, 3):
            start, stop = Part(3, number).rows(len(task.vectors))
            rows = tuple((max(start, a), min(stop, b)) for a, b in task.rows if max(start, a) < min(stop, b))
            tally = count_pass(task.of(rows), ONE_WORKER, context.kernel, context.rows_each)
            write_part(self.folder, Part(3, number), {}, {pass_key(whole): Partial(rows, tally)})
        yield from PartsExecutor(self.folder).count(task, context)


@pytest.fixture(params=["threads", "parts", "ray"])
def executor(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "ray":
        return request.getfixturevalue("ray_executor")
    return LocalThreads(3) if request.param == "threads" else ThreeRuns(tmp_path)


def case(tmp_path: Path, where: Any) -> Any:
    """Documents with duplicates and zeros, in memory, in two files, or in files in another order."""
    rng = np.random.default_rng(11)
    docs = rng.integers(-2, 3, (N_DOCS, 48)).astype(np.float32)
    docs[40:90], docs[95], docs[1000:1100, :8] = docs[0], 0, 0
    queries = docs[:N_QUERIES] + rng.standard_normal((N_QUERIES, 48)).astype(np.float32)
    qrels = Qrels(
        np.arange(0, 10 * N_QUERIES + 1, 10), rng.integers(-1, N_DOCS, 10 * N_QUERIES), np.ones(10 * N_QUERIES, np.int64)
    )
    if where == "memory":
        return Vectors((docs[:7], docs[7:])), queries, qrels
    order = rng.permutation(N_DOCS) if where == "shuffled files" else np.arange(N_DOCS)
    stored = np.empty_like(docs)
    stored[order] = docs
    parts = []
    for name, rows in (("a", stored[:1001]), ("b", stored[1001:])):
        np.save(tmp_path / f"{name}.npy", rows)
        parts.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    return Vectors(tuple(parts), order if where == "shuffled files" else None), queries, qrels


def assert_same(one: Any, other: Any) -> None:
    for name in ("above", "tied", "zero_prefixes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.top.rows, other.top.rows)
    np.testing.assert_array_equal(one.top.scores, other.top.scores)


@pytest.mark.parametrize("where", ["memory", "files", "shuffled files"])
def test_the_integers_are_those_of_one_thread_wherever_the_vectors_lie(executor: Any, tmp_path: Path, where: str) -> None:
    vectors, queries, qrels = case(tmp_path, where)
    alone = rank(vectors, queries, qrels, DIMS)
    assert alone.above.sum() > 0
    assert_same(rank(vectors, queries, qrels, DIMS, RankOptions(executor=executor, shard_bytes=SHARD_BYTES)), alone)


@pytest.mark.parametrize("basis", ["pca", "random-0"])
@pytest.mark.parametrize("similarity", list(Similarity))
def test_so_they_are_on_other_axes_and_without_a_querys_own_document(
    executor: Any, tmp_path: Path, basis: str, similarity: Any
) -> None:
    vectors, queries, qrels = case(tmp_path, "files")
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((48, 48)))[0].astype(np.float32)
    how: dict[str, Any] = {"similarity": similarity, "own_rows": np.arange(N_QUERIES), "depth": 4, "shard_bytes": SHARD_BYTES}
    space = prefixes(DIMS, similarity, basis=basis, rotation=rotation)
    alone = rank_in(space, vectors, queries, qrels, RankOptions(**how))
    assert_same(rank_in(space, vectors, queries, qrels, RankOptions(**how, executor=executor)), alone)


def test_every_row_comes_back_in_exactly_one_partial_and_progress_adds_up(executor: Any, tmp_path: Path) -> None:
    vectors, queries, qrels = case(tmp_path, "files")
    task = prefix_pass(vectors, queries, qrels, DIMS).task
    rows, seen = ((5, 1500), (1700, 2999)), []
    context = CountContext(
        kernel=MachineKernel(), rows_each=200, floor=task.empty_tally().floor, due=lambda: True, on_rows=seen.append
    )
    partials = list(executor.count(task.of(rows), context))
    assert join_spans(span for partial in partials for span in partial.rows) == rows
    assert sum(seen) == 1495 + 1299
    assert len(partials) > 1


@dataclass
class Kept:
    """A checkpoint in memory, always due; `load` gives what was saved first: a run that was killed there."""

    saved: list[Partial] = field(default_factory=list)

    def load(self, key: str) -> Partial | None:  # noqa: ARG002
        return self.saved[0] if self.saved else None

    def due(self) -> bool:
        return True

    def save(self, key: str, partial: Partial) -> None:  # noqa: ARG002
        self.saved.append(partial)


def test_a_task_that_is_run_twice_is_counted_once(executor: Any, tmp_path: Path) -> None:
    """A second run of the same task, whole or from where a killed one left off, gives the tally of one; both never add up."""
    vectors, queries, qrels = case(tmp_path, "files")
    task = prefix_pass(vectors, queries, qrels, DIMS).task
    alone, kernel, killed = count_pass(task, ONE_WORKER, MachineKernel(), 200), MachineKernel(), Kept()
    counted = [count_pass(task, executor, kernel, 200, checkpoint=killed) for _ in range(2)]
    assert 0 < killed.saved[0].n_rows < N_DOCS
    for tally in counted:
        for name in ("placed", "tied", "zeros", "top_rows", "top_scores"):
            np.testing.assert_array_equal(getattr(tally, name), getattr(alone, name))
    with pytest.raises(ValueError, match="are counted twice"):
        Partial(task.rows, counted[0]).plus(Partial(task.rows, counted[1]))


def test_an_error_in_a_document_is_told_as_one_thread_tells_it(executor: Any, tmp_path: Path) -> None:
    vectors, queries, qrels = case(tmp_path, "memory")
    vectors.parts[1][2321 - 7, 47] = np.nan
    with pytest.raises(InputError, match="row 2321") as caught:
        rank(vectors, queries, qrels, DIMS, RankOptions(executor=executor, shard_bytes=SHARD_BYTES))
    assert caught.value.hint == "embed this document again"


@pytest.mark.parametrize("precision", ["float16", "int8", "int4", "rabitq", "binary", "SQtqmse2"])
def test_codes_travel_and_count_as_they_do_in_one_thread(executor: Any, tmp_path: Path, precision: str) -> None:
    vectors, queries, qrels = case(tmp_path, "files")
    rotation = np.linalg.qr(np.random.default_rng(4).standard_normal((48, 48)))[0].astype(np.float32)
    space = prefixes(DIMS, Similarity.COSINE, basis="pca", rotation=rotation)
    how: dict[str, Any] = {"own_rows": np.arange(N_QUERIES), "shard_bytes": SHARD_BYTES}
    for one in coded_spaces([space], [precision], vectors):
        alone = rank_in(one, vectors, queries, qrels, RankOptions(**how))
        assert alone.above.sum() > 0
        assert_same(rank_in(one, vectors, queries, qrels, RankOptions(**how, executor=executor)), alone)
