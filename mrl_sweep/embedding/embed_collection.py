"""Embeds a collection's documents and queries through the store; counts beforehand what a run would send (`--dry-run`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import islice
from time import perf_counter
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.fill import STAGES, Filling, fill, windows
from mrl_sweep.embedding.protocol import Embedder, Role, VectorSource
from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, Timing, ignore
from mrl_sweep.files.digests import DigestTable, first_rows, text_digests
from mrl_sweep.record import record
from mrl_sweep.store.shard import TRUNCATED, TRUNCATION_KNOWN, UNIT, ZERO
from mrl_sweep.store.store import Store
from mrl_sweep.types import Advice, Collection, Embeddings, IntArray, ModelFacts, Vectors, distinct
from mrl_sweep.words import first_offenders, plural, share_of

_SAMPLE_CHARACTERS: Final = 160
_ALIKE_SAMPLE: Final = 64


def embed(
    collection: Collection,
    model: Embedder | VectorSource,
    store: Store,
    *,
    query_model: Embedder | VectorSource | None = None,
    on_event: OnEvent = ignore,
) -> Embeddings:
    """Returns the full-size vectors of all documents (memory-mapped) and of the evaluated queries (in memory).

    `query_model` embeds the queries where they have a model of their own, of the same space. Texts that the store holds are not
    embedded again, and a model that has nothing to do is never opened. What was embedded before a fault or an interruption is
    kept: the same call goes on. Raises InputError, EnvironmentFault, KeyboardInterrupt.
    """
    models = {Role.DOCUMENT: model, Role.QUERY: query_model or model}
    sides: dict[Role, _Side] = {}
    try:
        # vectors that exist already come first: what is wrong with them is said before a text is paid for
        for role, source in models.items():
            if isinstance(source, VectorSource):
                sides[role] = _brought(source, role, collection, on_event)
        _refuse_other_size(models, store, sides)
        for role, embedder in models.items():
            if role not in sides and isinstance(embedder, Embedder):
                sides[role] = _embedded(embedder, store, role, collection, on_event)
    finally:
        for one in models.values():
            if isinstance(one, Embedder):
                one.close()
    for role in _prompted(sides):
        on_event(Note(f"a {role} as the model reads it: {sides[role].sample}"))
    return _embeddings(sides[Role.DOCUMENT], sides[Role.QUERY], one_model=query_model is None)


def known_facts(model: Embedder | VectorSource, store: Store, role: Role = Role.DOCUMENT) -> ModelFacts | None:
    """Returns what the store knows of the model, else what the model says when opened; None for vectors that exist already.

    With it a size that the model has not is refused before hours of embedding. Raises InputError, EnvironmentFault.
    """
    if isinstance(model, VectorSource):
        return None
    return store.facts(model.identity(role)) or model.facts()


@record(kw_only=True)
class _Side:
    """Holds one role's vectors, and what goes into the report about them: the model's facts, its identity, counts and advice."""

    vectors: Vectors
    origin: str
    model: Mapping[str, Any]
    counts: Mapping[str, int | None]
    unit_length: bool
    warnings: tuple[Advice, ...]
    trained_dims: tuple[int, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)
    sample: str = ""


def _brought(source: VectorSource, role: Role, collection: Collection, on_event: OnEvent) -> _Side:
    """Loads vectors that exist already. Of queries that are documents, the documents' advice says what is zero."""
    brought = source.load(collection, role, on_event=on_event)
    zero = brought.zero if role is Role.DOCUMENT or collection.query_rows is None else brought.zero[:0]
    return _Side(
        vectors=brought.vectors,
        origin=brought.origin,
        model=brought.model,
        identity=dict(source.identity(role)),
        counts={f"zero_{_plural(role)}": len(brought.zero)},
        unit_length=brought.unit_length,
        warnings=(
            *_zero_advice(role, _ids(collection, role), zero),
            *(_collapsed(brought.vectors) if role is Role.DOCUMENT else ()),
        ),
    )


def _embedded(embedder: Embedder, store: Store, role: Role, collection: Collection, on_event: OnEvent) -> _Side:
    """Reads vectors out of the store, after those that it lacks have been embedded and put there."""
    documents, queries = collection.documents, collection.queries
    ids = _ids(collection, role)
    texts: Callable[[], Iterable[str]] = documents.texts if role is Role.DOCUMENT else lambda: queries.texts
    started = perf_counter()
    space = store.space(embedder.identity(role))
    filling = Filling(texts=texts, role=role, total=len(ids), name_of=ids.__getitem__, on_event=on_event)
    filled = fill(space, embedder, filling)
    if space.facts is None:
        space.begin(embedder.facts())
    facts = space.facts
    assert facts is not None, "a filled space knows its model"
    stored = len(ids) - filled.n_embedded
    on_event(Note(f"{len(ids):,} {_plural(role)}: {filled.n_embedded:,} embedded, {stored:,} already stored or alike"))
    on_event(Timing(STAGES[role], perf_counter() - started))
    flags = space.flags(filled.locations).astype(np.int64)
    vectors = space.vectors(filled.locations)
    noted = _Noted(role, ids, filled.empty, flags, facts.max_length)
    return _Side(
        vectors=vectors,
        origin=embedder.name,
        model={**facts.details, "dim": facts.dim, "max_length": facts.max_length, "similarity": facts.similarity},
        counts=noted.counts,
        unit_length=bool((flags & UNIT > 0).all()),
        warnings=(
            *facts.warnings,
            *space.warnings,
            *noted.advice(),
            *(_collapsed(vectors) if role is Role.DOCUMENT else ()),
        ),
        trained_dims=facts.trained_dims,
        identity=dict(embedder.identity(role)),
        sample=_sample(collection, role, facts.details),
    )


