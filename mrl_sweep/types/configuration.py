"""A configuration that could be shipped: axes, size, precision, index and shortlist, a value that prints and parses as itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final, Self

from mrl_sweep.errors import InputError
from mrl_sweep.record import record

EXACT: Final = "exact"
"""The `Configuration.index` of an exhaustive search."""

FLAT: Final = "Flat"
"""The `Configuration.index` of FAISS's own exhaustive search over unaltered vectors: the same ranks, its own bytes and speed."""

FLOAT32: Final = "float32"
"""The `Configuration.precision` of numbers kept as the model gave them."""


class Basis(StrEnum):
    """Which axes a candidate cuts: the model's own, or a control's."""

    PREFIX = "prefix"
    PCA = "pca"
    RANDOM = "random"


@record(order=True)
class Configuration:
    """One thing that could be shipped: axes, their number and precision, the index, and how a shortlist is ordered again.

    Written `512`, `512:binary`, `256:int8:HNSW32`, `pca:48:int8`, `512:binary:exact:rescore=4x`; `str` and `parse` are
    inverse. `index` is `exact` or a FAISS structure. `rescore` is empty; or `4x`, four documents for each that is wanted, ordered
    again by the full vectors; or `4x@768`, by their first 768 numbers; or `200@768`, always 200 documents.
    """

    basis: str
    dim: int
    index: str = EXACT
    precision: str = FLOAT32
    rescore: str = ""

    def __str__(self) -> str:
        words = [] if self.basis == Basis.PREFIX else [self.basis]
        words.append(str(self.dim))
        if (self.precision, self.index, self.rescore) != (FLOAT32, EXACT, ""):
            words.append(self.precision)
        if self.index != EXACT or self.rescore:
            words.append(self.index)
        if self.rescore:
            words.append(f"rescore={self.rescore}")
        return ":".join(words)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a configuration as written, also `prefix:256:exact` of earlier runs. Raises ValueError on other text."""
        words = text.split(":")
        rescore = words.pop().removeprefix("rescore=") if words[-1].startswith("rescore=") else ""
        named = words[0].partition("-")[0] in list(Basis)  # `random-1` is the second draw of a control
        basis = words.pop(0) if named and len(words) > 1 else str(Basis.PREFIX)
        dim, *rest = words
        precision = rest.pop(0) if rest and rest[0] != EXACT else FLOAT32
        if not dim.isdecimal() or int(dim) < 1:
            raise ValueError(f"{text!r} is no configuration: {dim!r} is no number of dimensions")
        return cls(basis, int(dim), ":".join(rest) or EXACT, precision, rescore)

    @classmethod
    def read(cls, basis: str, dim: int, index: str, precision: str = FLOAT32, rescore: str = "") -> Self:
        """Reads the fields of a file; schema 1 wrote 200 documents found at 64 and ordered again at 768 as index `64:200:768`."""
        funnel = re.fullmatch(r"(\d+):(\d+):(\d+)", index)
        if funnel is None:
            return cls(basis, dim, index, precision, rescore)
        return cls(basis, int(funnel[1]), EXACT, precision, f"{funnel[2]}@{funnel[3]}")

    @classmethod
    def exact_prefix(cls, dim: int) -> Self:
        """Returns the model's own first `dim` numbers at float32, searched exhaustively: one size of a sweep."""
        return cls(str(Basis.PREFIX), dim)

    @property
    def is_exact(self) -> bool:
        """Whether all codes are scored, and nothing is ordered again: its ranks are exact."""
        return self.index == EXACT and not self.rescore

    @property
    def is_exact_prefix(self) -> bool:
        """Whether the configuration is the model's vector cut to this size and nothing else."""
        return self == self.exact_prefix(self.dim)

    @property
    def exact(self) -> Self:
        """The same codes, scored exhaustively: what an index is held against to tell its loss from theirs."""
        return replace(self, index=EXACT, rescore="")

    @property
    def at_float32(self) -> Self:
        """The same axes and size, exhaustive and uncoded: what a code is held against to tell its loss from the cut's."""
        return replace(self.exact, precision=FLOAT32)

    @property
    def family(self) -> Self:
        """The configuration without its size (`dim` 0), the same for all its sizes. One walk is made for each family."""
        return replace(self, dim=0)


def exact_prefixes(configurations: Iterable[Configuration]) -> tuple[Configuration, ...]:
    """Returns the model's own sizes at float32, searched exhaustively, from the largest down."""
    return tuple(sorted((c for c in configurations if c.is_exact_prefix), key=lambda c: -c.dim))


def full_size(configurations: Iterable[Configuration]) -> Configuration:
    """Returns the largest exact prefix, with which everything is compared. Raises InputError where none was ranked."""
    sizes = exact_prefixes(configurations)
    if not sizes:
        raise InputError(
            "no exact prefix was ranked, so there is no full size to compare with", "measure the full size too: --dims auto"
        )
    return sizes[0]
