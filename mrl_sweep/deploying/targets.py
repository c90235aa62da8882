"""Targets, the databases to deploy to: their limits, precisions, bytes and statements, read from targets.toml.

And the advice on a target: what does not fit, and at which sizes bytes stay or fall.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from mrl_sweep.deploying.index_spec import faiss_code, is_graph, links
from mrl_sweep.deploying.layouts import LAYOUTS, VectorType, step_begins, table_bytes
from mrl_sweep.errors import InputError
from mrl_sweep.ranking.codes.precision import HAMMING
from mrl_sweep.record import record
from mrl_sweep.types import EXACT, Advice, Basis, Configuration
from mrl_sweep.words import did_you_mean, listed

DEFAULT_TARGET: Final = "faiss"
ANY_PRECISION: Final = "*"


@record(kw_only=True)
class Offer:
    """An offer is one way in which a target keeps a number; `called` is the target's name of `precision`.

    `most_dims` is the largest vector that an index takes so (0: no limit is known), `index` the FAISS structure that stands in
    for the target's own, `layout` the formula of its bytes, empty where those of the stand-in are all there is. `codes`: codes
    are compared with codes.
    """

    precision: str
    called: str
    most_dims: int
    index: str
    source: str
    checked: datetime.date
    verified: str
    layout: str = ""
    codes: bool = False

    def takes(self, dim: int) -> bool:
        """Tells whether an index can hold vectors of `dim` in this form."""
        return self.most_dims == 0 or dim <= self.most_dims


@record(kw_only=True)
class Statement:
    """A statement is `text` to paste, with the `$` names that `Target.paste` fills in; for some precisions, or for `*`."""

    precision: str
    language: str
    text: str
    purpose: str = "index"
    rescored: bool = False

    def serves(self, precision: str) -> bool:
        """Tells whether it is a statement for this precision."""
        return self.precision == ANY_PRECISION or precision in self.precision.split()


@record(kw_only=True)
class Target:
    """A target is one database: what it offers, in the order of the file, and what to paste into it.

    `cuts`: it is given full vectors, and its statements cut them.
    """

    name: str
    title: str
    offers: tuple[Offer, ...]
    statements: tuple[Statement, ...] = ()
    rescoring: str = ""
    note: str = ""
    cuts: bool = False

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that can be swept for this target, in this program's names."""
        return tuple(offer.precision for offer in self.offers)

    @property
    def compares_codes(self) -> bool:
        """Whether it compares the codes of documents with the query's code, not with the query as it is."""
        return any(offer.codes for offer in self.offers)

    def compared_otherwise(self, precision: str, *, symmetric: bool) -> str:
        """Says why codes that were measured with float32 queries (not `symmetric`) are not the target's; empty where they are."""
        offer = self.offer(precision)
        if offer is None or not offer.codes or symmetric or precision == HAMMING:
            return ""
        how = f"{self.title} compares {offer.called} codes with codes"
        return f"{how}, here float32 queries were compared with them: --target {self.name} measures that"

    def offer(self, precision: str) -> Offer | None:
        """Finds how the target keeps this precision; None where it does not offer it. FAISS offers all."""
        if self.name == DEFAULT_TARGET:
            return self.offers[0]
        return next((offer for offer in self.offers if offer.precision == precision), None)

    def _taking(self, configuration: Configuration) -> Offer | None:
        """Finds how the target keeps this configuration; None where it offers no such precision, or not at this size."""
        offer = self.offer(configuration.precision)
        return offer if offer is not None and offer.takes(configuration.dim) else None

    def refusal(self, configuration: Configuration, full: int) -> str:
        """Says why the target cannot hold this configuration of vectors of `full` dimensions; empty where it can."""
        offer = self.offer(configuration.precision)
        if offer is None:
            return f"{self.title} offers no {configuration.precision}: it has {', '.join(self.precisions)}"
        if not offer.takes(configuration.dim):
            return f"{self.title} indexes up to {offer.most_dims:,} dimensions as {offer.called}, not {configuration.dim:,}"
        if offer.layout and configuration.index != EXACT and is_graph(configuration.index) != is_graph(offer.index):
            own = "graphs" if is_graph(offer.index) else "its one exhaustive search"
            return f"bytes of {self.title} are known of {own}, not of {configuration.index}"
        return self._no_rescoring(configuration, full) if configuration.rescore else ""

    @property
    def stores_full_vectors(self) -> bool:
        """Whether whole vectors order a shortlist again; else as many numbers as were cut to, which alone are stored."""
        return self.cuts or self.name == DEFAULT_TARGET

    def _no_rescoring(self, configuration: Configuration, full: int) -> str:
        """Says why a shortlist was not rescored in the run as the target does it; empty where it was."""
        if self.name == DEFAULT_TARGET:
            return ""
        precision, dim = configuration.precision, configuration.dim
        if not any(one.rescored and one.serves(precision) for one in self.statements):
            return f"{self.title} is not known to order a shortlist of {precision} again"
        factor, _, reach = configuration.rescore.partition("@")
        stored = full if self.stores_full_vectors and configuration.basis == Basis.PREFIX else dim
        if int(reach or full) == stored and factor.endswith("x"):
            return ""
        how = f"{self.title} orders a shortlist again by the {stored:,} numbers that it stores"
        return f"{how}, not by {int(reach or full):,}: --target {self.name} measures that"

    def index_bytes(self, configuration: Configuration, docs: int) -> int | None:
        """Counts the bytes of the target's index over `docs` vectors; None where it is refused, or no formula is known."""
        offer = self._taking(configuration)
        if offer is None:
            return None
        structure = offer.index if configuration.index == EXACT else configuration.index
        return LAYOUTS[offer.layout](structure, configuration, docs)

    def disk_bytes(self, configuration: Configuration, full: int, docs: int) -> int | None:
        """Counts the bytes of the table that keeps the full vectors beside the index; None where no formula is known."""
        return table_bytes(full, docs) if self.name == "pgvector" and configuration.dim <= full else None

    def paste(
        self, configuration: Configuration, full: int, *, k: int = 10, effort: int | None = None
    ) -> tuple[tuple[Statement, str], ...]:
        """Fills in the statements for this configuration and its best `k`; none where its precision or size is not offered.

        A search keeps `effort` candidates at least, and as many as are rescored; without `effort` 40, or `k` if that is more.
        """
        offer = self._taking(configuration)
        if offer is None:
            return ()
        factor = int((re.match(r"\d+", configuration.rescore) or ["1"])[0])
        candidates = k * factor
        values = {
            "dim": configuration.dim,
            "full": full,
            "called": offer.called,
            "m": links(offer.index if configuration.index == EXACT else configuration.index),
            "candidates": candidates,
            "factor": factor,
            "effort": max(max(40, k) if effort is None else effort, candidates if configuration.rescore else 0),
            "k": k,
            "factory": faiss_code(configuration.precision) if configuration.index == EXACT else configuration.index,
        }
        fitting = [one for one in self.statements if one.serves(configuration.precision)]
        rescored = {one.purpose for one in fitting if one.rescored and configuration.rescore}
        chosen = [one for one in fitting if one.rescored == (one.purpose in rescored)]
        return tuple((one, Template(one.text).substitute(values)) for one in chosen)


