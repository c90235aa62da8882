"""One run in which at least half of what was measured is bad: no list of recommendations, in no format, names any of that."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_vectors import write_steep_collection

import mrl_sweep
from mrl_sweep.report.content.indexes import pareto
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.plan import plan_article
from mrl_sweep.report.render import ARTICLE_FORMATS, Format, Look, render
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
        rescore="4x",
        basis=["pca", "random"],
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


def test_a_clean_collection_has_nothing_left_out(report: Report) -> None:
    assert report.excluded == {}


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
    cheapest = planned.cheapest
    assert cheapest is not None
    for text in [render(plan_article({"": planned}), format) for format in ARTICLE_FORMATS]:
        for line in text.splitlines():
            if re.search(r"Cheapest", line):
                assert f"{cheapest.dim} dimensions" in line
                assert not re.search(r"LSH|PQ8", line)


@pytest.mark.parametrize("docs", [600, 1200])
def test_a_plan_and_the_projection_give_one_answer(report: Report, docs: int) -> None:
    """For every exhaustive search that is planned: too low where one required measure is, else not known where one is not."""
    assert report.folder is not None
    config = SweepConfig.of(docs=str(docs), plan_index="Flat")
    rows = [row for row in plan_run(reopen(report.folder, config), config).rows if not row.rescore]
    for row in rows:
        name = str(Configuration.parse(row.configuration.replace(":Flat", ":exact")))
        told = [one.acceptable for one in report.projections if (one.documents, one.configuration) == (docs, name)]
        assert len(told) == 2, name
        assert row.acceptable == (False if False in told else None if None in told else True), name
    assert len(rows) >= 4


def test_the_gate_lets_no_bad_size_through(report: Report) -> None:
    assert report.folder is not None
    for dim in (48, 16, 4, 2):
        config = SweepConfig.of(dim=dim, strict=False)
        gate = decide_gate(reopen(report.folder, config), config).gate
        row = report.candidate(dim)
        assert gate is not None
        assert row is not None
        assert (gate.exit_code == 0) == row.acceptable


Row = dict[str, str]


def tables(shown: str, kind: Format) -> list[list[Row]]:
    """The tables of a rendering, each row by its headings, as a reader would take them apart; `>` marks no cell."""
    if kind is Format.HTML:
        blocks = re.findall(r"<table.*?</table>", shown, re.DOTALL)
        lines = [
            [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", b, re.DOTALL)] for b in blocks
        ]
        split = [[[html.unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in row] for row in block] for block in lines]
    elif kind is Format.MARKDOWN:
        blocks = re.findall(r"(?:^\|.*\|$\n?)+", shown, re.MULTILINE)
        rows = [[line for line in block.splitlines() if "---" not in line] for block in blocks]
        split = [
            [[re.sub(r"[*\\\\]", "", cell).strip() for cell in line.strip("|").split(" | ")] for line in block] for block in rows
        ]
    else:
        blocks = re.findall(r"(?:^ {2,}(?:> )?\S.* {2,}\S.*$\n?)+", shown, re.MULTILINE)
        split = [[re.split(r" {2,}", re.sub(r"^ *(> )?", "", line)) for line in block.splitlines()] for block in blocks]
    return [[dict(zip(head, row, strict=False)) for row in rows if len(row) == len(head)] for head, *rows in split if rows]


def configurations(row: Row) -> list[Configuration]:
    """What a row of any table names: by its size, precision and index; by its name; as a funnel. None where it names nothing."""
    if "funnel" in row:
        small, shortlist, large = re.findall(r"\d+", row["funnel"])
        return [Configuration.parse(f"{small}:float32:exact:rescore={shortlist}@{large}")]
    if not re.match(r"\d+", row.get("dim", "")):
        return []
    if ":" in row["dim"]:
        return [Configuration.parse(row["dim"])]
    index, _, rescore = row.get("index", "exact").partition(", rescore ")
    rescore = rescore or row.get("rescore", "-").strip("-")
    precision = row.get("precision", "-").replace("-", "") or "float32"
    return [
        Configuration("prefix", int(row["dim"]), name, precision, rescore)
        for name in dict.fromkeys((index, index.replace("Flat", "exact")))
    ]


def is_bad(report: Report, row: Row) -> bool:
    """Whether what the row names was measured, and under none of its names found acceptable."""
    known = {one.configuration: one.acceptable for one in report.candidates}
    found = [known[name] for name in configurations(row) if name in known]
    return bool(found) and not any(found)


@pytest.mark.parametrize("kind", [Format.TEXT, Format.MARKDOWN, Format.HTML])
def test_no_format_has_a_good_word_on_a_bad_row(report: Report, kind: Format) -> None:
    """Sizes, indexes, funnels, budgets, larger corpora; of the grid, which has no verdicts, the cells with a star."""
    shown = render(report, kind, Look(width=400, show=("all",)))
    seen = 0
    for row in (row for rows in tables(shown, kind) for row in rows):
        if not is_bad(report, row):
            continue
        seen += 1
        assert "budget" not in row, f"a budget names {row}"
        said = " ".join(row.get(column, "") for column in ("verdict", "standing"))
        assert DENIED.search(said) or not GOOD_WORDS.search(said), row
    assert seen >= (2 if kind is Format.MARKDOWN else 15), "a comment names the tables that would make it too long"


@pytest.mark.parametrize("kind", [Format.TEXT, Format.HTML])
def test_a_star_in_the_grid_stands_on_nothing_bad(report: Report, kind: Format) -> None:
    names = {"one bit": "binary"}
    stars = 0
    for rows in tables(render(report, kind, Look(width=400, show=("all",))), kind):
        for row in rows:
            precision, _, rescore = row.get("precision", "").partition(", ")
            for dim, cell in row.items():
                if dim.isdecimal() and cell.endswith("*"):
                    stars += 1
                    named = [
                        Configuration(basis, int(dim), "exact", names.get(precision, precision), rescore)
                        for basis in ("prefix", "pca")
                    ]
                    assert any(one.acceptable for one in report.candidates if one.configuration in named), (dim, row)
    assert stars >= 4


@pytest.mark.parametrize("kind", list(Format))
def test_every_sentence_that_recommends_names_what_is_good(report: Report, kind: Format) -> None:
    """`Use 16 dimensions`, `Smallest proven: … (16 dimensions x int8)`, a funnel, what to paste, the size that JUnit passes."""
    shown = re.sub(r"\s+", " ", html.unescape(render(report, kind, Look(width=400, show=("all",)))))
    named = [(int(dim), "float32", "") for dim in re.findall(r"Use (\d+) dimensions", shown)]
    named += [(int(dim), code, "") for dim, code in re.findall(r"\((\d+) dimensions x (\w+)\)", shown)]
    named += [
        (int(small), "float32", f"{shortlist}@{large}")
        for shortlist, small, large in re.findall(r"A shortlist of (\d+) at (\d+) dimensions, ordered again at (\d+)", shown)
    ]
    named += [(int(dim), code, "") for dim, code in re.findall(r"(\d+):(\w+) in FAISS", shown)]
    passed = re.findall(r'<testcase classname="[^"]*" name="(\d+) [^"]*" time="0" />', shown) if kind is Format.JUNIT else []
    named += [(int(dim), "float32", "") for dim in passed]
    assert named
    known = {one.configuration: one.acceptable for one in report.candidates}
    for dim, precision, rescore in named:
        assert known[Configuration("prefix", dim, "exact", precision, rescore)], (dim, precision, rescore)


@pytest.mark.parametrize("kind", ARTICLE_FORMATS)
@pytest.mark.parametrize("docs", ["600", "1200", "1M"])
def test_no_format_of_a_plan_has_a_good_word_on_a_bad_row(report: Report, kind: Format, docs: str) -> None:
    """In the run's own corpus, in one to which it is projected, and beyond: there nothing below full size is known to be good."""
    assert report.folder is not None
    config = SweepConfig.of(docs=docs, plan_index=["Flat", "LSH", "SQ8", "PQ8"], price_gib_month=1)
    planned = plan_run(reopen(report.folder, config), config)
    shown = render(plan_article({"": planned}), kind, Look(width=400))
    if kind is Format.JSON:
        rows = [{**row, "verdict": "ok" if row["acceptable"] else ""} for row in json.loads(shown)["rows"]]
        rows = [{key: str(value) for key, value in row.items()} for row in rows]
    else:
        rows = [row for each in tables(shown, kind) for row in each if "memory" in row]
    assert len(rows) >= 7, "a text has those that matter"
    praised = [row for row in rows if not DENIED.search(row["verdict"]) and GOOD_WORDS.search(row["verdict"])]
    assert praised
    for row in praised:
        assert not is_bad(report, row), row
        assert row["index"] not in ("LSH", "PQ8"), row
        assert docs == "600" or row["index"] == "Flat", "what an index loses in a larger corpus is not known"
        assert docs != "1M" or (row["dim"], row.get("precision", "float32"), row.get("rescore") or "-") == (
            "48",
            "float32",
            "-",
        ), row


