"""Bootstrap bands for curves: the same resampled queries for all sizes, as one matrix product. Verdicts use Student's t."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mrl_sweep.types import FloatArray

_WEIGHTS_AT_ONCE: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Band:
    """(n_curve_points,) lower and upper edge; NaN where the share is undefined."""

    lower: FloatArray
    upper: FloatArray


def share_band(
    x: FloatArray, y: FloatArray, *, generator: np.random.Generator, level: float = 0.9, repetitions: int = 2_000
) -> Band:
    """The band of the share kept, mean(x) / mean(y), for `x` (n_candidates, n_queries) and the baseline's `y` (n_queries,).

    Queries are drawn with replacement `repetitions` times; the counts W (repetitions, n_queries) give every mean at once as
    W @ values / n. The edges are the percentiles that leave (1 - level) / 2 on either side, pointwise.
    """
    means = resampled_means(np.vstack([x, y]), generator=generator, repetitions=repetitions)
    usable = means[:, -1] > 0
    if not usable.any():
        nowhere = np.full(len(x), np.nan)
        return Band(nowhere, nowhere)
    shares = means[usable, :-1] / means[usable, -1:]
    tail = (1 - level) / 2
    return Band(*np.quantile(shares, [tail, 1 - tail], axis=0))


def resampled_means(values: FloatArray, *, generator: np.random.Generator, repetitions: int) -> FloatArray:
    """(repetitions, n_curves) means of values (n_curves, n_queries) over resampled queries, the same ones for every curve."""
    n = values.shape[1]
    rows = max(_WEIGHTS_AT_ONCE // n, 1)
    return np.concatenate(
        [_counts(n, min(rows, repetitions - done), generator) @ values.T / n for done in range(0, repetitions, rows)]
    )


def _counts(n: int, repetitions: int, generator: np.random.Generator) -> FloatArray:
    drawn = generator.integers(0, n, (repetitions, n)) + n * np.arange(repetitions)[:, None]
    return np.bincount(drawn.ravel(), minlength=repetitions * n).reshape(repetitions, n).astype(np.float64)
