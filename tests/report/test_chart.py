"""The chart of a report as SVG: its points, its band, its limit, and that nobody's text is markup in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mrl_sweep.report.document import Report

NAMES = {"s": "http://www.w3.org/2000/svg"}


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iterfind(".//s:text", NAMES)]


def test_each_size_is_a_point_that_tells_its_share(sketch: Report, tmp_path: Path) -> None:
    sketch.plot().save(tmp_path / "curve.svg")
    root = ET.parse(tmp_path / "curve.svg").getroot()
    shares = [title.text for title in root.iterfind(".//s:circle/s:title", NAMES)]
    assert shares == ["87.4%", "95.7%", "99.0%", "99.8%", "100.0%"]
    chosen = root.findall(".//s:circle[@r='6']/s:title", NAMES)
    assert [title.text for title in chosen] == ["99.0%"]
    assert [text for text in texts(root) if text in ("64", "128", "256", "512", "768")] == ["64", "128", "256", "512", "768"]


def test_the_limit_is_a_tick_of_its_own_where_no_mark_can_lie(sketch: Report) -> None:
    root = ET.fromstring(str(sketch.plot()))
    label = next(text for text in root.iterfind(".//s:text", NAMES) if text.get("class") == "limit-label")
    assert (label.text, label.get("x"), label.get("text-anchor")) == ("98%", "54", "end")
    assert texts(root).count("98%") == 1, "the tick of the grid gives way"


def test_a_line_that_falls_below_the_scale_is_cut_there(sketch: Report) -> None:
    """Its points stay on the edge; the line does not run along it."""
    root = ET.fromstring(str(replace(sketch, verdict=replace(sketch.verdict, retain=0.999)).plot()))
    inside = root.find(".//s:clipPath", NAMES)
    line = root.find(".//s:path[@class='line']", NAMES)
    assert inside is not None
    assert line is not None
    assert line.get("clip-path") == f"url(#{inside.get('id')})"
    bottom = inside[0].get("height")
    assert float(line.get("d", "").split("L")[0].split()[1]) > float(bottom or 0)
    assert root.findall(".//s:circle", NAMES)[0].get("cy") == bottom


def test_a_long_label_ends_inside_the_picture(sketch: Report) -> None:
    chart = replace(sketch.plot(), ticks=((64.0, "64"), (768.0, "2026-11-27: 768")))
    ticks = [text for text in ET.fromstring(str(chart)).iterfind(".//s:text", NAMES) if text.text == "2026-11-27: 768"]
    assert float(ticks[0].get("x", "")) + 3.5 * len("2026-11-27: 768") <= 760


def test_draws_of_random_axes_are_one_line(sketch: Report) -> None:
    draws = [replace(row, basis=f"random-{i}", verdict="fail") for i in range(3) for row in sketch.candidates[:5]]
    chart = replace(sketch, candidates=(*sketch.candidates, *draws)).plot()
    assert [(line.name, len(line.points)) for line in chart.lines] == [("prefix", 5), ("random", 5)]


@pytest.mark.parametrize("which", ["hostile", "fine"])
def test_any_report_is_well_formed_xml_of_shapes_and_text(which: str, request: pytest.FixtureRequest) -> None:
    root = ET.fromstring(request.getfixturevalue(which).plot()._repr_svg_())
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "style", "line", "text", "path", "circle", "title", "clipPath", "rect",
    }  # fmt: skip
