"""What is pasted belongs to the configuration that was proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from mrl_sweep.report.document import Report
from mrl_sweep.report.folder import read_report
from mrl_sweep.report.render import Format, render
from mrl_sweep.report.render.ship import MEASURED_FOR


@pytest.fixture
def report(made_run: Callable[..., Path]) -> Report:
    return read_report(made_run({256: [0] * 200, 128: [0] * 200, 64: [9] * 200}, retain=0.9))


def shipped(
    report: Report, target: str, model: str = "openai:text-embedding-3-small", parameter: str | None = "dimensions"
) -> str:
    facts = {"name": model, "size_parameter": parameter}
    manifest = {**report.manifest, "settings": {"deploy.target": target}, "model": facts}
    return render(replace(report, manifest=manifest), Format.SHIP)


def test_the_statements_are_those_of_the_size_that_was_proven(report: Report) -> None:
    text = shipped(report, "pgvector")
    assert text.startswith("# 128 in pgvector 0.8: keeps 100.0% of nDCG@10, at least ")
    assert "USING hnsw ((subvector(embedding, 1, 128)::vector(128)) vector_cosine_ops) WITH (m = 16);" in text
    assert "the database keeps them at full size, 256 numbers" in text
    assert text.endswith(f"mrl-sweep gate {report.folder} --dim 128 --retain 90%\n")
    assert "; 90% was asked" in text


def test_the_gates_line_asks_what_the_run_asked_of_a_folder_of_any_name(report: Report) -> None:
    strict = replace(report, verdict=replace(report.verdict, retain=0.9999), folder=Path("my runs/a"))
    text = shipped(strict, "pgvector")
    assert text.endswith("mrl-sweep gate 'my runs/a' --dim 128 --retain 99.99%\n")
    assert "; 99.99% was asked" in text


@pytest.mark.parametrize(
    ("model", "parameter", "line"),
    [
        ("openai:text-embedding-3-small", "dimensions", "\ndimensions=128"),
        ("gemini:gemini-embedding-001", "output_dimensionality", "\noutput_dimensionality=128"),
        ("nomic-ai/nomic-embed-text-v1.5", None, "truncate_dim=128)"),
        ("vectors:mine", None, "vector[:128] / norm(vector[:128])"),
    ],
)
def test_the_client_cuts_to_that_size(report: Report, model: str, parameter: str | None, line: str) -> None:
    assert line in shipped(report, "qdrant", model, parameter)


def test_what_faiss_is_given_builds(report: Report) -> None:
    (line,) = [line for line in shipped(report, "faiss").splitlines() if "index_factory" in line]
    names = {"faiss": faiss}
    exec(line, names)
    index = names["index"]
    index.add(np.eye(4, 128, dtype=np.float32))
    assert (index.d, index.ntotal) == (128, 4)


def test_turned_vectors_come_with_their_rotation(report: Report) -> None:
    best = report.candidates[1]
    turned = replace(best, basis="pca", dim=96, bytes_per_vector=384)
    verdict = replace(report.verdict, configuration="pca:96")
    text = shipped(replace(report, candidates=(*report.candidates, turned), verdict=verdict), "pgvector")
    assert 'numpy.load("rotation.npy")[:, :96]' in text
    assert "subvector(embedding, 1, 96)::vector(96)" in text


@pytest.mark.parametrize(("then", "ships"), [("faiss", "128 in"), ("pgvector", "128:binary in")])
def test_codes_that_are_compared_otherwise_than_in_the_run_are_not_shipped(report: Report, then: str, ships: str) -> None:
    """pgvector compares signs with signs; a run for FAISS compared them with float32 queries, which keeps more."""
    signs = replace(report.candidates[1], precision="binary", bytes_per_vector=16)
    verdict = replace(report.verdict, configuration="128:binary")
    manifest = {**report.manifest, "settings": {"deploy.target": "pgvector", MEASURED_FOR: then}}
    shown = replace(report, candidates=(*report.candidates, signs), verdict=verdict, manifest=manifest)
    assert render(shown, Format.SHIP).startswith(f"# {ships} pgvector 0.8")


def test_where_the_target_holds_nothing_that_is_said(report: Report) -> None:
    assert shipped(report, "azure").startswith("Nothing to ship: Azure AI Search can hold none")
