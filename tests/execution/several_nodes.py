"""A Ray cluster of several raylets on this machine, as a process of its own: `test_several_nodes.py` reads what it writes down.

The head has a core, a second node a core and a GPU that is only said to be there, a third one a core and another Python.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from embedding_helpers import CountingEmbedder, collection_of
from made_vectors import prefix_pass
from test_chaos import DIMS, stored

from mrl_sweep.embedding import Batching, Store, embed
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.execution.ray import joined
from mrl_sweep.pipeline.models import embed_on_cluster
from mrl_sweep.ranking.exact import RankOptions, count, rank

TEXTS = [f"text {i}" for i in range(400)]


def seen(folder: str) -> None:
    """Leaves a file named after the node, the kind and the process of the worker that calls this."""
    import ray

    context = ray.get_runtime_context()
    gpus = [str(gpu) for gpu in ray.get_gpu_ids()]
    (Path(folder) / f"{context.get_node_id()}-{'gpu' if gpus else 'core'}-{os.getpid()}").touch()


@dataclass(frozen=True)
class Watched:
    """A turn that changes nothing, of which each worker leaves a trace."""

    folder: str

    def __call__(self, rows: Any) -> Any:
        seen(self.folder)
        return rows

    @property
    def key(self) -> Any:
        return self.folder.encode()


def opener(root: Path, folder: str) -> Any:
    def open_there() -> Any:
        seen(folder)
        return CountingEmbedder(batching=Batching(texts=20)), Store(root)

    return open_there


def traces(folder: Path) -> list[tuple[str, str]]:
    """The nodes and kinds of workers that left a trace."""
    return sorted({(node, kind) for node, kind, _ in (path.name.split("-") for path in folder.iterdir())})


def of_both_kinds(folder: Path) -> list[str]:
    """The processes that worked with a GPU, and without one."""
    by_kind = {kind: {path.name.split("-")[2] for path in folder.glob(f"*-{kind}-*")} for kind in ("gpu", "core")}
    return sorted(by_kind["gpu"] & by_kind["core"])


def equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("above", "tied", "zero_prefixes"))


def main(folder: Path) -> dict[str, Any]:
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_worker_niceness"):
        os.environ[name] = "0"
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    (folder / "other").mkdir()
    (folder / "other" / "sitecustomize.py").write_text("import platform\nplatform.python_version = lambda: '3.0'\n")
    with_gpu = cluster.add_node(num_gpus=1, **node)
    path = os.pathsep.join([str(folder / "other"), os.environ["PYTHONPATH"]])
    other = cluster.add_node(env_vars={"PYTHONPATH": path}, **node)
    told: dict[str, Any] = {"gpu node": with_gpu.node_id}
    try:
        with joined(cluster.address):
            raise AssertionError("a node of another version was not seen")
    except EnvironmentFault as fault:
        told["refused"] = fault.message
    cluster.remove_node(other)
    vectors, queries, qrels = stored(folder)
    alone = rank(vectors, queries, qrels, DIMS)
    with joined(cluster.address, device="cuda") as executor:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        told["executor"] = str(executor)
        for name in ("counted", "embedded"):
            (folder / name).mkdir()
        options = RankOptions(executor=replace(executor, task_s=0.01), shard_bytes=4 * 32 * 640)
        one = prefix_pass(vectors, queries, qrels, DIMS, options)
        one = replace(one, task=replace(one.task, turns=(Watched(str(folder / "counted")),)))
        told["same integers"] = equal(one.ranks(count(one, options)), alone)
        told["counted on"], told["of both kinds"] = traces(folder / "counted"), of_both_kinds(folder / "counted")
        there, store = opener(folder / "store", str(folder / "embedded")), Store(folder / "store")
        embed_on_cluster(executor, collection_of(TEXTS), (CountingEmbedder(), store), there, least=10)
        told["embedded on"] = traces(folder / "embedded")
        here = CountingEmbedder()
        embed(collection_of(TEXTS), here, store)
        told["left to embed"] = len([text for text in here.asked if text in TEXTS])
        third, lost = cluster.add_node(**node), []

        def lose(event: Any) -> None:
            """The third node dies as soon as some rows are counted."""
            if event.done > 10_000 and not lost:
                lost.append(event.done)
                cluster.remove_node(third, allow_graceful=False)

        wider = replace(executor, lanes=(replace(executor.lanes[0], n_workers=3),), task_s=0.02)
        after = rank(vectors, queries, qrels, DIMS, RankOptions(executor=wider, shard_bytes=4 * 32 * 640), on_event=lose)
        told["lost after"], told["same integers without it"] = lost, equal(after, alone)
    cluster.shutdown()
    return told


if __name__ == "__main__":
    result = main(Path(sys.argv[1]))
    (Path(sys.argv[1]) / "told.json").write_text(json.dumps(result))
