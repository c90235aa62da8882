"""`check`, `config` and `embed`: what a run would read, its settings and its vectors; no run is written."""

from __future__ import annotations

import json
from contextlib import nullcontext
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrl_sweep.cli.console import listening
from mrl_sweep.cli.invocation import invocation_of
from mrl_sweep.cli.output import prepare_output, prepare_text
from mrl_sweep.cli.program import EMBED, SWEEP, ConfigFile, takes
from mrl_sweep.errors import InputError
from mrl_sweep.settings.parsing import format_size, parse_size
from mrl_sweep.settings.paths import inputs_of
from mrl_sweep.settings.setting import Setting
from mrl_sweep.settings.table import SETTINGS
from mrl_sweep.words import plural

if TYPE_CHECKING:
    from mrl_sweep.embedding.embed_collection import Amount
    from mrl_sweep.embedding.embed_collection import DryRun as WouldTake
    from mrl_sweep.report.collections import EmbeddedCollection
    from mrl_sweep.settings.config import SweepConfig
    from mrl_sweep.types import Embeddings


@takes(*EMBED)
def check(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Validate a collection and say what is in it: sizes, judgments, gaps, text lengths, slices."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    from mrl_sweep.pipeline.checks import check_collection
    from mrl_sweep.report.render import ARTICLE_FORMATS

    check_collection(settings)
    output = prepare_output(invocation, settings.run.output, inputs_of(settings), ARTICLE_FORMATS)
    from mrl_sweep.collection.describe import describe
    from mrl_sweep.pipeline import run as pipeline
    from mrl_sweep.report.collections import check_article

    with listening(invocation) as on_event:
        descriptions = [
            describe(pipeline.load(one, on_event), cluster=one.decision.cluster, alpha=one.decision.alpha, on_event=on_event)
            for one in settings.each()
        ]
    output.show(check_article(descriptions))


@takes(*SWEEP)
def config(context: typer.Context, config: ConfigFile = None, **flags: Any) -> None:
    """Every setting, its value, and where it came from. The text is itself a configuration file."""
    invocation = invocation_of(context, flags)
    settings = invocation.configure(config, flags)
    if invocation.format not in ("text", "json"):
        raise InputError(f"config has no {invocation.format} format", "--format text or json")
    write = prepare_text(invocation, settings.run.output, inputs_of(settings), ("text", "json"))
    write((as_json(settings) if invocation.format == "json" else as_toml(settings)) + "\n")


def as_json(settings: SweepConfig) -> str:
    """One document: `{"settings": [{"key": "decision.retain", "value": 0.98, "origin": "default"}, …]}`."""
    rows = [{"key": key, "value": value, "origin": _origin(settings, key)} for key, value in settings.settings().items()]
    return json.dumps({"schema_version": 1, "settings": rows}, indent=2)


def as_toml(settings: SweepConfig) -> str:
    """TOML with each value's origin as a comment; a setting without a value is commented out."""
    values, blocks = settings.settings(), []
    for table, rows in groupby(SETTINGS, key=lambda setting: setting.table):
        assigned = [(_assignment(setting, values[setting.path]), _origin(settings, setting.path)) for setting in rows]
        width = max(len(text) for text, _ in assigned)
        blocks.append("\n".join([f"[{table}]", *(f"{text:<{width}}  # {origin}" for text, origin in assigned)]))
    return "\n\n".join(blocks)


def _origin(settings: SweepConfig, path: str) -> str:
    return settings.origins.get(path, "default")


def _assignment(setting: Setting, value: Any) -> str:
    if value is None:
        return f"# {setting.key} ="
    text = format_size(value) if setting.parse is parse_size else value
    # TOML's strings, numbers, truth values and arrays are spelled as JSON spells them.
    return f"{setting.key} = {json.dumps(text, ensure_ascii=False)}"


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
    from mrl_sweep.report.collections import embed_article
    from mrl_sweep.report.render import ARTICLE_FORMATS

    output = prepare_output(invocation, settings.run.output, inputs_of(settings), ARTICLE_FORMATS)
    from mrl_sweep.embedding.embed_collection import dry_run as would_take
    from mrl_sweep.execution.parts import Part
    from mrl_sweep.pipeline import run as pipeline
    from mrl_sweep.pipeline.models import open_model
    from mrl_sweep.pipeline.parts import texts_of

    model = open_model(settings)
    check_embeds(model)
    embedded: list[EmbeddedCollection] = []
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
                embedded.append(_estimated(collection.name, estimate))
            else:
                stored = pipeline.embed_texts(one, collection, model, on_event, executor)
                embedded.append(_embedded(collection.name, stored))
    return output.show(embed_article(embedded))


def _embedded(name: str, stored: Embeddings) -> EmbeddedCollection:
    from mrl_sweep.report.collections import EmbeddedCollection

    documents, queries = len(stored.documents), len(stored.queries)
    facts = {"model": stored.model.get("name"), "dim": stored.documents.dim, "documents": documents, "queries": queries}
    what = f"{plural(documents, 'document')} and {plural(queries, 'query', 'queries')}"
    sentence = f"{what} are stored, {stored.documents.dim} dimensions each."
    return EmbeddedCollection(name=name, facts=facts, sentence=sentence)


def _estimated(name: str, estimate: WouldTake) -> EmbeddedCollection:
    from mrl_sweep.report.collections import EmbeddedCollection

    to_embed = {"documents": _facts(estimate.documents), "queries": _facts(estimate.queries)}
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
