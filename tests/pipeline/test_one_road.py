"""One run in which at least half of what was measured is bad: no list of recommendations, in no format, names any of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_vectors import write_steep_collection

import mrl_sweep
from mrl_sweep.deploying.plan import cheapest_row
from mrl_sweep.report.content.sections import pareto, sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.plan import plan_article
from mrl_sweep.report.render import ARTICLE_FORMATS, Format, render
from mrl_sweep.runs.gate import decide_gate
from mrl_sweep.runs.plan import plan_run
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Configuration

GOOD_WORDS = re.compile(r"\bok\b|\bproven\b|\bacceptable\b|best by|least work|smallest")
DENIED = re.compile(r"not proven|not acceptable|none is acceptable|none of|not reached|only measured", re.IGNORECASE)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Steep vectors: 16 of 48 dimensions are as good as all, 4 and 2 are not; nor are LSH, one bit, or a short funnel from 4."""
    folder = tmp_path_factory.mktemp("road")
    write_steep_collection(folder / "c")
    return mrl_sweep.run(
        collection=str(folder / "c"),
        model=f"vectors:{folder / 'c'}",
        dims=[48, 16, 4, 2],
        index=["Flat", "LSH", "SQ8"],
        precision=["float32", "int8", "binary"],
        basis="pca",
        require="R@10",
        retain=0.95,
        funnel=["4:20:48", "16:200:48"],
        budget_gib=[1, 0.000005, 0.0000001],
        budget_ms=[1000],
        project_docs=[600, 1200],
        out=str(folder / "run"),
        store=str(folder / "store"),
    )


def bad(report: Report) -> list[CandidateRow]:
    return [row for row in report.candidates if not row.acceptable]


def test_at_least_half_is_bad_and_every_row_has_its_own_verdict_and_bounds(report: Report) -> None:
    assert len(bad(report)) >= len(report.candidates) / 2
    indexed = {(row.dim, row.index): row.verdict for row in report.candidates if row.precision == "float32" and not row.rescore}
    assert {indexed[dim, "LSH"] for dim in (48, 16, 4, 2)} == {"fail"}
    assert (indexed[48, "SQ8"], indexed[16, "SQ8"], indexed[4, "SQ8"]) == ("pass", "pass", "fail")
    for row in report.candidates:
        if row.verdict != "baseline":
            assert all(row.measures[name].at_least is not None for name in ("nDCG@10", "R@10")), row.configuration
    assert {row.verdict for row in report.candidates} <= {"baseline", "pass", "fail", "inconclusive", "not_tested"}


def recommended(report: Report) -> Iterator[tuple[str, Configuration]]:
    """Every configuration that any list of the report calls good, with the list."""
    verdict = report.verdict
    yield "verdict", Configuration.exact_prefix(verdict.dimension)
    yield "fewest bytes", Configuration.parse(verdict.configuration)
    for budget in report.budgets:
        if budget.configuration:
            yield f"budget {budget.budget}", Configuration.parse(budget.configuration)
    for funnel in report.funnels:
        if funnel.verdict == "pass" or funnel.recommended:
            yield f"funnel {funnel.configuration}", Configuration.parse(funnel.configuration)
    for projection in report.projections:
        dims = [row for row in report.projections if (row.dim, row.documents) == (projection.dim, projection.documents)]
        if all(row.acceptable for row in dims):
            yield f"projection to {projection.documents}", Configuration.exact_prefix(projection.dim)
    for configuration in pareto(report):
        yield "front", configuration


def test_no_list_of_the_report_names_a_bad_configuration(report: Report) -> None:
    known = {row.configuration: row for row in report.candidates}
    lists = list(recommended(report))
    assert {"verdict", "fewest bytes", "budget up to 1 GiB", "budget p99 up to 1000 ms", "front"} <= {name for name, _ in lists}
    assert any(name.startswith("funnel") for name, _ in lists)
    for name, configuration in lists:
        row = known.get(configuration)
        assert row is None or row.acceptable, f"{name} recommends {configuration}: {row}"
        if row is None:  # a funnel that is proven from bounds alone
            assert name.startswith("funnel")
    tiny = next(row for row in report.budgets if row.budget == "up to 5e-06 GiB")
    assert (tiny.dim, tiny.quality, tiny.acceptable) == (None, None, None)
    assert tiny.within
    assert "acceptable" in tiny.reason


