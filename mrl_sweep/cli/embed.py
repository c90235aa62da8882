"""`mrl-sweep embed`: only fill the store, or say what that would take."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.options import EMBED, ConfigFile, takes
from mrl_sweep.cli.output import Described, one_document, one_text, prepare_text
from mrl_sweep.settings.paths import inputs_of
from mrl_sweep.words import percent

if TYPE_CHECKING:
    from mrl_sweep.embedding.dry_run import Amount
    from mrl_sweep.embedding.dry_run import DryRun as WouldTake
    from mrl_sweep.types import Embeddings

PartOfTexts = Annotated[
    str | None,
    typer.Option("--part", metavar="I/N", help="Embed one part of the documents; the first also queries.", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how many texts and tokens, at what price; embed nothing.")]


@takes(*EMBED)
def embed(
    context: typer.Context, config: ConfigFile = None, dry_run: DryRun = False, part: PartOfTexts = None, **flags: Any
) -> None:
    """Only fill the store; --dry-run says what that would take. A run then embeds nothing."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    from mrl_sweep.pipeline.checks import check_complete, check_embeds

    check_complete(settings)
    write = prepare_text(invocation, settings.run.output, inputs_of(settings), ("text", "json"))
    from mrl_sweep.embedding.dry_run import dry_run as would_take
    from mrl_sweep.execution.parts import Part
    from mrl_sweep.pipeline import run as pipeline
    from mrl_sweep.pipeline.models import open_model
    from mrl_sweep.pipeline.parts import texts_of

    model = open_model(settings)
    check_embeds(model)
    described: list[Described] = []
    with listening(invocation) as on_event, nullcontext() if dry_run else pipeline.executor_of(settings, on_event) as executor:
        for one in settings.each():
            collection = pipeline.load(one, on_event)
            if part is not None:
                collection = texts_of(collection, Part.parse(part))
            if dry_run:
                price = settings.model.price_per_million
                estimate = would_take(
                    collection, model.documents, model.store, query_model=model.queries, price_per_million=price
                )
                described.append(Described(collection.name, *_estimated(estimate)))
            else:
                described.append(
                    Described(collection.name, *_embedded(pipeline.embed_texts(one, collection, on_event, model, executor)))
                )
    if invocation.format == "json":
        write(one_document(described))
    elif invocation.quiet < 2:
        write(one_text(described))


def _embedded(stored: Embeddings) -> tuple[dict[str, Any], str]:
    documents, queries = len(stored.documents), len(stored.queries)
    facts = {"model": stored.model.get("name"), "dim": stored.documents.dim, "documents": documents, "queries": queries}
    return facts, f"{documents:,} documents and {queries:,} queries are stored, {stored.documents.dim} dimensions each."


def _estimated(estimate: WouldTake) -> tuple[dict[str, Any], str]:
    roles = {"documents": estimate.documents, "queries": estimate.queries}
    facts = {
        "model": estimate.model,
        **{name: _facts(amount) for name, amount in roles.items()},
        "tokens_estimated": estimate.tokens,
        "price_per_million": estimate.price_per_million,
        "query_price_per_million": estimate.query_price_per_million,
        "price": estimate.price,
        "price_from": estimate.price_from or None,
    }
    lines = [_line(name, amount) for name, amount in roles.items()]
    price = "" if estimate.price is None else f", {estimate.price:,.2f} at {_prices(estimate)} per million tokens"
    origin = f" ({estimate.price_from})" if estimate.price_from else ""
    return facts, "\n".join([*lines, f"To embed: about {estimate.tokens:,} tokens{price}{origin}."])


def _prices(estimate: WouldTake) -> str:
    """The price of a million tokens; of both models where their prices differ."""
    prices = dict.fromkeys((estimate.price_per_million, estimate.query_price_per_million))
    return " and ".join(f"{price:g}" for price in prices if price is not None)


def _facts(amount: Amount) -> dict[str, Any]:
    return {
        "texts": amount.texts,
        "stored": amount.stored,
        "share_stored": amount.share_stored,
        "to_embed": amount.to_embed,
        "characters": amount.characters,
        "tokens_estimated": amount.tokens,
    }


def _line(name: str, amount: Amount) -> str:
    stored = f"{amount.stored:,} stored ({percent(amount.share_stored, limit=1.0)})"
    return f"{name:<9}  {amount.texts:,} texts  {stored}  {amount.to_embed:,} to embed  about {amount.tokens:,} tokens"
