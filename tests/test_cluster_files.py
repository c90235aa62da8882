"""The files for clusters: their commands are the program's own, their array is the whole set, their pods are alike."""

from __future__ import annotations

import os
import re
import shlex
import shutil
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
    "metadata": {"name": str, "namespace": str, "labels": dict, "annotations": dict},
    "spec": {
        "activeDeadlineSeconds": int, "backoffLimit": int, "clusterSelector": dict, "deletionStrategy": dict, "entrypoint": str,
        "entrypointNumCpus": float, "entrypointNumGpus": float, "entrypointResources": str, "jobId": str, "managedBy": str,
        "metadata": dict, "rayClusterSpec": dict, "runtimeEnvYAML": str, "schedule": str, "shutdownAfterJobFinishes": bool,
        "submissionMode": str, "submitterConfig": dict, "submitterPodTemplate": dict, "suspend": bool,
        "ttlSecondsAfterFinished": int,
    },
    "spec.rayClusterSpec": {
        "autoscalerOptions": dict, "enableInTreeAutoscaling": bool, "headGroupSpec": dict, "headServiceAnnotations": dict,
        "rayVersion": str, "suspend": bool, "workerGroupSpecs": list,
    },
    "spec.rayClusterSpec.headGroupSpec": {
        "enableIngress": bool, "headService": dict, "rayStartParams": dict, "serviceType": str, "template": dict,
    },
    "spec.rayClusterSpec.workerGroupSpecs": {
        "groupName": str, "maxReplicas": int, "minReplicas": int, "numOfHosts": int, "rayStartParams": dict, "replicas": int,
        "scaleStrategy": dict, "template": dict,
    },
    "template": {"metadata": dict, "spec": dict},
    "template.spec": {"containers": list, "volumes": list, "nodeSelector": dict, "tolerations": list, "serviceAccountName": str},
    "template.spec.containers": {
        "name": str, "image": str, "command": list, "args": list, "env": list, "envFrom": list, "resources": dict,
        "volumeMounts": list,
    },
    "template.spec.containers.resources": {"limits": dict, "requests": dict, "claims": list},
    "template.spec.containers.volumeMounts": {"name": str, "mountPath": str, "readOnly": bool, "subPath": str},
    "template.spec.volumes": {"name": str, "persistentVolumeClaim": dict, "emptyDir": dict},
    "template.spec.volumes.persistentVolumeClaim": {"claimName": str, "readOnly": bool},
}  # fmt: skip
"""The keys of an object of `ray.io/v1` and their types: all that KubeRay knows of its own (by its operator's types and the schema
made of them, 1.2 to 1.4), and of Kubernetes' pods those that one may want here. The file was also held against all that
Kubernetes knows of pods (the models of its Python client 37). Another key would be dropped there without a word."""

NEEDED = {
    "spec.rayClusterSpec": {"headGroupSpec"},
    "spec.rayClusterSpec.headGroupSpec": {"rayStartParams", "template"},
    "spec.rayClusterSpec.workerGroupSpecs": {"groupName", "maxReplicas", "minReplicas", "rayStartParams", "template"},
    "template.spec": {"containers"},
    "template.spec.containers": {"name"},
    "template.spec.containers.volumeMounts": {"name", "mountPath"},
    "template.spec.volumes": {"name"},
    "template.spec.volumes.persistentVolumeClaim": {"claimName"},
}
"""Keys without which it refuses the object."""


def levels(value: Any, place: str) -> list[dict[str, Any]]:
    """What stands at a place below a value, in each item of the lists on the way."""
    name, _, rest = place.partition(".")
    inside = value.get(name, []) if name else value
    items = inside if isinstance(inside, list) else [inside]
    return [one for item in items for one in levels(item, rest)] if rest else items


@pytest.mark.parametrize("place", KEYS)
def test_every_key_of_the_rayjob_is_one_that_kuberay_knows_of_that_type(place: str) -> None:
    groups = [levels(rayjob(), f"spec.rayClusterSpec.{group}") for group in ("headGroupSpec", "workerGroupSpecs")]
    tops = [group for some in groups for group in some] if place.startswith("template") else [rayjob()]
    places = [keys for top in tops for keys in levels(top, place)]
    assert places
    for keys in places:
        assert {name: type(value) for name, value in keys.items()}.items() <= KEYS[place].items()
        assert NEEDED.get(place, set()) <= keys.keys()


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


SCRIPT = FOLDER / "parts.sbatch"

OPTIONS = {
    "job-name": r"[\w-]+", "array": r"1-\d+", "cpus-per-task": r"\d+", "mem": r"\d+[KMGT]", "time": r"\d+:\d\d:\d\d",
    "output": r"[\w-]+-%A-%a\.log", "open-mode": "append|truncate", "requeue": "",
}  # fmt: skip
"""Options of sbatch, and what each takes."""


def test_the_directives_of_the_script_are_options_of_sbatch_and_stand_where_it_reads_them() -> None:
    """sbatch reads them up to the first command, and no further."""
    first, *lines = SCRIPT.read_text().splitlines()
    directives = [line.removeprefix("#SBATCH --").partition("=") for line in lines if line.startswith("#SBATCH")]
    assert first == "#!/bin/bash"
    assert all(re.fullmatch(OPTIONS[name], value) for name, _, value in directives)
    assert {name for name, _, _ in directives} == OPTIONS.keys()
    begin = next(place for place, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[begin:])


def test_a_cluster_accepts_the_script() -> None:
    """Whatever the size of its nodes."""
    sbatch = shutil.which("sbatch")
    if not sbatch or subprocess.run([sbatch, "--test-only", "--wrap", "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("no Slurm answers here")
    small = ["--cpus-per-task=1", "--mem=100M"]
    tried = subprocess.run([sbatch, "--test-only", *small, str(SCRIPT)], capture_output=True, text=True, timeout=60)
    assert tried.returncode == 0, tried.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_the_array_counts_every_part_of_the_set_once(tmp_path: Path) -> None:
    """The script is run for each task of its array, with a program that writes down how it is called."""
    directives = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", SCRIPT.read_text(), re.MULTILINE))
    first, last = (int(number) for number in directives["array"].split("-"))
    program = tmp_path / "mrl-sweep"
    program.write_text('#!/bin/bash\nprintf "%s\\n" "mrl-sweep" "$@" > "$CALLS/$SLURM_ARRAY_TASK_ID"\n')
    program.chmod(0o755)
    calls = tmp_path / "calls"
    calls.mkdir()
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "HOME": "/home/user"}
    for task in (first, last, 7):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": directives["cpus-per-task"]}
        subprocess.run(["bash", str(SCRIPT)], env={**env, **slurm}, check=True)
        options = parsed((calls / str(task)).read_text().splitlines())
        assert Part.parse(options["part"]) == Part(last, task)
        assert options["threads"] == directives["cpus-per-task"]
        assert options["out"] == "/home/user/runs/first"
    assert first == 1
