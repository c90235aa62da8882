"""A Ray cluster: joined or started here, its nodes asked for their versions, its failures told in our words."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, Final

import numpy as np

from mrl_sweep import __version__
from mrl_sweep.errors import EnvironmentFault, MissingExtra, MrlSweepError, first_line
from mrl_sweep.events import Note, OnEvent
from mrl_sweep.ranking.counting import RULES
from mrl_sweep.words import first_offenders

ANSWER_S: Final = 60.0
"""How long a node may take to say which versions it runs."""

NICENESS: Final = "RAY_worker_niceness"


@contextmanager
def cluster(address: str | None, n_cores: int, on_event: OnEvent) -> Iterator[Any]:
    """Yields Ray in the cluster at `address` or RAY_ADDRESS, else in one of this machine's cores that ends with the block.

    A cluster that this process has joined already stays joined. Nodes are asked for their versions first. Raises MissingExtra
    without Ray, EnvironmentFault where the cluster cannot be joined or a node runs other versions.
    """
    ray = import_ray()
    if ray.is_initialized():
        refuse_other_versions(ray)
        yield ray
        return
    with redirect_stdout(sys.stderr):  # a thread of Ray's prints to stdout of workers that die; the result goes there
        try:
            _start(ray, address or os.environ.get("RAY_ADDRESS"), n_cores, on_event)
            refuse_other_versions(ray)
            yield ray
        finally:
            ray.shutdown()


def import_ray() -> Any:
    """Imports Ray. Raises MissingExtra where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("Ray", "ray") from error
    return ray


def alive(ray: Any) -> list[Mapping[str, Any]]:
    """Returns the nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def refuse_other_versions(ray: Any) -> None:
    """Raises EnvironmentFault where a node runs another Python, Ray, numpy or mrl-sweep than this process."""

    def versions() -> dict[str, str]:  # travels by value: a node without mrl-sweep can still answer
        import platform

        import numpy
        import ray

        try:
            from mrl_sweep import __version__
            from mrl_sweep.ranking.counting import RULES

            release = f"{__version__} (rules {RULES})"
        except ImportError:
            release = "none"
        return {"Python": platform.python_version(), "Ray": ray.__version__, "numpy": numpy.__version__, "mrl-sweep": release}

    ours = {
        "Python": platform.python_version(),
        "Ray": ray.__version__,
        "numpy": np.__version__,
        "mrl-sweep": f"{__version__} (rules {RULES})",
    }
    other = []
    for name, theirs in ask_nodes(ray, versions):
        differing = [what for what in ours if theirs[what] != ours[what]]
        if differing:
            their_versions, our_versions = (
                " and ".join(f"{what} {facts[what]}" for what in differing) for facts in (theirs, ours)
            )
            other.append(f"{name} runs {their_versions}, this process {our_versions}")
    if other:
        raise EnvironmentFault(
            f"the cluster's nodes differ: {first_offenders(other)}", "install the same versions on every node, or use one image"
        )


def ask_nodes(ray: Any, question: Any, *arguments: object) -> list[tuple[str, Any]]:
    """Returns each node's name with `question(*arguments)` as run there. Raises EnvironmentFault where one does not answer."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes, task = alive(ray), ray.remote(question)
    strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    refs = [task.options(num_cpus=0, scheduling_strategy=strategy).remote(*arguments) for strategy in strategies]
    try:
        answers = ray.get(refs, timeout=ANSWER_S)
        return [(str(node["NodeManagerHostname"]), answer) for node, answer in zip(nodes, answers, strict=True)]
    except ray.exceptions.GetTimeoutError as error:
        raise EnvironmentFault(
            f"a node of the cluster does not answer within {ANSWER_S:.0f} s", "look at `ray status`, or give another --address"
        ) from error
    except ray.exceptions.RayError as error:
        raise our_error(error) from error


def our_error(error: Exception) -> Exception:
    """Returns the MrlSweepError that a task raised; else an EnvironmentFault that says how the cluster failed."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, MrlSweepError):
        return cause
    message = f"the Ray cluster could not finish the work: {type(cause or error).__name__}: {first_line(cause or error)}"
    return EnvironmentFault(message, "what was counted is kept: the same command resumes; `ray status` shows the nodes")


def _start(ray: Any, address: str | None, n_cores: int, on_event: OnEvent) -> None:
    """Joins the cluster that is named, or starts one here and says so."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet: Sequence[tuple[str, Any]] = (("log_to_driver", False), ("logging_level", "ERROR"))
    try:
        if address:
            ray.init(address=address, **dict(quiet))
            return
        os.environ.setdefault(NICENESS, "0")  # Ray's own 15 leaves the cores to whatever else runs; threads do not
        on_event(Note(f"no Ray cluster is named (--address, RAY_ADDRESS): one of {n_cores} cores is started here"))
        ray.init(address="local", num_cpus=n_cores, include_dashboard=False, **dict(quiet))
    except Exception as error:  # Ray raises ConnectionError, RuntimeError and others of its own
        place = f"join the Ray cluster at {address}" if address else "start Ray here"
        raise EnvironmentFault(
            f"cannot {place}: {first_line(error)}", "give --address HOST:PORT, `auto` or `ray://HOST:10001`"
        ) from error
