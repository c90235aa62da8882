"""Ray: joined and left, nodes of other versions refused, files that a node cannot read refused, a missing package named."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra
from mrl_sweep.events import ignore
from mrl_sweep.execution import cluster as module
from mrl_sweep.execution.cluster import refuse_other_versions
from mrl_sweep.execution.places import ArrayPlace, VectorPlaces, places_of, unreadable
from mrl_sweep.execution.ray import RayExecutor, joined, lanes_of
from mrl_sweep.pipeline.run import executor_of
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Qrels, Vectors


def test_without_ray_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as caught, joined():
        pass
    assert caught.value.hint == "pip install 'mrl-sweep[ray]'"
    assert caught.value.exit_code == 3


def test_a_node_of_another_version_is_refused_in_one_line(ray_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__version__", "9.9")
    monkeypatch.setattr("platform.python_version", lambda: "3.0")
    with pytest.raises(
        EnvironmentFault, match=r"runs Python \S+ and mrl-sweep \S+ .*, this process Python 3.0 and mrl-sweep 9.9"
    ) as caught:
        refuse_other_versions(ray_here)
    assert "\n" not in caught.value.message


def test_a_file_that_a_node_cannot_read_is_named_before_the_work(ray_executor: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "docs.npy", np.ones((50, 4), np.float32))
    vectors = Vectors((np.load(tmp_path / "docs.npy", mmap_mode="r"),))
    (tmp_path / "docs.npy").unlink()
    events = []
    with pytest.raises(EnvironmentFault, match=r"1 of 1 nodes cannot read the vectors: .*docs\.npy"):
        rank(
            vectors, np.eye(4, dtype=np.float32), Qrels(np.arange(5), np.arange(4), np.ones(4, np.int64)), (2, 4),
            RankOptions(executor=ray_executor), on_event=events.append,
        )  # fmt: skip
    assert events == []


def test_a_file_that_is_too_short_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345678")
    place = ArrayPlace(str(tmp_path / "a"), 4, (2,), "<f4")
    assert VectorPlaces((place, place), None).files == {str(tmp_path / "a"): 12}
    assert unreadable([(str(tmp_path / "a"), 8), (str(tmp_path / "a"), 12), (str(tmp_path / "b"), 1)]) == [
        str(tmp_path / "a"), str(tmp_path / "b"),
    ]  # fmt: skip


def test_vectors_in_files_travel_as_places_and_open_to_the_same_rows(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float16)
    np.save(tmp_path / "a.npy", rows)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    vectors = Vectors((mapped[3:20], np.ones((4, 6), np.float32)), order=np.arange(21)[::-1])
    places = places_of(vectors)
    assert places.parts[0] == ArrayPlace(str(tmp_path / "a.npy"), 128 + 3 * 12, (17, 6), "<f2")
    np.testing.assert_array_equal(places.open([(0, 21)]).read(0, 21), vectors.read(0, 21))


@pytest.mark.parametrize("order", [None, np.arange(30)[::-1]])
def test_files_that_hold_none_of_the_rows_are_not_opened(tmp_path: Path, order: Any) -> None:
    rows = np.arange(60, dtype=np.float32).reshape(30, 2)
    for name, part in (("a", rows[:10]), ("b", rows[10:])):
        np.save(tmp_path / f"{name}.npy", part)
    vectors = Vectors(tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "ab"), order)
    places, expected = places_of(vectors), vectors.read(22, 30)
    (tmp_path / ("b.npy" if order is not None else "a.npy")).unlink()
    np.testing.assert_array_equal(places.open([(22, 30)]).read(22, 30), expected)


def test_where_a_gpu_is_to_count_a_cluster_with_gpus_has_a_lane_for_them_that_takes_no_core() -> None:
    cores, gpus = lanes_of({"CPU": 16.0, "GPU": 2.0, "memory": 1e9}, "cuda")
    assert (dict(cores.resources), cores.n_workers, cores.device) == ({"num_cpus": 1}, 16, None)
    assert (gpus.resources["num_cpus"], gpus.resources["num_gpus"], gpus.n_workers, gpus.device) == (0, 1, 2, "cuda")
    assert gpus.resources["runtime_env"], "workers of their own"
    assert len(lanes_of({"CPU": 16.0, "GPU": 2.0}, "cpu")) == 1
    assert len(lanes_of({"CPU": 16.0, "GPU": 2.0})) == 1, "only where the kernel of a GPU is chosen"
    assert len(lanes_of({"CPU": 16.0}, "cuda")) == 1


def test_tasks_are_of_the_time_asked_for_once_a_core_has_shown_its_pace(ray_executor: Any, tmp_path: Path) -> None:
    """Two thousandths of a second of work hold few rows: there are many tasks then, and never more than twice the cores."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "docs.npy", rng.standard_normal((40_000, 32)).astype(np.float32))
    vectors = Vectors((np.load(tmp_path / "docs.npy", mmap_mode="r"),))
    queries, qrels = rng.standard_normal((20, 32)).astype(np.float32), Qrels(np.arange(21), np.arange(20), np.ones(20, np.int64))
    sizes = []
    quick = RayExecutor(ray_executor.ray, ray_executor.lanes, task_s=0.002)
    options = RankOptions(executor=quick, shard_bytes=4 * 32 * 640)
    got = rank(vectors, queries, qrels, (16, 32), options, on_event=lambda event: sizes.append(event.done))
    assert len(sizes) > 8
    np.testing.assert_array_equal(got.above, rank(vectors, queries, qrels, (16, 32)).above)


def test_the_workers_of_a_ray_that_is_started_here_do_not_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As threads do not. A cluster that is joined keeps its own rule, and so does a user who names one."""
    monkeypatch.delenv(module.NICENESS, raising=False)
    started: list[tuple[str, str | None]] = []

    class Recorded:
        def init(self, *, address: str, **_: Any) -> None:
            started.append((address, os.environ.get(module.NICENESS)))

    module._start(Recorded(), "head:10001", 2, ignore)
    module._start(Recorded(), None, 2, ignore)
    monkeypatch.setenv(module.NICENESS, "7")
    module._start(Recorded(), None, 2, ignore)
    assert started == [("head:10001", None), ("local", "0"), ("local", "7")]


def test_an_address_without_ray_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        executor_of(SweepConfig.of(address="auto"), ignore)
    assert (caught.value.message, caught.value.hint) == (
        "address= is of a Ray cluster, and threads here are to count", "--executor ray",
    )  # fmt: skip
    assert executor_of(SweepConfig.of(address="auto", executor="local"), ignore).__enter__() is None
