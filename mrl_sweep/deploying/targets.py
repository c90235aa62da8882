"""The databases a configuration goes into: their limits, precisions, bytes and statements, read from targets.toml.

And what their users are told first: what does not fit, and where bytes stay and fall.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final, TypeVar

from mrl_sweep.deploying.index_spec import index_bytes, parse_index
from mrl_sweep.deploying.pgvector_bytes import VectorType, hnsw_bytes, step_of, table_bytes
from mrl_sweep.errors import InputError
from mrl_sweep.ranking.codes.precision import HAMMING, bytes_per_vector
from mrl_sweep.types import EXACT, Advice, Basis, Configuration
from mrl_sweep.words import did_you_mean

SCHEMA_VERSION: Final = 1
DEFAULT_TARGET: Final = "faiss"
ANY_PRECISION: Final = "*"
_CHUNK: Final = 1024
"""Vectors that sqlite-vec keeps together."""

_FAISS_CODES: Final = {
    "float32": "Flat",
    "float16": "SQfp16",
    "int8": "SQ8",
    "int4": "SQ4",
    "rabitq": "RaBitQ",
    "binary": "LSH",
}


class Verified(StrEnum):
    """How far a row was verified: seen on the running system, read on the vendor's page, or told and not found again."""

    RUN = "run"
    VENDOR = "vendor"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way in which a target keeps a number; `called` is the target's name of `precision`.

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
    verified: Verified
    layout: str = ""
    codes: bool = False

    def takes(self, dim: int) -> bool:
        """Whether an index can hold vectors of `dim` in this form."""
        return self.most_dims == 0 or dim <= self.most_dims


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Something to paste: `text` with `$dim`, `$full`, `$called`, `$m`, `$candidates`; for one precision, or for `*`."""

    precision: str
    language: str
    text: str
    purpose: str = "index"
    rescored: bool = False

    def fill(self, **values: object) -> str:
        """The text to paste. Raises KeyError for a name that `values` lack."""
        return Template(self.text).substitute(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One database: what it offers, in the order of the file, and what to paste into it.

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
        """What can be swept for this target, in this program's names."""
        return tuple(offer.precision for offer in self.offers)

    @property
    def compares_codes(self) -> bool:
        """Whether it compares the codes of documents with the query's code, not with the query as it is."""
        return any(offer.codes for offer in self.offers)

    def compared_otherwise(self, precision: str, *, symmetric: bool) -> str:
        """Why codes that were measured with float32 queries (not `symmetric`) are not the target's; empty where they are."""
        offer = self.offer(precision)
        if offer is None or not offer.codes or symmetric or precision == HAMMING:
            return ""
        how = f"{self.title} compares {offer.called} codes with codes"
        return f"{how}, here float32 queries were compared with them: --target {self.name} measures that"

    def offer(self, precision: str) -> Offer | None:
        """How the target keeps this precision; None where it does not offer it. FAISS offers all."""
        if self.name == DEFAULT_TARGET:
            return self.offers[0]
        return next((offer for offer in self.offers if offer.precision == precision), None)

    def refusal(self, configuration: Configuration, full: int) -> str:
        """Why the target cannot hold this configuration of vectors of `full` dimensions; empty where it can."""
        offer = self.offer(configuration.precision)
        if offer is None:
            return f"{self.title} offers no {configuration.precision}: it has {', '.join(self.precisions)}"
        if not offer.takes(configuration.dim):
            return f"{self.title} indexes up to {offer.most_dims:,} dimensions as {offer.called}, not {configuration.dim:,}"
        if offer.layout and configuration.index != EXACT and _is_graph(configuration.index) != _is_graph(offer.index):
            own = "graphs" if _is_graph(offer.index) else "its one exhaustive search"
            return f"bytes of {self.title} are known of {own}, not of {configuration.index}"
        return self._no_rescoring(configuration, full) if configuration.rescore else ""

    @property
    def stores_full_vectors(self) -> bool:
        """Whether whole vectors order a shortlist again; else as many numbers as were cut to, which alone are stored."""
        return self.cuts or self.name == DEFAULT_TARGET

    def _no_rescoring(self, configuration: Configuration, full: int) -> str:
        """Why what was measured is not how the target orders a shortlist again; empty where it is."""
        if self.name == DEFAULT_TARGET:
            return ""
        precision, dim = configuration.precision, configuration.dim
        if not any(one.rescored and one.precision in (ANY_PRECISION, precision) for one in self.statements):
            return f"{self.title} is not known to order a shortlist of {precision} again"
        factor, _, reach = configuration.rescore.partition("@")
        stored = full if self.stores_full_vectors and configuration.basis == Basis.PREFIX else dim
        if int(reach or full) == stored and factor.endswith("x"):
            return ""
        how = f"{self.title} orders a shortlist again by the {stored:,} numbers that it stores"
        return f"{how}, not by {int(reach or full):,}: --target {self.name} measures that"

    def index_bytes(self, configuration: Configuration, docs: int) -> int | None:
        """Bytes of the target's index over `docs` vectors; None where it is refused, or no formula is known."""
        offer = self.offer(configuration.precision)
        if offer is None or not offer.takes(configuration.dim):
            return None
        structure = offer.index if configuration.index == EXACT else configuration.index
        return LAYOUTS[offer.layout](structure, configuration, docs)

    def disk_bytes(self, configuration: Configuration, full: int, docs: int) -> int | None:
        """Bytes of the table that keeps the full vectors beside the index; None where no formula is known."""
        return table_bytes(full, docs) if self.name == "pgvector" and configuration.dim <= full else None

    def paste(
        self, configuration: Configuration, full: int, *, k: int = 10, effort: int | None = None
    ) -> tuple[tuple[Statement, str], ...]:
        """The statements for this configuration, filled in, for the best `k`; none where the target refuses it.

        A search keeps `effort` candidates at least, and as many as are rescored; by default 40, and never fewer than `k`.
        """
        offer = self.offer(configuration.precision)
        if offer is None or not offer.takes(configuration.dim):
            return ()
        factor = int((re.match(r"\d+", configuration.rescore) or ["1"])[0])
        candidates = k * factor
        values = {
            "dim": configuration.dim,
            "full": full,
            "called": offer.called,
            "m": _links(offer.index if configuration.index == EXACT else configuration.index),
            "candidates": candidates,
            "factor": factor,
            "effort": max(max(40, k) if effort is None else effort, candidates if configuration.rescore else 0),
            "k": k,
            "factory": faiss_code(configuration.precision) if configuration.index == EXACT else configuration.index,
        }
        fitting = [one for one in self.statements if one.precision in (ANY_PRECISION, configuration.precision)]
        rescored = {one.purpose for one in fitting if one.rescored and configuration.rescore}
        chosen = [one for one in fitting if one.rescored == (one.purpose in rescored)]
        return tuple((one, one.fill(**values)) for one in chosen)