@pytest.mark.parametrize("retain", [0.95, 0.99])
def test_no_row_of_a_plan_is_acceptable_that_was_judged_bad_or_not_at_all(report: Report, retain: float) -> None:
    assert report.folder is not None
    config = SweepConfig.of(docs="1200", plan_index=["Flat", "LSH", "SQ8", "PQ8"], price_gib_month=1, retain=retain)
    run = reopen(report.folder, config)
    planned = plan_run(run, config)
    for row in planned.rows:
        measured = run.findings.get(Configuration.parse(row.configuration.replace(":Flat", ":exact")))
        assert bool(row.acceptable) <= (measured is not None and measured.acceptable), row.configuration
        assert (row.quality is None) == (measured is None), row.configuration
        assert row.acceptable or row.reason
    cheapest = cheapest_row(planned)
    assert cheapest is not None
    for text in [render(plan_article({"": planned}), format) for format in ARTICLE_FORMATS]:
        for line in text.splitlines():
            if re.search(r"Cheapest", line):
                assert f"{cheapest.dim} dimensions" in line
                assert not re.search(r"LSH|PQ8", line)


def test_the_gate_lets_no_bad_size_through(report: Report) -> None:
    assert report.folder is not None
    for dim in (48, 16, 4, 2):
        config = SweepConfig.of(dim=dim, strict=False)
        gate = decide_gate(reopen(report.folder, config), config).gate
        row = report.candidate(dim)
        assert gate is not None
        assert row is not None
        assert (gate.exit_code == 0) == row.acceptable


def test_no_table_has_a_good_word_on_a_bad_row(report: Report) -> None:
    """The tables that every format renders: by dimension and index, by funnel, by budget."""
    by_name = {(str(row.dim), row.index): row for row in report.candidates if row.precision == "float32" and not row.rescore}
    seen = 0
    for section in sections(report):
        if section.table is None:
            continue
        columns = {column.title: column.cells for column in section.table.columns}
        if not {"dim", "index", "verdict"} <= set(columns):
            continue
        for dim, index, verdict in zip(columns["dim"], columns["index"], columns["verdict"], strict=True):
            row = by_name.get((dim, index))
            if row is not None and not row.acceptable:
                seen += 1
                assert DENIED.search(verdict) or not GOOD_WORDS.search(verdict), (section.title, dim, index, verdict)
    assert seen >= 5


@pytest.mark.parametrize("kind", [Format.TEXT, Format.MARKDOWN, Format.HTML, Format.GITHUB, Format.JUNIT])
def test_no_format_praises_what_is_bad(report: Report, kind: Format) -> None:
    """LSH is bad at every size, so no line or row that names it may have a good word."""
    shown = render(report, kind, width=400)
    marked = re.findall(r"<tr.*?</tr>|<testcase.*?(?:/>|</testcase>)", shown, re.DOTALL)
    lines = marked if kind in (Format.HTML, Format.JUNIT) else shown.splitlines()
    named = [line for line in lines if "LSH" in line]
    # GitHub and JUnit list no indexes, and a comment names sections that would make it too long
    assert named or kind in (Format.GITHUB, Format.JUNIT, Format.MARKDOWN)
    for line in named:
        assert DENIED.search(line) or not GOOD_WORDS.search(line), line


def test_the_document_says_the_same_as_the_report(report: Report) -> None:
    plain = json.loads(render(report, Format.JSON))
    assert plain["schema_version"] == 2
    assert plain["verdict"]["configuration"] in {str(row.configuration) for row in report.candidates if row.acceptable}
    assert Path(str(report.folder), "report.json").is_file()
