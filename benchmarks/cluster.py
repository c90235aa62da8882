"""What a pass costs on a cluster: a closed form, and a simulation with slow nodes and nodes that are lost."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from mrl_sweep.execution.ray import DRIVEN, FAN_IN, IN_FLIGHT, LEAST_SHARE, TASK_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One pass: `n_documents` x `dim` float32 or float16 against `n_queries` queries at `n_sizes` sizes; tallies `depth` deep."""

    n_documents: int = 1_000_000_000
    dim: int = 1024
    n_queries: int = 5_000
    n_pairs: int = 50_000
    n_sizes: int = 8
    depth: int = 10
    bytes_per_number: int = 4

    @property
    def operations(self) -> float:
        """Multiplications and additions, all sizes together."""
        return 2.0 * self.n_documents * self.dim * self.n_queries

    @property
    def read_bytes(self) -> float:
        """Of vectors, read once."""
        return float(self.n_documents) * self.dim * self.bytes_per_number

    @property
    def tally_bytes(self) -> float:
        """Of one tally: two counts a pair and size, lists and floor a query and size."""
        return 16.0 * self.n_sizes * self.n_pairs + (12.0 * self.depth + 4.0) * self.n_sizes * self.n_queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`slow_share` of the nodes work at 1 / `slow_factor` of the pace; `lost` nodes stop somewhere in the middle."""

    n_nodes: int = 100
    cores_each: int = 32
    read_bytes_per_node_s: float = 1.0e9
    network_bytes_per_node_s: float = 1.0e9
    slow_share: float = 0.05
    slow_factor: float = 3.0
    lost: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a core does, and what comes on top, as measured on two cores (docs/scale.md); the rest are the executor's own rules.

    `task_start_s` is the worker's, `driver_task_s` the driver's, of each task; `driven` workers are fed with tasks of `task_s`,
    more with longer ones.
    """

    operations_per_core_s: float = 5.8e10
    task_start_s: float = 0.030
    driver_task_s: float = 0.006
    task_s: float = TASK_S
    least_share: float = LEAST_SHARE
    driven: int = DRIVEN
    fan_in: int = FAN_IN
    in_flight: int = IN_FLIGHT

    def task_on(self, cores: int) -> float:
        """Seconds of work in a task on so many cores."""
        return self.task_s * max(1.0, cores / self.driven)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The outcome: seconds, tasks, those run again, core-hours that were paid, and the busy share of the cores."""

    elapsed_s: float
    n_tasks: int
    n_again: int
    core_hours: float
    busy_share: float


def core_rate(job: Job, cluster: Cluster, costs: Costs) -> float:
    """Documents a core and second: by arithmetic, or by what its node can read where that is less."""
    by_arithmetic = costs.operations_per_core_s / (2.0 * job.dim * job.n_queries)
    by_reading = cluster.read_bytes_per_node_s / cluster.cores_each / (job.dim * job.bytes_per_number)
    return min(by_arithmetic, by_reading)


def ideal_s(job: Job, cluster: Cluster, costs: Costs) -> float:
    """Seconds without slow or lost nodes: the work, the start of the tasks, and the last merges of the tree."""
    cores = cluster.n_nodes * cluster.cores_each
    rate = core_rate(job, cluster, costs)
    tasks = np.ceil(job.n_documents / (rate * costs.task_on(cores)))
    work = job.n_documents / (rate * cores) + np.ceil(tasks / cores) * costs.task_start_s
    return float(max(work, tasks * costs.driver_task_s) + merge_s(job, cluster, costs, int(tasks)))


def merge_s(job: Job, cluster: Cluster, costs: Costs, n_tasks: int) -> float:
    """Seconds from the last tally to the sum: each level of the tree moves `fan_in` tallies to one node."""
    levels = int(np.ceil(np.log(max(n_tasks, 2)) / np.log(costs.fan_in)))
    return levels * costs.fan_in * job.tally_bytes / cluster.network_bytes_per_node_s


def simulate(job: Job, cluster: Cluster, costs: Costs, seed: int = 0) -> Plan:
    """The pass as the executor hands it out: shrinking tasks, slow nodes, and what a lost node had in hand run again elsewhere.

    One worker is one core; the driver keeps two tasks a worker submitted, and whoever is free takes the next.
    """
    rng = np.random.default_rng(seed)
    cores, rate = cluster.n_nodes * cluster.cores_each, core_rate(job, cluster, costs)
    task_s = costs.task_on(cores)
    pace = np.full(cluster.n_nodes, rate)
    pace[rng.permutation(cluster.n_nodes)[: int(cluster.slow_share * cluster.n_nodes)]] /= cluster.slow_factor
    ends = np.full(cluster.n_nodes, np.inf)
    ideal = ideal_s(job, cluster, costs)
    ends[rng.permutation(cluster.n_nodes)[: cluster.lost]] = rng.uniform(0.2, 0.8, cluster.lost) * ideal
    free = [(0.0, core) for core in range(cores)]
    flying: list[float] = []
    left, driver, last, busy, n_tasks, n_again = float(job.n_documents), 0.0, 0.0, 0.0, 0, 0
    while left > 0 and free:
        landed = heapq.heappop(flying) if len(flying) == costs.in_flight * cores else 0.0
        driver = max(driver, landed) + costs.driver_task_s
        at, core = heapq.heappop(free)
        node, begun = core // cluster.cores_each, max(at, driver)
        share = left / rate / (costs.in_flight * cores)
        rows = min(left, rate * min(task_s, max(share, task_s * costs.least_share)))
        took = rows / pace[node] + costs.task_start_s
        n_tasks += 1
        if begun + took > ends[node]:
            n_again += 1
            busy += max(0.0, ends[node] - begun)
            continue
        left -= rows
        busy += took
        last = max(last, begun + took)
        heapq.heappush(flying, begun + took)
        heapq.heappush(free, (begun + took, core))
    elapsed = last + merge_s(job, cluster, costs, n_tasks)
    return Plan(
        elapsed_s=float(elapsed),
        n_tasks=n_tasks,
        n_again=n_again,
        core_hours=float(elapsed * cores / 3600),
        busy_share=float(busy / (elapsed * cores)),
    )
