"""The torch kernel, here on torch's CPU device, gives the integers of the other kernels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranking_cases import (
    DIMS,
    assert_best_of_a_full_sort,
    assert_counts_of_a_full_sort,
    assert_longer_list_is_padded,
    make_case,
)

from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.device import DeviceKernel
from mrl_sweep.ranking.exact import RankOptions, open_kernel, rank
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.types import Qrels, Similarity, Vectors

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _one_thread():
    """torch's threads cost more than such small blocks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kernels():
    return [DeviceKernel("cpu"), DeviceKernel("cpu", block_docs=37, block_queries=5)]


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("integers", [False, True])
def test_on_a_device_the_integers_are_those_of_a_full_sort(similarity, integers):
    for kernel in kernels():
        assert_counts_of_a_full_sort(kernel, similarity, integers=integers)


@given(
    seed=st.integers(0, 2**16),
    n_threads=st.integers(1, 3),
    shard_bytes=st.integers(2_000, 60_000),
    blocks=st.integers(9, 90),
    similarity=st.sampled_from(list(Similarity)),
    integers=st.booleans(),
)
@settings(max_examples=12)
def test_on_a_device_any_partition_gives_the_integers_of_the_portable_kernel(
    seed, n_threads, shard_bytes, blocks, similarity, integers
):
    docs, queries, qrels, own = make_case(seed, n_docs=300, n_queries=9, integers=integers)
    how = {"similarity": similarity, "own_rows": own, "depth": 7}
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=PortableKernel(), **how))
    options = RankOptions(
        kernel=DeviceKernel("cpu", blocks, blocks + 3), executor=LocalThreads(n_threads), shard_bytes=shard_bytes, **how
    )
    got = rank(Vectors((docs[:17], docs[17:])), queries, qrels, DIMS, options)
    for name in ("above", "tied", "zero_prefixes"):
        np.testing.assert_array_equal(getattr(got, name), getattr(whole, name), err_msg=name)
    np.testing.assert_array_equal(got.top.rows, whole.top.rows)
    np.testing.assert_array_equal(got.top.scores, whole.top.scores)


def test_on_a_device_top_documents_are_the_best_of_a_full_sort_ties_by_row():
    for kernel in kernels():
        assert_best_of_a_full_sort(kernel)


def test_on_a_device_a_list_longer_than_the_corpus_is_padded():
    assert_longer_list_is_padded(DeviceKernel("cpu"))


def test_on_a_device_documents_of_zeros_tie_under_the_dot_product():
    docs = np.zeros((6, 4), np.float32)
    docs[4] = 1
    qrels = Qrels(np.array([0, 2]), np.array([1, 4]), np.array([1, 1]))
    for kernel in (DeviceKernel("cpu", block_docs=1), DeviceKernel("cpu")):
        got = rank(
            Vectors((docs,)), np.ones((1, 4), np.float32), qrels, (2, 4), RankOptions(similarity=Similarity.DOT, kernel=kernel)
        )
        assert got.above.tolist() == [[1, 0], [1, 0]]
        assert got.tied.tolist() == [[4, 0], [4, 0]]
        assert got.top.rows[0, 0].tolist() == [4, 0, 1, 2, 3, 5, -1, -1, -1, -1]


def test_on_a_device_queries_without_a_judged_document_are_no_trouble():
    docs, queries, _, _ = make_case(3)
    nothing = Qrels(np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    got = rank(Vectors((docs,)), queries, nothing, DIMS, RankOptions(kernel=DeviceKernel("cpu")))
    assert got.above.shape == (len(DIMS), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_on_a_device_a_document_that_is_not_finite_is_refused_by_its_row(bad):
    docs, queries, qrels, _ = make_case(3)
    docs[321, 47] = bad
    for kernel in kernels():
        with pytest.raises(InputError, match="row 321"):
            rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=kernel))


def test_a_device_short_of_memory_takes_smaller_blocks_and_says_so_when_none_fits():
    class Short(DeviceKernel):
        fits = 100

        def _norms(self, t, docs, zeros):
            if len(docs) > self.fits:
                raise torch.OutOfMemoryError("out of memory")
            return super()._norms(t, docs, zeros)

    docs, queries, qrels, own = make_case(8)
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own))
    kernel = Short("cpu", block_docs=1000)
    got = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, kernel=kernel))
    np.testing.assert_array_equal(got.above, whole.above)
    assert kernel.block_docs == 62
    kernel.fits = 0
    with pytest.raises(EnvironmentFault, match="memory"):
        rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=kernel))


def test_without_a_device_the_kernel_is_another_and_torch_is_not_imported():
    code = (
        "import sys, numpy as np\n"
        "from mrl_sweep.ranking.exact import open_kernel, rank\n"
        "from mrl_sweep.types import Qrels, Vectors\n"
        "x = np.eye(4, dtype=np.float32)\n"
        "rank(Vectors((x,)), x, Qrels(np.arange(5), np.arange(4), np.ones(4, np.int64)), (2, 4))\n"
        "print(open_kernel().name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["numba", "False"]


def test_a_device_that_torch_does_not_see_leaves_the_work_to_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert open_kernel("cuda").name == "numba"
    assert open_kernel("cpu").name == "numba"
