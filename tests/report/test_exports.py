"""TREC run files: what trec_eval reads back is what was ranked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.report.exports import file_name, write_trec_runs
from mrl_sweep.types import Configuration, Ranks, TopDocuments


def ranks(rows: list[list[list[int]]], scores: np.ndarray) -> Ranks:
    nothing = np.zeros((len(rows), 0), np.int64)
    return Ranks((Configuration("prefix", 8),), 3, nothing, nothing, TopDocuments(np.array(rows), scores))


def test_run_files_hold_each_ranking_in_trec_columns(tmp_path: Path) -> None:
    scores = np.array([[[1 / 3, 0.1], [1e-9, -np.inf]]], np.float32)
    paths, advice = write_trec_runs(tmp_path, ranks([[[2, 0], [1, -1]]], scores), ["q1", "q2"], ["d0", "d1", "d2"])
    assert advice == ()
    assert [path.name for path in paths] == ["prefix-8-exact.trec"]
    lines = paths[0].read_text().splitlines()
    assert lines == [
        "q1 Q0 d2 1 0.333333343 mrl-sweep",
        "q1 Q0 d0 2 0.100000001 mrl-sweep",
        "q2 Q0 d1 1 9.99999972e-10 mrl-sweep",
    ]
    assert [np.float32(line.split()[4]) for line in lines] == [np.float32(1 / 3), np.float32(0.1), np.float32(1e-9)]


def test_ids_that_the_format_cannot_hold_are_encoded_and_counted(tmp_path: Path) -> None:
    scores = np.array([[[2, 1, 0.5]]], np.float32)
    paths, advice = write_trec_runs(tmp_path, ranks([[[0, 1, 2]]], scores), ["q 1"], ["a\nb", "é", "\ud800"])
    assert [line.split(" ")[:3] for line in paths[0].read_text(encoding="utf-8").split("\n")[:-1]] == [
        ["q%201", "Q0", "a%0Ab"],
        ["q%201", "Q0", "é"],
        ["q%201", "Q0", "%ED%A0%80"],
    ]
    assert [(item.code, item.message.split()[0]) for item in advice] == [("trec-ids-encoded", "3")]


def test_every_candidate_has_its_own_safe_file_name() -> None:
    assert file_name(Configuration("prefix", 64)) == "prefix-64-exact.trec"
    names = {file_name(Configuration("prefix", 64, index)) for index in ("IVF4,Flat", "IVF4_Flat", "../../x", "x" * 300)}
    assert len(names) == 4
    assert all("/" not in name and len(name) < 120 for name in names)


def test_without_top_documents_there_is_nothing_to_write(tmp_path: Path) -> None:
    nothing = np.zeros((1, 0), np.int64)
    with pytest.raises(InputError, match="no rankings to write"):
        write_trec_runs(tmp_path, Ranks((Configuration("prefix", 8),), 3, nothing, nothing), [], [])
