"""The gate through the real command: every answer is an exit code, the same in every format."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]

FULL = [0] * 200
"""Every relevant document on top: nDCG@10 is 1 for each query."""

SAME, WORSE, UNCLEAR = FULL, [99] * 40 + [0] * 160, [1] * 12 + [0] * 188
"""Against FULL: nothing changes; a fifth of the queries loses everything; 12 of 200 lose a third, so 97.8% is kept."""


@pytest.fixture
def run(made_run: MadeRun) -> Path:
    return made_run({256: FULL, 128: SAME, 96: UNCLEAR, 64: WORSE})


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["--dim", "256"], 0, "256 dimensions are full size."),
        (["--dim", "128"], 0, "128 dimensions are acceptable: they keep at least 98.7% of nDCG@10; 98% was asked."),
        (["--dim", "64"], 1, "64 dimensions are not acceptable: keeps at most 84.7% of nDCG@10; 98% was asked."),
        (["--dim", "96"], 4, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--on-inconclusive", "pass"], 0, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--on-inconclusive", "warn"], 0, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--retain", "90%"], 0, "96 dimensions are acceptable: "),
        (["--dim", "96", "--decide-by", "mean"], 1, "96 dimensions are not acceptable: keeps 97.8% of nDCG@10; 98% was asked."),
        (["--max-dim", "128"], 0, "128 dimensions are acceptable."),
        (["--max-dim", "200"], 0, "128 dimensions are acceptable."),
        (["--max-dim", "100"], 4, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--max-dim", "64"], 1, "64 dimensions are not acceptable: "),
        (["--max-dim", "999"], 0, "Full size, 256, is not above 999."),
        ([], 0, "128 dimensions are acceptable."),
    ],
)
def test_the_exit_code_is_the_answer(command: Command, run: Path, argv: list[str], code: int, sentence: str) -> None:
    done = command("gate", str(run), *argv, "--format", "json")
    gate = json.loads(done.stdout)["gate"]
    assert gate["sentence"].startswith(sentence)
    assert (done.returncode, gate["exit_code"], done.stderr) == (code, code, "")


@pytest.mark.parametrize("kind", ["text", "json", "markdown", "html", "github", "junit"])
@pytest.mark.parametrize(("dim", "code"), [("128", 0), ("64", 1), ("96", 4)])
def test_the_exit_code_does_not_depend_on_the_format(command: Command, run: Path, kind: str, dim: str, code: int) -> None:
    done = command("gate", str(run), "--dim", dim, "--format", kind)
    assert done.returncode == code
    assert f"{dim} dimensions" in done.stdout


@pytest.mark.parametrize(("dim", "code"), [("128", 0), ("64", 1), ("100", 2), ("96", 4)])
def test_a_shell_sees_the_exit_code(process: Command, run: Path, dim: str, code: int) -> None:
    assert process("gate", str(run), "--dim", dim).returncode == code


def test_the_report_file_inside_a_run_names_the_run(command: Command, run: Path) -> None:
    assert command("gate", str(run / "report.json"), "--dim", "64").returncode == 1


def test_a_file_gets_the_rendering_and_a_person_the_text(command: Command, run: Path, tmp_path: Path) -> None:
    done = command("gate", str(run), "--dim", "64", "-o", "gate.xml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "64 dimensions are not acceptable" in done.stderr
    assert ElementTree.parse(tmp_path / "gate.xml").getroot().tag == "testsuites"


def test_quiet_keeps_the_answer_and_twice_quiet_only_the_code(command: Command, run: Path) -> None:
    once, twice = command("gate", str(run), "--dim", "64", "-q"), command("gate", str(run), "--dim", "64", "-qq")
    assert once.stdout == "64 dimensions are not acceptable: keeps at most 84.7% of nDCG@10; 98% was asked.\n"
    assert (once.returncode, once.stderr) == (1, "")
    assert (twice.returncode, twice.stdout, twice.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--dim", "100"], "the run did not rank 100 dimensions (it has 256, 128, 96, 64)"),
        (["--max-dim", "10"], "no size up to 10 was ranked (there are 256, 128, 96, 64)"),
        (["--dim", "64", "--max-dim", "64"], "--dim and --max-dim ask different questions"),
        (["--dims", "64"], "--dims cannot change a finished run"),
        (["--dim", "0"], "--dim: '0' is not a whole number above zero"),
        (["--dim", "64", "--on-inconclusive", "warm"], "--on-inconclusive: 'warm' is not accepted"),
        (["--measure", "nDGC@10"], "--measure: unknown measure 'nDGC@10': did you mean nDCG@10?"),
        (["-o", "made/report.json"], "will not write made/report.json: it belongs to the input "),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(command: Command, run: Path, argv: list[str], message: str) -> None:
    before = (run / "report.json").read_bytes()
    done = command("gate", str(run), *argv)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert (run / "report.json").read_bytes() == before


def test_what_is_no_run_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    for target in ("absent", "."):
        done = command("gate", target, "--format", "json")
        assert (done.returncode, json.loads(done.stdout)["status"]) == (2, "error")


def test_a_run_that_set_data_aside_is_refused_unless_told_otherwise(command: Command, made_run: MadeRun) -> None:
    folder = made_run({256: FULL, 128: SAME}, excluded={"queries without a relevant judgment": 3})
    refused = command("gate", str(folder), "--dim", "128")
    assert (refused.returncode, refused.stderr) == (
        2,
        (
            "error: the run set data aside: 3 queries without a relevant judgment\n"
            "hint: mend the data, or accept it with --no-strict\n"
        ),
    )
    assert command("gate", str(folder), "--dim", "128", "--no-strict").returncode == 0


def test_fewer_than_thirty_queries_are_never_certified(command: Command, made_run: MadeRun) -> None:
    done = command("gate", str(made_run({256: [0] * 29, 128: [0] * 29})), "--dim", "128", "-q")
    assert done.returncode == 4
    assert "only 29 judged queries; fewer than 30 prove nothing" in done.stdout


def test_a_gate_reads_a_run_without_the_heavy_libraries(run: Path) -> None:
    code = (
        "import sys\nfrom mrl_sweep.cli import main\n"
        f"try: main(['gate', {str(run)!r}, '--dim', '64', '-qq'])\nexcept SystemExit as ended: print(ended.code)\n"
        "print(sorted({'pandas', 'faiss', 'numba', 'torch', 'scipy', 'pyarrow', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n[]\n"
