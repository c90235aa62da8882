"""Spaces of a store with a few made texts in them, and the shards that hold these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from embedding_helpers import vectors_of

from mrl_sweep.files.digests import text_digests
from mrl_sweep.store.shard import Rows
from mrl_sweep.store.space import Space
from mrl_sweep.store.store import Store
from mrl_sweep.types import ModelFacts

IDENTITY = {"provider": "test", "model": "m", "role": "document", "prompt": ""}
FACTS = ModelFacts(dim=8)
LETTERS = list("abcdefghij")


def rows_of(texts: list[str], flags: int = 0, dim: int = 8) -> Rows:
    n = len(texts)
    return Rows(vectors_of(texts, dim), text_digests(texts), np.zeros(n, np.uint32), np.full(n, flags, np.uint8))


def folder_of(space: Space) -> Path:
    return space.objects.folder


def put(space: Space, texts: list[str], flags: int = 0) -> None:
    """These texts as one shard."""
    space.begin(FACTS)
    space.put(rows_of(texts, flags))


def stored(root: Path, texts: list[str], **options: Any) -> Path:
    space = Store(root, **options).space(IDENTITY)
    put(space, texts)
    return folder_of(space)


def read(space: Space, texts: list[str]) -> np.ndarray:
    locations = space.find(text_digests(texts))
    assert (locations >= 0).all()
    vectors = space.vectors(locations)
    return vectors.read(0, len(vectors))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))
