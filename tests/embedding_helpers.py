"""A small collection in memory, and a model that counts what it is asked."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrl_sweep.embedding import Batching, Encoded, ModelFacts, Role
from mrl_sweep.types import Collection, FileRows, Qrels, Queries


@dataclass
class Texts:
    """Documents held in memory."""

    bodies: Sequence[str]
    ids: Sequence[str]
    file_rows: FileRows | None = None

    def __len__(self) -> int:
        return len(self.bodies)

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        return iter(self.bodies[start:stop])

    def titles(self, rows: Sequence[int]) -> list[str]:
        return [self.bodies[row] for row in rows]

    def excerpts(self, rows: Sequence[int]) -> list[str]:
        return self.titles(rows)


def collection_of(
    documents: Sequence[str],
    queries: Sequence[str] = ("which one?",),
    *,
    document_rows: FileRows | None = None,
    query_rows: FileRows | None = None,
) -> Collection:
    n = len(queries)
    return Collection(
        name="small",
        documents=Texts(documents, [f"d{i}" for i in range(len(documents))], document_rows),
        queries=Queries(tuple(f"q{i}" for i in range(n)), tuple(queries), tuple({} for _ in range(n)), query_rows),
        qrels=Qrels(np.arange(n + 1), np.zeros(n, np.int64), np.ones(n, np.int64)),
    )


def vector_of(text: str, dim: int = 8) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


@dataclass
class CountingEmbedder:
    """Each text's vector follows from the text; remembers every text it was asked for."""

    name: str = "counting"
    dim: int = 8
    batching: Batching = field(default_factory=lambda: Batching(texts=4, window=16))
    prompt: str = ""
    asked: list[str] = field(default_factory=list)
    opened: int = 0

    def identity(self, role: Role) -> Mapping[str, Any]:
        return {"provider": "test", "model": self.name, "role": role.value, "prompt": self.prompt}

    def facts(self) -> ModelFacts:
        self.opened += 1
        return ModelFacts(dim=self.dim, trained_dims=(4, 2), details={"name": self.name})

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:  # noqa: ARG002
        self.asked += texts
        return Encoded(np.stack([vector_of(self.prompt + text, self.dim) for text in texts]))

    def close(self) -> None:
        pass


@dataclass
class Dying(CountingEmbedder):
    """Writes down in a folder what it embeds; in the middle of its n-th batch it kills, once, the process that `deaths` names.

    0 stands for its own process, which begins to count anew when it is started again. A batch takes it `batch_s`.
    """

    folder: str = ""
    deaths: Mapping[int, int] = field(default_factory=dict)
    batch_s: float = 0.0

    def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        with (Path(self.folder) / "embedded").open("a") as log:
            log.write("".join(text + "\n" for text in texts))
        for batch, process in self.deaths.items():
            mark = Path(self.folder) / f"died-{batch}"
            if len(self.asked) >= batch * len(texts) and not mark.exists():
                mark.touch()
                os.kill(process or os.getpid(), signal.SIGKILL)
        time.sleep(self.batch_s)
        with (Path(self.folder) / "finished").open("a") as log:
            log.write("".join(text + "\n" for text in texts))
        return super().encode(texts, role)


def vectors_of(texts: Sequence[str], dim: int = 8) -> np.ndarray:
    return np.stack([vector_of(text, dim) for text in texts])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its relative path; but for what is only remembered of files."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("-digests.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


FILL_TEXTS = [f"text {'x' * (i * 7 % 23)} {i}" for i in range(50)]
FILL_QUERY = "which one?"


def documents_of(embedder: CountingEmbedder) -> list[str]:
    """The documents that were embedded, the collection's one query left out."""
    return [text for text in embedder.asked if text != FILL_QUERY]
