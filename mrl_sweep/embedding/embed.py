"""From a collection to its embeddings: documents and queries through the store, and what a person should know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.fill import STAGES, Filled, Filling, fill
from mrl_sweep.embedding.protocol import Embedder, Role, VectorSource
from mrl_sweep.events import Note, OnEvent, Timing, ignore
from mrl_sweep.store.shard import TRUNCATED, TRUNCATION_KNOWN, UNIT, ZERO
from mrl_sweep.store.store import Space, Store
from mrl_sweep.types import Advice, Collection, Embeddings, IntArray, ModelFacts, Vectors
from mrl_sweep.words import first_offenders, plural, share_of

_SAMPLE_CHARACTERS: Final = 160
_ALIKE_SAMPLE: Final = 64


def never() -> bool:
    """The default of `should_stop`."""
    return False


def embed(
    collection: Collection,
    embedder: Embedder | VectorSource,
    store: Store,
    *,
    on_event: OnEvent = ignore,
    should_stop: Callable[[], bool] = never,
) -> Embeddings:
    """Full-size vectors of all documents (memory-mapped) and of the evaluated queries (in memory).

    Texts that the store holds are not embedded again, and a model that has nothing to do is never opened. Whatever stops it,
    what was embedded is kept: the same call goes on. Raises InputError, EnvironmentFault, KeyboardInterrupt.
    """
    if isinstance(embedder, VectorSource):
        return embedder.load(collection, on_event=on_event)
    try:
        sides = [
            _side(embedder, store, Role.DOCUMENT, collection, on_event, should_stop),
            _side(embedder, store, Role.QUERY, collection, on_event, should_stop),
        ]
    finally:
        embedder.close()
    embeddings = _embeddings(collection, embedder, *sides)
    if any((embeddings.model.get("prompts") or {}).get(role.value) for role in Role):
        for role, sample in embeddings.model["sample"].items():
            on_event(Note(f"a {role} as the model reads it: {sample}"))
    return embeddings


def known_facts(embedder: Embedder | VectorSource, store: Store) -> ModelFacts | None:
    """What the store knows of the model, else what the model says when it is opened; None for vectors that exist already.

    For whoever wants to refuse a size before hours of embedding.
    """
    if isinstance(embedder, VectorSource):
        return None
    return store.facts(embedder.identity(Role.DOCUMENT)) or embedder.facts()


@dataclass(frozen=True, slots=True)
class _Side:
    """One role's texts in the store, and what was noted of them."""

    role: Role
    space: Space
    filled: Filled
    vectors: Vectors
    flags: IntArray
    ids: Sequence[str]

    def rows(self, flag: int) -> IntArray:
        return np.flatnonzero(self.flags & flag)

    @property
    def truncated(self) -> int | None:
        """How many texts were cut at the model's maximum length; None where the provider does not say."""
        return int((self.flags & TRUNCATED > 0).sum()) if bool((self.flags & TRUNCATION_KNOWN > 0).all()) else None


def _side(
    embedder: Embedder, store: Store, role: Role, collection: Collection, on_event: OnEvent, should_stop: Callable[[], bool]
) -> _Side:
    documents, queries = collection.documents, collection.queries
    ids: Sequence[str] = documents.ids if role is Role.DOCUMENT else queries.ids
    texts: Callable[[], Iterable[str]] = documents.texts if role is Role.DOCUMENT else lambda: queries.texts
    started = perf_counter()
    space = store.space(embedder.identity(role))
    filling = Filling(texts=texts, role=role, total=len(ids), name_of=ids.__getitem__, on_event=on_event, should_stop=should_stop)
    filled = fill(space, embedder, filling)
    if space.facts is None:
        space.begin(embedder.facts())
    stored = len(ids) - filled.n_embedded
    on_event(Note(f"{len(ids):,} {_plural(role)}: {filled.n_embedded:,} embedded, {stored:,} already stored or alike"))
    on_event(Timing(STAGES[role], perf_counter() - started))
    flags = space.flags(filled.locations).astype(np.int64)
    return _Side(role, space, filled, space.vectors(filled.locations), flags, ids)


