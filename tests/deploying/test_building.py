"""Truncate, renormalise, quantise: block by block, trained on documents; kept whole, tried before anything is paid for."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import index_bytes, parse_index
from mrl_sweep.deploying.indexes.building import IndexCut, IndexShelf, build_index, captured_warnings, prefix_rows, try_building
from mrl_sweep.deploying.indexes.faiss_index import make_index
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.types import Similarity, Vectors


def test_blocks_of_any_size_hold_the_same_rows(corpus: Any) -> None:
    whole = IndexCut(dim=8).apply(corpus.vectors.read(0, 2000))
    for block_bytes in (1, 4 * 32 * 7, 10**9):
        blocks = list(prefix_rows(corpus.vectors, IndexCut(dim=8), block_bytes=block_bytes))
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert max(len(block) for block in prefix_rows(corpus.vectors, IndexCut(dim=8), block_bytes=4 * 32 * 7)) == 7


def test_rows_are_cut_before_they_are_normalised(corpus: Any) -> None:
    rows = np.concatenate(list(prefix_rows(corpus.vectors, IndexCut(dim=8))))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    dot = np.concatenate(list(prefix_rows(corpus.vectors, IndexCut(dim=8, similarity=Similarity.DOT))))
    np.testing.assert_array_equal(dot, corpus.vectors.read(0, 2000)[:, :8])


def test_the_quantiser_learns_from_the_renormalised_rows(corpus: Any) -> None:
    """Documents a thousand times longer give the same codes."""
    longer = Vectors((corpus.vectors.read(0, 2000) * np.float32(1000),))
    queries = IndexCut(dim=8).apply(corpus.queries)
    plain, long = (build_index(vectors, IndexCut(dim=8), parse_index("SQ4")).index for vectors in (corpus.vectors, longer))
    np.testing.assert_allclose(plain.search(queries, 5)[1], long.search(queries, 5)[1], atol=1e-6)


def test_the_training_sample_is_drawn_by_the_seed(corpus: Any) -> None:
    scores = []
    for seed in (1, 1, 2):
        index = build_index(corpus.vectors, IndexCut(dim=8), parse_index("IVF8,Flat"), seed=seed, sample_bytes=4 * 8 * 500).index
        scores.append(index.search(IndexCut(dim=8).apply(corpus.queries), 400)[0])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_arguments_are_not_written_to(corpus: Any) -> None:
    documents = corpus.vectors.read(0, 2000)
    documents.setflags(write=False)
    before = documents.copy()
    build_index(Vectors((documents,)), IndexCut(dim=32), parse_index("HNSW16"))
    np.testing.assert_array_equal(documents, before)


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


BUILDABLE = ["Flat", "IDMap,Flat", "IDMap2,HNSW32", "Flat,IDMap", "PCA8,IDMap,Flat", "IDMap2,IVF4,Flat", "IVF65536,Flat"]
BUILDABLE += ["HNSW32,SQ8", "PQ4x4", "OPQ4,PQ4x4", "LSH", "LSHrt", "ITQ,LSH", "RaBitQ", "IVF64,PQ4x4fs", "SQ8,RFlat", "RQ2x4"]


@pytest.mark.parametrize("text", BUILDABLE)
def test_what_faiss_can_build_is_built_in_a_moment(text: str) -> None:
    started = time.perf_counter()
    try_building(parse_index(text), 16, Similarity.COSINE)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("text", ["IDMap2,IDMap,Flat", "PQ3", "PQ7x4", "NSG16,SQ8,Nonsense", "IDMap,IDMap,HNSW16"])
def test_what_it_cannot_build_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(InputError, match="FAISS cannot"):
        try_building(parse_index(text), 16, Similarity.COSINE)


@pytest.mark.parametrize("text", ["IDMap,Flat", "IDMap2,HNSW32", "Flat,IDMap2", "L2norm,IDMap,Flat"])
def test_an_index_with_ids_answers_with_rows(text: str) -> None:
    rows = np.random.default_rng(2).standard_normal((60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index, plain = make_index(parse_index(text), 8, Similarity.COSINE), make_index(parse_index("Flat"), 8, Similarity.COSINE)
    for one in (index, plain):
        one.add(rows[:25])
        one.add(rows[25:])
    np.testing.assert_array_equal(index.search(rows, 1)[0], plain.search(rows, 1)[0])


def test_lshrt_in_closed_form() -> None:
    index = faiss.index_factory(256, "LSHrt", faiss.METRIC_L2)
    rows = np.random.default_rng(3).standard_normal((1400, 256)).astype(np.float32)
    index.train(rows)
    index.add(rows)
    assert index_bytes("LSHrt", 256, 1400) == len(faiss.serialize_index(index)) == 308_061


def test_warnings_are_caught_once_each_and_other_lines_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as caught:
        os.write(2, b"WARNING clustering 5 points\nprogress 10%\nWARNING clustering 5 points\n")
        os.write(2, b"WARN ssyev info\nunfinished")
    assert caught == ["WARNING clustering 5 points", "WARN ssyev info"]
    assert capfd.readouterr().err == "progress 10%\nunfinished"


def test_a_warning_written_in_pieces_is_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as caught:
        os.write(2, b"WARNING clus")
        os.write(2, b"tering\n")
        os.write(2, b"WARNING no newline")
    assert caught == ["WARNING clustering", "WARNING no newline"]
    assert capfd.readouterr().err == ""


def test_descriptor_2_is_restored_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), captured_warnings():
        raise ZeroDivisionError
    os.write(2, b"WARNING of another\n")
    assert capfd.readouterr().err == "WARNING of another\n"


def test_a_block_inside_a_block_captures_nothing_and_hangs_not(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as outer:
        with captured_warnings() as inner:
            os.write(2, b"WARNING one\n")
        assert inner == []
    assert outer == ["WARNING one"]
    assert capfd.readouterr().err == ""