def _refuse_other_size(models: Mapping[Role, Embedder | VectorSource], store: Store, sides: Mapping[Role, _Side]) -> None:
    """Raises InputError where documents and queries come from two places whose vectors are not of one size."""
    if models[Role.DOCUMENT] is models[Role.QUERY] and not sides:
        return
    sizes = {}
    for role, model in models.items():
        facts = None if role in sides else known_facts(model, store, role)
        sizes[role] = (sides[role].vectors.dim, sides[role].origin) if facts is None else (facts.dim, model.name)
    (dim, origin), (query_dim, query_origin) = sizes[Role.DOCUMENT], sizes[Role.QUERY]
    if dim != query_dim:
        raise InputError(
            f"documents and queries are of different sizes: {dim:,} dimensions in {origin}, {query_dim:,} in {query_origin}",
            "both must come from models of one space, at full size",
        )


def _prompted(sides: Mapping[Role, _Side]) -> tuple[Role, ...]:
    """Returns the roles whose texts were embedded, where a prompt stands before some of them; else none."""
    prompts = [(side.model.get("prompts") or {}).get(role.value) for role, side in sides.items()]
    return tuple(role for role in Role if sides[role].sample) if any(prompts) else ()


def _embeddings(documents: _Side, queries: _Side, *, one_model: bool) -> Embeddings:
    """Joins both sides; what the queries' own model says stands under `query_model`."""
    by_role = {Role.DOCUMENT: documents, Role.QUERY: queries}
    model: dict[str, Any] = {
        **documents.model,
        "unit_length": documents.unit_length,
        "counts": {**documents.counts, **queries.counts},
    }
    if "files" in documents.model and one_model:
        model["files"] = list(dict.fromkeys([*documents.model["files"], *queries.model["files"]]))
    if not one_model:
        model["query_model"] = dict(queries.model)
    if samples := {role.value: side.sample for role, side in by_role.items() if side.sample}:
        model["sample"] = samples
    model["identity"] = {role.value: side.identity for role, side in by_role.items()}
    return Embeddings(
        documents=documents.vectors,
        queries=np.array(queries.vectors.read(0, len(queries.vectors)), np.float32, order="C"),
        trained_dims=documents.trained_dims,
        model=model,
        warnings=tuple(dict.fromkeys((*documents.warnings, *queries.warnings))),
    )


@record
class _Noted:
    """Holds what the store notes of one role's texts: which are empty, and by flag which are cut off, zero, of unit length."""

    role: Role
    ids: Sequence[str]
    empty: IntArray
    flags: IntArray
    max_length: int | None

    @property
    def zero(self) -> IntArray:
        return np.flatnonzero(self.flags & ZERO)

    @property
    def truncated(self) -> int | None:
        """Counts the texts that were cut at the model's maximum length; None where the provider does not say."""
        return int((self.flags & TRUNCATED > 0).sum()) if bool((self.flags & TRUNCATION_KNOWN > 0).all()) else None

    @property
    def counts(self) -> dict[str, int | None]:
        noun = _plural(self.role)
        return {f"empty_{noun}": len(self.empty), f"zero_{noun}": len(self.zero), f"truncated_{noun}": self.truncated}

    def advice(self) -> Iterator[Advice]:
        noun, empty, truncated = _plural(self.role), self.empty, self.truncated
        if len(empty):
            names = first_offenders([self.ids[row] for row in empty[:5]], len(empty))
            yield Advice(f"empty-{noun}", plural(len(empty), f"{self.role} has no text", f"{noun} have no text") + f": {names}")
        yield from _zero_advice(self.role, self.ids, self.zero)
        if truncated:
            share = share_of(truncated, len(self.flags))
            limit = f"the model's {self.max_length:,} tokens" if self.max_length else "the model reads"
            longer = plural(truncated, f"{self.role} ({share}) is longer", f"{noun} ({share}) are longer")
            yield Advice(
                f"truncated-{noun}",
                f"{longer} than {limit}: the rest of their text was not read",
                "split long documents, or take a model that reads more; --fail-on-truncation makes this an error",
            )


