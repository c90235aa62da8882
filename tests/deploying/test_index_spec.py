"""A factory string, the search parameters behind it, and closed forms against the length of real serialised indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import faiss
import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import IndexSpec, index_bytes, parse_index, vector_bytes
from mrl_sweep.errors import InputError


@pytest.mark.parametrize(
    ("text", "factory", "parameters"),
    [
        ("Flat", "Flat", ()),
        ("IVF1024,Flat", "IVF1024,Flat", ()),
        ("IVF1024,Flat,nprobe=16", "IVF1024,Flat", (("nprobe", 16),)),
        (" HNSW32 , SQ8 , efSearch=64 ", "HNSW32,SQ8", (("efSearch", 64),)),
        ("IVF64,PQ16x4fs,RFlat,nprobe=8,k_factor_rf=4", "IVF64,PQ16x4fs,RFlat", (("nprobe", 8), ("k_factor_rf", 4))),
    ],
)
def test_factory_and_parameters_are_told_apart(text: str, factory: str, parameters: tuple[tuple[str, int], ...]) -> None:
    spec = parse_index(text)
    assert spec == IndexSpec(factory, parameters)
    assert parse_index(str(spec)) == spec


@pytest.mark.parametrize("text", ["", "nprobe=4", "HNSW32,efSearch=0", "HNSW32,efSearch=-1", "HNSW32,efSearch=4,SQ8", "Flat,=4"])
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_index(text)
    assert repr(text) in caught.value.message
    assert "HNSW32" in caught.value.hint


@pytest.mark.parametrize("text", ["HNSW0", "HNSW1", "IVF0,Flat", "PQ0", "PCA8,IVF0,SQ8", "HNSW1,SQ8"])
def test_counts_that_crash_faiss_never_reach_it(text: str) -> None:
    with pytest.raises(InputError, match="FAISS breaks"):
        parse_index(text)


@pytest.mark.parametrize(
    "text", ["HNSW16,SQtq3", "HNSW,SQtq2", "HNSW8_SQtq4", "NSG8,SQtq3", "IDMap,HNSW16,SQtq3", "Flat,Refine(HNSW8,SQtq3)"]
)
def test_graphs_of_codes_without_a_distance_never_reach_faiss_which_ends_the_process(text: str) -> None:
    with pytest.raises(InputError, match="cannot link"):
        parse_index(text)


@pytest.mark.parametrize("text", ["IVF4_HNSW8,SQtq3", "IVF4(HNSW8),SQtq3", "HNSW16,SQtqmse2", "SQtq3,RFlat"])
def test_these_codes_are_fine_elsewhere(text: str) -> None:
    assert parse_index(text).factory == text


@pytest.mark.parametrize("text", ["HNSW10", "HNSW16", "IVF10,Flat", "PQ10", "HNSW"])
def test_counts_that_begin_alike_are_fine(text: str) -> None:
    assert parse_index(text).factory == text


def test_only_flat_is_exact_by_construction() -> None:
    assert parse_index("Flat").is_flat
    assert not any(parse_index(text).is_flat for text in ("IVF8,Flat", "SQ8", "PCA8,Flat", "HNSW32"))


def serialised(spec: str, dim: int, n: int) -> int:
    rows = np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32)
    try:
        index = faiss.index_factory(dim, spec, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError:
        index = faiss.index_factory(dim, spec, faiss.METRIC_L2)
    if hasattr(index, "pq"):
        index.pq.cp.niter = 1
    if not index.is_trained:
        index.train(rows[:2000])
    index.add(rows)
    return len(faiss.serialize_index(index))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("dim", [48])
@pytest.mark.parametrize(
    "spec",
    [
        *("Flat", "SQ8", "SQ6", "SQ4", "SQfp16", "SQbf16", "LSH", "LSHr", "RaBitQ", "RaBitQ2", "RaBitQ4", "RaBitQfs"),
        *("PQ8x4", "PQ8x4fs", "PQ16x4fs", "IVF32,Flat", "IVF32,SQ8", "IVF32,SQfp16", "IVF32,PQ8x4"),
        *("IVF32,RaBitQ", "IVF32,RaBitQ4", "IVF32,PQ8x4fs", "IVF64_HNSW16,SQ4", "IVF16(HNSW8),Flat"),
        *("PQ8x4fs,RFlat", "PQ8x4,Refine(SQ8)", "IVF16,PQ8x4fs,RFlat", "PCA8,Flat", "PCAR8,IVF16,SQ8", "RR8,SQ8", "L2norm,Flat"),
    ],
)
def test_closed_form_is_within_one_percent(spec: str, dim: int) -> None:
    assert index_bytes(spec, dim, 3000) == pytest.approx(serialised(spec, dim, 3000), rel=0.01)


@pytest.mark.parametrize("n", [1000, 4000, 10000])
@pytest.mark.parametrize("spec", ["HNSW16", "HNSW32", "HNSW64", "HNSW32,SQ8", "HNSW16_SQ4", "HNSW", "HNSW16,PQ4x4"])
def test_graphs_are_within_one_percent(spec: str, n: int) -> None:
    assert index_bytes(spec, 8, n) == pytest.approx(serialised(spec, 8, n), rel=0.01)


@pytest.mark.parametrize(
    "spec",
    [
        *("Flat", "SQ8", "SQ4", "SQfp16", "LSH", "LSHr", "LSHt", "LSHrt", "RaBitQ", "RaBitQfs", "RaBitQfs_64", "PQ4x4"),
        *("IVF4,Flat", "IVF4,SQ8", "IVF4,RaBitQ", "IVF4,PQ4x4", "IVF4,SQtqmse2", "IVF4,SQtq3"),
        *("SQtqmse1", "SQtqmse2", "SQtqmse3", "SQtqmse4", "SQtqmse8", "SQtq2", "SQtq3", "SQtq4", "SQtq5"),
    ],
)
def test_codecs_are_exact_to_the_byte(spec: str) -> None:
    assert index_bytes(spec, 24, 321) == serialised(spec, 24, 321)


@pytest.mark.parametrize("dim", [33, 64])
@pytest.mark.parametrize(
    "spec", ["SQ6", *(f"SQtqmse{n}" for n in (1, 2, 3, 8)), "SQtq2", "SQtq5", "RaBitQ2", "RaBitQ4", "RaBitQ9", "RaBitQfs"]
)
def test_codes_of_few_bits_are_exact_to_the_byte_where_bits_fill_no_byte(spec: str, dim: int) -> None:
    assert index_bytes(spec, dim, 321) == serialised(spec, dim, 321)


@pytest.mark.parametrize(("spec", "code"), [("IVF8,PQ16x4fs", 8), ("IVF8,RaBitQfs", 16), ("IVF8,PQ16x4fs_64", 8)])
def test_fast_scan_lists_are_off_by_the_padding_of_their_last_blocks_alone(spec: str, code: int) -> None:
    rows = np.random.default_rng(0).standard_normal((3000, 64), dtype=np.float32)
    index = faiss.index_factory(64, spec, faiss.METRIC_L2)
    index.train(rows)
    index.add(rows)
    block = 64 if spec.endswith("_64") else 32
    lengths = np.array([cast(Any, index).invlists.list_size(i) for i in range(8)])
    padding = code * int((-lengths % block).sum())
    expected = index_bytes(spec, 64, 3000)
    assert expected is not None
    assert len(faiss.serialize_index(index)) - padding == expected - 8 * code * (block - 1) // 2


@pytest.mark.parametrize("n", [3000, 10000, 30000])
def test_ivf_pq_with_centroids_drawn_at_random(n: int) -> None:
    """Eight-bit centroids take long to train and weigh the same untrained."""
    rng = np.random.default_rng(0)
    index: Any = faiss.index_factory(64, "IVF64,PQ16", faiss.METRIC_INNER_PRODUCT)
    index.quantizer.add(rng.standard_normal((64, 64), dtype=np.float32))
    faiss.copy_array_to_vector(rng.standard_normal(64 * 256, dtype=np.float32), index.pq.centroids)
    index.is_trained = True
    index.add(rng.standard_normal((n, 64), dtype=np.float32))
    assert index_bytes("IVF64,PQ16", 64, n) == pytest.approx(len(faiss.serialize_index(index)), rel=0.001)


def test_search_parameters_cost_nothing() -> None:
    assert index_bytes("IVF32,Flat,nprobe=8", 64, 1000) == index_bytes("IVF32,Flat", 64, 1000)


@pytest.mark.parametrize(
    "spec",
    ["NSG32,Flat", "RQ4x8", "LSQ4x6", "SQtq6", "SQtqmse5", "RaBitQ2fs", "Nonsense", "IVF32,Nonsense", "HNSW32,Flat,SQ8", "PCA8"],
)
def test_an_unknown_form_is_none(spec: str) -> None:
    assert index_bytes(spec, 64, 1000) is None


def test_vectors_are_four_bytes_a_dimension() -> None:
    assert vector_bytes(256, 1000) == 1_024_000