@cache
def target_named(name: str) -> Target:
    """Finds the target of this name in the packaged file. Raises InputError with the nearest name otherwise."""
    texts = target_texts()
    if name not in texts:
        near = did_you_mean(name, texts)
        raise InputError(f"there is no target {name!r}", f"{near} targets are: {', '.join(texts)}".lstrip())
    (table,) = tomllib.loads(texts[name]).values()
    offers = tuple(Offer(**row) for row in table.pop("offers"))
    return Target(name=name, offers=offers, statements=tuple(Statement(**row) for row in table.pop("statements", ())), **table)


@cache
def target_texts() -> Mapping[str, str]:
    """Returns the text of each target's tables in the packaged file, by name, in its order: a run parses only its own."""
    text = Path(__file__).with_name("targets.toml").read_text(encoding="utf-8")
    _, *tables = re.split(r"^(?=\[\w+\]$)", text, flags=re.MULTILINE)
    return {table[1 : table.index("]")]: table for table in tables}


def check_target(target: Target, precisions: Iterable[str]) -> None:
    """Raises InputError where a precision is asked for that the target does not offer: call it before embedding."""
    for precision in precisions:
        if target.offer(precision) is None:
            raise InputError(
                f"{target.title} offers no {precision}", f"--target {target.name} has {', '.join(target.precisions)}"
            )


