"""A target brings its own grid, and refuses what it does not offer before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_vectors import judgments_of, steep, write_collection

import mrl_sweep
from mrl_sweep.errors import InputError
from mrl_sweep.pipeline.run import in_the_targets_terms, run
from mrl_sweep.settings.config import SweepConfig


def test_the_grid_is_the_targets_where_none_was_given() -> None:
    assert in_the_targets_terms(SweepConfig.of(target="pgvector")).sweep.precision == ("float32", "float16", "binary")
    assert in_the_targets_terms(SweepConfig.of(target="azure")).sweep.precision == ("float32", "int8", "binary")
    assert in_the_targets_terms(SweepConfig.of()).sweep.precision == ("float32",)


def test_a_grid_that_was_given_stays() -> None:
    given = SweepConfig.of(target="pgvector", precision=["float16"])
    assert in_the_targets_terms(given).sweep.precision == ("float32", "float16")


@pytest.mark.parametrize(("target", "precision"), [("pgvector", "int8"), ("azure", "float16"), ("vectorize", "binary")])
def test_what_the_target_lacks_is_refused_before_the_collection_is_read(target: str, precision: str) -> None:
    with pytest.raises(InputError, match=f"offers no {precision}"):
        run(SweepConfig.of(target=target, precision=[precision], collection="nowhere", model="vectors:nowhere"))


@pytest.mark.parametrize(("target", "rescore"), [("qdrant", "4x@16"), ("pgvector", "4x")])
def test_a_shortlist_is_ordered_again_by_what_the_target_stores(tmp_path: Path, target: str, rescore: str) -> None:
    rng = np.random.default_rng(2)
    documents, relevant = steep(rng, 300, 32), rng.integers(0, 300, 90)
    queries = (documents[relevant] + 0.2 * rng.standard_normal((90, 32))).astype(np.float32)
    write_collection(tmp_path / "c", documents, queries, judgments_of(relevant))
    paths: dict[str, Any] = {name: str(tmp_path / name) for name in ("out", "store")}
    grid: dict[str, Any] = {"dims": [32, 16], "precision": "binary", "rescore": "4x", "index": "none"}
    report = mrl_sweep.run(collection=str(tmp_path / "c"), model=f"vectors:{tmp_path / 'c'}", target=target, **grid, **paths)
    assert [row.rescore for row in report.candidates if row.dim == 16 and row.rescore] == [rescore]


def test_one_bit_is_compared_as_the_target_compares_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    documents, relevant = steep(rng, 300, 32), rng.integers(0, 300, 90)
    queries = (documents[relevant] + 0.2 * rng.standard_normal((90, 32))).astype(np.float32)
    write_collection(tmp_path / "c", documents, queries, judgments_of(relevant))
    means = {}
    for target, precision in (("pgvector", None), ("faiss", ["binary", "LSH"])):
        report = mrl_sweep.run(
            collection=str(tmp_path / "c"),
            model=f"vectors:{tmp_path / 'c'}",
            dims=[32, 16],
            index="none",
            target=target,
            precision=precision,
            out=str(tmp_path / target),
            store=str(tmp_path / "store"),
        )
        means[target] = {row.precision: row.measures["nDCG@10"].mean for row in report.candidates if row.dim == 16}
        assert report.manifest["codes_trained_on"] == {"documents": 300, "of": 300, "seed": 0}
        assert ("target-codes" in {one.code for one in report.warnings}) == (target == "pgvector")
    assert means["pgvector"]["binary"] == means["faiss"]["LSH"] != means["faiss"]["binary"]
