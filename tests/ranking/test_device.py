"""The fused kernel gives the integers of the other kernels: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_vectors import prefix_pass
from ranking_cases import (
    DIMS,
    assert_best_of_a_full_sort,
    assert_counts_of_a_full_sort,
    assert_longer_list_is_padded,
    make_case,
)

from benchmarks.synthetic import rank_grid
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.device import DeviceKernel
from mrl_sweep.ranking.device_targets import Tile, band_of, columns_of, tile_for
from mrl_sweep.ranking.exact import RankOptions, open_kernel, rank
from mrl_sweep.ranking.pass_plan import steps_of
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.ranking.task import count_shards
from mrl_sweep.types import Qrels, Similarity, Vectors

torch = pytest.importorskip("torch")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernel's module is imported, which only a DeviceKernel does
pytest.importorskip("triton", reason="Triton is made for Linux")

SMALL_TILE = Tile(queries=32, docs=1024) if DEVICE == "cpu" else Tile()
"""The interpreter takes its time by program, not by number: few and wide ones."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """torch's threads cost more than such small blocks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def device_kernel(**how: Any) -> Any:
    return DeviceKernel(DEVICE, **{"tile": SMALL_TILE, **how})


def kernels() -> Any:
    """One block, and several with a list for the judge that overflows."""
    return [device_kernel(), device_kernel(block_docs=150, listed=3000)]


@pytest.mark.parametrize("similarity", list(Similarity))
@pytest.mark.parametrize("integers", [False, True])
def test_on_a_device_the_integers_are_those_of_a_full_sort(similarity: Any, integers: bool) -> None:
    for kernel in kernels():
        assert_counts_of_a_full_sort(kernel, similarity, integers=integers)


@given(
    seed=st.integers(0, 2**16),
    n_threads=st.integers(1, 3),
    shard_bytes=st.integers(20_000, 60_000),
    blocks=st.integers(40, 300),
    similarity=st.sampled_from(list(Similarity)),
    integers=st.booleans(),
)
@settings(max_examples=3)
def test_on_a_device_any_partition_gives_the_integers_of_the_portable_kernel(
    seed: int, n_threads: int, shard_bytes: int, blocks: int, similarity: Any, integers: bool
) -> None:
    docs, queries, qrels, own = make_case(seed, n_docs=300, n_queries=9, integers=integers)
    how = {"similarity": similarity, "own_rows": own, "depth": 7}
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=PortableKernel(), **how))
    options = RankOptions(
        kernel=device_kernel(block_docs=blocks, listed=5 * blocks),
        executor=LocalThreads(n_threads),
        shard_bytes=shard_bytes,
        **how,
    )
    got = rank(Vectors((docs[:17], docs[17:])), queries, qrels, DIMS, options)
    for name in ("above", "tied", "zero_prefixes"):
        np.testing.assert_array_equal(getattr(got, name), getattr(whole, name), err_msg=name)
    np.testing.assert_array_equal(got.top.rows, whole.top.rows)
    np.testing.assert_array_equal(got.top.scores, whole.top.scores)


def test_on_a_device_top_documents_are_the_best_of_a_full_sort_ties_by_row() -> None:
    for kernel in kernels():
        assert_best_of_a_full_sort(kernel)


def test_on_a_device_a_list_longer_than_the_corpus_is_padded() -> None:
    assert_longer_list_is_padded(device_kernel())


def test_on_a_device_documents_of_zeros_tie_under_the_dot_product() -> None:
    docs = np.zeros((6, 4), np.float32)
    docs[4] = 1
    qrels = Qrels(np.array([0, 2]), np.array([1, 4]), np.array([1, 1]))
    for kernel in (device_kernel(block_docs=1), device_kernel()):
        got = rank(
            Vectors((docs,)), np.ones((1, 4), np.float32), qrels, (2, 4), RankOptions(similarity=Similarity.DOT, kernel=kernel)
        )
        assert got.above.tolist() == [[1, 0], [1, 0]]
        assert got.tied.tolist() == [[4, 0], [4, 0]]
        assert got.top.rows[0, 0].tolist() == [4, 0, 1, 2, 3, 5, -1, -1, -1, -1]


