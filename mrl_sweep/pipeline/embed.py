"""The command `embed`: puts the vectors of every configured collection, or of one part of its texts, into the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from mrl_sweep.embedding.embed_collection import Amount, DryRun, dry_run
from mrl_sweep.events import OnEvent
from mrl_sweep.execution.parts import Part
from mrl_sweep.pipeline import run as job
from mrl_sweep.pipeline.checks import check_complete, check_embeds
from mrl_sweep.pipeline.models import Model, open_model
from mrl_sweep.record import record
from mrl_sweep.report.collections import EmbeddedCollection
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.types import Collection, Documents, Embeddings, FileRows, Queries
from mrl_sweep.words import plural


def embed_each(config: SweepConfig, part: Part | None, on_event: OnEvent) -> list[EmbeddedCollection]:
    """Puts the vectors of every configured collection into the store. Raises InputError where no model embeds."""
    model = _model_that_embeds(config)
    with job.executor_of(config, on_event) as executor:
        embedded = []
        for one in config.each():
            collection = _texts(one, part, on_event)
            embedded.append(_stored(collection.name, job.embed_texts(one, collection, model, on_event, executor)))
    return embedded


def estimate_each(config: SweepConfig, part: Part | None, on_event: OnEvent) -> list[EmbeddedCollection]:
    """Estimates what `embed_each` would send and pay. Embeds nothing, loads no model, calls no vendor; raises as it does."""
    model, price = _model_that_embeds(config), config.model.price_per_million
    estimated = []
    for one in config.each():
        collection = _texts(one, part, on_event)
        estimate = dry_run(collection, model.documents, model.store, query_model=model.queries, price_per_million=price)
        estimated.append(_estimated(collection.name, estimate))
    return estimated


def _model_that_embeds(config: SweepConfig) -> Model:
    check_complete(config)
    model = open_model(config)
    check_embeds(model)
    return model


def _texts(config: SweepConfig, part: Part | None, on_event: OnEvent) -> Collection:
    collection = job.load(config, on_event)
    return collection if part is None else texts_of(collection, part)


def _stored(name: str, embeddings: Embeddings) -> EmbeddedCollection:
    documents, queries, dim = len(embeddings.documents), len(embeddings.queries), embeddings.documents.dim
    facts = {"model": embeddings.model.get("name"), "dim": dim, "documents": documents, "queries": queries}
    what = f"{plural(documents, 'document')} and {plural(queries, 'query', 'queries')}"
    return EmbeddedCollection(name=name, facts=facts, sentence=f"{what} are stored, {dim} dimensions each.")


def _estimated(name: str, estimate: DryRun) -> EmbeddedCollection:
    to_embed = {"documents": _amount(estimate.documents), "queries": _amount(estimate.queries)}
    facts = {
        "model": estimate.model,
        **to_embed,
        "tokens_estimated": estimate.tokens,
        "price_per_million": estimate.price_per_million,
        "query_price_per_million": estimate.query_price_per_million,
        "price": estimate.price,
        "price_from": estimate.price_from or None,
    }
    price = "" if estimate.price is None else f", {estimate.price:,.2f} at {_prices(estimate)} per million tokens"
    origin = f" ({estimate.price_from})" if estimate.price_from else ""
    sentence = f"To embed: about {estimate.tokens:,} tokens{price}{origin}."
    return EmbeddedCollection(name=name, facts=facts, sentence=sentence, to_embed=to_embed)


def _amount(amount: Amount) -> dict[str, Any]:
    return {
        "texts": amount.texts,
        "stored": amount.stored,
        "share_stored": amount.share_stored,
        "to_embed": amount.to_embed,
        "characters": amount.characters,
        "tokens_estimated": amount.tokens,
    }


def _prices(estimate: DryRun) -> str:
    """The price of a million tokens; of both models where their prices differ."""
    prices = dict.fromkeys((estimate.price_per_million, estimate.query_price_per_million))
    return " and ".join(f"{price:g}" for price in prices if price is not None)


@record
class DocumentSpan:
    """Some consecutive documents of a corpus, as a corpus of their own."""

    whole: Documents
    start: int
    stop: int

    @property
    def ids(self) -> Sequence[str]:
        return self.whole.ids[self.start : self.stop]

    @property
    def file_rows(self) -> FileRows | None:
        """None: file rows place vectors that were made elsewhere, and the texts of a part are embedded."""
        return None

    def __len__(self) -> int:
        return self.stop - self.start

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        return self.whole.texts(self.start + start, self.stop if stop is None else min(self.start + stop, self.stop))

    def titles(self, rows: Sequence[int]) -> list[str]:
        return self.whole.titles([self.start + row for row in rows])

    def excerpts(self, rows: Sequence[int]) -> list[str]:
        return self.whole.excerpts([self.start + row for row in rows])


def texts_of(collection: Collection, part: Part) -> Collection:
    """Returns the texts that this part embeds, as a collection whose judgments mean nothing; the first part has the queries."""
    documents = DocumentSpan(collection.documents, *part.rows(len(collection.documents)))
    return replace(collection, documents=documents, queries=collection.queries if part.number == 1 else Queries((), (), ()))
