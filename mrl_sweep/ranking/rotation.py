"""Rotations: other axes to cut than the model's own. Orthogonal, so that nothing changes at full size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from mrl_sweep.types import Basis, Float32Array, Vectors

SAMPLE: Final = 20_000
"""Documents that PCA is fitted on."""

_AT_ONCE: Final = 2048
"""Rows in float64 at once."""

RANDOM_SEEDS: Final = 3


def pca_rotation(sample: Float32Array) -> Float32Array:
    """(dim, dim) orthogonal float32: the principal axes of unit-length sample rows as columns, the strongest first.

    The axes of the second moment, not of the covariance: nothing is centred, so inner products are those of the rotated
    vectors. `sample` (n, dim); fewer rows than dim leave the last axes arbitrary, yet orthogonal.
    """
    moment = np.zeros((sample.shape[1], sample.shape[1]))
    for start in range(0, len(sample), _AT_ONCE):
        rows = sample[start : start + _AT_ONCE].astype(np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1.0)
        moment += rows.T @ rows
    _, axes = np.linalg.eigh(moment)
    return _readable(axes[:, ::-1])


def random_rotation(dim: int, generator: np.random.Generator) -> Float32Array:
    """(dim, dim) orthogonal float32, uniform over all rotations and reflections (Haar measure, Mezzadri 2007)."""
    q, r = np.linalg.qr(generator.standard_normal((dim, dim)))
    return _readable(q * np.sign(np.diag(r)))


def _readable(axes: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Float32Array:
    """As contiguous float32; each column's largest entry positive, since an axis has no sign of its own."""
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return np.ascontiguousarray(axes * np.sign(largest), dtype=np.float32)


def rotations(bases: Sequence[str], vectors: Vectors, generator: np.random.Generator) -> Iterator[tuple[str, Float32Array]]:
    """Each control as (name, rotation (dim, dim)): `pca`, and `random-0`, `random-1`, … for `random`."""
    if Basis.PCA in bases:
        rows = np.sort(generator.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False))
        yield str(Basis.PCA), pca_rotation(vectors.take(rows))
    if Basis.RANDOM in bases:
        for seed in range(RANDOM_SEEDS):
            yield f"{Basis.RANDOM}-{seed}", random_rotation(vectors.dim, generator)
