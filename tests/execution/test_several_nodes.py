"""Ray over several nodes: real raylets, one with a GPU by name alone, one that is lost in the middle of a pass."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from several_nodes import TEXTS

pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ray runs no cluster of several nodes there")


def test_nodes_that_differ_are_refused_and_those_that_count_embed_or_die_change_no_integer(tmp_path: Path) -> None:
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (here.parent.parent, here.parent, here)))}
    argv = [sys.executable, str(here / "several_nodes.py"), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=230, check=False, env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["refused"].startswith("the cluster's nodes differ: ")
    assert told["refused"].endswith(f" runs Python 3.0, this process Python {platform.python_version()}")
    assert told["executor"] == "2 nodes, 2 cores, 1 GPU"
    assert told["same integers"]
    gpu = told["gpu node"]
    assert [gpu, "gpu"] in told["counted on"], "a worker that was given the GPU"
    assert told["of both kinds"] == [], "a worker that has counted on a GPU keeps memory there"
    assert {node for node, kind in told["counted on"] if kind == "core"} - {gpu}, "and one on the other node"
    kinds = {(node, kind) for node, kind in told["embedded on"]}
    assert (gpu, "gpu") in kinds, "the actor holds the GPU; the others are the check of who sees the store"
    assert told["left to embed"] == 0 < len(TEXTS)
    assert len(told["lost after"]) == 1
    assert told["same integers without it"]
