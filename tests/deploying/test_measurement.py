"""Percentiles from real calls within a budget, by a clock that the test turns."""

from __future__ import annotations

import pytest

from mrl_sweep.deploying.indexes.measurement import measure_latency, measure_throughput


class Clock:
    """Time that passes only where a search spends it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


def test_percentiles_are_those_of_the_timed_calls() -> None:
    clock = Clock()
    latency = measure_latency(lambda q: clock.spend(0.001 * (1 + q)), 100, budget_s=100.0, clock=clock)
    assert latency is not None
    assert latency.p50_ms == pytest.approx(50.5)
    assert latency.p99_ms == pytest.approx(99.01)


def test_queries_are_taken_in_turn() -> None:
    clock, seen = Clock(), []

    def search(q: int) -> None:
        seen.append(q)
        clock.spend(0.01)

    measure_latency(search, 3, budget_s=1.0, clock=clock)
    assert seen == [i % 3 for i in range(len(seen))]


def test_a_fast_index_warms_up_with_ten_calls_that_do_not_count() -> None:
    clock, calls = Clock(), 0

    def search(_: int) -> None:
        nonlocal calls
        calls += 1
        clock.spend(0.01 if calls <= 10 else 0.0001)

    latency = measure_latency(search, 1000, budget_s=10.0, clock=clock)
    assert latency is not None
    assert calls == 110
    assert latency.p99_ms == pytest.approx(0.1)


def test_too_slow_for_twenty_calls_is_none_after_one_call() -> None:
    clock, seen = Clock(), []

    def search(q: int) -> None:
        seen.append(q)
        clock.spend(10.0)

    assert measure_latency(search, 50, budget_s=1.0, clock=clock) is None
    assert len(seen) == 1


def test_a_fast_index_on_a_busy_machine_is_timed_all_the_same() -> None:
    """Others have the processors for 50 ms after each millisecond of ours."""
    clock, calls = Clock(), 0

    def search(_: int) -> None:
        nonlocal calls
        calls += 1
        clock.spend(0.001 if calls % 2 == 0 else 0.05)

    latency = measure_latency(search, 1000, budget_s=0.15, clock=clock)
    assert latency is not None
    assert calls == 3 + 20
    assert latency.p50_ms == pytest.approx(25.5)


def test_no_99th_percentile_from_fewer_than_a_hundred_calls() -> None:
    clock = Clock()
    latency = measure_latency(lambda _: clock.spend(0.02), 50, budget_s=1.0, clock=clock)
    assert latency is not None
    assert latency.p50_ms == pytest.approx(20)
    assert latency.p99_ms is None


def test_the_budget_bounds_the_time() -> None:
    clock = Clock()
    measure_latency(lambda _: clock.spend(0.01), 1000, budget_s=1.0, clock=clock)
    assert clock.now == pytest.approx(1.0, abs=0.02)


def test_throughput_counts_queries_over_time_and_goes_round() -> None:
    clock = Clock()
    rate = measure_throughput(lambda start, stop: clock.spend((stop - start) / 500), 70, budget_s=2.0, clock=clock)
    assert rate == pytest.approx(500)


def test_the_batch_that_wakes_the_threads_does_not_count() -> None:
    clock = Clock()
    rate = measure_throughput(
        lambda start, stop: clock.spend((stop - start) / 500 + (1.0 if clock.now == 0 else 0)), 70, budget_s=2.0, clock=clock
    )
    assert rate == pytest.approx(500)


def test_throughput_of_a_slow_index_stops_after_one_small_batch() -> None:
    clock = Clock()
    rate = measure_throughput(lambda start, stop: clock.spend(10.0 * (stop - start)), 1000, budget_s=0.1, clock=clock)
    assert rate == pytest.approx(0.1)
    assert clock.now == pytest.approx(80)


def test_without_queries_there_is_nothing_to_time() -> None:
    assert measure_latency(print, 0, budget_s=1) is None
    assert measure_throughput(print, 0, budget_s=1) is None
