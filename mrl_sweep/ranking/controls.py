"""The control bases of a sweep: what a fitted rotation reaches, and what chance axes of the same number would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from mrl_sweep.ranking.rotation import pca_rotation, random_rotation
from mrl_sweep.types import Basis, Float32Array, Ranks, TopDocuments, Vectors

SAMPLE: Final = 20_000
"""Documents that PCA is fitted on."""

RANDOM_SEEDS: Final = 3


def rotations(bases: Sequence[str], vectors: Vectors, generator: np.random.Generator) -> Iterator[tuple[str, Float32Array]]:
    """Each control as (name, rotation (dim, dim)): `pca`, and `random-0`, `random-1`, … for `random`."""
    if Basis.PCA in bases:
        rows = np.sort(generator.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False))
        yield str(Basis.PCA), pca_rotation(vectors.take(rows))
    if Basis.RANDOM in bases:
        for seed in range(RANDOM_SEEDS):
            yield f"{Basis.RANDOM}-{seed}", random_rotation(vectors.dim, generator)


def join(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of several passes over the same documents, queries and judgments, as one."""
    tops = [part.top for part in parts if part.top is not None]
    top = TopDocuments(np.concatenate([t.rows for t in tops]), np.concatenate([t.scores for t in tops])) if tops else None
    return Ranks(
        tuple(candidate for part in parts for candidate in part.candidates),
        parts[0].n_documents,
        np.concatenate([part.above for part in parts]),
        np.concatenate([part.tied for part in parts]),
        top,
        np.concatenate([part.zero_prefixes for part in parts if part.zero_prefixes is not None]),
    )
