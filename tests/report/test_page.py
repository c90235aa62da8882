"""The page in a real browser: it explains itself under a pointer, sorts, filters, and answers for another share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mrl_sweep.report.document import Report
from mrl_sweep.report.render import Format, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver: the page was not opened")

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    def open_page(report: Report, *, width: int = 1280) -> Any:
        path = tmp_path / "report.html"
        path.write_text(render(report, Format.HTML), encoding="utf-8")
        size = {"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(path.as_uri())
        return browser

    return open_page


def text(page: Any, selector: str) -> str:
    return str(page.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def column(page: Any, table: str, number: int) -> list[str]:
    shown = "return [...document.querySelectorAll(arguments[0])].filter(row => !row.hidden)"
    return list(page.execute_script(f"{shown}.map(row => row.cells[arguments[1]].textContent)", f"#{table} tbody tr", number))


def test_every_configuration_is_a_mark_that_tells_its_figures(opened: Callable[..., Any], sketch: Report) -> None:
    page = opened(sketch)
    page.execute_script("document.querySelector('#by-dims .dot.chosen').dispatchEvent(new Event('mouseenter'))")
    assert text(page, "#tip").split("\n")[:3] == ["256", "keeps 99.0% of nDCG@10", "between 98.2% and 99.9%"]
    assert page.execute_script("return document.querySelectorAll('#by-dims .dot').length") >= 5
    assert not page.execute_script("return document.getElementById('tip').hidden")
    page.execute_script("document.querySelector('#by-dims .dot.chosen').dispatchEvent(new Event('mouseleave'))")
    assert page.execute_script("return document.getElementById('tip').hidden")


def test_a_curve_passes_each_size_once_and_names_do_not_cover_each_other(opened: Callable[..., Any], fine: Report) -> None:
    """Random axes are drawn several times: their curve is the mean of the draws."""
    rows = [row for row in fine.candidates if row.index == "exact"]
    draws = [replace(row, basis=f"random-{i}", verdict="fail") for i in range(3) for row in rows if row.dim < 768]
    page = opened(replace(fine, candidates=(*fine.candidates, *draws)))
    curves = page.execute_script("return [...document.querySelectorAll('#by-dims .curve')].map(p => p.getAttribute('d'))")
    places = [[point.split()[0] for point in curve[1:].split("L")] for curve in curves]
    assert max(map(len, places)) == len({row.dim for row in rows})
    assert all(len(set(curve)) == len(curve) for curve in places)
    names = page.execute_script("return [...document.querySelectorAll('#by-dims .name')].map(n => n.getAttribute('y'))")
    assert len(set(names)) == len(names) == len(places)


def test_the_slider_moves_the_verdict_by_the_rule_of_the_program(opened: Callable[..., Any], sketch: Report) -> None:
    page = opened(sketch)
    ladder = sorted((row for row in sketch.candidates if row.configuration.is_exact_prefix), key=lambda row: -row.dim)
    for share in (800, 900, 950, 980, 985, 995, 1000):
        expected = ladder[0].dim
        for row in ladder[1:]:
            least = row.measures["nDCG@10"].at_least
            if least is None or least < share / 1000:
                break
            expected = row.dim
        page.execute_script(
            "const s = document.getElementById('asked'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", share
        )
        assert f" {expected} dimensions" in text(page, "#what-if"), share
        assert text(page, "#asked-share") == f"{share / 10:.1f}%"


def test_a_column_sorts_and_a_word_filters(opened: Callable[..., Any], sketch: Report) -> None:
    page = opened(sketch)
    before = column(page, "everything", 1)
    page.execute_script("document.querySelectorAll('#everything thead button')[1].click()")
    assert column(page, "everything", 1) == sorted(before, key=lambda cell: -int(cell.replace(",", "")))
    page.execute_script(
        "const i = document.querySelector('[data-filters=everything]'); i.value = 'too low'; i.dispatchEvent(new Event('input'))"
    )
    verdicts = column(page, "everything", -1 + len(page.find_elements("css selector", "#everything thead th")))
    assert verdicts
    assert {"too low"} == set(verdicts)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("which", ["sketch", "fine", "hostile"])
def test_nothing_is_wider_than_the_window_and_nothing_fails(
    which: str, width: int, opened: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = opened(request.getfixturevalue(which), width=width)
    wide, window = page.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert page.execute_script("return document.body.classList.contains('scripted')")
