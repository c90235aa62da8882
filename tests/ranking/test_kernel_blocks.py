"""The size of a block: from the cache of the machine, within limits."""

from __future__ import annotations

import pytest

from mrl_sweep.ranking import kernel


def cache_folder(tmp_path, sizes):
    for i, (level, size) in enumerate(sizes):
        (tmp_path / f"index{i}").mkdir()
        (tmp_path / f"index{i}" / "level").write_text(f"{level}\n")
        (tmp_path / f"index{i}" / "size").write_text(f"{size}\n")
    return tmp_path


def test_the_second_level_is_found_among_all(tmp_path):
    assert kernel.second_level_cache(cache_folder(tmp_path, [(1, "32K"), (1, "32K"), (2, "1024K"), (3, "32768K")])) == 2**20


@pytest.mark.parametrize("sizes", [[], [(1, "32K")], [(2, "many")]])
def test_a_machine_that_does_not_tell_has_no_known_cache(tmp_path, sizes):
    assert kernel.second_level_cache(cache_folder(tmp_path, sizes)) is None


@pytest.mark.parametrize(
    ("cache", "queries"), [(None, kernel.MOST_QUERIES), (2**20, 512), (2**19, 256), (2**15, kernel.FEWEST_QUERIES), (2**26, 512)]
)
def test_a_block_of_scores_is_about_as_large_as_the_cache(monkeypatch, cache, queries):
    monkeypatch.setattr(kernel, "second_level_cache", lambda: cache)
    assert kernel.queries_of_a_block(640) == queries
    assert kernel.MachineKernel().block_queries == queries
