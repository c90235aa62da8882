"""What embedding a collection would take, before anything is embedded or paid: texts, share stored, tokens, price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.config import SweepConfig
from mrl_sweep.embedding.batches import windows
from mrl_sweep.embedding.digests import text_digests
from mrl_sweep.embedding.protocol import Embedder, Role
from mrl_sweep.embedding.store import Space, Store
from mrl_sweep.types import Collection

CHARACTERS_PER_TOKEN: Final = 4
"""A rule of thumb for English; other languages take more tokens for the same characters."""

_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Texts of one role: how many there are, how many the store holds, and what is left to embed, each text once."""

    texts: int
    stored: int
    to_embed: int
    characters: int

    @property
    def tokens(self) -> int:
        """What is left to embed, in tokens, roughly."""
        return round(self.characters / CHARACTERS_PER_TOKEN)

    @property
    def share_stored(self) -> float:
        """In [0, 1]; 1 where there are no texts."""
        return self.stored / self.texts if self.texts else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The amounts by role, and the price where one per million tokens is known."""

    model: str
    documents: Amount
    queries: Amount
    price_per_million: float | None = None

    @property
    def tokens(self) -> int:
        return self.documents.tokens + self.queries.tokens

    @property
    def price(self) -> float | None:
        return None if self.price_per_million is None else self.tokens * self.price_per_million / _MILLION


def estimate(config: SweepConfig, collection: Collection, embedder: Embedder, store: Store) -> Estimate:
    """What `embed` would do with this collection; reads every text, opens no model and asks no provider."""
    return Estimate(
        model=embedder.name,
        documents=_amount(collection.documents.texts(), store.space(embedder.identity(Role.DOCUMENT))),
        queries=_amount(collection.queries.texts, store.space(embedder.identity(Role.QUERY))),
        price_per_million=config.model.price_per_million,
    )


def _amount(texts: Iterable[str], space: Space) -> Amount:
    total = stored = characters = 0
    seen: set[bytes] = set()
    for window in windows(texts):
        digests = text_digests(window)
        missing = np.flatnonzero(space.find(digests) < 0)
        total, stored = total + len(window), stored + len(window) - len(missing)
        for row in missing:
            key = digests[row].tobytes()
            if key not in seen:
                seen.add(key)
                characters += len(window[row])
    return Amount(texts=total, stored=stored, to_embed=len(seen), characters=characters)