def _zero_advice(role: Role, ids: Sequence[str], rows: IntArray) -> Iterator[Advice]:
    """Yields advice on what their zero vectors do to the scores of these rows of a role."""
    if not len(rows):
        return
    names, noun = first_offenders([ids[row] for row in rows[:5]], len(rows)), _plural(role)
    document = role is Role.DOCUMENT
    one, many, end = ("scores", "score", "0 for every query") if document else ("ties", "tie", "with every document")
    counted = plural(len(rows), f"{role} has a zero vector and {one}", f"{noun} have a zero vector and {many}")
    yield Advice(f"zero-{noun}", f"{counted} {end}: {names}")


def _collapsed(documents: Vectors) -> Iterator[Advice]:
    """Yields advice where all vectors of a sample spread over the documents are alike: the model has collapsed."""
    rows = documents.take(distinct(np.linspace(0, max(0, len(documents) - 1), _ALIKE_SAMPLE).astype(np.int64)))
    if len(documents) > 1 and (rows == rows[0]).all():
        yield Advice(
            "collapsed-embeddings", "collapsed embeddings: all document vectors are alike", "check the model and its input"
        )


def _sample(collection: Collection, role: Role, details: Mapping[str, Any]) -> str:
    """Returns the beginning of the role's first text as the model gets it, prompt included."""
    prompt = (details.get("prompts") or {}).get(role.value, "")
    texts = collection.queries.texts if role is Role.QUERY else islice(collection.documents.texts(0, 1), 1)
    return f"{prompt}{next(iter(texts), '')}"[:_SAMPLE_CHARACTERS]


def _ids(collection: Collection, role: Role) -> Sequence[str]:
    return collection.documents.ids if role is Role.DOCUMENT else collection.queries.ids


def _plural(role: Role) -> str:
    return "documents" if role is Role.DOCUMENT else "queries"


BYTES_PER_TOKEN: Final = 4
"""UTF-8 bytes a token, roughly, for the tokenizers in use: 4 letters of English, a letter and a third of Chinese."""


@record(kw_only=True)
class Amount:
    """An amount counts one role's texts: all, those with vectors in the store, and the different ones that are to be embedded.

    `characters` are those of the latter, prompts included; `tokens` is an estimate from their bytes.
    """

    texts: int
    stored: int
    to_embed: int
    characters: int
    tokens: int

    @property
    def share_stored(self) -> float:
        """Returns the share of the texts with vectors in the store, in [0, 1]; 1 where there are no texts."""
        return self.stored / self.texts if self.texts else 1.0


@record(kw_only=True)
class DryRun:
    """A dry run says what a run would send. `price` (US dollars) is None where not known; `price_from` says whose figure it is.

    `price_per_million` (tokens) is that of the documents' model, `query_price_per_million` that of the queries'.
    """

    model: str
    documents: Amount
    queries: Amount
    price_per_million: float | None
    query_price_per_million: float | None
    price_from: str

    @property
    def tokens(self) -> int:
        """Estimates the tokens of both roles."""
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
    """Returns what a run would send, from the collection and the store alone: opens no model, sends nothing, needs no key.

    `price_per_million` is in US dollars a million tokens. Raises InputError for one that is negative or not finite.
    """
    if price_per_million is not None and not (math.isfinite(price_per_million) and price_per_million >= 0):
        raise InputError(f"{price_per_million:g} is not a price", "--price-per-million 0.13")
    price, origin = _price(model, price_per_million)
    query_price, query_origin = _price(query_model, price_per_million) if query_model is not None else (price, origin)
    if query_model is not None and isinstance(model, VectorSource):  # no text is sent for vectors that exist already
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
    for window in windows(read(), embedder.batching.window):
        digests = text_digests(window)
        missing = space.find(digests) < 0
        texts += len(window)
        stored += int((~missing).sum())
        fresh = np.flatnonzero(missing & (seen.find(digests) < 0))
        fresh = fresh[first_rows(digests[fresh])]
        seen.put(np.ascontiguousarray(digests[fresh]), np.zeros(len(fresh), np.int64))
        to_embed += len(fresh)
        for row in fresh:
            characters += len(prompt) + len(window[row])
            size += len(prompt.encode()) + len(window[row].encode("utf-8", "replace"))
    tokens = math.ceil(size / BYTES_PER_TOKEN)
    return Amount(texts=texts, stored=stored, to_embed=to_embed, characters=characters, tokens=tokens)


def _price(embedder: Embedder | VectorSource, given: float | None) -> tuple[float | None, str]:
    """Returns US dollars a million tokens (None: not known), and whose figure that is."""
    if given is not None:
        return given, "your figure"
    identity = {} if isinstance(embedder, VectorSource) else embedder.identity(Role.DOCUMENT)
    if "address" not in identity:
        return None, ""
    from mrl_sweep.embedding.hosted.vendors import PRICES_AS_OF, VENDORS

    listed = VENDORS[str(identity["provider"])].list_price(str(identity["model"])) if identity["address"] is None else None
    if listed is not None:
        return listed, f"list price of {PRICES_AS_OF}, which may have changed"
    return None, "price not known: --price-per-million FIGURE"
