"""Vectors that tell nothing apart prove nothing, however well a smaller size does the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import write_collection

import mrl_sweep
from mrl_sweep.types import Float32Array

N, QUERIES, DIM = 60, 40, 8
ANY: Float32Array = np.random.default_rng(3).standard_normal((N, DIM)).astype(np.float32)
ONE_WAY: Float32Array = 2.0 ** (np.arange(N, dtype=np.float32)[:, None] % 5) * ANY[:1]


@pytest.mark.parametrize(
    ("documents", "queries"),
    [(1e-30 * ANY, ANY[:QUERIES]), (ANY, np.zeros_like(ANY[:QUERIES])), (ONE_WAY, ANY[:QUERIES])],
    ids=["documents of hardly more than zeros", "queries of zeros", "documents of one direction"],
)
def test_no_size_is_proven_where_full_size_orders_nothing(documents: Float32Array, queries: Float32Array, tmp_path: Path) -> None:
    write_collection(tmp_path / "c", documents, queries, [(q, q, 1) for q in range(QUERIES)])
    settings: dict[str, Any] = {
        "dims": [8, 4],
        "index": ["none"],
        "retain": "50%",
        "precision": ["float32", "binary"],
        "store": str(tmp_path / "s"),
    }
    report = mrl_sweep.run(collection=str(tmp_path / "c"), model=f"vectors:{tmp_path / 'c'}", out=str(tmp_path / "r"), **settings)
    assert (report.verdict.dimension, report.verdict.configuration) == (8, "8")
    (four,) = (row for row in report.candidates if str(row.configuration) == "4")
    assert (four.verdict, four.reason) == ("fail", "at full size every judged document ties with all others")


def test_some_vectors_of_zeros_keep_nobody_from_an_answer(tmp_path: Path) -> None:
    documents = ANY.copy()
    documents[:5, :] = 0
    documents[:, 4:] *= 1e-3
    write_collection(tmp_path / "c", documents, documents[10:50], [(q, q + 10, 1) for q in range(QUERIES)])
    settings: dict[str, Any] = {"dims": [8, 4], "index": ["none"], "retain": "50%", "store": str(tmp_path / "s")}
    report = mrl_sweep.run(collection=str(tmp_path / "c"), model=f"vectors:{tmp_path / 'c'}", out=str(tmp_path / "r"), **settings)
    assert report.verdict.dimension == 4
