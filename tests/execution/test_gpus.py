"""A GPU ranks where it was measured to be done earlier; several are several workers, each document counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from mrl_sweep.events import Note
from mrl_sweep.execution import resources
from mrl_sweep.execution.resources import RankInputs, SeveralDevices, faster, n_workers, open_devices, scores_a_second
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.task import Span
from mrl_sweep.types import Qrels, Vectors


class Device(PortableKernel):
    """A device that is none: it reads ahead as one does, and counts as numpy does."""

    name = "triton"

    def __init__(self, place: str = "cuda") -> None:
        self.place = place
        self.counted: list[Span] = []

    def stream(self, targets: Any, tally: Any, read: Any, shards: Iterable[Span], on_counted: Callable[[Span], None]) -> int:
        for start, stop in shards:
            bad = self.tally(targets, tally, read(start, stop), start)
            if bad >= 0:
                return bad
            self.counted.append((start, stop))
            on_counted((start, stop))
        return -1


def work(n_docs: int = 1000, n_queries: int = 100) -> RankInputs:
    docs = np.random.default_rng(0).standard_normal((n_docs, 16), np.float32)
    qrels = Qrels(np.arange(n_queries + 1), np.zeros(n_queries, np.int64), np.ones(n_queries, np.int64))
    return RankInputs(vectors=Vectors((docs,)), qrels=qrels, n_sizes=3, depth=5)


@pytest.mark.parametrize(
    ("processor", "device", "opened", "chosen", "note"),
    [
        (10_000.0, 1e9, 0, "numpy", None),
        (1000.0, 10_000.0, 1, "triton", "the whole work takes the GPU 10.0 s and the processor 100.0 s"),
        (1000.0, 900.0, 1, "numpy", "ranking on the processor"),
    ],
    ids=["too little work to try", "faster", "slower"],
)
def test_the_gpu_is_chosen_where_it_was_measured_to_be_faster(
    monkeypatch: pytest.MonkeyPatch, processor: float, device: float, opened: int, chosen: str, note: str | None
) -> None:
    tried: list[Device] = []

    def open_device(*_: Any) -> Device:
        tried.append(Device())
        return tried[-1]

    monkeypatch.setattr(resources, "open_devices", open_device)
    said: list[Any] = []
    rates = {"numpy": processor, "triton": device}
    kernel = faster(work(), PortableKernel(), 2, said.append, lambda one, *_: rates[one.name], least_operations=0)
    assert (kernel.name, len(tried)) == (chosen, opened)
    assert [isinstance(event, Note) for event in said] == [True] * (note is not None)
    assert note is None or note in said[0].text


def test_for_little_work_nothing_is_tried() -> None:
    processor = PortableKernel()
    assert faster(work(), processor, 1, lambda _: None, lambda *_: pytest.fail("tried")) is processor


def test_a_gpu_that_cannot_rank_leaves_the_work_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "open_devices", lambda *_: PortableKernel())
    processor = PortableKernel()
    assert faster(work(), processor, 1, lambda _: None, lambda *_: 1.0, least_operations=0) is processor


def test_a_trial_ranks_a_part_of_the_work() -> None:
    kernel = Device()
    rate = scores_a_second(work(n_docs=1000, n_queries=100), kernel, LocalThreads(1), 600)
    assert sum(stop - start for start, stop in kernel.counted) == 600
    assert 0 < rate < np.inf


def test_all_gpus_are_one_kernel_and_a_number_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cuda_devices", lambda: 3)
    readers: list[int] = []

    def open_one(name: str, **how: Any) -> Device:
        readers.append(how["readers"])
        return Device(name)

    monkeypatch.setattr(resources, "open_kernel", open_one)
    several = open_devices("cuda", 8)
    assert isinstance(several, SeveralDevices)
    assert [kernel.place for kernel in several.kernels] == ["cuda:0", "cuda:1", "cuda:2"]
    one = open_devices("cuda:1", 8)
    assert isinstance(one, Device)
    assert (one.place, readers) == ("cuda:1", [2, 2, 2, 8])
    assert [n_workers(kernel, 8) for kernel in (several, one, PortableKernel())] == [3, 1, 8]


def test_several_devices_count_each_document_once_and_as_one_does() -> None:
    generator = np.random.default_rng(1)
    docs, queries = (generator.standard_normal((n, 8), np.float32) for n in (400, 12))
    qrels = Qrels(np.arange(13), generator.integers(0, 400, 12), np.ones(12, np.int64))
    kernels = [Device(), Device(), Device()]
    options = RankOptions(kernel=SeveralDevices(kernels), executor=LocalThreads(3), shard_bytes=4 * 8 * 30, depth=4)
    several = rank(Vectors((docs,)), queries, qrels, (2, 8), options)
    whole = rank(Vectors((docs,)), queries, qrels, (2, 8), RankOptions(kernel=PortableKernel(), depth=4))
    np.testing.assert_array_equal(several.above, whole.above)
    assert several.top is not None
    assert whole.top is not None
    np.testing.assert_array_equal(several.top.rows, whole.top.rows)
    counted = sorted(span for kernel in kernels for span in kernel.counted)
    assert counted == [(start, min(start + 30, 400)) for start in range(0, 400, 30)]
