"""Threads draw every shard exactly once, and stop drawing when one of them fails."""

from __future__ import annotations

import pytest

from mrl_sweep.executors.local import LocalThreads


def test_every_shard_goes_to_exactly_one_worker():
    taken = LocalThreads(3)(list, range(1000))
    assert len(taken) == 3
    assert sorted(shard for part in taken for shard in part) == list(range(1000))


def test_a_failing_worker_stops_the_others_and_its_error_is_raised():
    seen = []

    def work(shards):
        for shard in shards:
            if shard == 5:
                raise ValueError("shard 5")
            seen.append(shard)

    with pytest.raises(ValueError, match="shard 5"):
        LocalThreads(2)(work, iter(range(10**9)))
    assert len(seen) < 10**6
