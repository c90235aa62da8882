"""`--label-free` through the whole command: agreement with full size, on queries or documents, apart from judged quality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.events import Note
from mrl_sweep.pipeline import run as pipeline
from mrl_sweep.report.content.sentence import UNJUDGED
from mrl_sweep.report.document import Report
from mrl_sweep.runs.compare import side_by_side
from mrl_sweep.runs.gate import decide_gate
from mrl_sweep.runs.plan import plan_run
from mrl_sweep.runs.reopen import EarlierRun, reopen
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Configuration, Measure

N_DOCUMENTS, N_QUERIES, DIM = 120, 90, 16
DECAY = 0.8 ** np.arange(DIM)
AGREEMENT = Measure("Agreement", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BEIR folder with vectors, without judgments; the components of the vectors carry less and less."""
    rng = np.random.default_rng(3)
    made = tmp_path / "corpus"
    made.mkdir()
    np.save(made / "docs.npy", (rng.standard_normal((N_DOCUMENTS, DIM)) * DECAY).astype("f4"))
    np.save(made / "queries.npy", (rng.standard_normal((N_QUERIES, DIM)) * DECAY).astype("f4"))
    for name, key, count in (("corpus", "d", N_DOCUMENTS), ("queries", "q", N_QUERIES)):
        lines = [json.dumps({"_id": f"{key}{i}", "text": f"{name} text {i}"}) for i in range(count)]
        (made / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return made


def run(folder: Path, out: str, **settings: object) -> Report:
    asked = {"index": "none", "dims": "16,8,4", "retain": 0.8, "store": folder.parent / "store", **settings}
    return pipeline.run(
        SweepConfig.of(collection=str(folder), model=f"vectors:{folder}", out=folder.parent / out, **asked),
    )


def reopened(report: Report, **settings: object) -> EarlierRun:
    assert report.folder is not None
    return reopen(report.folder, SweepConfig.of(**settings))


def first_rows(queries: npt.ArrayLike, documents: npt.ArrayLike, dim: int, k: int, *, own: bool = False) -> list[set[int]]:
    """The k documents of highest cosine at a size, by numpy alone; with `own` query i is document i, which is left out."""
    q, d = (np.asarray(array, np.float64)[:, :dim] for array in (queries, documents))
    cosines = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (d / np.linalg.norm(d, axis=1, keepdims=True)).T
    if own:
        np.fill_diagonal(cosines, -2)
    return [set(row[:k].tolist()) for row in np.argsort(-cosines, axis=1)]


def shares(some: list[set[int]], full: list[set[int]]) -> list[float]:
    return [len(a & b) / len(b) for a, b in zip(some, full, strict=True)]


@pytest.mark.parametrize("k", [5, 10, 30])
def test_agreement_is_what_numpy_counts_at_any_depth(folder: Path, k: int) -> None:
    report = run(folder, "made", label_free=True, measure=f"Agreement@{k}")
    documents, queries = (np.load(folder / f"{name}.npy") for name in ("docs", "queries"))
    full = first_rows(queries, documents, DIM, k)
    scores = reopened(report).scores
    for dim in (16, 8, 4):
        expected = shares(first_rows(queries, documents, dim, k), full)
        np.testing.assert_array_equal(scores.of(Configuration("prefix", dim), Measure("Agreement", k)), expected)
        row = report.candidate(dim)
        assert row is not None
        assert row.measures[f"Agreement@{k}"].mean == pytest.approx(np.mean(expected), abs=1e-12)


def test_without_queries_documents_ask_with_their_own_vectors_and_do_not_find_themselves(folder: Path) -> None:
    for name in ("queries.jsonl", "queries.npy"):
        (folder / name).unlink()
    report = run(folder, "made", label_free=True)
    documents = np.load(folder / "docs.npy")
    expected = shares(first_rows(documents, documents, 8, 10, own=True), first_rows(documents, documents, DIM, 10, own=True))
    np.testing.assert_array_equal(reopened(report).scores.of(Configuration("prefix", 8), AGREEMENT), expected)
    assert "documents-as-queries" in [advice.code for advice in report.warnings]
    assert report.manifest["collection"]["queries_are"] == "documents"
    assert report.manifest["identical_excluded"] is True


def test_the_report_says_that_nothing_was_judged_and_what_it_cannot_tell(folder: Path) -> None:
    report = run(folder, "made", label_free=True, measure=["Agreement@10", "Agreement@5"], project_docs="10k")
    assert report.manifest["label_free"] is True
    assert report.verdict.measure == "Agreement@10"
    assert {name for row in report.candidates for name in row.measures} == {"Agreement@10", "Agreement@5"}
    assert report.verdict.sentence.endswith(UNJUDGED)
    assert (
        f"8 dimensions: it returns {100 * (report.verdict.kept or 0):.1f}% of the full size's top 10" in report.verdict.sentence
    )
    assert "judged" not in report.verdict.sentence
    codes = {advice.code for advice in report.warnings}
    assert "projection-refused" in codes
    assert not codes & {"saturated-measure", "judged-share-low", "near-zero-measure"}
    assert (report.funnels, report.projections) == ((), ())
    assert "relevant" not in {row.field for row in report.slices}


def test_indexes_agree_with_full_size_as_far_as_what_they_return(folder: Path) -> None:
    report = run(folder, "made", label_free=True, index=["Flat", "SQ8"], funnel="4:20:16")
    by_name = {(row.dim, row.index): row.measures["Agreement@10"].mean for row in report.candidates if not row.rescore}
    assert by_name[16, "Flat"] == 1
    assert by_name[8, "Flat"] == pytest.approx(by_name[8, "exact"], abs=1e-12)
    assert 0.8 < by_name[16, "SQ8"] <= 1
    (funnel,) = report.funnels
    row = report.row(Configuration.parse(funnel.configuration))
    assert row is not None
    assert by_name[4, "exact"] < row.measures["Agreement@10"].mean <= 1
    assert (funnel.verdict, funnel.measured_kept) == (row.verdict, row.measures["Agreement@10"].kept)


def test_the_gate_holds_a_label_free_run_and_speaks_of_the_full_size_s_documents(folder: Path) -> None:
    report = run(folder, "made", label_free=True)
    asked = {dim: decide_gate(reopened(report), SweepConfig.of(dim=dim)).gate for dim in (8, 4)}
    assert [None if gate is None else gate.exit_code for gate in asked.values()] == [0, 1]
    assert asked[8] is not None
    assert asked[8].sentence.startswith("8 dimensions are acceptable: they return at least ")
    assert asked[8].sentence.endswith(" of the full size's top 10; 80% was asked.")
    same = decide_gate(reopened(report), SweepConfig.of(dim=8), reopened(run(folder, "before", label_free=True)))
    assert same.gate is not None
    assert same.gate.exit_code == 0


def test_a_plan_of_a_label_free_run_says_why_no_quality_is_projected(folder: Path) -> None:
    config = SweepConfig.of(docs="1M")
    planned = plan_run(reopened(run(folder, "made", label_free=True)), config)
    assert [advice.code for advice in planned.advice] == ["no-projection"]
    assert {row.projected for row in planned.rows} == {None}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label_free": True, "measure": ["Agreement@10", "R@10"]}, "R@10 needs judgments"),
        ({"label_free": True, "require": "nDCG@10"}, "nDCG@10 needs judgments"),
        ({"measure": ["nDCG@10", "Agreement@10"]}, "Agreement@10 is agreement with the full size, which is never mixed"),
    ],
)
def test_judged_measures_and_agreement_are_refused_together(folder: Path, settings: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(folder, "made", **settings)


def test_a_label_free_run_cannot_be_asked_for_quality_nor_a_judged_one_for_agreement(folder: Path) -> None:
    unjudged = run(folder, "unjudged", label_free=True)
    with pytest.raises(InputError, match=r"nDCG@10 needs judgments"):
        reopened(unjudged, measure="nDCG@10")
    with pytest.raises(InputError, match=r"Agreement@20 needs the first 20 documents of every ranking; 10 were kept"):
        reopened(unjudged, measure="Agreement@20")
    judged = judged_run(folder)
    with pytest.raises(InputError, match="never mixed with judged quality"):
        reopened(judged, measure="Agreement@10")


def test_a_label_free_run_is_never_compared_with_a_judged_one(folder: Path) -> None:
    unjudged, judged = reopened(run(folder, "unjudged", label_free=True)), reopened(judged_run(folder))
    with pytest.raises(InputError, match="agreement with full size and judged quality do not compare"):
        side_by_side([judged, unjudged])
    with pytest.raises(InputError, match="labels: none, not judgments"):
        decide_gate(unjudged, SweepConfig.of(dim=8), judged)
    assert side_by_side([unjudged, unjudged]).label_free


def judged_run(folder: Path) -> Report:
    (folder / "qrels").mkdir()
    judged = "".join(f"q{i}\td{i}\t1\n" for i in range(N_QUERIES))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return run(folder, "judged", measure="R@100")


def test_a_label_free_run_has_a_share_of_its_own_unless_one_is_asked_for(folder: Path) -> None:
    notes: list[str] = []
    config = SweepConfig.of(
        collection=str(folder), model=f"vectors:{folder}", out=folder.parent / "own", store=folder.parent / "store",
        index="none", dims="16,8", label_free=True,
    )  # fmt: skip
    report = pipeline.run(config, lambda event: notes.append(event.text) if isinstance(event, Note) else None)
    assert report.verdict.retain == pipeline.LABEL_FREE_RETAIN
    assert notes[0] == "90 queries can prove 94.8% at the most, and that only of a size that changes nothing (95% confidence)"
    assert run(folder, "asked", label_free=True, retain=0.8).verdict.retain == 0.8


def test_a_share_that_no_query_set_of_this_size_proves_is_named_first(folder: Path) -> None:
    notes: list[str] = []
    config = SweepConfig.of(
        collection=str(folder), model=f"vectors:{folder}", out=folder.parent / "strict", store=folder.parent / "store",
        index="none", dims="16,8", label_free=True, retain=0.98,
    )  # fmt: skip
    pipeline.run(config, lambda event: notes.append(event.text) if isinstance(event, Note) else None)
    assert notes[0].endswith("(95% confidence); 98% takes 231")
