"""Sums of reciprocals over a range of ranks, without the cancellation of subtracting two harmonic numbers."""

from __future__ import annotations

from typing import Final

import numpy as np

from mrl_sweep.types import FloatArray, IntArray

_EXACT: Final = 256
_HARMONIC: Final = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _EXACT + 1))])


def harmonic_sum(start: IntArray, count: IntArray) -> FloatArray:
    """1/(start + 1) + ... + 1/(start + count), elementwise, to some 15 digits; the cost does not depend on `count`.

    Up to rank 256 from a table, beyond it from psi(x + 1/2) = ln x + 1/(24 x^2) - 7/(960 x^4) + 31/(8064 x^6) - ...
    (DLMF 5.11.7 at a = 1/2), whose difference is taken term by term.
    """
    end = start + count
    table = _HARMONIC[np.minimum(end, _EXACT)] - _HARMONIC[np.minimum(start, _EXACT)]
    low, high = np.maximum(start, _EXACT) + 0.5, np.maximum(end, _EXACT) + 0.5
    out: FloatArray = table + np.log1p((high - low) / low) + _correction(high) - _correction(low)
    return out


def _correction(x: FloatArray) -> FloatArray:
    square = 1.0 / (x * x)
    return square * (1 / 24 - square * 7 / 960)
