"""An earlier run rendered again: as it was written, or judged by another share."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]


@pytest.fixture
def run(made_run: MadeRun) -> str:
    """128 keeps 95% of nDCG@10, 20 of 400 queries losing all; the run was asked for 99%."""
    return str(made_run({256: [0] * 400, 128: [99] * 20 + [0] * 380}, retain=0.99))


def test_another_share_is_answered_from_the_ranks(command: Command, run: str) -> None:
    assert command("report", run, "-q").stdout.startswith("Keep all 256 dimensions")
    assert command("report", run, "-q", "--retain", "90%").stdout.startswith("Use 128 dimensions: it keeps 95.0% of nDCG@10")
    verdict = json.loads(command("report", run, "--retain", "90%", "--format", "json").stdout)["verdict"]
    assert (verdict["retain"], verdict["dimension"], verdict["configuration"]) == (0.9, 128, "128")
    assert [(one["retain"], one["dimension"]) for one in verdict["smallest"]] == [
        (0.99, 256),
        (0.98, 256),
        (0.95, 256),
        (0.9, 128),
    ]


def test_the_ladder_of_shares_stands_below_the_sizes(command: Command, run: str) -> None:
    shown = " ".join(command("report", run).stdout.split())
    assert "Smallest proven if 99%, 98% or 95% is asked: all 256; if 90%: 128." in shown


def test_a_run_without_its_ranks_is_rendered_as_it_was_written_and_no_other_way(command: Command, run: str) -> None:
    (Path(run) / "ranks.npz").unlink()
    assert command("report", run, "-q").returncode == 0
    again = command("report", run, "-q", "--retain", "90%")
    assert (again.returncode, "has no ranks.npz" in again.stderr) == (2, True)


def test_an_accepted_warning_is_counted_and_not_shown(command: Command, run: str) -> None:
    file = Path(run) / "report.json"
    document = json.loads(file.read_text())
    document["warnings"] = [{"code": code, "message": f"{code} it is", "hint": ""} for code in ("small-corpus", "few-queries")]
    file.write_text(json.dumps(document))
    shown = command("report", run, "--accept", "few-queries").stdout
    assert ("few-queries it is" in shown, "small-corpus it is" in shown, "Accepted: 1 few-queries." in shown) == (
        False,
        True,
        True,
    )
    both = ("--accept", "few-queries,small-corpus")
    assert "::warning" not in command("report", run, *both, "--format", "github").stdout
    assert (
        "Accepted: 1 small-corpus; 1 few-queries." in command("gate", run, "--dim", "256", *both, "--format", "markdown").stdout
    )
    whole = json.loads(command("report", run, *both, "--format", "json").stdout)
    assert ([one["code"] for one in whole["warnings"]], whole["accepted"]) == (
        ["small-corpus", "few-queries"],
        ["few-queries", "small-corpus"],
    )
