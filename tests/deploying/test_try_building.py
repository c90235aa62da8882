"""An index string is tried on a few random vectors before anything is paid for; ids are given where FAISS wants them."""

from __future__ import annotations

import time

import faiss
import numpy as np
import pytest

from mrl_sweep.deploying.index_bytes import index_bytes
from mrl_sweep.deploying.index_spec import parse_index
from mrl_sweep.deploying.indexes.building import try_building
from mrl_sweep.deploying.indexes.faiss_index import make_index
from mrl_sweep.errors import InputError
from mrl_sweep.types import Similarity

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
