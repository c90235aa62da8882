"""Finished runs side by side: equal bytes, paired evidence where there is some, and the reason where there is none."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]

FULL = [0] * 300
HALF = [0] * 150 + [1] * 150


@pytest.fixture
def runs(made_run: MadeRun) -> list[str]:
    a = made_run({256: FULL, 128: FULL, 64: HALF}, name="a")
    b = made_run({256: FULL, 128: HALF}, name="b")
    return [str(a), str(b)]


def test_equal_bytes_are_compared_query_by_query(command: Command, runs: list[str]) -> None:
    found = json.loads(command("compare", *runs, "--format", "json").stdout)
    by_bytes = {row["bytes_per_vector"]: row["cells"] for row in found["rows"]}
    assert list(by_bytes) == [1024, 512, 256, None]
    assert [cell["dim"] for cell in by_bytes[256]] == [64, None]
    paired = by_bytes[512][1]["against_first"]
    assert (paired["lost"], paired["gained"], paired["unchanged"], paired["better"]) == (150, 0, 150, "first")
    assert paired["difference"] == pytest.approx(-150 * (1 - 1 / 1.584962500721156) / 300, abs=1e-12)
    assert by_bytes[1024][1]["against_first"]["better"] == "undecided"
    assert [cell["dim"] for cell in by_bytes[None]] == [128, 256]


def test_text_says_who_is_better_and_ends_with_what_would_be_shipped(command: Command, runs: list[str]) -> None:
    done = command("compare", *runs)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert [" ".join(line.split()) for line in lines[-8:-4]] == [
        "By bytes of a vector",
        "bytes A nDCG@10 B nDCG@10 B - A between",
        "1,024 256: 1.0000 256: 1.0000 +0.0000 not proven -0.0174 to +0.0174",
        "512 128: 1.0000 128: 0.8155 -0.1845 worse -0.2092 to -0.1587",
    ]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "B at 256 cannot be told from A at 128: +0.0000 (-0.0174 to +0.0174) nDCG@10."


def test_a_third_run_is_compared_with_the_first(command: Command, runs: list[str], made_run: MadeRun) -> None:
    c = made_run({256: HALF, 128: HALF}, name="c")
    done = command("compare", *runs, str(c), "-q")
    assert done.stdout == (
        "B at 256 cannot be told from A at 128: +0.0000 (-0.0174 to +0.0174) nDCG@10. "
        "C at 128 is proven worse than A at 128: -0.1845 (-0.2092 to -0.1587) nDCG@10.\n"
    )


def test_runs_over_other_queries_stand_unpaired_and_say_why(command: Command, runs: list[str], made_run: MadeRun) -> None:
    other = made_run({256: FULL[:150], 128: FULL[:150]}, name="other")
    done = command("compare", runs[0], str(other), "--format", "json")
    found = json.loads(done.stdout)
    assert [difference.split(":")[0] for difference in found["runs"][1]["differs"]] == ["queries", "judgments"]
    assert all(cell["against_first"] is None for row in found["rows"] for cell in row["cells"])
    assert "B cannot be compared with A query by query: queries: 150 (" in command("compare", runs[0], str(other), "-q").stdout


def test_another_measure_is_computed_from_the_ranks(command: Command, runs: list[str]) -> None:
    found = json.loads(command("compare", *runs, "--measure", "RR", "--format", "json").stdout)
    assert found["measure"] == "RR"
    assert [cell["mean"] for cell in found["rows"][1]["cells"]] == [1.0, 0.75]


def test_markdown_escapes_names(command: Command, runs: list[str], made_run: MadeRun) -> None:
    hostile = made_run({256: FULL, 128: FULL}, name="h", manifest={"model": {"name": "a|b<script>"}})
    shown = command("compare", runs[0], str(hostile), "--format", "markdown").stdout
    assert "<script>" not in shown
    assert "a\\|b" in shown


def test_the_result_goes_to_a_file_that_is_no_input(command: Command, runs: list[str], tmp_path: Path) -> None:
    done = command("compare", *runs, "-o", "side.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((tmp_path / "side.json").read_text())["measure"] == "nDCG@10"
    assert command("compare", *runs, "-o", f"{runs[1]}/report.json").returncode == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["a"], "there is nothing to compare with"),
        (["a", "absent"], "cannot read absent"),
        (["a", "b", "--format", "junit"], "there is no junit"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_what_cannot_be_compared_is_refused(command: Command, argv: list[str], message: str) -> None:
    done = command("compare", *argv)
    assert (done.returncode, done.stderr.startswith(f"error: {message}")) == (2, True)


def test_a_history_has_a_line_a_run_in_order_of_time(command: Command, made_run: MadeRun, tmp_path: Path) -> None:
    for day, half in ((3, HALF), (1, FULL), (2, FULL)):
        manifest = {"created": f"2026-01-0{day}T04:00:00+00:00", "collection": {"name": "shop", "documents": 1000 * day}}
        made_run({256: FULL, 128: half}, name=f"runs/day-{day}", manifest=manifest)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "report.json").write_text("{")
    done = command("compare", "--history", "runs", "--format", "json")
    found = json.loads(done.stdout)
    assert [(run["name"], run["dimension"], run["change"]) for run in found["runs"]] == [
        ("day-1", 128, ""),
        ("day-2", 128, "1,000 docs before"),
        ("day-3", 256, "128 -> 256; 2,000 docs before"),
    ]
    assert found["unreadable"] == 1
    text = command("compare", "--history", "runs").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "1 folder holds a report that cannot be read." in text
    assert " ".join(text.split()).endswith(
        "shop with made: 3 runs from 2026-01-01 to 2026-01-03: 128 dimensions at first, 256 now; "
        "full size went from 1.0000 to 1.0000 nDCG@10."
    )
    page = command("compare", "--history", "runs", "--format", "html").stdout
    assert (page.count("<svg"), page.count("2026-01-02: 128")) == (1, 1)


def test_a_history_says_what_is_proven_worse_than_the_run_before(command: Command, made_run: MadeRun) -> None:
    """Query by query at what each run ships, where the judgments are the same; the third run has others."""
    second = [1] * len(FULL)
    for day, above, digest in ((1, FULL, "a"), (2, second, "a"), (3, FULL, "b")):
        collection = {"name": "shop", "judgments_digest": digest}
        manifest = {"created": f"2026-01-0{day}T04:00:00+00:00", "collection": collection}
        made_run({256: above, 128: above}, name=f"runs/day-{day}", manifest=manifest)
    found = json.loads(command("compare", "--history", "runs", "--format", "json").stdout)["runs"]
    assert [run["against_before"] is None for run in found] == [True, False, True]
    paired = found[1]["against_before"]
    assert (paired["queries"], paired["lost"], paired["better"]) == (len(FULL), len(FULL), "first")
    assert paired["difference"] == pytest.approx(1 / math.log2(3) - 1)
    text = command("compare", "--history", "runs").stdout
    assert "-0.3691 worse" in text
    assert " ".join(text.split()).endswith("What day-2 ships is proven worse than before.")


@pytest.mark.parametrize(
    ("argv", "message"), [(("empty",), "empty holds no finished run"), ((".", "a"), "--history compares all")]
)
def test_a_history_that_is_none_is_refused(command: Command, tmp_path: Path, argv: tuple[str, ...], message: str) -> None:
    (tmp_path / "empty").mkdir()
    done = command("compare", "--history", *argv)
    assert (done.returncode, message in done.stderr) == (2, True)


@pytest.mark.parametrize("argv", [("compare", "a", "a"), ("plan", "a", "--docs", "1000")], ids=lambda argv: argv[0])
def test_what_a_command_does_not_show_is_not_made_for_another_rule(
    command: Command, made_run: MadeRun, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """Funnels, budgets and projections of the runs themselves: of many codes they take a minute. `report` shows them."""
    run = str(made_run({256: FULL, 128: FULL, 64: HALF}, manifest={"settings": {"deploy.project_docs": [500]}}))
    made: list[object] = []
    monkeypatch.setattr("mrl_sweep.runs.reopen.bounded_funnels", lambda *_: made.append(1) or ())
    assert command(*(run if one == "a" else one for one in argv), "--retain", "85%").returncode == 0
    assert made == []
    assert command("report", run, "--retain", "85%").returncode == 0
    assert made == [1]
