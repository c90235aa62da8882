"""Threads draw every shard exactly once, and stop drawing when one of them fails."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mrl_sweep.execution.threads import LocalThreads


def test_every_shard_goes_to_exactly_one_worker() -> None:
    taken = LocalThreads(3).share(list, range(1000))
    assert len(taken) == 3
    assert sorted(shard for part in taken for shard in part) == list(range(1000))


def test_a_failing_worker_stops_the_others_and_its_error_is_raised() -> None:
    seen = []

    def work(shards: Any) -> None:
        for shard in shards:
            if shard == 5:
                raise ValueError("shard 5")
            seen.append(shard)

    with pytest.raises(ValueError, match="shard 5"):
        LocalThreads(2).share(work, iter(range(10**9)))
    assert len(seen) < 10**6


def test_an_interrupt_stops_the_drawing_and_is_raised_once_shards_in_hand_are_finished() -> None:
    drawn, finished, at_work = [], [], threading.Event()

    def work(shards: Any) -> None:
        for shard in shards:
            at_work.set()
            finished.append(shard)

    def endless() -> Iterator[Any]:
        for shard in range(10**9):
            drawn.append(shard)
            yield shard

    def interrupt() -> None:
        at_work.wait()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        LocalThreads(3).share(work, endless())
    assert sorted(finished) == drawn


def test_each_shard_is_announced_when_it_is_drawn_in_order() -> None:
    announced = []
    LocalThreads(3, announced.append).share(list, range(100))
    assert announced == list(range(100))