def _embeddings(collection: Collection, embedder: Embedder, documents: _Side, queries: _Side) -> Embeddings:
    facts = documents.space.facts
    assert facts is not None, "a filled space knows its model"
    counts: dict[str, int | None] = {}
    for side in (documents, queries):
        name = _plural(side.role)
        counts |= {
            f"empty_{name}": len(side.filled.empty),
            f"zero_{name}": len(side.rows(ZERO)),
            f"truncated_{name}": side.truncated,
        }
    model: dict[str, Any] = {
        **facts.details,
        "dim": facts.dim,
        "max_length": facts.max_length,
        "similarity": facts.similarity,
        "unit_length": len(documents.rows(UNIT)) == len(documents.flags),
        "counts": counts,
        "sample": _sample(collection, facts.details),
        "identity": {side.role.value: dict(embedder.identity(side.role)) for side in (documents, queries)},
    }
    advice = [*facts.warnings, *documents.space.warnings, *queries.space.warnings]
    advice += [*_advice(documents, facts.max_length), *_advice(queries, facts.max_length), *_collapsed(documents.vectors)]
    return Embeddings(
        documents=documents.vectors,
        queries=queries.vectors.read(0, len(queries.vectors)).copy(),
        trained_dims=facts.trained_dims,
        model=model,
        warnings=tuple(dict.fromkeys(advice)),
    )


def _advice(side: _Side, max_length: int | None) -> Iterator[Advice]:
    noun = _plural(side.role)
    empty, zero, truncated = side.filled.empty, side.rows(ZERO), side.truncated
    if len(empty):
        names = first_offenders([side.ids[row] for row in empty[:5]], len(empty))
        yield Advice(f"empty-{noun}", plural(len(empty), f"{side.role} has no text", f"{noun} have no text") + f": {names}")
    if len(zero):
        names = first_offenders([side.ids[row] for row in zero[:5]], len(zero))
        one, many = (
            ("scores 0 for every query", "score 0 for every query")
            if side.role is Role.DOCUMENT
            else ("ties with every document", "tie with every document")
        )
        told = plural(len(zero), f"{side.role} has a zero vector and {one}", f"{noun} have a zero vector and {many}")
        yield Advice(f"zero-{noun}", f"{told}: {names}")
    if truncated:
        share = share_of(truncated, len(side.flags))
        limit = f"the model's {max_length:,} tokens" if max_length else "the model reads"
        longer = plural(truncated, f"{side.role} ({share}) is longer", f"{noun} ({share}) are longer")
        yield Advice(
            f"truncated-{noun}",
            f"{longer} than {limit}: the rest of their text was not read",
            "split long documents, or take a model that reads more; --fail-on-truncation makes this an error",
        )


def _collapsed(documents: Vectors) -> Iterator[Advice]:
    """All vectors of a spread sample alike: the model has collapsed, whatever the figures say."""
    rows = documents.take(np.unique(np.linspace(0, max(0, len(documents) - 1), _ALIKE_SAMPLE).astype(np.int64)))
    if len(documents) > 1 and (rows == rows[0]).all():
        yield Advice(
            "collapsed-embeddings", "collapsed embeddings: all document vectors are alike", "check the model and its input"
        )


def _sample(collection: Collection, details: Mapping[str, Any]) -> dict[str, str]:
    """The first query and the first document as the model gets them, prompt included."""
    prompts = details.get("prompts") or {}
    first = {"query": next(iter(collection.queries.texts), ""), "document": next(islice(collection.documents.texts(0, 1), 1), "")}
    return {role: f"{prompts.get(role, '')}{text}"[:_SAMPLE_CHARACTERS] for role, text in first.items()}


def _plural(role: Role) -> str:
    return "documents" if role is Role.DOCUMENT else "queries"
