"""Memory of a pass in closed form: by hand, and no less than what a pass really takes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.synthetic import rank_grid
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.codes.precision import ALL
from mrl_sweep.ranking.counting import SMALLEST_SHARD, PassSize, Room
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.rescore import Rescore, rescored
from mrl_sweep.types import Qrels, Similarity, Vectors

MIB = 2**20
SIZE = PassSize(n_queries=1000, n_pairs=2000, n_sizes=24, dim=768, depth=10)


def test_the_formula_by_hand() -> None:
    fixed = 16 * 768 * 2000 + 24 * 768 * 1000 + 120 * 48_000 + 80 * 240_000
    thread = 24 * 48_000 + 48 * 240_000 + 4 * 768 * 2560 + 8 * MIB
    assert SIZE.fixed_bytes == fixed
    assert SIZE.needed_bytes(2, MIB) == fixed + 2 * (thread + 3 * MIB)
    coded = replace(SIZE, n_kept=30, n_trained=20_000, n_rescored=20)
    assert coded.fixed_bytes == fixed + 30 * (40 * 2000 + 30 * 10_000) + 100 * 20 * 10_000 + 3 * 4 * 768 * 20_000
    assert coded.thread_bytes == thread + 40 * 768 * 256


def test_a_large_budget_gives_what_was_asked_for() -> None:
    assert SIZE.room(4 * 2**30, 8, 16 * MIB) == Room(8, 16 * MIB)


def test_a_smaller_one_first_makes_the_shards_smaller_then_the_threads_fewer() -> None:
    assert SIZE.room(SIZE.needed_bytes(4, 5 * MIB), 4, 16 * MIB) == Room(4, 5 * MIB)
    assert SIZE.room(SIZE.needed_bytes(4, SMALLEST_SHARD), 4, 16 * MIB) == Room(4, SMALLEST_SHARD)
    assert SIZE.room(SIZE.needed_bytes(4, SMALLEST_SHARD) - 1, 4, 16 * MIB).n_threads == 3


def test_too_little_for_one_thread_is_no_room() -> None:
    assert SIZE.room(SIZE.needed_bytes(1, SMALLEST_SHARD) - 1, 4, 16 * MIB) is None


@pytest.mark.parametrize(("n_queries", "n_pairs", "depth", "dtype"), [(1500, 60_000, 0, "f4"), (3000, 3000, 40, "f2")])
def test_a_pass_stays_within_what_is_foretold(n_queries: int, n_pairs: int, depth: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    docs, queries = rng.standard_normal((400, 64)).astype(dtype), rng.standard_normal((n_queries, 64)).astype(np.float32)
    offsets = np.linspace(0, n_pairs, n_queries + 1).astype(np.int64)
    qrels = Qrels(offsets, rng.integers(0, 400, n_pairs), np.ones(n_pairs, np.int64))
    dims = (8, 16, 24, 32, 48, 64)
    options = RankOptions(executor=LocalThreads(2), depth=depth, shard_bytes=32_000)
    rank(Vectors((docs,)), queries[:2], Qrels(offsets[:3], qrels.rows[: offsets[2]], qrels.grades[: offsets[2]]), dims, options)
    tracemalloc.start()
    rank(Vectors((docs[:150], docs[150:])), queries, qrels, dims, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = PassSize(n_queries=n_queries, n_pairs=n_pairs, n_sizes=len(dims), dim=64, depth=depth)
    foretold = size.needed_bytes(2, 32_000)
    assert peak <= foretold
    assert foretold <= 3 * peak + 2 * 16 * MIB


@pytest.mark.parametrize(("depth", "asked"), [(0, ()), (80, ("4x", "2x@16"))])
def test_a_grid_of_codes_stays_within_what_is_foretold(depth: int, asked: Any) -> None:
    rng = np.random.default_rng(0)
    docs, queries = rng.standard_normal((6000, 128)).astype(np.float32), rng.standard_normal((500, 128)).astype(np.float32)
    qrels = Qrels(np.arange(501), rng.integers(0, 6000, 500), np.ones(500, np.int64))
    options, rescores = RankOptions(executor=LocalThreads(2), depth=depth, shard_bytes=256_000), [Rescore.parse(a) for a in asked]

    def ranked(vectors: Any, n_queries: int) -> Any:
        some = Qrels(qrels.offsets[: n_queries + 1], qrels.rows[:n_queries], qrels.grades[:n_queries])
        ranks = rank_grid([prefixes((32, 128), Similarity.COSINE)], ALL, vectors, queries[:n_queries], some, options)
        return rescored(ranks, rescores, vectors, queries[:n_queries], some, options, cutoff=20) if rescores else ranks

    ranked(Vectors((docs,)), 2)
    tracemalloc.start()
    ranked(Vectors((docs[:1500], docs[1500:])), 500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    n_codes = 2 * (len(ALL) - 1)
    size = PassSize(n_queries=500, n_pairs=500, n_sizes=2, dim=128, depth=depth, n_trained=6000)
    foretold = replace(size, n_kept=2 + n_codes * (1 + len(asked)), n_rescored=n_codes if asked else 0).needed_bytes(2, 256_000)
    assert peak <= foretold
    assert foretold <= 3 * peak + 2 * 16 * MIB
