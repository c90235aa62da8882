"""Renderings: as they were agreed on, and the same verdict for independent parsers whatever the names in it."""

from __future__ import annotations

import html
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from mrl_sweep.report.content.layout import Article, Column, Mood, Section, Table
from mrl_sweep.report.content.sections import sections
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import CandidateRow, GateRow
from mrl_sweep.report.render import Format, Look, render
from mrl_sweep.report.render.escape import plain
from mrl_sweep.types import Evidence

HERE = Path(__file__).parent
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def attack(report: Report) -> str:
    """The text that stands in every place of the hostile report."""
    return report.warnings[0].message


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.badge = ""
        self.headings: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br"):
            self._open.append("badge" if tag == "span" and ("class", "badge fail") in attrs else tag)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - html.parser calls it so
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        where = self._open[-1] if self._open else ""
        if where == "badge":
            self.badge += data.strip()
        if where in ("h1", "h3", "strong"):
            self.headings.append(data)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize(
    ("name", "which", "format", "width", "encoding"),
    [
        ("sketch-60.txt", "sketch", Format.TEXT, 60, "utf-8"),
        ("sketch-80.txt", "sketch", Format.TEXT, 80, "utf-8"),
        ("sketch-120.txt", "sketch", Format.TEXT, 120, "utf-8"),
        ("fine-80.txt", "fine", Format.TEXT, 80, "utf-8"),
        ("fine-80-ascii.txt", "fine", Format.TEXT, 80, "ascii"),
        ("hostile-80.txt", "hostile", Format.TEXT, 80, "utf-8"),
        ("sketch.md", "sketch", Format.MARKDOWN, 80, "utf-8"),
        ("sketch.github", "sketch", Format.GITHUB, 80, "utf-8"),
        ("sketch.xml", "sketch", Format.JUNIT, 80, "utf-8"),
    ],
)
def test_the_rendering_is_the_one_agreed_on(
    name: str, which: str, format: Format, width: int, encoding: str, request: pytest.FixtureRequest
) -> None:
    """Set MRL_SWEEP_UPDATE_GOLDEN=1 to write the files anew, then read the difference."""
    shown = render(request.getfixturevalue(which), format, Look(width=width, encoding=encoding))
    path = HERE / "golden" / name
    if os.environ.get("MRL_SWEEP_UPDATE_GOLDEN"):
        path.write_text(shown, encoding="utf-8", newline="\n")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("which", ["sketch", "fine", "hostile"])
def test_text_keeps_to_its_width_and_cuts_no_number(which: str, width: int, request: pytest.FixtureRequest) -> None:
    report = request.getfixturevalue(which)
    shown = render(report, Format.TEXT, Look(width=width))
    table = shown.split("dim", 1)[1].split("\n\n")[0]
    if width >= 60:
        assert max(map(len, shown.splitlines())) <= width
    for row in report.candidates[:3]:
        if row.index == "exact" and row.verdict != "not_tested":
            assert f"{row.measures['nDCG@10'].mean:.4f}" in table


