"""A plan from a finished run: closed forms and the user's prices, in every form it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]


@pytest.fixture
def run(made_run: MadeRun) -> str:
    """256 and 128 are acceptable, 64 is not, in a corpus of 1,000 documents."""
    return str(made_run({256: [0] * 300, 128: [0] * 300, 64: [99] * 150 + [0] * 150}))


def test_bytes_and_cost_follow_from_the_request(command: Command, run: str) -> None:
    argv = ("plan", run, "--docs", "10k", "--index", "Flat", "--replicas", "2", "--price-gib-month", "1024", "--format", "json")
    found = json.loads(command(*argv).stdout)
    rows = {row["dim"]: row for row in found["rows"]}
    assert list(rows) == [256, 128]
    assert (rows[128]["vector_bytes"], rows[256]["vector_bytes"]) == (128 * 4 * 10_000, 256 * 4 * 10_000)
    assert rows[128]["memory_bytes"] == 2 * rows[128]["index_bytes"]
    assert rows[128]["monthly_cost"] == pytest.approx(rows[128]["memory_bytes"] / 2**20)
    assert rows[128]["saving"] == pytest.approx(rows[256]["monthly_cost"] - rows[128]["monthly_cost"])
    assert rows[128]["projected"]["measure"] == "nDCG@10"


def test_the_sentence_names_the_cheapest_acceptable_row(command: Command, run: str) -> None:
    done = command("plan", run, "--docs", "10k", "--index", "Flat", "--price-gib-month", "1000", "-q")
    assert done.stdout == (
        "Cheapest acceptable: 128 dimensions with Flat: 4.9 MiB of memory for 10,000 documents, 4.77 a month, "
        "4.77 (50.0%) less than full size.\n"
    )


def test_too_large_a_corpus_gets_bytes_but_no_quality(command: Command, run: str) -> None:
    found = json.loads(command("plan", run, "--docs", "50M", "--format", "json").stdout)
    assert found["rows"][0]["projected"] is None
    assert {row["dim"]: row["acceptable"] for row in found["rows"] if row["index"] == "Flat"} == {256: True, 128: None}
    assert "no-projection" in [one["code"] for one in found["warnings"]]


def test_text_markdown_and_parquet_hold_the_rows(command: Command, run: str, tmp_path: Path) -> None:
    argv = ("plan", run, "--docs", "10k", "--index", "Flat", "--index", "HNSW32")
    assert command(*argv).stdout.count("HNSW32") >= 2
    assert command(*argv, "--format", "markdown").stdout.count("| dim | index | kept | at least | at planned |") == 1
    assert command(*argv, "-o", "plan.parquet").stdout == ""
    frame = pd.read_parquet(tmp_path / "plan.parquet")
    assert frame[["dim", "index"]].values.tolist() == [[256, "Flat"], [128, "Flat"], [256, "HNSW32"], [128, "HNSW32"]]
    assert frame["projected_measure"].notna().tolist() == [True, True, False, False], "only the exact search is projected"


WITHOUT = """
import sys
for name in ("faiss", "numba", "pandas", "psycopg", "pyarrow", "scipy", "sentence_transformers", "torch"):
    sys.modules[name] = None
from mrl_sweep.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "argv", [("plan", "RUN", "--docs", "20k", "--index", "HNSW32"), ("report", "RUN"), ("compare", "RUN", "RUN"), ("gate", "RUN")]
)
def test_a_finished_run_is_read_where_the_libraries_of_a_run_are_not_installed(run: str, argv: tuple[str, ...]) -> None:
    words = [run if word == "RUN" else word for word in argv]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, "not installed" in done.stderr) == (0, False), done.stderr


def test_an_index_that_was_not_measured_is_never_the_cheapest(command: Command, run: str) -> None:
    found = json.loads(command("plan", run, "--docs", "10k", "--index", "PQ8", "--index", "Flat", "--format", "json").stdout)
    rows = {row["configuration"]: row for row in found["rows"]}
    unmeasured = rows["128:float32:PQ8"]
    assert (unmeasured["quality"], unmeasured["acceptable"], unmeasured["projected"]) == (None, None, None)
    assert unmeasured["reason"] == "not measured: --index PQ8 in the run; the exact search of these codes keeps 100.0%"
    assert rows["128:float32:Flat"]["acceptable"] is True
    assert "128 dimensions with Flat" in command("plan", run, "--docs", "10k", "--index", "PQ8", "--index", "Flat", "-q").stdout
    nothing = command("plan", run, "--docs", "10k", "--index", "PQ8", "--index", "SQ8", "-q").stdout
    assert nothing == "None of these configurations is known to be acceptable. 2 indexes were not measured in the run.\n"
    assert "not measured" in command("plan", run, "--docs", "10k", "--index", "PQ8").stdout


def test_prices_may_stand_in_a_table_of_pyproject(command: Command, run: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mrl-sweep.plan]\ndocs = "10k"\nprice_gib_month = 1000\nindex = "Flat"\n')
    assert "4.77 a month" in command("plan", run, "-q").stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "the planned corpus is not named"),
        (("--docs", "many"), "--docs: many is not a count"),
        (("--docs", "1M", "--machine-price-month", "3"), "a machine has a price but no size"),
        (("--docs", "1M", "--headroom", "90%"), "--headroom: 90% is not a loss"),
        (("--docs", "1M", "--qps", "fast"), "--qps: 'fast' is not a number of 0 or more"),
        (("--docs", "1M", "--format", "github"), "there is no github format here"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(command: Command, run: str, argv: tuple[str, ...], message: str) -> None:
    done = command("plan", run, *argv)
    assert (done.returncode, done.stderr.startswith(f"error: {message}")) == (2, True)
