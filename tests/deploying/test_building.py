"""Truncate, renormalise, quantise: block by block, trained on documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.deploying.indexes import building
from mrl_sweep.deploying.indexes.building import IndexCut, build_index, prefix_rows
from mrl_sweep.errors import InputError
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


def test_a_rotation_comes_before_the_cut(corpus: Any) -> None:
    backwards = np.eye(32, dtype=np.float32)[:, ::-1]
    turned = IndexCut(dim=2, similarity=Similarity.DOT, rotation=backwards).apply(corpus.vectors.read(0, 3))
    np.testing.assert_array_equal(turned, corpus.vectors.read(0, 3)[:, [31, 30]])


def test_the_quantiser_learns_from_the_renormalised_rows(corpus: Any) -> None:
    """Documents a thousand times longer give the same codes."""
    longer = Vectors((corpus.vectors.read(0, 2000) * np.float32(1000),))
    queries = IndexCut(dim=8).apply(corpus.queries)
    plain, long = (build_index(vectors, IndexCut(dim=8), parse_index("SQ4")).index for vectors in (corpus.vectors, longer))
    np.testing.assert_allclose(plain.search(queries, 5)[1], long.search(queries, 5)[1], atol=1e-6)


def test_the_training_sample_is_drawn_by_the_seed(corpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SAMPLE_BYTES", 4 * 8 * 500)
    scores = []
    for seed in (1, 1, 2):
        index = build_index(corpus.vectors, IndexCut(dim=8), parse_index("IVF8,Flat"), seed=seed).index
        scores.append(index.search(IndexCut(dim=8).apply(corpus.queries), 400)[0])
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_an_index_beyond_the_memory_allowed_is_refused_before_it_is_built(corpus: Any) -> None:
    with pytest.raises(InputError, match=r"Flat at 32 dimensions takes .* GiB") as caught:
        build_index(corpus.vectors, IndexCut(dim=32), parse_index("Flat"), max_bytes=200_000)
    assert "--max-memory" in caught.value.hint
    assert len(build_index(corpus.vectors, IndexCut(dim=32), parse_index("SQ8"), max_bytes=200_000).index) == 2000


def test_arguments_are_not_written_to(corpus: Any) -> None:
    documents = corpus.vectors.read(0, 2000)
    documents.setflags(write=False)
    before = documents.copy()
    build_index(Vectors((documents,)), IndexCut(dim=32), parse_index("HNSW16"))
    np.testing.assert_array_equal(documents, before)
