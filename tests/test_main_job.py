"""The main job against independent answers: trec_eval on a full sort, controls on vectors whose truth is planted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from made_vectors import judgments_of, steep, write_collection
from processes import unmeasured

import mrl_sweep
from mrl_sweep import api
from mrl_sweep.errors import InputError
from mrl_sweep.report.document import Report
from mrl_sweep.types import Float32Array

TREC_NAMES = {"nDCG@10": "ndcg_cut_10", "R@10": "recall_10", "R@100": "recall_100"}


def unit(rows: Float32Array) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def test_every_value_of_every_query_is_that_of_trec_eval_on_a_full_sort(tmp_path: Path) -> None:
    """Graded judgments, several a query, on renormalised prefixes sorted in full by numpy; nothing ties in random vectors."""
    rng = np.random.default_rng(3)
    documents, n_queries = steep(rng, 700, 48), 80
    judged = [
        (q, int(d), int(rng.integers(0, 4)))
        for q in range(n_queries)
        for d in rng.choice(len(documents), int(rng.integers(2, 9)), replace=False)
    ]
    first = {q: d for q, d, _ in reversed(judged)}
    judged = [(q, d, 3 if first[q] == d else grade) for q, d, grade in judged]
    queries = documents[[first[q] for q in range(n_queries)]] + 0.3 * steep(rng, n_queries, 48)
    write_collection(tmp_path / "c", documents, queries, judged)
    report = mrl_sweep.run(
        collection=str(tmp_path / "c"),
        model=f"vectors:{tmp_path / 'c'}",
        dims=[48, 24, 7],
        index=["none"],
        out=str(tmp_path / "run"),
        store=str(tmp_path / "store"),
    )
    qrels: dict[str, dict[str, int]] = {}
    for q, d, grade in judged:
        qrels.setdefault(f"q{q}", {})[f"d{d}"] = grade
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,100"})
    frame = report.to_frame()
    for dim in (48, 24, 7):
        scores = (unit(queries[:, :dim]) @ unit(documents[:, :dim]).T).astype(np.float32)
        expected = evaluator.evaluate({f"q{q}": {f"d{d}": float(s) for d, s in enumerate(row)} for q, row in enumerate(scores)})
        for measure, trec in TREC_NAMES.items():
            found = frame[(frame["dim"] == dim) & (frame["measure"] == measure)].set_index("query_id")["value"]
            assert len(found) == n_queries
            assert found.to_dict() == pytest.approx({q: values[trec] for q, values in expected.items()}, abs=1e-6)


def turned(rng: np.random.Generator, rows: Float32Array, other: Float32Array) -> tuple[Float32Array, Float32Array]:
    rotation = np.linalg.qr(rng.standard_normal((rows.shape[1],) * 2))[0]
    return (rows @ rotation).astype(np.float32), (other @ rotation).astype(np.float32)


@pytest.fixture(params=["own axes", "random axes"])
def controlled(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Report]:
    """One set of vectors under its own principal axes, and under a random rotation of them, swept with controls."""
    rng = np.random.default_rng(11)
    documents, relevant = steep(rng, 1500, 64), rng.integers(0, 1500, 150)
    noise = 0.2 * rng.standard_normal((150, 64))  # the same on every axis: the first ones drown least
    queries = (documents[relevant] + noise).astype(np.float32)
    if request.param == "random axes":
        documents, queries = turned(rng, documents, queries)
    write_collection(tmp_path / "c", documents, queries, judgments_of(relevant))
    report = mrl_sweep.run(
        collection=str(tmp_path / "c"),
        model=f"vectors:{tmp_path / 'c'}",
        dims=[64, 16, 8, 4],
        basis=["pca", "random"],
        index=["none"],
        out=str(tmp_path / "run"),
        store=str(tmp_path / "store"),
    )
    return request.param, report


def mean(report: Report, basis: str, dim: int) -> float:
    row = report.candidate(dim, basis=basis)
    assert row is not None
    return row.measures["nDCG@10"].mean


def test_controls_tell_a_prefix_that_carries_more_from_one_that_does_not(controlled: tuple[str, Report]) -> None:
    axes, report = controlled
    codes = {advice.code for advice in report.warnings}
    by_random = {dim: np.mean([mean(report, f"random-{seed}", dim) for seed in range(3)]) for dim in (16, 8, 4)}
    if axes == "own axes":
        assert all(mean(report, "prefix", dim) > by_random[dim] + 0.1 for dim in (8, 4))
        assert mean(report, "pca", 8) == pytest.approx(mean(report, "prefix", 8), abs=0.02)
        assert {row.answer for row in report.controls} == {"better"}
        assert "not-matryoshka" not in codes
    else:
        assert all(abs(mean(report, "prefix", dim) - by_random[dim]) < 0.1 for dim in (16, 8, 4))
        assert mean(report, "pca", 8) > mean(report, "prefix", 8) + 0.1
        assert report.controls
        assert "better" not in {row.answer for row in report.controls}


def test_the_saved_rotation_applied_outside_gives_the_reported_quality(controlled: tuple[str, Report], tmp_path: Path) -> None:
    _, report = controlled
    rotation = np.load(tmp_path / "run" / "rotation.npy")
    documents, queries = (np.load(tmp_path / "c" / f"{name}.npy") @ rotation for name in ("docs", "queries"))
    lines = (tmp_path / "c" / "qrels" / "test.tsv").read_text().splitlines()[1:]
    relevant = [int(line.split("\t")[1][1:]) for line in lines]
    for dim in (16, 8, 4):
        scores = unit(queries[:, :dim]) @ unit(documents[:, :dim]).T
        above = (scores > scores[np.arange(len(relevant)), relevant][:, None]).sum(axis=1)
        assert mean(report, "pca", dim) == pytest.approx(np.where(above < 10, 1 / np.log2(above + 2), 0).mean(), abs=1e-6)


NOT_FOR_A_WARM_RUN = {
    *(
        "torch",
        "sentence_transformers",
        "transformers",
        "huggingface_hub",
        "tokenizers",
        "ray",
        "httpx",
        "psycopg",
        "ir_datasets",
    ),
    *("scipy", "pandas", "numba", "jinja2", "rich", "pydantic"),
    *("pyarrow.compute", "pyarrow.dataset", "pyarrow.csv", "numpy.ma", "numpy.polynomial", "numpy.random"),
    *("importlib.metadata", "importlib.resources", "email", "html", "statistics", "secrets", "asyncio"),
    *(
        "mrl_sweep.execution.ray",
        "mrl_sweep.embedding.hosted.model",
        "mrl_sweep.report.render.html",
        "mrl_sweep.projection.growth",
    ),
}
"""What a run whose vectors are stored can do without; importing these would take half as long as its ranking does, or longer."""


def test_a_run_on_stored_texts_embeds_nothing_and_imports_nothing_that_it_can_do_without(tmp_path: Path) -> None:
    """The same command twice, each in a process of its own; WordLlama is a sentence-transformers model."""
    zeros = np.zeros((40, 1), np.float32)
    write_collection(tmp_path / "c", zeros, zeros, judgments_of(np.arange(40)))
    script = (
        "import sys\nfrom mrl_sweep.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as ended: assert ended.code == 0\n"
        f"print(sorted({NOT_FOR_A_WARM_RUN} & set(sys.modules)))"
    )
    argv = ("run", "--collection", "c", "--model", "wordllama", "--dims", "256,64", "--store", "store", "--out", "run", "-q")

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *argv]
        return subprocess.run(command, cwd=tmp_path, env=unmeasured(), capture_output=True, text=True, check=True, timeout=300)

    run()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.arrow")}
    again = run()
    assert again.stdout.splitlines()[-1] == "[]"
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.arrow")}
    assert before


def test_a_program_may_write_into_its_own_run_again_and_not_into_an_earlier_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    documents = steep(rng, 80, 8)
    settings: dict[str, Any] = {
        "model": f"vectors:{tmp_path / 'c'}",
        "dims": [8, 4],
        "index": ["none"],
        "store": str(tmp_path / "store"),
    }
    settings |= {"collection": str(tmp_path / "c"), "out": str(tmp_path / "run")}
    write_collection(tmp_path / "c", documents, documents[:40], judgments_of(np.arange(40)))
    assert mrl_sweep.run(**settings).candidate(8).measures["nDCG@10"].mean == 1.0
    write_collection(tmp_path / "d", documents, documents[:40], judgments_of(np.arange(40) + 40))
    (tmp_path / "c").rename(tmp_path / "before")
    (tmp_path / "d").rename(tmp_path / "c")
    assert mrl_sweep.run(**settings).candidate(8).measures["nDCG@10"].mean < 0.5
    api._OWN_FOLDERS.clear()  # as in a new program
    (tmp_path / "c").rename(tmp_path / "d")
    (tmp_path / "before").rename(tmp_path / "c")
    with pytest.raises(InputError, match="holds another run"):
        mrl_sweep.run(**settings)
    assert mrl_sweep.run(**settings, force=True).candidate(8).measures["nDCG@10"].mean == 1.0
