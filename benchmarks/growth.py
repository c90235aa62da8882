"""Time and memory of a pass as the corpus and the query set grow, over a memory-mapped file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main, seconds
from benchmarks.synthetic import documents

DIM: Final = 768
DIMS: Final = (64, 128, 256, 512, 768)
MOST_DOCS: Final = 2_000_000
BY_DOCS: Final = tuple((n, 1000) for n in (50_000, 200_000, 600_000, MOST_DOCS))
BY_QUERIES: Final = tuple((200_000, n) for n in (100, 1000, 10_000))
GIB: Final = 2**30

ONE_PASS: Final = """
import json, sys, threading, time
import numpy as np
from mrl_sweep.execution.threads import LocalThreads, available_threads
from mrl_sweep.ranking.exact import RankOptions, rank
from mrl_sweep.types import Qrels, Vectors

path, n_docs, n_queries, dims = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

peak, done = [0], threading.Event()

def watch():
    while not done.wait(0.01):
        peak[0] = max(peak[0], anonymous())

docs = np.load(path, mmap_mode="r")[:n_docs]
generator = np.random.default_rng(1)
rows = np.sort(generator.choice(n_docs, n_queries, replace=False))
queries = docs[rows] + 0.9 * docs[:n_queries][::-1] if n_queries <= n_docs else None
qrels = Qrels(np.arange(n_queries + 1), rows, np.ones(n_queries, np.int64))
options = RankOptions(executor=LocalThreads(available_threads()))
rank(Vectors((docs[:2000],)), queries[:10], Qrels(np.arange(11), np.arange(10), np.ones(10, np.int64)), dims, options)
threading.Thread(target=watch, daemon=True).start()
started = time.perf_counter()
ranks = rank(Vectors((docs,)), np.ascontiguousarray(queries), qrels, dims, options)
elapsed = time.perf_counter() - started
done.set()
chosen = int(np.argmin(ranks.above[-1]))
print(json.dumps({"elapsed_s": elapsed, "peak": peak[0], "documents": ranks.n_documents, "best": int(ranks.above[-1, chosen])}))
"""


def one_pass(path: Path, n_docs: int, n_queries: int) -> dict[str, Any]:
    """A pass in a process of its own: seconds, and the largest anonymous resident memory (what is not page cache)."""
    command = [sys.executable, "-c", ONE_PASS, str(path), str(n_docs), str(n_queries), json.dumps(DIMS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["documents"] == n_docs
    return found


def run() -> Table:
    """The points by corpus size, then by number of queries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "docs.npy"
        generator = np.random.default_rng(0)
        file = np.lib.format.open_memmap(path, "w+", np.float32, (MOST_DOCS, DIM))
        for start in range(0, MOST_DOCS, 100_000):
            file[start : start + 100_000] = documents(100_000, DIM, generator)
        file.flush()
        del file
        by_docs = {point: one_pass(path, *point) for point in BY_DOCS}
        by_queries = {point: one_pass(path, *point) for point in BY_QUERIES}
    return table(by_docs, by_queries)


def table(by_docs: dict[tuple[int, int], dict[str, Any]], by_queries: dict[tuple[int, int], dict[str, Any]]) -> Table:
    rows = [
        (f"{n_docs:,}", f"{n_queries:,}", seconds(found["elapsed_s"]), f"{found['peak'] / GIB:.2f} GiB")
        for (n_docs, n_queries), found in {**by_docs, **by_queries}.items()
    ]
    counts = np.log([n for n, _ in by_docs])
    exponent = float(np.polyfit(counts, np.log([found["elapsed_s"] for found in by_docs.values()]), 1)[0])
    peak = by_docs[MOST_DOCS, 1000]["peak"] / GIB
    bars = (
        Bar("time against corpus size", "exponent at most 1.05", f"{exponent:.3f}", exponent <= 1.05),
        Bar("peak memory, 2M x 768 memory-mapped", "under 1.5 GiB", f"{peak:.2f} GiB", peak < 1.5),
    )
    note = (
        f"{DIM} dimensions, sizes {', '.join(map(str, DIMS))}, one judged document a query, the first 10 documents kept at each "
        "size, float32 in a memory-mapped file. Each row is a process of its own after a short warm-up; memory is the peak of "
        "what is resident beyond the page cache (RssAnon). The exponent is the slope of log time over log documents."
    )
    return Table("growth: corpus and queries", note, ("documents", "queries", "time", "memory"), tuple(rows), bars)


if __name__ == "__main__":
    main(run)
