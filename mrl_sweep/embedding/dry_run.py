"""`embed --dry-run`: what an embedding run would send, before it does: texts, tokens, price, the share stored already."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.embedding.fill import windows
from mrl_sweep.embedding.protocol import Embedder, Role, VectorSource
from mrl_sweep.errors import InputError
from mrl_sweep.files.digests import DigestTable, text_digests
from mrl_sweep.store.store import Store
from mrl_sweep.types import Collection

BYTES_PER_TOKEN: Final = 4
"""Of UTF-8, roughly, for the tokenizers in use: 4 letters of English, a letter and a third of Chinese."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One role's texts: how many there are, how many have vectors in the store, how many different ones are to be embedded.

    `characters` are those of the latter, prompts included; `tokens` is an estimate from their bytes.
    """

    texts: int
    stored: int
    to_embed: int
    characters: int
    tokens: int

    @property
    def share_stored(self) -> float:
        """In [0, 1]; 1 where there are no texts."""
        return self.stored / self.texts if self.texts else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a run would do. `price` (US dollars) is None where no price is known; `price_from` says whose figure it is.

    `price_per_million` is that of the documents' model, `query_price_per_million` that of the queries'.
    """

    model: str
    documents: Amount
    queries: Amount
    price_per_million: float | None
    query_price_per_million: float | None
    price_from: str

    @property
    def tokens(self) -> int:
        """An estimate."""
        return self.documents.tokens + self.queries.tokens

    @property
    def price(self) -> float | None:
        if self.price_per_million is None or self.query_price_per_million is None:
            return None
        return (self.documents.tokens * self.price_per_million + self.queries.tokens * self.query_price_per_million) / 1e6


def dry_run(
    collection: Collection,
    model: Embedder | VectorSource,
    store: Store,
    *,
    query_model: Embedder | VectorSource | None = None,
    price_per_million: float | None = None,
) -> DryRun:
    """Reads the collection and the store; opens no model, asks nobody, needs no key.

    `price_per_million` is in US dollars a million tokens. Raises InputError for one that is none.
    """
    if price_per_million is not None and not (math.isfinite(price_per_million) and price_per_million >= 0):
        raise InputError(f"{price_per_million:g} is not a price", "--price-per-million 0.13")
    price, origin = _price(model, price_per_million)
    query_price, query_origin = _price(query_model, price_per_million) if query_model is not None else (price, origin)
    if query_model is not None and isinstance(model, VectorSource):  # nothing of its is sent
        price, origin = query_price, query_origin
    elif isinstance(query_model, VectorSource):
        query_price, query_origin = price, origin
    return DryRun(
        model=model.name if query_model is None else f"{model.name}, queries by {query_model.name}",
        documents=_amount(model, store, Role.DOCUMENT, collection.documents.texts),
        queries=_amount(query_model or model, store, Role.QUERY, lambda: collection.queries.texts),
        price_per_million=price,
        query_price_per_million=query_price,
        price_from=query_origin if price is not None and query_price is None else origin,
    )


def _amount(embedder: Embedder | VectorSource, store: Store, role: Role, read: Callable[[], Iterable[str]]) -> Amount:
    if isinstance(embedder, VectorSource):
        n = sum(1 for _ in read())
        return Amount(texts=n, stored=n, to_embed=0, characters=0, tokens=0)
    identity = embedder.identity(role)
    prompt = str(identity.get("prompt") or "")
    space, seen = store.space(identity), DigestTable()
    texts = stored = to_embed = characters = size = 0
    for window in windows(read()):
        digests = text_digests(window)
        missing = space.find(digests) < 0
        texts += len(window)
        stored += int((~missing).sum())
        fresh = np.flatnonzero(missing & (seen.find(digests) < 0))
        fresh = fresh[np.unique(digests[fresh], axis=0, return_index=True)[1]]
        seen.put(np.ascontiguousarray(digests[fresh]), np.zeros(len(fresh), np.int64))
        to_embed += len(fresh)
        for row in fresh:
            characters += len(prompt) + len(window[row])
            size += len(prompt.encode()) + len(window[row].encode("utf-8", "replace"))
    tokens = math.ceil(size / BYTES_PER_TOKEN)
    return Amount(texts=texts, stored=stored, to_embed=to_embed, characters=characters, tokens=tokens)


def _price(embedder: Embedder | VectorSource, given: float | None) -> tuple[float | None, str]:
    """US dollars a million tokens, and whose figure that is."""

    if given is not None:
        return given, "your figure"
    identity = {} if isinstance(embedder, VectorSource) else embedder.identity(Role.DOCUMENT)
    if "address" not in identity:
        return None, ""
    listed = list_price(str(identity["provider"]), str(identity["model"])) if identity["address"] is None else None
    if listed is not None:
        return listed, f"list price of {AS_OF}, which may have changed"
    return None, "price not known: --price-per-million FIGURE"


AS_OF: Final = "May 2026"

_PER_MILLION: Final[tuple[tuple[str, str, float], ...]] = (
    ("openai", r"text-embedding-3-small", 0.02),
    ("openai", r"text-embedding-3-large", 0.13),
    ("voyage", r"voyage-3-large", 0.18),
    ("voyage", r"voyage-3\.5", 0.06),
    ("gemini", r"gemini-embedding-001", 0.15),
)


def list_price(provider: str, model: str) -> float | None:
    """US dollars a million tokens, as the vendor listed it at `AS_OF`; None where we do not know it."""
    return next((price for vendor, name, price in _PER_MILLION if vendor == provider and re.fullmatch(name, model)), None)
