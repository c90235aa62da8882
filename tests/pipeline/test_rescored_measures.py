"""The shortlist of a rescored code is as long as the measures that must pass ask for, and shows no measure that looks deeper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_vectors import judgments_of, steep, write_collection

import mrl_sweep
from mrl_sweep.ranking.pass_plan import unit_prefix


@pytest.mark.parametrize("require", [[], ["R@100"]])
def test_a_measure_is_shown_where_the_shortlist_reaches(tmp_path: Path, require: list[str]) -> None:
    rng = np.random.default_rng(4)
    documents, relevant = steep(rng, 700, 32), rng.integers(0, 700, 120)
    queries = (documents[relevant] + 0.7 * rng.standard_normal((120, 32))).astype(np.float32)
    write_collection(tmp_path / "c", documents, queries, judgments_of(relevant))
    report = mrl_sweep.run(
        collection=str(tmp_path / "c"),
        model=f"vectors:{tmp_path / 'c'}",
        dims=[32, 16],
        precision=["binary"],
        rescore=["2x"],
        require=require,
        index="none",
        out=str(tmp_path / "run"),
        store=str(tmp_path / "store"),
    )
    rows = {(row.dim, row.precision, row.rescore): row.measures for row in report.candidates}
    assert set(rows[16, "binary", ""]) == {"nDCG@10", "R@10", "R@100"}
    assert ("R@100" in rows[16, "binary", "2x"]) == bool(require)
    signs = np.where(documents[:, :16] > 0, 1, -1)
    by_code = np.argsort(-(unit_prefix(queries, 16) @ signs.T).astype(np.float32), axis=1, kind="stable")
    cosines = unit_prefix(queries, 32) @ unit_prefix(documents, 32).T
    for k in (10, 100) if require else (10,):
        shortlist = by_code[:, : 200 if require else 20]
        best = np.take_along_axis(shortlist, np.argsort(-np.take_along_axis(cosines, shortlist, axis=1), axis=1), axis=1)[:, :k]
        assert rows[16, "binary", "2x"][f"R@{k}"].mean == pytest.approx((best == relevant[:, None]).any(axis=1).mean())
