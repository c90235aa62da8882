"""Configurations are written one way, and read as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.types import Configuration

WRITTEN = {
    "512": Configuration("prefix", 512),
    "512:binary": Configuration("prefix", 512, precision="binary"),
    "256:int8:HNSW32": Configuration("prefix", 256, "HNSW32", "int8"),
    "256:float32:HNSW32,efSearch=64": Configuration("prefix", 256, "HNSW32,efSearch=64"),
    "512:binary:Flat:rescore=4x": Configuration("prefix", 512, "Flat", "binary", "4x"),
    "512:binary:exact:rescore=4x@768": Configuration("prefix", 512, "exact", "binary", "4x@768"),
    "pca:48:int8": Configuration("pca", 48, precision="int8"),
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
        st.sampled_from(["prefix", "pca", "random"]),
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
