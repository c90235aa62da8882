"""Kept indexes come back only for what they were built from, and only whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.deploying.indexes.building import IndexCut, build_index
from mrl_sweep.deploying.indexes.cache import IndexShelf
from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.types import Vectors

CUT, SPEC = IndexCut(dim=8), parse_index("HNSW16,SQ8,efSearch=40")


def test_what_was_put_comes_back_with_its_build_times(corpus: Any, tmp_path: Path) -> None:
    shelf = IndexShelf(tmp_path / "kept", "digest")
    assert shelf.take(corpus.vectors, CUT, SPEC, seed=0) is None
    built = build_index(corpus.vectors, CUT, SPEC)
    path = shelf.put(built, corpus.vectors, CUT, seed=0)
    kept = shelf.take(corpus.vectors, CUT, SPEC, seed=0)
    assert kept is not None
    assert (kept.build_s, kept.train_s, kept.certified) == (built.build_s, built.train_s, built.certified)
    queries = CUT.apply(corpus.queries)
    np.testing.assert_array_equal(kept.index.search(queries, 10)[0], built.index.search(queries, 10)[0])
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".faiss", ".json"], "no temporary file is left"


def test_search_parameters_play_no_part_and_everything_else_does(corpus: Any, tmp_path: Path) -> None:
    shelf = IndexShelf(tmp_path, "digest")
    shelf.put(build_index(corpus.vectors, CUT, SPEC), corpus.vectors, CUT, seed=0)
    assert shelf.take(corpus.vectors, CUT, parse_index("HNSW16,SQ8,efSearch=99"), seed=0) is not None
    assert shelf.take(corpus.vectors, CUT, parse_index("HNSW32,SQ8"), seed=0) is None
    assert shelf.take(corpus.vectors, replace(CUT, dim=16), SPEC, seed=0) is None
    assert shelf.take(corpus.vectors, replace(CUT, rotation=np.eye(32, dtype=np.float32)), SPEC, seed=0) is None
    assert shelf.take(corpus.vectors, CUT, SPEC, seed=1) is None
    assert shelf.take(Vectors((corpus.vectors.read(0, 1999),)), CUT, SPEC, seed=0) is None
    assert replace(shelf, content="other").take(corpus.vectors, CUT, SPEC, seed=0) is None


def test_a_torn_or_foreign_file_is_not_used(corpus: Any, tmp_path: Path) -> None:
    shelf = IndexShelf(tmp_path, "digest")
    built = build_index(corpus.vectors, CUT, SPEC)
    path = shelf.put(built, corpus.vectors, CUT, seed=0)
    whole = path.read_bytes()
    for damaged in (whole[:-10], b"x" * len(whole), b""):
        path.write_bytes(damaged)
        assert shelf.take(corpus.vectors, CUT, SPEC, seed=0) is None
    path.write_bytes(whole)
    card = path.with_suffix(".json")
    for text in ("", "[]", json.dumps({"facts": {}}), "{"):
        card.write_text(text)
        assert shelf.take(corpus.vectors, CUT, SPEC, seed=0) is None


def test_a_folder_that_cannot_be_written_is_an_environment_fault(corpus: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf = IndexShelf(tmp_path / "file", "digest")
    with pytest.raises(EnvironmentFault, match=r"cannot keep .* \(needs about") as caught:
        shelf.put(build_index(corpus.vectors, CUT, parse_index("Flat")), corpus.vectors, CUT, seed=0)
    assert "--keep-indexes" in caught.value.hint
