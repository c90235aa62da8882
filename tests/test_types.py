"""Configurations are written one way, and read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.errors import InputError
from mrl_sweep.types import Configuration, exact_prefixes, full_size

WRITTEN = {
    "512": Configuration("prefix", 512),
    "512:binary": Configuration("prefix", 512, precision="binary"),
    "256:int8:HNSW32": Configuration("prefix", 256, "HNSW32", "int8"),
    "256:float32:HNSW32,efSearch=64": Configuration("prefix", 256, "HNSW32,efSearch=64"),
    "512:binary:Flat:rescore=4x": Configuration("prefix", 512, "Flat", "binary", "4x"),
    "512:binary:exact:rescore=4x@768": Configuration("prefix", 512, "exact", "binary", "4x@768"),
    "pca:48:int8": Configuration("pca", 48, precision="int8"),
    "random-2:48": Configuration("random-2", 48),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_configuration_is_written_one_way(text: str) -> None:
    assert Configuration.parse(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


def test_the_spelling_of_earlier_runs_is_read() -> None:
    assert Configuration.parse("prefix:256:exact") == Configuration("prefix", 256)
    assert Configuration.parse("pca:256:SQ8") == Configuration("pca", 256, "exact", "SQ8")


@given(
    st.builds(
        Configuration,
        st.sampled_from(["prefix", "pca", "random-0"]),
        st.integers(1, 9999),
        st.sampled_from(["exact", "Flat", "IVF64,Flat,nprobe=4"]),
        st.sampled_from(["float32", "int8", "SQtqmse2"]),
        st.sampled_from(["", "4x", "10x@64"]),
    )
)
def test_parse_and_print_are_inverse(configuration: Configuration) -> None:
    assert Configuration.parse(str(configuration)) == configuration


@pytest.mark.parametrize("text", ["", "many", "0", "-4", "pca", "512.5:int8"])
def test_what_has_no_dimension_is_no_configuration(text: str) -> None:
    with pytest.raises(ValueError):
        Configuration.parse(text)


def test_the_ladder_is_the_model_s_own_sizes_at_float32_searched_exhaustively() -> None:
    names = ["64", "256", "512:int8", "pca:512", "512:float32:Flat", "512:float32:exact:rescore=4x", "128"]
    assert [str(c) for c in exact_prefixes(map(Configuration.parse, names))] == ["256", "128", "64"]
    assert full_size(map(Configuration.parse, names)) == Configuration.exact_prefix(256)
    with pytest.raises(InputError, match="no exact prefix was ranked"):
        full_size([Configuration.parse("512:int8")])


def test_an_index_stands_beside_its_exact_search_and_a_code_beside_float32() -> None:
    deployed = Configuration.parse("pca:256:int8:HNSW32:rescore=4x")
    assert str(deployed.exact) == "pca:256:int8"
    assert str(deployed.at_float32) == "pca:256"
    assert deployed.family == Configuration.parse("pca:64:int8:HNSW32:rescore=4x").family
    assert deployed.family != Configuration.parse("pca:256:int8:HNSW32").family
