"""Where a pass ranks: what documents and queries become before they are counted. Cut, renormalise, code, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrl_sweep.ranking.codes.code import Code, Coder
from mrl_sweep.ranking.pass_plan import COSINE, DOT, HALF
from mrl_sweep.ranking.prefix import unit_prefix
from mrl_sweep.ranking.task import Rotation, Turn, turned
from mrl_sweep.types import FLOAT32, Basis, Configuration, Float32Array, Similarity

Sample = Callable[[], Float32Array]
"""Reads the (n, dim) stored rows of documents that train coders."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The turn to the first `dim` numbers, renormalised where similarity is cosine."""

    dim: int
    similarity: Similarity

    def __call__(self, rows: Float32Array) -> Float32Array:
        return unit_prefix(rows, self.dim, similarity=self.similarity)

    @property
    def key(self) -> bytes:
        return repr(self).encode()


@dataclass(frozen=True, slots=True)
class Coded:
    """The turn from cut rows to what a coder makes of documents, or of queries."""

    coder: Coder
    queries: bool = False

    def __call__(self, rows: Float32Array) -> Float32Array:
        return self.coder.queries(rows) if self.queries else self.coder.documents(rows)

    @property
    def key(self) -> bytes:
        return repr(self).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """One pass: its configurations, and for each the number of columns that its score adds up, ascending.

    Stored rows go through `turns` and then, coded, through `coder`. `similarity` is that of cut vectors; codes are compared by
    their product, whatever the similarity of what they stand for. `half`: the numbers of cut vectors are rounded to float16.
    """

    candidates: tuple[Configuration, ...]
    columns: tuple[int, ...]
    similarity: Similarity = Similarity.COSINE
    turns: tuple[Turn, ...] = ()
    coder: Coder | None = None
    half: bool = False

    @property
    def scoring(self) -> int:
        """How turned documents and queries are compared: `DOT`, `COSINE` or `HALF`."""
        if self.coder is not None or self.similarity is not Similarity.COSINE:
            return DOT
        return HALF if self.half else COSINE

    @property
    def document_turns(self) -> tuple[Turn, ...]:
        """What makes stored rows of documents what is counted."""
        return self.turns if self.coder is None else (*self.turns, Coded(self.coder))

    def documents(self, rows: Float32Array) -> Float32Array:
        """(n, dim) stored rows of documents -> (n, columns[-1]) C-contiguous float32, as they are counted."""
        return turned(rows, self.document_turns)

    def queries(self, rows: Float32Array) -> Float32Array:
        """(n, dim) queries -> (n, columns[-1]) C-contiguous float32, as documents are counted for them."""
        return turned(rows, self.turns if self.coder is None else (*self.turns, Coded(self.coder, queries=True)))


def prefixes(
    dims: Sequence[int], similarity: Similarity, *, basis: str = Basis.PREFIX, rotation: Float32Array | None = None
) -> Space:
    """Float32 at each size: one pass, in which the kernel renormalises every prefix. `rotation` (dim, dim) turns rows first."""
    return Space(
        candidates=tuple(Configuration(str(basis), int(dim)) for dim in dims),
        columns=tuple(map(int, dims)),
        similarity=similarity,
        turns=() if rotation is None else (Rotation(np.ascontiguousarray(rotation[:, : max(dims)])),),
    )


def coded(of: Space, precision: str, code: Code, sample: Sample) -> Iterator[Space]:
    """The passes that rank the prefixes of a float32 space at another precision: one for all sizes, or one for each.

    Made one by one: a coder is trained when its pass is wanted.
    """
    if precision == FLOAT32:
        yield of
        return
    candidates = tuple(replace(candidate, precision=precision) for candidate in of.candidates)
    if code.rounds_to_half and of.similarity is Similarity.COSINE:
        yield replace(of, candidates=candidates, half=True)
    elif code.prefixes_share_codes:
        yield replace(of, candidates=candidates, coder=code.fit(np.empty((0, max(of.columns)), np.float32)))
    else:
        for candidate in candidates:
            yield _cell(of, candidate, code, sample())


def _cell(of: Space, candidate: Configuration, code: Code, sample: Float32Array) -> Space:
    """One size by itself. A rotation gives only the axes that are left."""
    dim = candidate.dim
    turns = [Rotation(np.ascontiguousarray(turn.matrix[:, :dim])) if isinstance(turn, Rotation) else turn for turn in of.turns]
    cut = replace(of, candidates=(candidate,), columns=(dim,), turns=(*turns, Cut(dim, of.similarity)))
    coder = code.fit(cut.documents(sample))
    columns = coder.documents(cut.documents(sample[:1])).shape[1]
    return replace(cut, columns=(columns,), coder=coder)