def test_the_gate_has_no_good_word_for_what_is_bad_in_any_format(report: Report) -> None:
    """Each measured configuration by its name: what is proven worse is never let through, and no format calls it acceptable."""
    assert report.folder is not None
    refused = 0
    for row in report.candidates:
        if row.verdict != "fail" or row.basis.startswith("random"):
            continue
        config = SweepConfig.of(config=str(row.configuration), strict=False)
        gated = decide_gate(reopen(report.folder, config), config)
        assert gated.gate is not None
        assert (gated.gate.exit_code, gated.gate.status) == (1, "fail"), row.configuration
        first = gated.gate.sentence
        assert "not acceptable" in first, first
        for kind in (Format.TEXT, Format.MARKDOWN, Format.GITHUB, Format.JUNIT):
            shown = render(gated, kind, Look(width=400))
            assert "not acceptable" in shown, (row.configuration, kind)
            assert not re.search(rf"{re.escape(str(row.configuration))} (is|are) acceptable", shown)
        refused += 1
    assert refused >= 20


def test_the_document_says_the_same_as_the_report(report: Report) -> None:
    plain = json.loads(render(report, Format.JSON))
    assert plain["schema_version"] == 2
    assert plain["verdict"]["configuration"] in {str(row.configuration) for row in report.candidates if row.acceptable}
    assert Path(str(report.folder), "report.json").is_file()
