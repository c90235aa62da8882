"""Curves: every point stands where its figures say, in characters and in the picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from mrl_sweep.report.document import CandidateRow, Report
from mrl_sweep.report.render.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart
from mrl_sweep.report.render.curve import ASCII, draw
from mrl_sweep.types import Evidence


def test_sizes_stand_evenly_by_halvings_and_shares_evenly(sketch: Report) -> None:
    picture = chart(sketch)
    assert picture is not None
    by_dim = {int(dot.label.split(":")[0]): dot for dot in picture.dots}
    assert by_dim[64].x == LEFT
    assert by_dim[768].x == WIDTH - RIGHT
    assert by_dim[128].x - by_dim[64].x == pytest.approx(by_dim[256].x - by_dim[128].x, abs=0.2)
    low, high = 0.853, 1.003  # the lowest lower and the highest upper bound
    for dim, kept in ((64, 0.874), (128, 0.957), (256, 0.9903), (512, 0.998), (768, 1.0)):
        assert by_dim[dim].y == pytest.approx(TOP + (HEIGHT - TOP - BOTTOM) * (high - kept) / (high - low), abs=0.1)
    assert [dot.chosen for dot in picture.dots] == [False, False, True, False, False]
    assert picture.limit.label == "asked: 98%"
    assert picture.limit.at == pytest.approx(TOP + (HEIGHT - TOP - BOTTOM) * (high - 0.98) / (high - low), abs=0.1)
    assert [tick.label for tick in picture.y_ticks] == ["86%", "88%", "90%", "92%", "94%", "96%", "98%", "100%"]
    assert len(picture.band.split()) == 8  # up along four upper bounds, back along four lower ones


def test_a_fine_sweep_has_labels_that_do_not_touch(fine: Report) -> None:
    picture = chart(fine)
    assert picture is not None
    assert len(picture.dots) == 96
    places = [tick.at for tick in sorted(picture.x_ticks, key=lambda tick: tick.at)]
    assert min(b - a for a, b in pairwise(places)) >= 34
    assert {"8", "768"} <= {tick.label for tick in picture.x_ticks}


def test_draws_of_one_control_are_one_line(sketch: Report) -> None:
    rows = [
        CandidateRow(
            basis=basis,
            dim=dim,
            index="exact",
            verdict="not_tested",
            bytes_per_vector=4 * dim,
            measures={"nDCG@10": Evidence(mean=0.3, kept=kept)},
        )
        for basis, dim, kept in (("random-0", 128, 0.9), ("random-1", 128, 0.92), ("random-0", 64, 0.86), ("pca", 128, 0.97))
    ]
    picture = chart(replace(sketch, candidates=(*sketch.candidates, *rows)))
    assert picture is not None
    assert [line.name for line in picture.lines] == ["prefix", "random", "pca"]
    assert len(picture.lines[1].points.split()) == 2


def test_a_single_size_is_no_curve(sketch: Report) -> None:
    one = replace(sketch, candidates=sketch.candidates[:1])
    assert chart(one) is None
    assert draw(one, width=80) == []


def test_the_drawing_puts_every_size_in_its_column_and_row(sketch: Report) -> None:
    rows = [
        CandidateRow(
            basis="prefix",
            dim=dim,
            index="exact",
            verdict="baseline" if dim == 30 else "pass",
            bytes_per_vector=4 * dim,
            measures={"nDCG@10": Evidence(mean=kept, kept=kept)},
        )
        for dim, kept in ((30, 1.0), (20, 0.9), (10, 0.5))
    ]
    verdict = replace(sketch.verdict, dimension=20, retain=0.8)
    lines = draw(replace(sketch, candidates=tuple(rows), verdict=verdict), width=31, signs=ASCII)
    assert [line[8:] for line in lines[:13]] == [
        " |                    *",
        " |",
        " |          *",
        " |",
        " |---------------------",
        " |",
        " |",
        " |",
        " |",
        " |",
        " |*",
        " +_____________________",
        "  10        ^20      30",
    ]
    assert [line[:8].strip() for line in lines[:11]] == ["100.0%", "", "", "", "80%", "", "", "", "", "", "50.0%"]
