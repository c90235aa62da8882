"""The grid of precisions: which configuration the verdict names, what the sentence says of it, and the table."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from made_evaluation import evaluated

from mrl_sweep.decision.policy import Policy
from mrl_sweep.deploying.findings import bytes_on_disk, fewest_of, findings_of, grid_bytes
from mrl_sweep.report.content.build import build_report
from mrl_sweep.report.content.grid_table import grid_table, grids
from mrl_sweep.report.content.indexes import indexes
from mrl_sweep.report.content.view import closing
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.render import Format, Look, render
from mrl_sweep.report.render.ci import _folded as folded
from mrl_sweep.types import Advice, Configuration, Measure, Scores

NDCG = Measure("nDCG", 10)
N = 800

KEPT = {
    "64": 1.0,
    "32": 0.99,
    "64:int8": 1.0,
    "32:int8": 0.985,
    "64:binary": 0.97,
    "32:binary": 0.6,
    "64:int8:exact:rescore=4x": 1.0,
    "64:binary:exact:rescore=4x": 0.995,
    "32:binary:exact:rescore=4x": 0.99,
}
PCA = {"pca:32": 0.99, "pca:32:int8": 0.99, "pca:64:int8": 1.0, "pca:64:binary": 0.99, "pca:32:binary": 0.985}


def report(kept: dict[str, float], retain: float = 0.95) -> Report:
    rng = np.random.default_rng(0)
    full = rng.uniform(0.3, 0.9, N)
    candidates = tuple(Configuration.parse(text) for text in kept)
    values = np.stack([full * (share + (share < 1) * 0.02 * rng.standard_normal(N)) for share in kept.values()])
    scores = Scores(candidates, (NDCG,), values[:, None], np.ones((1, N), bool))
    evaluation = evaluated(scores, Policy(required=(NDCG,), retain=retain))
    ids = [f"q{i}" for i in range(N)]
    fewest = fewest_of(evaluation)
    return build_report(evaluation.verdict, findings_of(evaluation), QueryScores(scores, ids), fewest=fewest)


def test_the_verdict_names_the_proven_configuration_of_the_fewest_bytes() -> None:
    verdict = report(KEPT).verdict
    assert (verdict.dimension, verdict.configuration) == (32, "32:binary:exact:rescore=4x")
    assert (verdict.bytes_per_vector, verdict.bytes_on_disk) == (4, 4 + 256)
    assert verdict.bytes_sentence.startswith(
        "Smallest proven: 4 bytes a vector (32 dimensions x one bit, rescored 4x from 260 on disk): keeps 99."
    )
    assert verdict.bytes_sentence.endswith("with 95% confidence; float32 alone needs 128.")
    assert closing(report(KEPT))[1] == verdict.bytes_sentence


def test_without_rescoring_a_code_is_named_alone() -> None:
    verdict = report({text: share for text, share in KEPT.items() if "rescore" not in text}).verdict
    assert (verdict.configuration, verdict.bytes_per_vector, verdict.bytes_on_disk) == ("64:binary", 8, 8)
    assert "8 bytes a vector (64 dimensions x one bit): keeps 97." in verdict.bytes_sentence


def test_where_no_code_is_proven_the_size_is_named_and_said() -> None:
    verdict = report({"64": 1.0, "32": 0.99, "64:int8": 0.8, "64:binary": 0.5}).verdict
    assert (verdict.configuration, verdict.bytes_per_vector) == ("32", 128)
    assert verdict.bytes_sentence == "No code is proven to need fewer than the 128 bytes of float32 at 32 dimensions."


def test_without_codes_nothing_is_said_of_bytes() -> None:
    made = report({"64": 1.0, "32": 0.99})
    assert made.verdict.bytes_sentence == ""
    assert made.verdict.configuration == "32"
    assert grids(made) == []


def test_fitted_axes_are_named_second_where_they_need_fewer_bytes() -> None:
    verdict = report({"64": 1.0, "32": 0.99, "64:int8": 1.0, "32:int8": 0.985, "64:binary": 0.8} | PCA).verdict
    assert verdict.configuration == "32:int8"
    first, second = verdict.bytes_sentence.split(" Axes fitted on the documents (PCA) need fewer: ")
    assert first.startswith("Smallest proven: 32 bytes a vector")
    assert second.startswith("4 bytes a vector (32 dimensions x one bit) keeps 98.")
    assert second.endswith("a query is multiplied by a 32 x 64 matrix first, which is saved with the run.")


def test_the_table_has_a_row_a_precision_and_marks_what_is_proven() -> None:
    made = report(KEPT)
    (grid,) = (grid_table(one, made) for one in grids(made))
    assert grid.table is not None
    assert [column.title for column in grid.table.columns] == ["precision", "64", "32"]
    names = [row[0] for row in grid.table.rows]
    assert names == ["float32", "int8", "one bit", "int8, 4x", "one bit, 4x"]
    assert grid.table.chosen == 4
    assert grid.table.rows[0][1] == "100.0% 256"
    assert grid.table.rows[4][2].endswith(" 4*")
    assert grid.table.rows[3][2] == "-"
    assert not grid.table.rows[2][2].endswith("*")


def test_a_note_says_what_each_rescoring_is_and_costs_on_disk() -> None:
    made = report(KEPT | {"32:int8:exact:rescore=8x@48": 0.99})
    (grid,) = (grid_table(one, made) for one in grids(made))
    _, four, eight = grid.notes
    assert four == "4x: a shortlist 4 times as long, ordered again by float32 vectors, 256 bytes a vector on disk besides."
    assert eight.startswith("8x@48: a shortlist 8 times as long, ordered again by the first 48 numbers of float32 vectors, 192 ")


@pytest.mark.parametrize("format", [Format.TEXT, Format.MARKDOWN])
def test_sizes_for_which_there_is_no_room_are_named(format: Format) -> None:
    sizes = (64, 60, 56, 52, 48, 44, 40, 36, 32)
    made = report({str(d): 1.0 for d in sizes} | {"64:int8": 1.0})
    (section,) = (grid_table(grid, made) for grid in grids(made))
    shown = folded(section) if format is Format.MARKDOWN else render(made, format, Look(width=60))
    said = re.search(r"No room here for ([\d, ]+):", shown)
    (line,) = [line for line in shown.splitlines() if line.lstrip("| ").startswith("precision")]
    assert said is not None
    assert sorted(map(int, [*said[1].split(", "), *re.findall(r"\d+", line)])) == sorted(sizes)
    assert "No room" not in render(report({"64": 1.0, "32": 1.0, "64:int8": 1.0}), format, Look(width=60))


def test_codes_that_the_vendor_makes_itself_are_named_until_they_are_verified() -> None:
    words = "The vendor also sends codes of its own (int8, one bit): --verify-api 20 says whether they are these."
    made = report(KEPT | PCA)
    hosted = replace(made, manifest={"model": {"codes": ["int8", "uint8", "binary"]}})
    own, turned = (grid_table(one, hosted) for one in grids(hosted))
    assert words in own.notes
    assert words not in turned.notes
    verified = replace(hosted, warnings=(Advice("api-codes-verified", "the same"),))
    assert words not in [note for one in (verified, made) for note in grid_table(grids(one)[0], one).notes]


def test_a_sample_that_trained_the_codes_is_named() -> None:
    for n, said in ((20_000, True), (50_000, False)):
        made = replace(report(KEPT), manifest={"codes_trained_on": {"documents": n, "of": 50_000, "seed": 0}})
        notes = grid_table(grids(made)[0], made).notes
        assert ("Codes are trained on 20,000 of the 50,000 documents, drawn at random." in notes) == said


def test_fitted_axes_have_a_table_of_their_own() -> None:
    assert [grid.title for grid in grids(report(KEPT | PCA))] == [
        "Dimensions x precision",
        "Dimensions x precision on axes fitted on the documents (PCA)",
    ]


def test_a_rescored_code_is_a_cell_of_the_grid_and_no_index() -> None:
    assert indexes(report(KEPT)) is None


def test_other_shares_have_their_own_answers() -> None:
    rows = {row.retain: row for row in report(KEPT).verdict.smallest}
    assert sorted(rows) == [0.9, 0.95, 0.98, 0.99]
    assert rows[0.95].configuration == "32:binary:exact:rescore=4x"
    assert rows[0.99].bytes_per_vector >= rows[0.9].bytes_per_vector


def test_a_shortlist_of_float32_vectors_is_no_cell() -> None:
    funnel = Configuration("prefix", 32, rescore="200@64")
    assert grid_bytes([funnel, Configuration.parse("32:int8")], "prefix") == {Configuration.parse("32:int8"): 32}


@pytest.mark.parametrize(("text", "on_disk"), [("512:binary:exact:rescore=4x", 6208), ("512:binary:exact:rescore=4x@768", 3136)])
def test_originals_lie_on_disk(text: str, on_disk: int) -> None:
    assert bytes_on_disk(Configuration.parse(text), 1536) == on_disk
