"""Making, training, filling, weighing and storing real FAISS indexes; topics of planted queries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import IndexSpec, parse_index
from mrl_sweep.deploying.indexes.building import try_building
from mrl_sweep.deploying.indexes.faiss_index import (
    SMALL_SAMPLE,
    FaissIndex,
    limited_threads,
    make_index,
    read_index,
    topic_labels,
    training_need,
)
from mrl_sweep.errors import InputError
from mrl_sweep.types import Float32Array, Similarity


def filled(spec: str, rows: Float32Array) -> FaissIndex:
    index = make_index(parse_index(spec), rows.shape[1], Similarity.COSINE)
    if not index.is_trained:
        index.train(rows)
    index.add(rows)
    return index


@pytest.fixture
def rows() -> Float32Array:
    drawn = np.random.default_rng(0).standard_normal((700, 16), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "spec", ["Flat", "SQ8", "SQfp16", "HNSW16", "LSH", "RaBitQ", "IVF8,Flat", "IVF8,RaBitQ", "PQ4x4fs,RFlat"]
)
def test_size_is_that_of_the_serialised_index_and_of_the_file(spec: str, rows: Float32Array, tmp_path: Path) -> None:
    index = filled(spec, rows)
    index.write(tmp_path / "index.faiss")
    assert index.size_bytes() == len(faiss.serialize_index(index.handle)) == (tmp_path / "index.faiss").stat().st_size


def test_lsh_scores_fall_with_distance(rows: Float32Array) -> None:
    found, scores = filled("LSH", rows).search(rows[:5], 4)
    assert found[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(scores, axis=1) <= 0).all()
    assert scores[:, 0].tolist() == [0] * 5


def test_more_asked_for_than_there_are_returns_what_there_is(rows: Float32Array) -> None:
    found, _ = filled("Flat", rows[:3]).search(rows[:1], 50)
    assert sorted(found[0].tolist()) == [0, 1, 2]


def test_lists_that_ivf_leaves_short_end_in_minus_one_and_minus_infinity(rows: Float32Array) -> None:
    found, scores = filled("IVF64,Flat", rows).search(rows[:20], 200)
    assert (found == -1).any()
    assert np.isneginf(scores[found == -1]).all()
    assert np.isfinite(scores[found >= 0]).all()


def test_search_parameters_reach_composed_indexes(rows: Float32Array) -> None:
    index = filled("PCA8,IVF8,Flat", rows)
    index.set_parameters((("nprobe", 8),))
    assert (index.search(rows, 700)[0] >= 0).all()
    with pytest.raises(InputError, match="no search parameter efSearch"):
        index.set_parameters((("efSearch", 8),))


@pytest.mark.parametrize("spec", ["Nonsense", "PQ7", "SQ9", "IVF99999999999999,Flat", "Flat,Flat"])
def test_an_unreadable_factory_string_is_named(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        make_index(parse_index(spec), 16, Similarity.COSINE)
    assert repr(spec) in caught.value.message
    assert "HNSW32" in caught.value.hint


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hnsw32", "HNSW32"),
        ("ivf4,flat", "IVF4,Flat"),
        ("IVF4", "IVF4,Flat"),
        ("HNSW 32", "HNSW32"),
        ("ivf8_hnsw16,pq4", "IVF8_HNSW16,PQ4"),
        ("ivf4,pq4,refine(sqfp16)", "IVF4,PQ4,Refine(SQfp16)"),
        ("IVF4;Flat", "IVF4,Flat"),
        ("l2norm,rabitq", "L2norm,RaBitQ"),
        ("hnsw0", "HNSW32"),
    ],
)
def test_a_close_miss_is_answered_with_the_same_index_and_the_hint_is_followed(typed: str, meant: str) -> None:
    with pytest.raises(InputError) as caught:
        make_index(parse_index(typed), 16, Similarity.COSINE)
    assert f"did you mean {meant}?" in caught.value.hint
    make_index(parse_index(meant), 16, Similarity.COSINE)


@pytest.mark.parametrize("spec", ["IMI2x4,Flat", "PRQ2x2x4", "IDMap,HNSW8"])
def test_a_trial_has_enough_vectors_for_what_can_be_built(spec: str) -> None:
    try_building(parse_index(spec), 16, Similarity.COSINE)


def test_an_index_that_must_be_filled_at_once_is_refused_with_its_own_reason() -> None:
    with pytest.raises(InputError) as caught:
        try_building(parse_index("NSG8"), 16, Similarity.COSINE)
    assert "add_with_ids" not in caught.value.message


@pytest.mark.parametrize("spec", ["nsg16,flat", "IDMap, nsg8"])
def test_a_close_miss_of_what_cannot_be_filled_is_not_answered_with_it(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        try_building(parse_index(spec), 16, Similarity.COSINE)
    meant = re.search(r"did you mean (\S+)\?|FAISS factory strings: (\S+),", caught.value.hint)
    assert meant
    try_building(parse_index(meant[1] or meant[2]), 16, Similarity.COSINE)


def test_an_index_by_distance_is_refused_for_dot_products() -> None:
    with pytest.raises(InputError, match="LSH ranks by distance"):
        make_index(parse_index("LSH"), 16, Similarity.DOT)


@pytest.mark.parametrize(
    ("spec", "least", "advised"),
    [
        ("Flat", 1, 1),
        ("SQ8", 1, 1),
        ("IVF8,Flat", 8, 312),
        ("IVF8,PQ4", 256, 9984),
        ("IVF1024,PQ4x4fs,RFlat", 1024, 39936),
        ("HNSW16,PQ4", 256, 9984),
        ("OPQ4,IVF8,Flat", 256, 9984),
        ("PCA12,Flat", 12, 12),
        ("RQ4x6", 64, 2496),
    ],
)
def test_training_need_is_the_largest_of_the_parts(spec: str, least: int, advised: int) -> None:
    need = training_need(make_index(parse_index(spec), 16, Similarity.COSINE))
    assert (need.least, need.advised) == (least, advised)


def test_threads_are_restored_even_after_an_error() -> None:
    before = faiss.omp_get_max_threads()
    with limited_threads(1) as threads:
        assert threads == faiss.omp_get_max_threads() == 1
    assert faiss.omp_get_max_threads() == before
    with pytest.raises(ZeroDivisionError), limited_threads(1):
        raise ZeroDivisionError
    assert faiss.omp_get_max_threads() == before


def test_a_written_index_reads_back_and_returns_the_same(rows: Float32Array, tmp_path: Path) -> None:
    index = filled("HNSW16,SQ8", rows)
    index.write(tmp_path / "index.faiss")
    again = read_index(tmp_path / "index.faiss", index.spec, sign=index.sign)
    np.testing.assert_array_equal(again.search(rows[:9], 5)[0], index.search(rows[:9], 5)[0])


@pytest.mark.parametrize(("spec", "annealed"), [("PQ4x4", False), ("PQ4x4,polysemous_ht=8", True)])
def test_codes_are_annealed_only_for_a_search_by_the_filter_that_reads_their_order(spec: str, annealed: bool) -> None:
    index = make_index(parse_index(spec), 8, Similarity.COSINE)
    index.train(np.random.default_rng(0).standard_normal((300, 8), np.float32))
    assert index.handle.do_polysemous_training == annealed


@pytest.mark.parametrize(("n_rows", "n_threads"), [(SMALL_SAMPLE // 64, 1), (SMALL_SAMPLE // 64 + 1, 3)])
def test_one_thread_trains_on_a_small_sample_and_all_on_a_larger_one(n_rows: int, n_threads: int) -> None:
    seen: list[int] = []

    class Handle(faiss.IndexFlat):
        def train(self, _sample: object) -> None:
            seen.append(faiss.omp_get_max_threads())

    with limited_threads(3):
        FaissIndex(IndexSpec("PQ8"), Handle(64), 1).train(np.empty((n_rows, 64), np.float32))
        assert faiss.omp_get_max_threads() == 3
    assert seen == [n_threads]


def test_planted_topics_are_found_whole() -> None:
    generator = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], 60)
    queries = 10 * np.eye(8, dtype=np.float32)[planted] + generator.standard_normal((180, 8), np.float32)
    labels = topic_labels(queries)
    assert len({(a, b) for a, b in zip(planted.tolist(), labels.tolist(), strict=True)}) == 3


def test_the_same_queries_give_the_same_topics() -> None:
    queries = np.random.default_rng(1).standard_normal((300, 16), np.float32)
    assert topic_labels(queries).tolist() == topic_labels(queries).tolist()


def test_fewer_than_a_hundred_queries_have_no_topics() -> None:
    assert topic_labels(np.ones((99, 4), np.float32)).tolist() == [-1] * 99


@pytest.mark.parametrize("factory", ["PQ4x4", "IDMap,PQ4x4", "PCA8,PQ4x4", "PQ4x4,RFlat"])
def test_no_centroid_is_renumbered_for_a_search_that_is_not_made(factory: str) -> None:
    """It took 24 s of a run on 314 documents, and changes no distance."""
    rows = np.random.default_rng(0).standard_normal((400, 16)).astype(np.float32)
    own, theirs = (faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT) for _ in range(2))
    FaissIndex(IndexSpec(factory), own, 1).train(rows)
    theirs.train(rows)
    pq: Any = own
    while not hasattr(pq, "do_polysemous_training"):
        pq = faiss.downcast_index(pq.index if hasattr(pq, "index") else pq.base_index)
    assert not pq.do_polysemous_training
    for index in (own, theirs):
        index.add_with_ids(rows, np.arange(400)) if factory.startswith("IDMap") else index.add(rows)
    np.testing.assert_allclose(own.search(rows[:20], 5)[0], theirs.search(rows[:20], 5)[0], rtol=1e-5)
