"""The space that a pass ranks in: documents and queries are rotated, cut, renormalised and coded, in this order, then counted.

Rotations give other axes to cut than the model's own: orthogonal ones, so that nothing changes at full size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mrl_sweep.ranking.codes.code import Code, Coder
from mrl_sweep.ranking.pass_plan import COSINE, DOT, HALF, unit_prefix
from mrl_sweep.ranking.task import Rotation, Turn, turned
from mrl_sweep.record import record
from mrl_sweep.types import FLOAT32, Basis, Configuration, Float32Array, Similarity, Vectors

Sample = Callable[[], Float32Array]
"""Reads the (n, dim) stored rows of documents that train coders."""

PCA_SAMPLE: Final = 20_000
"""Documents that PCA is fitted on."""

_ROTATED_AT_ONCE: Final = 2048
"""Rows of the PCA sample in float64 at once."""

RANDOM_SEEDS: Final = 3


@record
class Cut:
    """The turn to the first `dim` numbers, renormalised where similarity is cosine."""

    dim: int
    similarity: Similarity

    def __call__(self, rows: Float32Array) -> Float32Array:
        return unit_prefix(rows, self.dim, similarity=self.similarity)

    @property
    def key(self) -> bytes:
        return repr(self).encode()


@record
class Coded:
    """The turn from cut rows to what a coder makes of documents or, where `queries`, of queries."""

    coder: Coder
    queries: bool = False

    def __call__(self, rows: Float32Array) -> Float32Array:
        return self.coder.queries(rows) if self.queries else self.coder.documents(rows)

    @property
    def key(self) -> bytes:
        return repr(self).encode()


@record(kw_only=True)
class RankedSpace:
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
        """How turned documents and queries are scored: `DOT`, `COSINE` or `HALF`."""
        if self.coder is not None or self.similarity is not Similarity.COSINE:
            return DOT
        return HALF if self.half else COSINE

    @property
    def document_turns(self) -> tuple[Turn, ...]:
        """The turns that stored rows of documents go through before they are counted."""
        return self.turns if self.coder is None else (*self.turns, Coded(self.coder))

    def documents(self, rows: Float32Array) -> Float32Array:
        """Returns (n, columns[-1]) C-contiguous float32, the (n, dim) stored rows of documents as they are counted."""
        return turned(rows, self.document_turns)

    def queries(self, rows: Float32Array) -> Float32Array:
        """Returns (n, columns[-1]) C-contiguous float32, the (n, dim) queries as documents are counted for them."""
        return turned(rows, self.turns if self.coder is None else (*self.turns, Coded(self.coder, queries=True)))


def prefixes(
    dims: Sequence[int], similarity: Similarity, *, basis: str = Basis.PREFIX, rotation: Float32Array | None = None
) -> RankedSpace:
    """Returns the space of float32 at all sizes; the kernel renormalises prefixes. `rotation` (dim, dim) turns rows first."""
    return RankedSpace(
        candidates=tuple(Configuration(str(basis), int(dim)) for dim in dims),
        columns=tuple(map(int, dims)),
        similarity=similarity,
        turns=() if rotation is None else (Rotation(np.ascontiguousarray(rotation[:, : max(dims)])),),
    )


def coded(of: RankedSpace, precision: str, code: Code, sample: Sample) -> Iterator[RankedSpace]:
    """Yields the spaces that rank the prefixes of a float32 space at another precision: one for all sizes, or one for each.

    They are made one by one: a coder is trained when its pass is wanted. At float32 the space itself comes back.
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


def _cell(of: RankedSpace, candidate: Configuration, code: Code, sample: Float32Array) -> RankedSpace:
    """Makes the space of one size alone. A rotation keeps only the axes that are left."""
    dim = candidate.dim
    turns = [Rotation(np.ascontiguousarray(turn.matrix[:, :dim])) if isinstance(turn, Rotation) else turn for turn in of.turns]
    cut = replace(of, candidates=(candidate,), columns=(dim,), turns=(*turns, Cut(dim, of.similarity)))
    coder = code.fit(cut.documents(sample))
    columns = coder.documents(cut.documents(sample[:1])).shape[1]
    return replace(cut, columns=(columns,), coder=coder)


def pca_rotation(sample: Float32Array) -> Float32Array:
    """Returns (dim, dim) orthogonal float32, the principal axes of unit-length sample rows as columns, the strongest first.

    The axes of the second moment, not of the covariance: nothing is centred, so inner products are those of the rotated
    vectors. `sample` (n, dim); fewer rows than dim leave the last axes arbitrary, yet orthogonal.
    """
    moment = np.zeros((sample.shape[1], sample.shape[1]))
    for start in range(0, len(sample), _ROTATED_AT_ONCE):
        rows = sample[start : start + _ROTATED_AT_ONCE].astype(np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1.0)
        moment += rows.T @ rows
    _, axes = np.linalg.eigh(moment)
    return _readable(axes[:, ::-1])


def random_rotation(dim: int, generator: np.random.Generator) -> Float32Array:
    """Returns (dim, dim) orthogonal float32, uniform over all rotations and reflections (Haar measure, Mezzadri 2007)."""
    q, r = np.linalg.qr(generator.standard_normal((dim, dim)))
    return _readable(q * np.sign(np.diag(r)))


def _readable(axes: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Float32Array:
    """Makes axes contiguous float32; each column's largest entry positive, since an axis has no sign of its own."""
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return np.ascontiguousarray(axes * np.sign(largest), dtype=np.float32)


def rotations(bases: Sequence[str], vectors: Vectors, generator: np.random.Generator) -> Iterator[tuple[str, Float32Array]]:
    """Yields each control as (name, rotation (dim, dim)): `pca`, and `random-0`, `random-1`, … for `random`."""
    if Basis.PCA in bases:
        rows = np.sort(generator.choice(len(vectors), min(PCA_SAMPLE, len(vectors)), replace=False))
        yield str(Basis.PCA), pca_rotation(vectors.take(rows))
    if Basis.RANDOM in bases:
        for seed in range(RANDOM_SEEDS):
            yield f"{Basis.RANDOM}-{seed}", random_rotation(vectors.dim, generator)
