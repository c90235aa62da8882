"""Cutting: truncate to a prefix, then renormalise. The one place where it happens outside the rank kernel."""

from __future__ import annotations

from typing import Final

import numpy as np

from mrl_sweep.types import Float32Array, Similarity

ZERO_SQUARED_NORM: Final = 1e-30
"""A prefix whose squared norm is below this is a zero vector: it has no direction, and scores 0 with everything."""

_AT_ONCE: Final = 256
"""Rows in float64 at once: they stay in the cache."""


def unit_prefix(rows: Float32Array, dim: int, *, similarity: Similarity = Similarity.COSINE) -> Float32Array:
    """The first `dim` columns of (n, full) rows as new C-contiguous (n, dim) float32; unit length where similarity is cosine.

    Norms are taken in float64 after the cut, since a slice of a unit vector is not of unit length. Zero prefixes become 0.
    """
    cut = np.array(rows[:, :dim], dtype=np.float32, order="C")
    if similarity is not Similarity.COSINE:
        return cut
    squared = np.empty(len(cut))
    for start in range(0, len(cut), _AT_ONCE):
        wide = cut[start : start + _AT_ONCE].astype(np.float64)
        np.einsum("ij,ij->i", wide, wide, out=squared[start : start + _AT_ONCE])
    zero = squared < ZERO_SQUARED_NORM
    cut *= (1.0 / np.sqrt(np.where(zero, 1.0, squared))).astype(np.float32)[:, None]
    cut[zero] = 0.0
    return cut
