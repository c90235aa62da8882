"""The model of a cluster: its closed form by hand, and a simulation that agrees with it where nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, Costs, Job, core_rate, ideal_s, merge_s, simulate

SMALL = Job(n_documents=1_000_000, dim=100, n_queries=1000, n_pairs=2000, n_sizes=4, depth=10)
TEN = Cluster(n_nodes=5, cores_each=2, slow_share=0.0, lost=0)
COSTS = Costs(operations_per_core_s=1e9, task_start_s=0.01, driver_task_s=0.001)


def test_the_closed_form_by_hand() -> None:
    assert SMALL.operations == 2e11
    assert SMALL.read_bytes == 4e8
    assert SMALL.tally_bytes == 16 * 4 * 2000 + 124 * 4 * 1000
    assert core_rate(SMALL, TEN, COSTS) == 5000
    assert merge_s(SMALL, TEN, COSTS, 20) == pytest.approx(2 * 8 * 624_000 / 1e9)
    assert ideal_s(SMALL, TEN, COSTS) == pytest.approx(20 + 2 * 0.01 + 2 * 8 * 624_000 / 1e9)


def test_where_reading_is_slower_than_arithmetic_it_decides() -> None:
    slow = Cluster(n_nodes=5, cores_each=2, read_bytes_per_node_s=1e6, slow_share=0.0, lost=0)
    assert core_rate(SMALL, slow, COSTS) == 1e6 / 2 / 400


def test_without_slow_or_lost_nodes_the_simulation_takes_little_more_than_the_closed_form() -> None:
    plan = simulate(SMALL, TEN, COSTS)
    assert 1.0 <= plan.elapsed_s / ideal_s(SMALL, TEN, COSTS) < 1.1
    assert plan.n_again == 0
    assert plan.busy_share > 0.9


def test_slow_nodes_cost_about_the_pace_they_lack() -> None:
    slow = Cluster(n_nodes=5, cores_each=2, slow_share=0.2, slow_factor=2.0, lost=0)
    stretch = simulate(SMALL, slow, COSTS).elapsed_s / simulate(SMALL, TEN, COSTS).elapsed_s
    assert 1 / 0.9 < stretch < 1.3


def test_what_a_lost_node_had_in_hand_is_run_again_and_the_others_do_its_share() -> None:
    plan = simulate(SMALL, Cluster(n_nodes=5, cores_each=2, slow_share=0.0, lost=1), COSTS)
    assert plan.n_again == 2
    assert plan.elapsed_s > simulate(SMALL, TEN, COSTS).elapsed_s


def test_on_a_large_cluster_tasks_are_longer_so_that_one_driver_can_feed_it() -> None:
    assert COSTS.task_on(1000) == 10.0
    assert COSTS.task_on(3200) == 32.0


@pytest.mark.parametrize(
    ("queries", "slow", "lost", "row"),
    [(5_000, 0.0, 0, "94 | 84 | 59% | 0"), (5_000, 0.05, 2, "111 | 98 | 52% | 64"), (20_000, 0.1, 10, "284 | 252 | 84% | 320")],
)
def test_the_page_quotes_the_simulation(queries: int, slow: float, lost: int, row: str) -> None:
    plan = simulate(Job(n_queries=queries), Cluster(slow_share=slow, lost=lost), Costs())
    assert f"{plan.elapsed_s:.0f} | {plan.core_hours:.0f} | {plan.busy_share:.0%} | {plan.n_again}" == row
    page = (Path(__file__).parent.parent / "docs" / "scale.md").read_text("utf-8")
    assert f"| {queries:,} | {100 * slow:.0f} | {lost} | {row} |" in page
