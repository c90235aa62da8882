"""What some models ask for between their own output and the slicing."""

from __future__ import annotations

import numpy as np

from mrl_sweep.embedding.families import LAYER_NORM
from mrl_sweep.types import Float32Array

_EPSILON = 1e-5


def transformed(transform: str | None, rows: Float32Array) -> Float32Array:
    """The rows as the family wants them cut; `rows` themselves where it wants nothing. Raises ValueError for an unknown name."""
    if transform is None:
        return rows
    if transform == LAYER_NORM:
        return layer_norm(rows)
    raise ValueError(transform)


def layer_norm(rows: Float32Array) -> Float32Array:
    """Each row less its mean, over the root of its variance (biased, plus 1e-5), as torch's layer_norm without weights."""
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    variance = np.square(centred).mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + _EPSILON), dtype=np.float32)
