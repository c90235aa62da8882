"""The one pass gives the integers of a full sort, whatever the blocks, threads, shards or kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_cases import (
    DIMS,
    assert_best_of_a_full_sort,
    assert_counts_of_a_full_sort,
    assert_longer_list_is_padded,
    full_sort,
    make_case,
)

from mrl_sweep.errors import InputError
from mrl_sweep.events import Event, Progress
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import RankOptions, rank, rank_in
from mrl_sweep.ranking.kernel import BLOCK_DOCS, MachineKernel
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.task import Rotation
from mrl_sweep.types import Configuration, Qrels, Similarity, Vectors


def kernels() -> Any:
    return [
        MachineKernel(),
        MachineKernel(block_docs=37, block_queries=5),
        MachineKernel(150, many_pairs=1),
        MachineKernel(fine=True),
        MachineKernel(64, 7, many_pairs=3, fine=True),
        PortableKernel(),
    ]


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("integers", [False, True])
def test_every_kernel_gives_the_integers_of_a_full_sort(similarity: Any, integers: bool) -> None:
    for kernel in kernels():
        assert_counts_of_a_full_sort(kernel, similarity, integers=integers)


@given(seed=st.integers(0, 2**16), n_threads=st.integers(1, 4), shard_bytes=st.integers(1, 60_000), blocks=st.integers(1, 90))
@settings(max_examples=25)
def test_any_partition_gives_the_same_integers(seed: int, n_threads: int, shard_bytes: int, blocks: int) -> None:
    docs, queries, qrels, own = make_case(seed, n_docs=300, n_queries=9)
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own))
    options = RankOptions(
        own_rows=own,
        kernel=MachineKernel(blocks, blocks + 3, many_pairs=1 + blocks % 9, fine=blocks % 2 == 0),
        executor=LocalThreads(n_threads),
        shard_bytes=shard_bytes,
    )
    parts = (docs[:17], docs[17:201], docs[201:])
    got = rank(Vectors(parts), queries, qrels, DIMS, options)
    np.testing.assert_array_equal(got.above, whole.above)
    np.testing.assert_array_equal(got.tied, whole.tied)
    np.testing.assert_array_equal(got.top.rows, whole.top.rows)
    np.testing.assert_array_equal(got.top.scores, whole.top.scores)


@pytest.mark.parametrize("most_judgments", [2, 10, 300])
def test_few_and_hundreds_of_judgments_are_counted_alike(most_judgments: int) -> None:
    docs, queries, qrels, own = make_case(7, n_docs=1500, most_judgments=most_judgments)
    above, tied = full_sort(docs, queries, qrels, DIMS, own, cosine=True)
    for kernel in (*kernels(), MachineKernel(1500), MachineKernel(many_pairs=1)):
        got = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, kernel=kernel))
        np.testing.assert_array_equal(got.above, above, err_msg=kernel.name)
        np.testing.assert_array_equal(got.tied, tied, err_msg=kernel.name)


def test_documents_that_grow_longer_than_the_first_are_counted_alike() -> None:
    """Under the dot product a table is good for documents up to a quarter longer than those that it was made beside."""
    docs, queries, qrels, own = make_case(3, n_docs=900, n_queries=9, most_judgments=200)
    docs *= np.repeat(np.array([1, 1.2, 40], np.float32), 300)[:, None]
    above, tied = full_sort(docs, queries, qrels, DIMS, own, cosine=False)
    options = RankOptions(
        own_rows=own, kernel=MachineKernel(50, many_pairs=1), similarity=Similarity.DOT, shard_bytes=300 * 4 * docs.shape[1]
    )
    got = rank(Vectors((docs,)), queries, qrels, DIMS, options)
    np.testing.assert_array_equal(got.above, above)
    np.testing.assert_array_equal(got.tied, tied)


def test_the_product_becomes_fine_where_the_judge_would_cost_more() -> None:
    rng = np.random.default_rng(0)
    docs, queries = 1 + 0.1 * rng.standard_normal((3000, 64), np.float32), 1 + 0.1 * rng.standard_normal((8, 64), np.float32)
    changed = {}
    for n_judged in (10, 2500):
        rows = np.concatenate([rng.choice(3000, n_judged, replace=False) for _ in queries])
        qrels = Qrels(np.arange(9) * n_judged, rows, np.ones(len(rows), np.int64))
        kernel = MachineKernel()
        got = rank(Vectors((docs,)), queries, qrels, (64,), RankOptions(kernel=kernel, shard_bytes=256_000))
        whole = rank(Vectors((docs,)), queries, qrels, (64,), RankOptions(kernel=PortableKernel()))
        np.testing.assert_array_equal(got.above, whole.above)
        np.testing.assert_array_equal(got.tied, whole.tied)
        changed[n_judged] = kernel.is_fine
    assert changed == {10: False, 2500: True}


def test_the_first_block_decides_what_the_rest_of_its_shard_is_multiplied_with() -> None:
    """A large shard was judged to its end before the product became fine: a third of a small corpus on two threads."""
    rng = np.random.default_rng(0)
    docs, queries = (1 + 0.1 * rng.standard_normal((n, 64), np.float32) for n in (3000, 8))
    rows = np.concatenate([rng.choice(3000, 2500, replace=False) for _ in queries])
    counted = []

    class Watched(MachineKernel):
        def _tally(self, targets: Any, tally: Any, docs: Any, first_row: int) -> int:
            counted.append((first_row, len(docs), self.is_fine))
            return super()._tally(targets, tally, docs, first_row)

    qrels = Qrels(np.arange(9) * 2500, rows, np.ones(len(rows), np.int64))
    rank(Vectors((docs,)), queries, qrels, (64,), RankOptions(kernel=Watched()))
    assert counted == [(0, BLOCK_DOCS, False), (BLOCK_DOCS, 3000 - BLOCK_DOCS, True)]


def test_judging_the_first_documents_does_not_make_the_product_fine() -> None:
    """They are judged whatever the product is; counted as a cost of sgemm, they made a pass of many sizes a third slower."""
    rng = np.random.default_rng(3)
    docs, queries = (rng.standard_normal((n, 64)).astype(np.float32) for n in (1500, 8))
    qrels = Qrels(np.arange(9), rng.integers(0, 1500, 8), np.ones(8, np.int64))
    kernel = MachineKernel()
    rank(Vectors((docs,)), queries, qrels, tuple(range(2, 65, 2)), RankOptions(depth=50, kernel=kernel))
    assert not kernel.is_fine


def test_workers_that_share_a_floor_keep_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((5, 48), np.float32)
    near = np.repeat(queries, 4, axis=0) + 0.1 * rng.standard_normal((20, 48), np.float32)
    docs = np.concatenate([near, rng.standard_normal((3000, 48), np.float32), near, queries]).astype(np.float32)
    qrels = Qrels(np.arange(6), np.arange(5), np.ones(5, np.int64))
    alone = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=PortableKernel(), depth=4)).top
    shared = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(executor=LocalThreads(3), shard_bytes=4000, depth=4)).top
    np.testing.assert_array_equal(shared.rows, alone.rows)
    np.testing.assert_array_equal(shared.scores, alone.scores)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=15)
def test_the_order_of_documents_does_not_matter(seed: int) -> None:
    docs, queries, qrels, own = make_case(seed, n_docs=200, n_queries=9)
    order = np.random.default_rng(seed).permutation(len(docs))
    place = np.argsort(order)
    moved = Qrels(qrels.offsets, np.where(qrels.rows < 0, -1, place[qrels.rows]), qrels.grades)
    one = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own))
    other = rank(Vectors((docs[order],)), queries, moved, DIMS, RankOptions(own_rows=np.where(own < 0, -1, place[own])))
    np.testing.assert_array_equal(one.above, other.above)
    np.testing.assert_array_equal(one.tied, other.tied)
    np.testing.assert_array_equal(one.top.scores, other.top.scores)


def test_top_documents_are_the_best_of_a_full_sort_ties_by_row() -> None:
    for kernel in kernels():
        assert_best_of_a_full_sort(kernel)


def test_top_documents_of_a_corpus_smaller_than_the_depth_are_padded() -> None:
    for kernel in kernels():
        assert_longer_list_is_padded(kernel)


def test_half_precision_documents_rank_as_their_float32_values() -> None:
    docs, queries, qrels, own = make_case(7)
    half = docs.astype(np.float16)
    one = rank(Vectors((half,)), queries, qrels, DIMS, RankOptions(own_rows=own))
    other = rank(Vectors((half.astype(np.float32),)), queries, qrels, DIMS, RankOptions(own_rows=own))
    np.testing.assert_array_equal(one.above, other.above)


def test_a_rotation_leaves_full_size_ranks_and_turns_the_smaller_ones() -> None:
    docs, queries, qrels, own = make_case(11)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((48, 48)))[0].astype(np.float32)
    space = prefixes((8, 48), Similarity.COSINE, basis="random", rotation=rotation)
    turned = rank_in(space, Vectors((docs,)), queries, qrels, RankOptions(own_rows=own))
    turn = Rotation(rotation)  # equal rows turn alike, which numpy's product does not promise
    by_hand = rank(Vectors((turn(docs),)), turn(queries), qrels, (8, 48), RankOptions(own_rows=own))
    assert turned.candidates == (Configuration("random", 8), Configuration("random", 48))
    np.testing.assert_array_equal(turned.above, by_hand.above)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_document_that_is_not_finite_is_refused_by_its_row(bad: Any) -> None:
    docs, queries, qrels, _ = make_case(3)
    docs[321, 47] = bad
    for kernel in kernels():
        with pytest.raises(InputError, match="row 321"):
            rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=kernel, executor=LocalThreads(2)))


def test_a_query_that_is_not_finite_is_refused_by_its_row() -> None:
    docs, queries, qrels, _ = make_case(3)
    queries[4, 0] = np.nan
    with pytest.raises(InputError, match="query row 4"):
        rank(Vectors((docs,)), queries, qrels, DIMS)


def test_progress_ends_at_the_number_of_documents() -> None:
    docs, queries, qrels, _ = make_case(3)
    events: list[Event] = []
    rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(shard_bytes=10_000), on_event=events.append)
    assert events[-1] == Progress("rank", 700, 700, "documents")
    assert len(events) > 10


def test_zero_prefixes_are_counted_by_size() -> None:
    docs, queries, qrels, _ = make_case(3)
    for kernel in kernels():
        ranks = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=kernel, executor=LocalThreads(2)))
        assert ranks.zero_prefixes.tolist() == [11, 1, 1, 1]


def test_blocks_of_nothing_but_zeros_tie_under_the_dot_product() -> None:
    docs = np.zeros((6, 4), np.float32)
    docs[5] = -1
    qrels = Qrels(np.array([0, 1]), np.array([2]), np.array([1]))
    for kernel in kernels():
        options = RankOptions(similarity=Similarity.DOT, kernel=kernel, shard_bytes=16)
        ranks = rank(Vectors((docs,)), np.ones((1, 4), np.float32), qrels, (4,), options)
        assert (ranks.above[0, 0], ranks.tied[0, 0]) == (0, 4)
