"""The page in a real browser: it explains itself under a pointer, sorts, filters, and answers for another share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, DRIVER, open_browser, show
from made_vectors import write_steep_collection

import mrl_sweep
from mrl_sweep.report.content.grid_table import grids
from mrl_sweep.report.document import Report
from mrl_sweep.report.document_rows import DocumentRow, FallenRow, FunnelRow, LoserRow, ProjectionRow
from mrl_sweep.report.render import Format, render
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Configuration
from mrl_sweep.words import percent

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver: the page was not opened")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = open_browser(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A run over a grid of sizes and codes, of which 16 of 48 dimensions are as good as all."""
    folder = tmp_path_factory.mktemp("page")
    write_steep_collection(folder / "c")
    return mrl_sweep.run(
        collection=str(folder / "c"),
        model=f"vectors:{folder / 'c'}",
        dims=[48, 32, 16, 8, 4],
        index=["none"],
        precision=["float32", "int8", "int4", "binary"],
        rescore=["4x"],
        require="R@10",
        retain=0.95,
        out=str(folder / "run"),
        store=str(folder / "store"),
    )


@pytest.fixture
def full(sketch: Report) -> Report:
    """The sketch with everything that a page can show."""
    document = DocumentRow(id="d1", title="Title", grade=1, text="Title The beginning of its text")
    fell = FallenRow(id="d2", title="Fallen", grade=2, rank_at_full=1, rank=None, text="Fallen What it says")
    loser = LoserRow(
        query_id="q7", text="what is asked", dim=256, measure="nDCG@10", full=1.0, value=0.25, left=(document,), fell=(fell,)
    )
    funnels = tuple(
        FunnelRow(
            small=64, shortlist=n, large=768, measure="nDCG@10", kept_low=0.9 + n / 10_000, kept_high=1.0, at_least=0.9,
            operations=100 * n, full_operations=100_000, verdict="pass" if n > 500 else "inconclusive", recommended=n == 600,
        )
        for n in range(100, 1300, 100)
    )  # fmt: skip
    growth = tuple(
        ProjectionRow(dim=dim, measure="nDCG@10", documents=n, value=0.3, kept=kept, kept_low=kept - 0.01, kept_high=kept + 0.01)
        for dim, kept in ((512, 0.99), (256, 0.97))
        for n in (100_000, 1_000_000)
    )
    smaller = tuple(replace(row, dim=128, kept=0.9, q_value=0.001) for row in sketch.slices)
    return replace(sketch, losers=(loser,), funnels=funnels, projections=growth, slices=(*sketch.slices, *smaller))


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    def open_page(report: Report, *, width: int = 1280, dark: bool = False) -> Any:
        path = tmp_path / "report.html"
        path.write_text(render(report, Format.HTML), encoding="utf-8")
        show(browser, path, width=width, dark=dark)
        return browser

    return open_page


def ask(page: Any, thousandths: int) -> None:
    """Move the slider."""
    moved = "const s = document.getElementById('asked'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
    page.execute_script(moved, thousandths)


def pointed_at(page: Any, selector: str) -> list[str]:
    """The lines that appear beside a mark under the pointer."""
    page.execute_script("document.querySelector(arguments[0]).dispatchEvent(new Event('mouseenter'))", selector)
    assert not page.execute_script("return document.getElementById('tip').hidden")
    lines = text(page, "#tip").split("\n")
    page.execute_script("document.querySelector(arguments[0]).dispatchEvent(new Event('mouseleave'))", selector)
    assert page.execute_script("return document.getElementById('tip').hidden")
    return lines


def extents(page: Any, selector: str) -> list[tuple[float, float]]:
    """Left and right of each element."""
    boxes = "return [...document.querySelectorAll(arguments[0])].map(e => e.getBoundingClientRect()).map(b => [b.left, b.right])"
    return [(left, right) for left, right in page.execute_script(boxes, selector)]


def type_into(page: Any, table: str, words: str) -> None:
    """Filter a table."""
    page.execute_script(
        "const i = document.getElementById('filter-' + arguments[0]); i.value = arguments[1];i.dispatchEvent(new Event('input'))",
        table,
        words,
    )