def target_advice(
    target: Target, dims: Sequence[int], precisions: Iterable[str], *, symmetric: bool = False
) -> tuple[Advice, ...]:
    """Advises on sizes that do not fit, on codes compared with codes, and on sizes that cost the same, for each precision.

    The target's own note comes last. `symmetric`: the sweep compared signs with signs.
    """
    offers = [offer for precision in precisions if (offer := target.offer(precision)) is not None]
    note = [Advice("target-note", f"{target.title}: {target.note}")] if target.note else []
    codes = [offer for offer in offers if offer.codes and offer.precision != HAMMING]
    return (
        *_misfit(target, max(dims)),
        *(_codes(target, offer, symmetric=symmetric) for offer in codes),
        *(step for offer in _by_name(offers) for step in _steps(target, offer, dims)),
        *note,
    )


def _by_name(offers: Sequence[Offer]) -> list[Offer]:
    """Picks one offer of each of the target's own names."""
    return list({offer.called: offer for offer in offers}.values())


def _codes(target: Target, offer: Offer, *, symmetric: bool) -> Advice:
    compares = f"{target.title} compares {offer.called} codes with codes"
    if symmetric:
        return Advice(
            "target-codes", f"{compares}, and so {offer.precision} was measured", "--rescore 4x makes up for much of it"
        )
    hint = f"run with --target {target.name} measures codes against codes; --rescore 4x makes up for much of it"
    return Advice("target-codes", f"{compares}; {offer.precision} was measured with float32 queries", hint)


def _misfit(target: Target, full: int) -> list[Advice]:
    refused = [offer for offer in target.offers if not offer.takes(full)]
    if not refused:
        return []
    limits = [f"{offer.most_dims:,} as {offer.called}" for offer in _by_name(target.offers) if offer.most_dims]
    holding = [offer for offer in target.offers if offer.takes(full)]
    called = " or ".join(offer.called for offer in refused)
    message = f"full size, {full:,} dimensions, has no index in {target.title} as {called}: it takes up to {', '.join(limits)}"
    hint = (
        f"ship a smaller size, or --precision {holding[0].precision}: {holding[0].called}" if holding else "ship a smaller size"
    )
    return [Advice("target-limit", message, hint)]


def _steps(target: Target, offer: Offer, dims: Sequence[int]) -> list[Advice]:
    """Lists the sizes that cost what a larger one costs; none where every dimension less saves bytes."""
    if not offer.layout.startswith("pgvector:"):
        return []
    descending = sorted(dims, reverse=True)
    by_step: dict[int, list[int]] = {}
    for dim in filter(offer.takes, descending):
        by_step.setdefault(step_begins(VectorType(offer.called), dim), []).append(dim)
    advice = []
    for first, (largest, *others) in by_step.items():
        below = [dim for dim in descending if dim < first]
        if not others:
            continue
        verb = "cost" if len(others) > 1 else "costs"
        message = f"as {offer.called}, {listed([f'{dim:,}' for dim in others], 'and')} {verb} what {largest:,} costs"
        if below:
            message += f"; the next step down is {below[0]:,} (it begins at {first - 1:,})"
        advice.append(Advice("target-steps", f"{target.title}: {message}"))
    return advice
