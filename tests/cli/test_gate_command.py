"""The gate through the real command: every answer is an exit code, the same in every format."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mrl_sweep.report.render import Format, render
from mrl_sweep.runs.gate import decide_gate
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Advice, Measure

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MadeRun = Callable[..., Path]

FULL = [0] * 300
"""Every relevant document on top: nDCG@10 is 1 for each query."""

SAME, WORSE, UNCLEAR = FULL, [99] * 60 + [0] * 240, [1] * 18 + [0] * 282
"""Against FULL: nothing changes; a fifth of the queries loses everything; 18 of 300 lose a third, so 97.8% is kept."""


@pytest.fixture
def run(made_run: MadeRun) -> Path:
    return made_run({256: FULL, 128: SAME, 96: UNCLEAR, 64: WORSE})


@pytest.mark.parametrize(
    ("argv", "code", "sentence"),
    [
        (["--dim", "256"], 0, "256 dimensions are full size."),
        (["--dim", "128"], 0, "128 dimensions are acceptable: they keep at least 98.5% of nDCG@10; 98% was asked."),
        (["--dim", "64"], 1, "64 dimensions are not acceptable: they keep at most 84.2% of nDCG@10; 98% was asked."),
        (["--dim", "96"], 4, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--on-inconclusive", "pass"], 0, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--on-inconclusive", "warn"], 0, "The queries cannot tell whether 96 dimensions are acceptable: "),
        (["--dim", "96", "--retain", "90%"], 0, "96 dimensions are acceptable: "),
        (
            ["--dim", "96", "--decide-by", "mean"],
            1,
            "96 dimensions are not acceptable: they keep 97.8% of nDCG@10; 98% was asked.",
        ),
        (["--max-dim", "128"], 0, "128 dimensions are acceptable."),
        (["--max-dim", "200"], 0, "128 dimensions are acceptable."),
        (["--max-dim", "100"], 4, "The queries cannot tell whether 96 dimensions are acceptable: they keep between "),
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


@pytest.mark.parametrize(("how", "codes"), [("warn", ["gate-inconclusive"]), ("pass", [])])
def test_an_open_question_that_passes_is_warned_of_where_that_is_wanted(
    command: Command, run: Path, how: str, codes: list[str]
) -> None:
    done = command("gate", str(run), "--dim", "96", "--on-inconclusive", how, "--format", "json")
    codes_of = [warning["code"] for warning in json.loads(done.stdout)["warnings"]]
    assert [code for code in codes_of if code.startswith("gate-")] == codes


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
    assert once.stdout == "64 dimensions are not acceptable: they keep at most 84.2% of nDCG@10; 98% was asked.\n"
    assert (once.returncode, once.stderr) == (1, "")
    assert (twice.returncode, twice.stdout, twice.stderr) == (1, "", "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--dim", "100"], "the run did not rank 100 dimensions (it has 256, 128, 96, 64)"),
        (["--max-dim", "10"], "no size up to 10 was ranked (there are 256, 128, 96, 64)"),
        (["--dim", "64", "--max-dim", "64"], "--dim and --max-dim ask different questions"),
        (["--store", "other"], "--store cannot change a finished run"),
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
    folder = made_run({256: FULL, 128: SAME}, excluded={"queries_without_relevant": 3, "queries_without_judgments": 800})
    refused = command("gate", str(folder), "--dim", "128")
    assert (refused.returncode, refused.stderr) == (
        2,
        (
            "error: the run set data aside: 3 queries without relevant\n"
            "hint: mend the data, or accept it by name: --allow queries-without-relevant; --no-strict accepts all\n"
        ),
    )
    one = made_run({256: FULL, 128: SAME}, excluded={"repeated_documents": 1}, name="one")
    assert command("gate", str(one), "--dim", "128").stderr.startswith("error: the run set data aside: 1 repeated document\n")
    assert command("gate", str(folder), "--dim", "128", "--no-strict").returncode == 0
    assert command("gate", str(folder), "--dim", "128", "--allow", "queries-without-relevant").returncode == 0
    other = command("gate", str(folder), "--dim", "128", "--allow", "empty-documents")
    assert (other.returncode, "(empty_documents: nothing of that name was set aside)" in other.stderr) == (2, True)
    unjudged_only = made_run({256: FULL, 128: SAME}, name="splits", excluded={"queries_without_judgments": 800})
    assert command("gate", str(unjudged_only), "--dim", "128").returncode == 0


def test_where_nothing_is_proven_the_gate_does_not_say_that_nothing_is_acceptable(command: Command, made_run: MadeRun) -> None:
    done = command("gate", str(made_run({256: FULL, 96: UNCLEAR})), "-q")
    assert (done.returncode, done.stdout.startswith("No size below 256 is proven acceptable: 96 keeps between ")) == (4, True)
    worse = command("gate", str(made_run({256: FULL, 64: WORSE}, name="worse")), "-q")
    assert (worse.returncode, worse.stdout.startswith("No size below 256 is acceptable: 64 keeps at most ")) == (1, True)


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


def test_github_gets_its_summary_page(command: Command, run: Path, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    command("gate", str(run), "--dim", "64", "--format", "github", env={"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text().startswith("before\n")
    assert "64 dimensions are not acceptable" in page.read_text()


BETTER, EQUAL, SLIGHTLY_WORSE = [0] * 300, [0] * 225 + [1] * 75, [0] * 219 + [1] * 81


@pytest.fixture
def baseline(made_run: MadeRun) -> Path:
    return made_run({256: FULL, 128: EQUAL}, name="yesterday", retain=0.5)


@pytest.mark.parametrize(
    ("today", "argv", "code", "sentence"),
    [
        (EQUAL, [], 0, "No proven regression: nDCG@10 at 128 was 0.9077 and is 0.9077."),
        (BETTER, [], 0, "No proven regression: nDCG@10 at 128 was 0.9077 and is 1.0000."),
        (SLIGHTLY_WORSE, [], 0, "No proven regression: nDCG@10 at 128 was 0.9077 and is 0.9004."),
        (WORSE, [], 1, "Regression: nDCG@10 at 128 was 0.9077 and is 0.8000, at most "),
        (WORSE, ["--max-regression", "40%"], 0, "No proven regression: nDCG@10 at 128 was 0.9077 and is 0.8000."),
    ],
)
def test_only_a_proven_loss_against_the_baseline_fails(
    command: Command, made_run: MadeRun, baseline: Path, today: list[int], argv: list[str], code: int, sentence: str
) -> None:
    folder = made_run({256: FULL, 128: today}, name="today", retain=0.5)
    done = command("gate", str(folder), "--dim", "128", "--baseline", str(baseline), *argv, "--format", "json")
    gate = json.loads(done.stdout)["gate"]
    assert sentence in gate["sentence"]
    assert (done.returncode, gate["failures"] != []) == (code, code == 1)


def test_a_warning_that_the_baseline_gave_too_is_not_annotated_again(made_run: MadeRun, baseline: Path) -> None:
    config = SweepConfig.of(dim=128)
    old, new = Advice("few-queries", "100 queries are few"), Advice("random-sample", "a sample")
    today, before = (reopen(folder, config) for folder in (made_run({256: FULL, 128: EQUAL}, retain=0.5), baseline))
    today, before = (
        replace(run, report=replace(run.report, warnings=told)) for run, told in ((today, (old, new)), (before, (old,)))
    )
    report = decide_gate(today, config, before)
    annotations = render(report, Format.GITHUB)
    assert ("100 queries are few" in annotations, "a sample" in annotations) == (False, True)
    assert report.open_warnings == (old, new), "text, page and document keep both"
    assert "100 queries are few" in render(decide_gate(today, config), Format.GITHUB)


def test_the_baseline_may_hold_its_queries_in_another_order(command: Command, made_run: MadeRun) -> None:
    ids = [f"q{i}" for i in range(300)]
    before = made_run({256: FULL, 128: WORSE}, name="before", query_ids=ids, retain=0.5)
    # The same queries with the same documents and values, the other way round.
    after = made_run({256: FULL, 128: WORSE[::-1]}, name="after", query_ids=ids[::-1], documents=range(299, -1, -1), retain=0.5)
    done = command("gate", str(after), "--dim", "128", "--baseline", str(before / "report.json"), "--format", "json")
    assert done.returncode == 0
    assert "was 0.8000 and is 0.8000" in json.loads(done.stdout)["gate"]["sentence"]


def test_without_a_size_the_gate_is_about_the_size_that_the_baseline_chose(command: Command, made_run: MadeRun) -> None:
    before = made_run({256: FULL, 128: FULL, 64: WORSE}, name="before")
    after = made_run({256: FULL, 128: WORSE, 64: WORSE}, name="after")
    done = command("gate", str(after), "--baseline", str(before), "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["gate"]["question"]) == (1, "is 128 still acceptable?")


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"query_ids": [f"other{i}" for i in range(300)]}, "queries: 300 ("),
        ({"grades": [2] * 300}, "judgments: 300 ("),
        ({"manifest": {"model": {"name": "another"}}}, "model: made, not another"),
        ({"manifest": {"tie_rule": "by id"}}, "tie rule: None, not by id"),
        ({"manifest": {"identical_excluded": True}}, "a query's own document left out: None, not True"),
        ({"manifest": {"similarity": "dot"}}, "similarity: None, not dot"),
        ({"manifest": {"collection": {"documents": 900}}}, "documents: None, not 900"),
        (
            {"manifest": {"settings": {"collection.no_relevant": "zero"}}},
            "queries without relevant documents: None, not zero",
        ),
    ],
)
def test_another_question_is_no_baseline(
    command: Command, made_run: MadeRun, run: Path, other: dict[str, object], difference: str
) -> None:
    before = made_run({256: FULL, 128: FULL}, name="before", **other)
    done = command("gate", str(run), "--dim", "128", "--baseline", str(before))
    assert done.returncode == 2
    assert done.stderr.startswith("error: this run cannot be compared with the baseline; they differ in ")
    assert difference in done.stderr


def test_another_measure_or_cut_off_is_no_baseline(command: Command, made_run: MadeRun, run: Path) -> None:
    before = made_run({256: FULL, 128: FULL}, name="before", measures=[Measure("R", 100)])
    done = command("gate", str(run), "--dim", "128", "--baseline", str(before))
    assert (done.returncode, "measure: nDCG, not R; cut-off: 10, not 100" in done.stderr) == (2, True)


def test_a_missing_baseline_is_an_error_unless_it_is_the_first_run(command: Command, run: Path) -> None:
    missing = command("gate", str(run), "--dim", "128", "--baseline", "absent")
    assert (missing.returncode, missing.stderr.startswith("error: cannot read absent")) == (2, True)
    first = command("gate", str(run), "--dim", "128", "--baseline", "absent", "--baseline-optional")
    assert (first.returncode, first.stderr) == (0, "no baseline at absent yet: nothing to compare with\n")
    alone = command("gate", str(run), "--max-regression", "1%")
    assert (alone.returncode, alone.stderr) == (2, "error: --max-regression needs a baseline\nhint: give --baseline RUN\n")


def test_a_declared_slice_that_is_proven_below_its_margin_fails_the_gate(command: Command, made_run: MadeRun) -> None:
    metadata = [{"lang": "de" if i < 60 else "en", "id": str(i)} for i in range(300)]
    folder = made_run({256: FULL, 128: [5] * 45 + [0] * 255}, metadata=metadata, retain=0.5)
    argv = ["gate", str(folder), "--dim", "128", "--slice", "lang", "--slice-retain", "90%", "--format", "json"]
    done = command(*argv)
    gate = json.loads(done.stdout)["gate"]
    assert done.returncode == 1
    assert gate["failures"][0].startswith("Slice lang=de keeps 51.7%, at most ")
    assert len(gate["failures"]) == 1
    assert command("gate", str(folder), "--dim", "128").returncode == 0


def test_a_slice_that_is_not_proven_either_way_is_listed_and_passes(command: Command, made_run: MadeRun) -> None:
    metadata = [{"lang": "de" if i < 18 else "en"} for i in range(300)]
    folder = made_run({256: FULL, 128: [1] + [0] * 299}, metadata=metadata)
    done = command("gate", str(folder), "--dim", "128", "--slice", "lang", "--slice-retain", "97%", "--format", "json")
    warnings = {warning["code"]: warning["message"] for warning in json.loads(done.stdout)["warnings"]}
    assert done.returncode == 0
    assert warnings["slices-unproven"] == "not proven to keep their share: lang=de"
    assert warnings["slices-hardly-tested"] == "slices of so few queries could hardly have failed: lang=de only below 70.5%"


def test_a_slice_margin_without_slices_or_with_an_unknown_field_is_refused(command: Command, run: Path) -> None:
    no_fields = command("gate", str(run), "--slice-retain", "97%")
    assert (no_fields.returncode, "--slice-retain needs to know which slices" in no_fields.stderr) == (2, True)
    unknown = command("gate", str(run), "--slice", "lang", "--slice-retain", "97%")
    assert (unknown.returncode, "no query has the field lang" in unknown.stderr) == (2, True)