def faiss_code(precision: str) -> str:
    """FAISS's word for the precision; a FAISS word is its own."""
    return _FAISS_CODES.get(precision, precision)


def _stand_in(structure: str, configuration: Configuration, docs: int) -> int | None:
    return index_bytes(f"{parse_index(structure).factory},{faiss_code(configuration.precision)}", configuration.dim, docs)


def _pgvector(kind: VectorType) -> Callable[[str, Configuration, int], int | None]:
    def layout(structure: str, configuration: Configuration, docs: int) -> int | None:
        return hnsw_bytes(kind, configuration.dim, docs, m=_links(structure))

    return layout


def _weaviate(least_bits: int, bits: int, beside: int) -> Callable[[str, Configuration, int], int | None]:
    """Rotated codes: the dimension rounded up to a multiple of 64, and to `least_bits`; the graph is the stand-in's."""

    def layout(structure: str, configuration: Configuration, docs: int) -> int | None:
        with_vectors = index_bytes(f"{parse_index(structure).factory},Flat", configuration.dim, docs)
        if with_vectors is None:
            return None
        rotated = -(-configuration.dim // 64) * 64
        code = max(rotated * bits, least_bits) // 8 + beside
        return with_vectors - 4 * configuration.dim * docs + code * docs

    return layout


def _sqlite_vec(_structure: str, configuration: Configuration, docs: int) -> int:
    """Chunks of 1,024 vectors each, the last one as large as the others."""
    return -(-docs // _CHUNK) * _CHUNK * bytes_per_vector(configuration.precision, configuration.dim)


LAYOUTS: Final[Mapping[str, Callable[[str, Configuration, int], int | None]]] = {
    "": _stand_in,
    "pgvector:vector": _pgvector(VectorType.VECTOR),
    "pgvector:halfvec": _pgvector(VectorType.HALFVEC),
    "pgvector:bit": _pgvector(VectorType.BIT),
    "sqlitevec": _sqlite_vec,
    "weaviate:rq8": _weaviate(0, 8, 16),
    "weaviate:rq1": _weaviate(256, 1, 8),
}
"""(structure, configuration, documents) -> bytes of the index, by the name in targets.toml."""


def _is_graph(structure: str) -> bool:
    return "hnsw" in structure.lower() and not structure.startswith("IVF")


def _links(structure: str) -> int:
    """The m of a graph: of `HNSW16`, of `pgvector:hnsw(m=16)`; 16 where none is named."""
    match = re.search(r"HNSW(\d+)|\bm=(\d+)", structure)
    return int(match[1] or match[2]) if match else 16


@cache
def target_named(name: str) -> Target:
    """The target of this name. Raises InputError with the nearest name otherwise."""
    texts = target_texts()
    if name in texts:
        return read_targets(texts[name])[name]
    raise InputError(f"there is no target {name!r}", f"{did_you_mean(name, texts)} targets are: {', '.join(texts)}".lstrip())


@cache
def target_texts() -> Mapping[str, str]:
    """The packaged file as a document for each target, by name, in its order: a run reads that of its own target alone."""
    text = Path(__file__).with_name("targets.toml").read_text(encoding="utf-8")
    head, *tables = re.split(r"^(?=\[\w+\]$)", text, flags=re.MULTILINE)
    return {table[1 : table.index("]")]: head + table for table in tables}


def read_targets(text: str) -> dict[str, Target]:
    """The targets of a TOML document. Raises ValueError naming the target and key for anything the schema does not have."""
    tables = tomllib.loads(text)
    if tables.pop("schema_version", None) != SCHEMA_VERSION:
        raise ValueError(f"schema_version must be {SCHEMA_VERSION}")
    return {name: _target(name, table) for name, table in tables.items()}


def _target(name: str, table: Mapping[str, Any]) -> Target:
    offers = tuple(_row(Offer, row, f"[{name}] offers") for row in table.get("offers", ()))
    statements = tuple(_row(Statement, row, f"[{name}] statements") for row in table.get("statements", ()))
    if not offers:
        raise ValueError(f"[{name}] offers nothing")
    precisions = {*(offer.precision for offer in offers), ANY_PRECISION}
    for statement in statements:
        if statement.precision not in precisions:
            raise ValueError(f"[{name}] statements: {statement.precision} is not among its offers")
    return _row(Target, {**table, "name": name, "offers": offers, "statements": statements}, f"[{name}]")


Row = TypeVar("Row", Offer, Statement, Target)

_KINDS: Final = {"str": str, "int": int, "bool": bool, "datetime.date": datetime.date, "Verified": str}


def _row(kind: type[Row], values: Mapping[str, Any], where: str) -> Row:
    """A dataclass from a table of the file, each value checked against its annotation."""
    columns = {field.name: field for field in fields(kind)}
    if unknown := [key for key in values if key not in columns]:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}")
    if missing := [name for name, field in columns.items() if name not in values and field.default is MISSING]:
        raise ValueError(f"{where}: no {missing[0]}")
    checked = dict(values)
    for key, value in values.items():
        expected = _KINDS.get(str(columns[key].type))
        if expected is not None and type(value) is not expected:
            raise ValueError(f"{where}: {key} must be {expected.__name__}, not {value!r}")
    if kind is Offer:
        checked["verified"] = Verified(values["verified"])
        if checked.get("layout", "") not in LAYOUTS:
            raise ValueError(f"{where}: there is no layout {checked['layout']!r}")
    return kind(**checked)


def check_target(target: Target, precisions: Iterable[str]) -> None:
    """Raises InputError where a precision is asked for that the target does not offer: ask before embedding."""
    for precision in precisions:
        if target.offer(precision) is None:
            raise InputError(
                f"{target.title} offers no {precision}", f"--target {target.name} has {', '.join(target.precisions)}"
            )


def target_advice(
    target: Target, dims: Sequence[int], precisions: Iterable[str], *, symmetric: bool = False
) -> tuple[Advice, ...]:
    """What does not fit, then the steps of the staircase that the sizes of this sweep stand on, for each precision.

    `symmetric`: the sweep compared signs with signs.
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
    """One offer of each of the target's own names."""
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
    """The sizes that cost what a larger one costs; nothing where every dimension less saves bytes."""
    if not offer.layout.startswith("pgvector:"):
        return []
    descending = sorted(dims, reverse=True)
    by_step: dict[tuple[int, int], list[int]] = {}
    for dim in descending:
        step = step_of(VectorType(offer.called), dim)
        if step is not None:
            by_step.setdefault(step, []).append(dim)
    advice = []
    for (first, _), (largest, *others) in by_step.items():
        below = [dim for dim in descending if dim < first]
        if not others:
            continue
        verb = "cost" if len(others) > 1 else "costs"
        message = f"as {offer.called}, {' and '.join(f'{dim:,}' for dim in others)} {verb} what {largest:,} costs"
        if below:
            message += f"; the next step down is {below[0]:,} (it begins at {first - 1:,})"
        advice.append(Advice("target-steps", f"{target.title}: {message}"))
    return advice
