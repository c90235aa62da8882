"""Small collections with vectors beside them, as a folder that `vectors:` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mrl_sweep.ranking.exact import Pass, RankOptions, prepare_space
from mrl_sweep.ranking.ranked_space import prefixes
from mrl_sweep.types import Float32Array, IntArray, Qrels, Vectors


def write_collection(folder: Path, documents: Float32Array, queries: Float32Array, judged: list[tuple[int, int, int]]) -> None:
    """A BEIR folder with docs.npy and queries.npy; `judged` are (query, document, grade) by row; ids are d0, q0, …"""
    import numpy as np

    (folder / "qrels").mkdir(parents=True)
    np.save(folder / "docs.npy", documents)
    np.save(folder / "queries.npy", queries)
    for name, letter, rows in (("corpus", "d", documents), ("queries", "q", queries)):
        lines = (json.dumps({"_id": f"{letter}{i}", "text": f"{name} {i}"}) for i in range(len(rows)))
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    lines = (f"q{q}\td{d}\t{grade}\n" for q, d, grade in judged)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))


def steep(rng: object, n: int, dim: int) -> Float32Array:
    """(n, dim) rows under their own principal axes: each axis carries 0.9 times the spread of the one before."""
    import numpy as np

    assert isinstance(rng, np.random.Generator)
    return (rng.standard_normal((n, dim)) * 0.9 ** np.arange(dim)).astype(np.float32)


def judgments_of(relevant: IntArray) -> list[tuple[int, int, int]]:
    return [(q, int(d), 1) for q, d in enumerate(relevant)]


def write_steep_collection(folder: Path) -> None:
    """600 steep documents of 48 numbers and 300 queries near one each: 16 of the 48 are as good as all, 4 and 2 are not."""
    import numpy as np

    rng = np.random.default_rng(5)
    documents, relevant = steep(rng, 600, 48), rng.integers(0, 600, 300)
    queries = (documents[relevant] + 0.25 * rng.standard_normal((300, 48))).astype(np.float32)
    write_collection(folder, documents, queries, judgments_of(relevant))


def prefix_pass(
    vectors: Vectors, queries: Float32Array, qrels: Qrels, dims: Sequence[int], options: RankOptions | None = None
) -> Pass:
    """The pass over the prefixes of these sizes, ready to be counted."""
    options = options or RankOptions()
    return prepare_space(prefixes(dims, options.similarity), vectors, queries, qrels, options)
