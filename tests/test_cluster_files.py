"""The files for clusters: their commands are the program's own, their array is the whole set, their pods are alike."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from readme_parts import command_of

from mrl_sweep.execution.parts import Part
from mrl_sweep.settings.table import ExecutorName

FOLDER = Path(__file__).parent.parent / "configs" / "cluster"


def parsed(command: list[str]) -> dict[str, Any]:
    """The options of a command line as the program reads it."""
    assert command[0] == "mrl-sweep"
    context = command_of(command[1]).make_context("mrl-sweep", command[2:])
    return {name: value for name, value in context.params.items() if value is not None}


def rayjob() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "rayjob.yaml").read_text())


def test_the_rayjob_has_what_kuberay_asks_of_one() -> None:
    job = rayjob()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert all(isinstance(value, str) for value in head["rayStartParams"].values())
    for group in (head, workers):
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]


KEYS: dict[str, dict[str, type]] = {
    "": {"apiVersion": str, "kind": str, "metadata": dict, "spec": dict},
    "spec": {
        "entrypoint": str, "rayClusterSpec": dict, "shutdownAfterJobFinishes": bool, "ttlSecondsAfterFinished": int,
        "backoffLimit": int, "activeDeadlineSeconds": int, "submissionMode": str, "runtimeEnvYAML": str,
    },
    "spec.rayClusterSpec": {"rayVersion": str, "headGroupSpec": dict, "workerGroupSpecs": list, "enableInTreeAutoscaling": bool},
    "spec.rayClusterSpec.headGroupSpec": {"rayStartParams": dict, "template": dict, "serviceType": str},
    "spec.rayClusterSpec.workerGroupSpecs": {
        "groupName": str, "replicas": int, "minReplicas": int, "maxReplicas": int, "rayStartParams": dict, "template": dict,
    },
}  # fmt: skip
"""What KubeRay's `ray.io/v1` knows at each place (as far as one may want it here); other keys are dropped there."""

NEEDED = {"headGroupSpec", "rayStartParams", "template", "groupName", "minReplicas", "maxReplicas"}
"""Keys without which it refuses the object, wherever they may stand."""


@pytest.mark.parametrize("place", KEYS)
def test_every_key_of_the_rayjob_is_one_that_kuberay_knows_of_that_type(place: str) -> None:
    level: Any = rayjob()
    for name in filter(None, place.split(".")):
        level = level[name]
    for keys in level if isinstance(level, list) else [level]:
        assert {name: type(value) for name, value in keys.items()}.items() <= KEYS[place].items()
        assert KEYS[place].keys() & NEEDED <= keys.keys()


def test_its_pods_run_one_image_and_see_the_same_files() -> None:
    cluster = rayjob()["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    assert len({str(pod["volumes"]) for pod in pods}) == len({str(pod["containers"][0]["volumeMounts"]) for pod in pods}) == 1


def test_its_command_is_the_programs_own_and_joins_the_cluster() -> None:
    options = parsed(shlex.split(rayjob()["spec"]["entrypoint"]))
    assert (options["executor"], options["address"]) == (ExecutorName.RAY, "auto")
    (mount,) = rayjob()["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert all(options[name].startswith(mount["mountPath"]) for name in ("store", "out"))


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_the_array_counts_every_part_of_the_set_once(tmp_path: Path) -> None:
    """The script is run for each task of its array, with a program that writes down how it is called."""
    script = FOLDER / "parts.sbatch"
    directives = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", script.read_text(), re.MULTILINE))
    first, last = (int(number) for number in directives["array"].split("-"))
    program = tmp_path / "mrl-sweep"
    program.write_text('#!/bin/bash\nprintf "%s\\n" "mrl-sweep" "$@" > "$CALLS/$SLURM_ARRAY_TASK_ID"\n')
    program.chmod(0o755)
    calls = tmp_path / "calls"
    calls.mkdir()
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "HOME": "/home/user"}
    for task in (first, last, 7):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": directives["cpus-per-task"]}
        subprocess.run(["bash", str(script)], env={**env, **slurm}, check=True)
        options = parsed((calls / str(task)).read_text().splitlines())
        assert Part.parse(options["part"]) == Part(last, task)
        assert options["threads"] == directives["cpus-per-task"]
        assert options["out"] == "/home/user/runs/first"
    assert first == 1