def test_on_a_device_queries_without_a_judged_document_are_no_trouble() -> None:
    docs, queries, _, _ = make_case(3)
    nothing = Qrels(np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    got = rank(Vectors((docs,)), queries, nothing, DIMS, RankOptions(kernel=device_kernel()))
    assert got.above.shape == (len(DIMS), 0)


def test_the_last_shard_is_reported_when_the_tally_has_its_counts() -> None:
    docs = np.random.default_rng(2).standard_normal((90, 8), np.float32)
    qrels = Qrels(np.array([0, 1]), np.array([7]), np.array([1]))
    one = prefix_pass(Vectors((docs,)), docs[:1], qrels, (4, 8), RankOptions(kernel=device_kernel(), depth=0))
    tally, heard = one.task.empty_tally(), []
    shards = [(0, 40), (40, 90)]
    count_shards(one.task, one.kernel, tally, shards, lambda shard: heard.append((shard, int(tally.placed.sum()))))
    assert [shard for shard, _ in heard] == shards
    assert heard[-1][1] == tally.placed.sum() > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_on_a_device_a_document_that_is_not_finite_is_refused_by_its_row(bad: Any) -> None:
    docs, queries, qrels, _ = make_case(3)
    docs[321, 47] = bad
    for kernel in kernels():
        with pytest.raises(InputError, match="row 321"):
            rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(kernel=kernel))


def test_a_device_short_of_memory_takes_smaller_blocks_and_says_so_when_none_fits() -> None:
    class Short(DeviceKernel):
        fits = 100

        def _room(self, t: Any, dim: Any) -> Any:
            if self.block_docs > self.fits:
                raise torch.OutOfMemoryError("out of memory")
            return super()._room(t, dim)

    docs, queries, qrels, own = make_case(8, n_docs=250, n_queries=9, most_judgments=5)
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, depth=0))
    kernel = Short(DEVICE, block_docs=1000, tile=SMALL_TILE)
    got = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, kernel=kernel, depth=0))
    np.testing.assert_array_equal(got.above, whole.above)
    assert kernel.block_docs == 62
    kernel.fits = 0
    with pytest.raises(EnvironmentFault, match="memory"):
        rank(
            Vectors((docs[:40],)),
            queries[:3],
            Qrels(np.arange(4), np.arange(3), np.ones(3, np.int64)),
            DIMS,
            RankOptions(kernel=kernel),
        )


def test_on_a_device_many_judgments_a_query_are_placed_like_few() -> None:
    docs, queries, qrels, own = make_case(9, n_queries=6, most_judgments=600)
    whole = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, depth=0, kernel=PortableKernel()))
    got = rank(Vectors((docs,)), queries, qrels, DIMS, RankOptions(own_rows=own, depth=0, kernel=device_kernel()))
    np.testing.assert_array_equal(got.above, whole.above)
    np.testing.assert_array_equal(got.tied, whole.tied)


def test_a_list_for_the_judge_that_overflows_is_split_down_to_a_document() -> None:
    docs = np.ones((40, 16), np.float32)
    qrels = Qrels(np.array([0, 1]), np.array([7]), np.array([1]))
    got = rank(Vectors((docs,)), docs[:1], qrels, (4, 16), RankOptions(kernel=device_kernel(listed=1)))
    assert (got.above.tolist(), got.tied.tolist()) == ([[0], [0]], [[39], [39]])
    assert got.top.rows[:, 0].tolist() == [list(range(10))] * 2


def rounded(x: Any) -> Any:
    """float32 rounded to bfloat16, by the integers of their bits."""
    bits = x.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("dim", [16, 768])