def text(page: Any, selector: str) -> str:
    return str(page.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def column(page: Any, table: str, number: int) -> list[str]:
    shown = "return [...document.querySelectorAll(arguments[0])].filter(row => !row.hidden)"
    return list(page.execute_script(f"{shown}.map(row => row.cells[arguments[1]].textContent)", f"#{table} tbody tr", number))


def test_every_size_is_a_mark_that_tells_its_figures(opened: Callable[..., Any], sketch: Report) -> None:
    page = opened(sketch)
    assert pointed_at(page, "#by-dims .dot.chosen")[:3] == ["256", "keeps 99.0% of nDCG@10", "between 98.2% and 99.9%"]
    assert page.execute_script("return document.querySelectorAll('#by-dims .dot').length") == 5


def test_the_asked_share_is_named_where_no_mark_can_lie(opened: Callable[..., Any], fine: Report) -> None:
    page = opened(fine)
    label = extents(page, "#by-dims .limit-label")[0]
    assert text(page, "#by-dims .limit-label") == "98.0%"
    assert label[1] <= min(left for left, _ in extents(page, "#by-dims .dot"))


def test_a_curve_passes_each_size_once_and_names_do_not_cover_each_other(opened: Callable[..., Any], fine: Report) -> None:
    """Random axes are drawn several times: their curve is the mean of the draws."""
    rows = [row for row in fine.candidates if row.index == "exact"]
    draws = [replace(row, basis=f"random-{i}", verdict="fail") for i in range(3) for row in rows if row.dim < 768]
    page = opened(replace(fine, candidates=(*fine.candidates, *draws)))
    curves = page.execute_script(
        "return [...document.querySelectorAll('#by-dims .curve:not(.sample)')].map(p => p.getAttribute('d'))"
    )
    places = [[point.split()[0] for point in curve[1:].split("L")] for curve in curves]
    assert max(map(len, places)) == len({row.dim for row in rows})
    assert all(len(set(curve)) == len(curve) for curve in places)
    names = extents(page, "#by-dims .name")
    assert len(names) == len(places)
    assert all(right < left for (_, right), (left, _) in pairwise(names))


def test_the_slider_answers_as_the_program_does(
    opened: Callable[..., Any], real: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes by their limits; bytes by the paths through the grid, which share one alpha. Funnels and the like follow from the
    verdict and are not made here: they take most of the time."""
    monkeypatch.setattr("mrl_sweep.runs.reopen.recommended_anew", lambda report, *_: report)
    page = opened(real)
    assert real.folder is not None
    answers = set()
    for share in (800, 850, 893, 925, 950, 968, 980, 988, 995, 999):
        verdict = reopen(real.folder, SweepConfig.of(retain=share / 1000)).report.verdict
        ask(page, share)
        said = text(page, "#what-if")
        assert f" {verdict.dimension} dimensions" in said, share
        named = (
            ""
            if verdict.configuration == str(verdict.dimension)
            else f"{verdict.bytes_per_vector} a vector, {verdict.configuration}."
        )
        assert said.partition("Fewest bytes: ")[2] == named, share
        assert text(page, "#asked-share") == f"{share / 10:.1f}%"
        answers.add((verdict.dimension, verdict.configuration))
    assert len(answers) >= 4, "the shares tell answers apart"


def test_at_the_asked_share_the_page_says_what_the_report_says(opened: Callable[..., Any], real: Report) -> None:
    said = text(opened(real), "#what-if")
    assert f"At 95.0% the smallest proven size is {real.verdict.dimension} dimensions" in said
    assert said.endswith(f"{real.verdict.bytes_per_vector} a vector, {real.verdict.configuration}.")


def test_the_grid_is_a_plot_with_the_stair_of_what_is_proven(opened: Callable[..., Any], real: Report) -> None:
    """Every cell tells its figures; the line runs around those that the program accepted; the slider moves it."""
    page = opened(real)
    cells = page.execute_script("return [...document.querySelectorAll('#grid-0 .cell')].map(c => c.getAttribute('aria-label'))")
    grid = [row for row in real.candidates if row.index == "exact" and not (row.precision == "float32" and row.rescore)]
    assert sorted(label.partition(",")[0] for label in cells) == sorted(str(row.configuration) for row in grid)
    named = real.row(Configuration.parse(real.verdict.configuration))
    assert named is not None
    evidence = named.measures["nDCG@10"]
    assert pointed_at(page, "#grid-0 .cell.chosen")[:4] == [
        real.verdict.configuration,
        f"keeps {percent(evidence.kept)} of nDCG@10",
        f"between {percent(evidence.at_least)} and {percent(evidence.at_most)}",
        "ok",
    ]
    edges = "return document.querySelector('#grid-0 .stair').getAttribute('d').split('M').length - 1"
    families = [[cell in accepted(real) for cell in line] for line in lines_of(real)]
    assert page.execute_script(edges) == edges_between(families)
    ask(page, 1000)
    assert page.execute_script(edges) < edges_between(families), "less is proven to keep all"


def lines_of(report: Report) -> list[list[str]]:
    return [[str(row.configuration) if row else "" for row in grid.row(f)] for grid in grids(report) for f in grid.families]


def accepted(report: Report) -> set[str]:
    return {str(row.configuration) for row in report.candidates if row.acceptable}


def edges_between(inside: list[list[bool]]) -> int:
    """Sides of cells that are inside, with a cell beyond that is not."""
    sides = 0
    for y, line in enumerate(inside):
        for x, cell in enumerate(line):
            around = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
            beyond = [0 <= b < len(inside) and 0 <= a < len(line) and inside[b][a] for a, b in around]
            sides += cell * beyond.count(False)
    return sides


def test_arrow_keys_move_through_the_grid(opened: Callable[..., Any], real: Report) -> None:
    from selenium.webdriver.common.keys import Keys

    page = opened(real)
    focused = "return document.activeElement.getAttribute('aria-label').split(',')[0]"
    page.execute_script("document.querySelector('#grid-0 .cell[tabindex=\"0\"]').focus()")
    assert page.execute_script(focused) == real.verdict.configuration
    stops = "return document.querySelectorAll('#grid-0 .cell[tabindex=\"0\"]').length"
    assert page.execute_script(stops) == 1, "one stop for the tab key"
    (line,) = [line for line in lines_of(real) if real.verdict.configuration in line]
    page.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    left = line[line.index(real.verdict.configuration) - 1]
    assert page.execute_script(focused) == left
    assert text(page, "#tip").startswith(f"{left}\n")
    assert page.execute_script(stops) == 1


def test_a_column_sorts_and_a_word_filters(opened: Callable[..., Any], sketch: Report) -> None:
    page = opened(sketch)
    before = column(page, "everything", 1)
    page.execute_script("document.querySelectorAll('#everything thead button')[1].click()")
    assert column(page, "everything", 1) == sorted(before, key=lambda cell: -int(cell.replace(",", "")))
    type_into(page, "everything", "too low")
    verdicts = column(page, "everything", -1 + len(page.find_elements("css selector", "#everything thead th")))
    assert verdicts
    assert {"too low"} == set(verdicts)


def test_a_curve_leaves_the_scale_and_does_not_follow_its_edge(opened: Callable[..., Any], sketch: Report) -> None:
    """64 dimensions keep 87.4%: less than a scale around 100% shows, which is said; the whole scale shows them in their place."""
    page = opened(sketch)
    ask(page, 1000)
    ends = "return document.querySelector('#by-dims .curve').getAttribute('d').match(/^M[0-9.]+ ([0-9.]+)/)[1]"
    marks = "return document.querySelector('#by-dims .dot[aria-label^=\"64,\"]').getAttribute('y')"
    edge = 330 - 30
    assert (float(page.execute_script(ends)) > edge, float(page.execute_script(marks)) + 4 == edge) == (True, True)
    assert text(page, "#by-dims + figcaption").endswith("; marks on the bottom edge keep less than this scale shows")
    page.execute_script("document.getElementById('whole').click()")
    assert float(page.execute_script(ends)) < edge
    assert text(page, "#by-dims + figcaption").endswith("; dashed: the asked share")


def test_slices_are_a_heat_map_that_filters_and_tells_its_figures(opened: Callable[..., Any], full: Report) -> None:
    page = opened(full)
    assert column(page, "heat", 0) == ["type=numeric", "type=name"], "the one that loses most at the answer's size comes first"
    assert pointed_at(page, "#heat .heat-3") == [
        "type=numeric at 256",
        "keeps 93.1%, 41 queries",
        "between 90.0% and 96.2%",
        "the others keep 99.4%",
        "q 0.010",
    ]
    assert page.execute_script("return document.querySelectorAll('#heat .hit').length") == 3
    type_into(page, "heat", "name")
    assert (column(page, "heat", 0), text(page, "output[for=filter-heat]")) == (["type=name"], "1 of 2")


def test_a_losing_query_opens_on_what_changed(opened: Callable[..., Any], full: Report) -> None:
    page = opened(full)
    assert text(page, ".loser summary").split() == ["1.00", "->", "0.25", "what", "is", "asked", "[q7]"]
    page.execute_script("document.querySelector('.loser summary').click()")
    shown = page.find_element("css selector", ".loser").text.splitlines()
    assert shown[1:] == [
        "Relevant documents that fell",
        "Fallen [d2] grade 2, rank 1 to nowhere",
        "What it says",
        "Left the top",
        "Title [d1] grade 1",
        "The beginning of its text",
    ]


def test_funnels_and_growth_are_plots_with_every_row(opened: Callable[..., Any], full: Report) -> None:
    page = opened(full)
    assert pointed_at(page, "#by-work .dot.chosen") == [
        "600 at 64, ordered again at 768",
        "keeps at least 96.0%",
        "between 96.0% and 100.0%",
        "1.7x less work",
        "proven, least work",
    ]
    assert page.execute_script("return document.querySelectorAll('#by-work .dot').length") == len(full.funnels)
    assert page.execute_script("return document.querySelectorAll('#by-growth .dot').length") == 6, "here, and two larger corpora"
    assert pointed_at(page, "#by-growth .dot.open") == [
        "512 at 100,000 documents", "keeps 99.0%", "between 98.0% and 100.0%", "not proven",
    ]  # fmt: skip
    assert "more in report.json" not in text(page, "main")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_to_mend(opened: Callable[..., Any], full: Report, *, dark: bool, width: int) -> None:
    """Names, roles, contrast and order, as axe-core checks them: with every section open."""
    import axe_core_python

    page = opened(full, dark=dark, width=width)
    page.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    page.execute_script((Path(axe_core_python.__file__).parent / "axe.min.js").read_text("utf-8"))
    found = page.execute_async_script("axe.run(document).then(arguments[0])")
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found["violations"]] == []
    assert len(found["passes"]) > 15


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("which", ["full", "fine", "hostile"])
def test_nothing_is_wider_than_the_window_and_nothing_fails(
    which: str, width: int, opened: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = opened(request.getfixturevalue(which), width=width)
    wide, window = page.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert page.execute_script("return document.body.classList.contains('scripted')")
