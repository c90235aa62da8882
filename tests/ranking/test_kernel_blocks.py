"""The size of a block: from the second-level cache, within limits."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mrl_sweep.ranking.exact import open_kernel
from mrl_sweep.ranking.kernel import FEWEST_QUERIES, MOST_QUERIES, MachineKernel, queries_of_a_block


@pytest.mark.parametrize(("cache", "queries"), [(2**20, 512), (2**19, 256), (2**15, FEWEST_QUERIES), (2**26, MOST_QUERIES)])
def test_a_block_of_scores_is_about_as_large_as_the_cache(cache: int, queries: Any) -> None:
    assert queries_of_a_block(cache) == queries
    assert cast(MachineKernel, open_kernel(cache_bytes=cache)).block_queries == queries


def test_an_unknown_cache_leaves_the_usual_block() -> None:
    assert cast(MachineKernel, open_kernel()).block_queries == MOST_QUERIES
