"""What a ranking is given: no more memory than allowed, a GPU only where there is one, and nothing imported to find out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.events import Note
from mrl_sweep.execution import resources as machine
from mrl_sweep.execution.parts import FileCheckpoint
from mrl_sweep.execution.resources import Limits, RankInputs, prepare
from mrl_sweep.execution.threads import LocalThreads
from mrl_sweep.ranking.exact import ROWS_TOGETHER, SHARD_BYTES
from mrl_sweep.ranking.portable import PortableKernel
from mrl_sweep.settings.parsing import parse_size
from mrl_sweep.types import Qrels, Vectors

MIB = 2**20


def inputs(n_queries: int = 1000, n_sizes: int = 24) -> RankInputs:
    qrels = Qrels(np.arange(n_queries + 1), np.zeros(n_queries, np.int64), np.ones(n_queries, np.int64))
    return RankInputs(vectors=Vectors((np.zeros((10, 768), np.float32),)), qrels=qrels, n_sizes=n_sizes, depth=10)


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process holds 100 MiB already."""
    monkeypatch.setattr(machine, "anonymous_bytes", lambda: 100 * MIB)


def test_without_a_limit_it_is_the_threads_asked_for_and_the_usual_shards(tmp_path: Path) -> None:
    checkpoint = FileCheckpoint(tmp_path, inputs().vectors)
    options = prepare(inputs(), Limits(threads=3), checkpoint=checkpoint)
    assert (cast(LocalThreads, options.executor).n_threads, options.shard_bytes, options.kernel.name) == (3, SHARD_BYTES, "numba")
    assert options.checkpoint is checkpoint


def test_with_many_queries_shards_are_smaller_so_that_an_interrupt_is_obeyed_soon() -> None:
    assert prepare(inputs(5000)).shard_bytes == 4 * 768 * 1302
    assert prepare(inputs(100_000)).shard_bytes == 4 * 768 * ROWS_TOGETHER


@pytest.mark.usefixtures("holding")
def test_a_limit_makes_shards_smaller_then_threads_fewer_and_says_so() -> None:
    events = []
    options = prepare(inputs(), Limits(threads=4, max_memory=290 * MIB), on_event=events.append)
    assert (cast(LocalThreads, options.executor).n_threads, options.shard_bytes < SHARD_BYTES, events) == (4, True, [])
    options = prepare(inputs(), Limits(threads=4, max_memory=220 * MIB), on_event=events.append)
    assert cast(LocalThreads, options.executor).n_threads == 2
    assert events == [Note("--max-memory 220MiB leaves room for 2 of 4 threads")]


@pytest.mark.usefixtures("holding")
def test_a_limit_below_what_the_counts_take_is_refused_with_one_that_works() -> None:
    with pytest.raises(
        InputError, match=r"1,000 queries with 1,000 judgments at 24 sizes takes .* besides 100MiB in use"
    ) as caught:
        prepare(inputs(), Limits(max_memory=110 * MIB))
    advised = parse_size(caught.value.hint.split()[1])
    assert cast(LocalThreads, prepare(inputs(), Limits(max_memory=advised)).executor).n_threads >= 1
    with pytest.raises(InputError):
        prepare(inputs(), Limits(max_memory=int(advised / 1.06)))


def test_a_gpu_that_cannot_rank_is_told_and_the_processor_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: 1)
    monkeypatch.setattr(machine, "open_devices", lambda *_: PortableKernel())
    said: list[Note] = []
    options = prepare(inputs(), Limits(device="cuda:3"), on_event=cast(Any, said.append))
    assert options.kernel.name == "numba"
    assert any("--device cuda:3" in event.text for event in said)


@pytest.mark.parametrize("limits", [Limits(device="cpu"), Limits(device="mps"), Limits(max_memory=2**40)])
def test_a_gpu_that_was_not_wanted_is_not_tried(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: 1)
    monkeypatch.setattr(machine, "faster", lambda *_: pytest.fail("tried"))
    assert prepare(inputs(), limits).kernel.name == "numba"


def test_where_there_is_a_gpu_the_kernel_is_what_was_measured_to_be_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: 1)
    tried: list[Any] = []

    def faster(*arguments: Any) -> Any:
        tried.append(arguments[:3])
        return PortableKernel()

    monkeypatch.setattr(machine, "faster", faster)
    assert prepare(inputs(5000), Limits(threads=3)).kernel.name == "numpy"
    [(work, processor, n_threads)] = tried
    assert (work.n_scores, work.n_sizes, work.depth, processor.name, n_threads) == (50_000, 24, 10, "numba", 3)


def run(code: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_to_find_no_gpu_torch_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from mrl_sweep.execution.resources import Limits, RankInputs, choose_kernel\n"
        "from mrl_sweep.types import Qrels, Vectors\n"
        "qrels = Qrels(np.arange(9001), np.zeros(9000, np.int64), np.ones(9000, np.int64))\n"
        "inputs = RankInputs(vectors=Vectors((np.zeros((10, 8), np.float32),)), qrels=qrels, n_sizes=4, depth=1)\n"
        "print(*(choose_kernel(inputs, Limits(device=asked)).name for asked in (None, 'cuda')), 'torch' in sys.modules)"
    )
    assert run(code) == ["numba", "numba", "False"]


MEMORY = """
import sys
import numpy as np
from pathlib import Path
from mrl_sweep.execution.parts import FileCheckpoint
from mrl_sweep.execution.resources import Limits, RankInputs, prepare
from mrl_sweep.ranking.exact import rank
from mrl_sweep.types import Qrels, Vectors

def anonymous(event=None):
    seen.append(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024)

seen = []
docs = np.load(sys.argv[1], mmap_mode="r")
order = np.arange(len(docs))[::-1] if sys.argv[2] == "gathered" else None
vectors = Vectors((docs[:1000], docs[1000:]), order)
queries = np.random.default_rng(0).standard_normal((20, 256)).astype(np.float32)
qrels = Qrels(np.arange(21), np.arange(20), np.ones(20, np.int64))
options = prepare(RankInputs(vectors=vectors, qrels=qrels, n_sizes=2, depth=10), Limits(threads=1, max_memory=600 * 2**20))
rank(Vectors((docs[:10],)), queries, Qrels(qrels.offsets, qrels.rows % 10, qrels.grades), (64, 256), options)
anonymous()
rank(vectors, queries, qrels, (64, 256), options, on_event=anonymous)
print(max(seen) - seen[0], len(seen))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells")
@pytest.mark.parametrize("how", ["float32", "float16", "gathered"])
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, how: str) -> None:
    """240,000 documents are 234 MiB as float32; one shard of 16 MiB at a time, with its copies, at most 64 MiB."""
    dtype = np.float16 if how == "float16" else np.float32
    rows = np.lib.format.open_memmap(tmp_path / "docs.npy", "w+", dtype, (240_000, 256))
    rows[:] = np.random.default_rng(1).standard_normal((1000, 256)).astype(dtype).repeat(240, axis=0)
    del rows
    grown, events = run(MEMORY, str(tmp_path / "docs.npy"), how)
    assert int(events) > 10
    assert float(grown) < 64
