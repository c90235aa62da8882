"""Where output goes: closed streams, devices, FIFOs, descriptors; nothing that is no ordinary file is ever replaced."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from mrl_sweep.cli import main

COMMANDS = {
    "config": ["config", "--format", "json"],
    "check": ["check", "--collection", "tiny", "--format", "json"],
    "embed": ["embed", "--collection", "tiny", "--model", "wordllama", "--dry-run", "--format", "json", "--store", "store"],
    "report": ["report", "run", "--format", "json"],
    "gate": ["gate", "run", "--dim", "64", "--format", "json"],
    "plan": ["plan", "run", "--docs", "1M", "--format", "json"],
    "compare": ["compare", "run", "run", "--format", "json"],
    "run": [
        *("run", "--collection", "tiny", "--model", "wordllama", "--dims", "256,64", "--index", "none"),
        *("--store", "store", "--out", "run", "--format", "json"),
    ],
}
"""Every command that has `-o`, asked for JSON."""


def write_collection(folder: Path) -> None:
    (folder / "qrels").mkdir(parents=True)
    words = ["copper", "lantern", "river", "violin", "meadow", "anchor", "pepper", "saddle", "window", "garlic"]
    lines = [json.dumps({"_id": f"d{i}", "title": "", "text": f"{a} {b}"}) for i, (a, b) in enumerate(pairwise(words))]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": f"q{i}", "text": words[i]}) + "\n" for i in range(9)))
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(9))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection `tiny` and its finished run."""
    folder = tmp_path_factory.mktemp("streams")
    write_collection(folder / "tiny")
    assert call(folder, COMMANDS["run"]).returncode == 0
    return folder


def call(folder: Path, argv: list[str], shell: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; `shell` follows it on a line of bash, where `$COMMAND` is the command."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MRL_SWEEP_")}
    line = [sys.executable, "-m", "mrl_sweep", *argv]
    if shell:
        line = ["bash", "-c", shell, "bash", *line]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def code_of(argv: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("report", 0), ("gate", 4), ("config", 0), ("run", 0)])
def test_a_closed_stream_changes_no_exit_code(place: Path, command: str, code: int, closed: str) -> None:
    done = call(place, [*COMMANDS[command]], f'"$@" {closed}')
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_an_error_with_both_streams_closed_keeps_its_code(place: Path) -> None:
    assert call(place, ["report", "absent", "--format", "json"], '"$@" >&- 2>&-').returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_fifo_is_written_in_place(here: Path, command: str) -> None:
    fifo = here / f"fifo-{command}"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    code_of([*COMMANDS[command], "-o", str(fifo)])
    reader.join(20)
    assert "schema_version" in json.loads(read[0])
    assert stat.S_ISFIFO(fifo.lstat().st_mode)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dash_is_stdout(here: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code_of([*COMMANDS[command], "-o", "-"])
    assert "schema_version" in json.loads(capsys.readouterr().out)
    assert not (here / "-").exists()


def test_a_dash_in_a_file_is_stdout_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "dash.toml").write_text('[run]\noutput = "-"\nformat = "json"\n')
    assert code_of(["config", "dash.toml"]) == 0
    assert "schema_version" in json.loads(capsys.readouterr().out)


def test_a_device_stays_a_device(here: Path) -> None:
    device = here / "device"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        device.write_bytes(b"")
    except OSError:
        pytest.skip("this user may make no devices")
    assert code_of([*COMMANDS["report"], "-o", str(device)]) == 0
    assert stat.S_ISCHR(device.lstat().st_mode)


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout_by_name_appends_to_where_it_leads(place: Path, target: str) -> None:
    if not Path("/proc/self/fd").exists() and target.startswith("/proc"):
        pytest.skip("no /proc here")
    written = place / "appended"
    written.write_text("before\n")
    assert call(place, [*COMMANDS["report"], "-o", target], f'"$@" >>{written}').returncode == 0
    first, _, rest = written.read_text().partition("\n")
    assert (first, "schema_version" in json.loads(rest)) == ("before", True)


def test_a_process_substitution_gets_the_document(place: Path) -> None:
    done = call(place, COMMANDS["report"], '"$@" -o >(cat) 2>/dev/null; wait $!; sleep 0')
    assert (done.returncode, "schema_version" in json.loads(done.stdout)) == (0, True)


def test_a_reader_of_the_fifo_that_leaves_keeps_the_gates_answer(place: Path) -> None:
    done = call(place, COMMANDS["gate"], '"$@" -o >(true) 2>/dev/null')
    assert done.returncode == 4


def test_a_link_stays_a_link_and_its_file_is_written(here: Path) -> None:
    (here / "real.json").write_text("old")
    (here / "link.json").unlink(missing_ok=True)
    (here / "link.json").symlink_to("real.json")
    assert code_of(["report", "run", "-o", "link.json"]) == 0
    assert (here / "link.json").is_symlink()
    assert "schema_version" in json.loads((here / "real.json").read_text())


@pytest.mark.parametrize("name", ["x" * 256, "y/" * 2100 + "z", "run/report.json/below", "loop"])
def test_a_name_that_no_file_can_have_is_an_input_error(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (here / "loop").unlink(missing_ok=True)
    (here / "loop").symlink_to("loop")
    assert code_of(["report", "run", "-o", name]) == 2
    assert code_of(["report", name]) == 2
    assert code_of(["check", "--collection", name]) == 2
    assert code_of(["run", "--collection", "tiny", "--model", "wordllama", "--out", name]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_plan_as_parquet_goes_through_the_same_door(here: Path) -> None:
    import pandas as pd

    assert code_of(["plan", "run", "--docs", "1M", "-o", "plan.parquet"]) == 0
    assert len(pd.read_parquet(here / "plan.parquet")) > 0