def test_text_without_colour_holds_no_control_code_and_colour_adds_nothing_but_codes(sketch: Report) -> None:
    bare, coloured = render(sketch, Format.TEXT, Look(width=100)), render(sketch, Format.TEXT, Look(width=100, color=True))
    assert "\x1b" not in bare
    assert "\x1b[" in coloured
    strip = "\n".join(line.rstrip() for line in ANSI.sub("", coloured).splitlines())
    assert strip == "\n".join(line.rstrip() for line in bare.splitlines())


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "JUPYTER_COLUMNS", "NO_COLOR"])
def test_text_depends_on_its_arguments_not_on_the_environment(
    sketch: Report, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, coloured = render(sketch, Format.TEXT, Look(width=100)), render(sketch, Format.TEXT, Look(width=100, color=True))
    monkeypatch.setenv(variable, "33")
    assert render(sketch, Format.TEXT, Look(width=100)) == bare
    assert render(sketch, Format.TEXT, Look(width=100, color=True)) == coloured


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_text_fits_the_encoding_of_its_stream(hostile: Report, fine: Report, encoding: str) -> None:
    for report in (hostile, fine):
        render(report, Format.TEXT, Look(encoding=encoding)).encode(encoding)


@pytest.mark.parametrize("format", list(Format))
def test_every_rendering_ends_with_one_newline_and_is_the_same_again(hostile: Report, format: Format) -> None:
    shown = render(hostile, format)
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")
    assert render(hostile, format) == shown
    shown.encode("utf-8")


def test_the_hostile_report_reads_the_same_as_json(hostile: Report) -> None:
    read = json.loads(render(hostile, Format.JSON))
    assert (read["status"], read["gate"]["status"], read["gate"]["exit_code"]) == ("fail", "fail", 1)
    assert read["warnings"][0]["message"] == attack(hostile)
    assert Report.from_dict(read) == hostile


def test_the_hostile_report_reads_the_same_as_html(hostile: Report) -> None:
    page = Page(render(hostile, Format.HTML))
    assert page.badge == "fail"
    assert page.headings[0] == f"128 is too low: {plain(attack(hostile))}"
    assert plain(attack(hostile)) in page.text
    assert page.tags.isdisjoint({"a", "img", "iframe", "object", "link", "form", "base"})
    assert render(hostile, Format.HTML).count("<script") == 2  # the data and the page's own, known to the policy by its digest
    assert not {name for name in page.attributes if name.startswith("on") or name in ("href", "src", "style")}


def test_the_hostile_report_reads_the_same_as_markdown(hostile: Report) -> None:
    page = Page(MarkdownIt("commonmark").enable("table").render(render(hostile, Format.MARKDOWN)))
    text = page.text.replace("\u200b", "")
    assert page.headings[0] == "mrl-sweep: ❌ fail"
    assert page.headings[1].replace("\u200b", "") == f"128 is too low: {plain(attack(hostile))}"
    assert page.tags == {
        "h3", "p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert plain(attack(hostile)) in text


def test_the_hostile_report_reads_the_same_as_github_commands(hostile: Report) -> None:
    lines = render(hostile, Format.GITHUB).split("\n")[:-1]
    commands = [re.match(r"::(\w+) title=([^:]*)::(.*)$", line) for line in lines]
    assert [command[1] for command in commands if command] == ["error", "error", "warning"], (
        "the first failure is what the sentence says"
    )
    assert len(lines) == 3
    first = commands[0]
    assert first is not None
    assert first[2] == "mrl-sweep%3A fail"
    sentence = first[3].replace("%0A", "\n").replace("%25", "%").replace("\u200b", "").split("\n")[0]
    assert sentence == f"128 is too low: {plain(attack(hostile))}"


def test_the_hostile_report_reads_the_same_as_junit(hostile: Report) -> None:
    suite = ElementTree.fromstring(render(hostile, Format.JUNIT)).find("testsuite")
    assert suite is not None
    told = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert (told["status"], told["exit_code"], told["dimension"]) == ("fail", "1", "256")
    verdict = suite.find("testcase[@classname='mrl-sweep.verdict']/failure")
    assert verdict is not None
    assert verdict.get("message") == f"128 is too low: {plain(attack(hostile))}"
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("1", "1", "0")


@pytest.mark.parametrize("which", ["sketch", "fine", "hostile"])
def test_junit_is_valid_against_the_common_schema(which: str, request: pytest.FixtureRequest) -> None:
    xmlschema = pytest.importorskip("xmlschema")
    schema = xmlschema.XMLSchema(str(HERE / "data" / "junit.xsd"))
    schema.validate(render(request.getfixturevalue(which), Format.JUNIT))


def gated(report: Report, status: str, exit_code: int) -> Report:
    return replace(
        report, gate=GateRow(question="is 256 still acceptable?", status=status, exit_code=exit_code, dim=256, sentence="So.")
    )


@pytest.mark.parametrize(
    ("status", "exit_code", "level", "sign", "failures"),
    [
        ("pass", 0, "notice", "✅ pass", 0),
        ("fail", 1, "error", "❌ fail", 1),
        ("inconclusive", 4, "error", "❔ inconclusive", 1),
        ("inconclusive", 0, "warning", "❔ inconclusive", 0),
    ],
)
def test_every_format_follows_the_gate(sketch: Report, status: str, exit_code: int, level: str, sign: str, failures: int) -> None:
    report = gated(sketch, status, exit_code)
    assert render(report, Format.GITHUB).startswith(f"::{level} ")
    assert render(report, Format.MARKDOWN).startswith(f"<!-- mrl-sweep -->\n### mrl-sweep: {sign}\n\n**So.**")
    suite = ElementTree.fromstring(render(report, Format.JUNIT)).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == str(failures)
    assert f'<span class="badge {status}">{status}</span>' in render(report, Format.HTML)
    assert json.loads(render(report, Format.JSON))["gate"]["exit_code"] == exit_code
    assert "\nSo.\nUse 256 dimensions" in render(report, Format.TEXT)


@pytest.mark.parametrize("format", [Format.GITHUB, Format.MARKDOWN, Format.HTML, Format.TEXT])
def test_why_a_gate_is_not_met_is_said_once(sketch: Report, format: Format) -> None:
    why, other = "256 is proven to be too low.", "Slice lang=de keeps 51.7%."
    gate = gated(sketch, "fail", 1).gate
    assert gate is not None
    gate = replace(gate, sentence=why, failures=(why, other))
    shown = render(replace(sketch, gate=gate), format, Look(width=200))
    assert shown.partition("</title>")[2 if format is Format.HTML else 0].count(why) == 1
    assert shown.count(other.replace("%", "%25" if format is Format.GITHUB else "%")) == 1


def test_a_report_of_little_renders_everywhere(sketch: Report) -> None:
    bare = replace(sketch, candidates=(), slices=(), warnings=(), excluded={}, manifest={})
    for format in set(Format) - {Format.SHIP}:
        assert "256" in render(bare, format)
    assert render(bare, Format.SHIP).startswith("Nothing to ship")


def test_columns_appear_only_where_something_was_measured(sketch: Report) -> None:
    row = CandidateRow(
        basis="prefix", dim=8, index="exact", verdict="baseline", bytes_per_vector=32, measures={"nDCG@10": Evidence(mean=0.5)}
    )
    text = render(replace(sketch, candidates=(row,), manifest={}), Format.TEXT, Look(width=200))
    assert text.splitlines()[0].split() == ["dim", "nDCG@10", "verdict"]


def test_a_margin_case_prints_the_digits_that_decide(sketch: Report) -> None:
    rows = [
        replace(row, measures={"nDCG@10": replace(row.measures["nDCG@10"], at_least=0.97996)}, verdict="inconclusive")
        if row.dim == 256 and row.index == "exact"
        else row
        for row in sketch.candidates
    ]
    for format in (Format.TEXT, Format.MARKDOWN, Format.HTML):
        assert "97.996%" in render(replace(sketch, candidates=tuple(rows)), format)


def test_the_text_names_what_it_leaves_out_and_shows_it_when_asked(sketch: Report) -> None:
    brief, whole = render(sketch, Format.TEXT, Look(width=80)), render(sketch, Format.TEXT, Look(width=80, show=["all"]))
    assert "\nMore: -v, or --show slices" in brief
    assert "Slices at 256 dimensions" not in brief
    assert "Slices at 256 dimensions" in whole
    assert "More: -v" not in whole
    assert "Slices at 256 dimensions" in render(sketch, Format.TEXT, Look(width=80, show=["slices"]))


def test_the_comment_keeps_to_thirty_lines_and_begins_with_its_marker(sketch: Report, fine: Report, hostile: Report) -> None:
    for report in (sketch, fine, hostile):
        shown = render(report, Format.MARKDOWN)
        assert shown.startswith("<!-- mrl-sweep -->\n")
        assert len(shown.splitlines()) <= 30


def test_a_comment_holds_every_section_where_all_are_asked_for(sketch: Report) -> None:
    short, whole = render(sketch, Format.MARKDOWN), render(sketch, Format.MARKDOWN, Look(show=["all"]))
    titles = [section.title for section in sections(sketch) if section.title]
    assert any(title.startswith("Slices at 256 dimensions") for title in titles)
    assert not any(title.startswith("Slices") for title in re.findall("<summary>(.*)</summary>", short))
    assert re.findall("<summary>(.*)</summary>", whole) == [html.escape(title) for title in titles]
    assert "On the page" not in whole


def test_a_notebook_shows_five_lines_or_the_answer_with_its_table(sketch: Report, hostile: Report) -> None:
    assert repr(sketch).splitlines()[0] == "<Report: pass; 10 configurations, 648 queries, 1 warning"
    assert len(repr(sketch).splitlines()) <= 5
    page = Page(hostile._repr_html_())
    assert page.tags <= {"div", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert plain(attack(hostile)) in page.text


@pytest.mark.parametrize("n", [1, 3, 8])
def test_a_comment_on_several_collections_stays_short_and_names_what_the_page_has(n: int, sketch: Report) -> None:
    parts = {f"collection-{i}": sketch for i in range(n)}
    verdicts = Section(title="Verdicts", table=Table.of([Column(title="collection", cells=tuple(parts))], [Mood.PLAIN] * n))
    averages = Section(title="Averages", table=Table.of([Column(title="dim", cells=("256", "128", "64"))], [Mood.PLAIN] * 3))
    article = Article(
        title=f"{n} collections", document={}, closing=("Use 256.",), sections=(verdicts, averages), status="pass", parts=parts
    )
    text = render(article, Format.MARKDOWN)
    assert len(text.splitlines()) <= 30
    assert text.count("| collection\\-") + text.count("| collection-") == n
    for i in range(n):
        assert (
            f"collection-{i}" in text.partition("On the page (`--format html`): ")[2].replace("\\", "")
            or f"<summary>collection-{i}<" in text
        )