def test_the_band_holds_what_the_parts_lose_and_little_more(dim: int) -> None:
    worst = np.full(dim, np.float32(1 + 2**-8 - 3 * 2**-17), np.float32)  # both parts are rounded down by half a step
    pairs = [(worst, worst), *np.random.default_rng(1).standard_normal((50, 2, dim)).astype(np.float32)]
    lost = []
    for q, x in pairs:
        high_q, high_x = rounded(q), rounded(x)
        low_q, low_x = rounded(q - high_q), rounded(x - high_x)
        total = sum(a.astype(float) @ b for a, b in ((high_q, high_x), (high_q, low_x), (low_q, high_x)))
        lost.append(abs(total - q.astype(float) @ x) / (np.linalg.norm(q.astype(float)) * np.linalg.norm(x.astype(float))))
    bands = {columns: band_of(steps_of([0, dim], columns), columns)[0] for columns in (16, 64)}
    assert max(lost) <= bands[16] < bands[64] < 1e-4
    assert max(lost) > 0.7 * bands[16]


def test_the_way_through_the_columns_ends_every_size_once() -> None:
    assert steps_of([0, 8, 40, 50], 16) == [(0, 8, 0), (8, 16, -1), (24, 16, 1), (40, 10, 2)]
    assert len(band_of(steps_of([0, 8, 40, 50], 16), 16)) == 3
    edges = ([0, 8, 16], [0, 3], [0, 32, 64], [0, 64, 128, 256], [0, 768])
    assert [columns_of(one) for one in edges] == [16, 16, 32, 64, 64]


def test_a_tile_is_as_tall_as_the_queries_and_two_fit_a_multiprocessor() -> None:
    assert tile_for(227_000, 1000, 32) == Tile(queries=128, docs=64, warps=4, stages=3)
    assert tile_for(227_000, 1000, 64).stages == tile_for(90_000, 64, 32).stages == 2
    assert tile_for(90_000, 64, 32).queries == 64


def test_without_a_device_the_kernel_is_another_and_torch_is_not_imported() -> None:
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


def test_a_device_that_torch_does_not_see_leaves_the_work_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert open_kernel("cuda").name == "numba"
    assert open_kernel("cpu").name == "numba"


COMPILED = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from mrl_sweep.ranking import device_programs as programs

kinds = {"*bf16": "Q_HIGH Q_LOW X_HIGH X_LOW HIGH LOW", "*fp32": "Q X INVERSE LIMIT BAR BAND THRESHOLDS SCORES", "*fp64": "NORMS",
         "*i64": "PAIR_ROWS", "fp32": "zero_norm2 largest_norm2"}
kind_of = {name: kind for kind, names in kinds.items() for name in names.split()}
fixed = {"TILE_QUERIES": 64, "TILE_DOCS": 64, "COLUMNS": 32, "BEST": True, "MANY": True, "COSINE": True, "SCORING": 1, "ROWS": 8}
for function in (programs.split_rows, programs.count_tiles, programs.judge, programs.settle):
    constants = {name: fixed[name] for name in function.arg_names if name in fixed}
    kind = {name: kind_of.get(name, "*i32" if name.isupper() else "i32") for name in function.arg_names}
    source = ASTSource(fn=function, signature=kind | dict.fromkeys(constants, "constexpr"), constexprs=constants)
    made = compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 4})
    print(function.__name__, "mma" in made.asm["ptx"], len(made.asm["cubin"]) > 0)
"""


def test_the_kernels_compile_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split("\n")[:4] == [
        "split_rows False True",
        "count_tiles True True",
        "judge False True",
        "settle False True",
    ], done.stderr[-2000:]


def test_half_precision_on_a_device_is_that_of_the_processor() -> None:
    docs, queries, qrels, own = make_case(6, n_docs=250, n_queries=9)
    docs[5:8] *= 1e-4  # rounded to whole steps of 2^-24 at some sizes
    docs[5:8, 0] = 1
    options = [RankOptions(own_rows=own, depth=4, kernel=kernel) for kernel in (device_kernel(), PortableKernel())]
    spaces, vectors = [prefixes(DIMS, Similarity.COSINE)], Vectors((docs,))
    here, there = (rank_grid(spaces, ["float16"], vectors, queries, qrels, how) for how in options)
    np.testing.assert_array_equal(here.above, there.above)
    np.testing.assert_array_equal(here.tied, there.tied)
    np.testing.assert_array_equal(here.top.rows, there.top.rows)
