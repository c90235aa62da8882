"""A target brings its own grid, and refuses what it does not offer before anything is read."""

from __future__ import annotations

import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.pipeline.run import in_the_targets_terms, run
from mrl_sweep.settings.config import SweepConfig


def test_the_grid_is_the_targets_where_none_was_given() -> None:
    assert in_the_targets_terms(SweepConfig.of(target="pgvector")).sweep.precision == ("float32", "float16", "binary", "LSH")
    assert in_the_targets_terms(SweepConfig.of(target="azure")).sweep.precision == ("float32", "int8", "binary")
    assert in_the_targets_terms(SweepConfig.of()).sweep.precision == ("float32",)


def test_a_grid_that_was_given_stays() -> None:
    given = SweepConfig.of(target="pgvector", precision=["float16"])
    assert in_the_targets_terms(given).sweep.precision == ("float32", "float16")


@pytest.mark.parametrize(("target", "precision"), [("pgvector", "int8"), ("azure", "float16"), ("vectorize", "binary")])
def test_what_the_target_lacks_is_refused_before_the_collection_is_read(target: str, precision: str) -> None:
    with pytest.raises(InputError, match=f"offers no {precision}"):
        run(SweepConfig.of(target=target, precision=[precision], collection="nowhere", model="vectors:nowhere"))
