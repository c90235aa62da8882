"""A factory string and the search parameters behind it."""

from __future__ import annotations

import pytest

from mrl_sweep.deploying.index_spec import IndexSpec, parse_index
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


@pytest.mark.parametrize("text", ["HNSW10", "HNSW16", "IVF10,Flat", "PQ10", "HNSW"])
def test_counts_that_begin_alike_are_fine(text: str) -> None:
    assert parse_index(text).factory == text


def test_only_flat_is_exact_by_construction() -> None:
    assert parse_index("Flat").is_flat
    assert not any(parse_index(text).is_flat for text in ("IVF8,Flat", "SQ8", "PCA8,Flat", "HNSW32"))
