"""The shape of the pass on a GPU, and the error of its filter.

The filter's error. For vectors of length one and `dim` columns it is at most `band_of(precision, dim)`, the sum of

* the inputs: TF32 keeps ten bits of the mantissa, and whether the hardware rounds or cuts, an input is off by less than 2^-10 of
  itself. A product is off by less than 2^-9 + 2^-20 of itself, and by Cauchy-Schwarz the products' sizes add up to at most 1.
  `tf32x3` splits each input into two such parts and leaves out the product of the small ones, each below 2^-10 of its input,
  and the rest that the small part cuts off, again 2^-10 of it: 3 x 2^-20 together.
* the sum: tensor cores align what they add to the largest and cut off the rest, less than one unit in the last place, 2^-23,
  for each of the columns and passes (tf32x3 takes three). No partial sum is larger than 1.
* what the other kernels allow for too (`Targets.bands`): the rounding of norms, of thresholds and of the scaling.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

LEAST_COLUMNS: Final = 8
"""Of a step: what Triton's product takes."""


class Tile(NamedTuple):
    """The shape of one program: queries by documents, at most `columns` a step (from 8), loads of `stages` steps in flight;
    `judged` rows of the judge. All but the stages are powers of two.
    """

    queries: int = 128
    docs: int = 128
    columns: int = 32
    stages: int = 3
    judged: int = 8


LARGE_TILE: Final = Tile()
SMALL_TILE: Final = Tile(queries=64, docs=64, stages=2)
LARGE_TILE_BYTES: Final = 160_000
"""Shared memory of a program that a device must offer for the large tile, which takes up to 197 kB where there are 227."""


def tile_for(shared_memory: int) -> Tile:
    """The tile of a device that offers a program so many bytes of shared memory."""
    return LARGE_TILE if shared_memory >= LARGE_TILE_BYTES else SMALL_TILE


def band_of(precision: str, dim: int) -> float:
    """What the tensor cores' arithmetic adds to the filter's error, for unit vectors of `dim` columns."""
    if precision == "tf32":
        return 2.0**-9 + 2.0**-20 + dim * 2.0**-23
    return 3 * 2.0**-20 + 3 * dim * 2.0**-23


def steps_of(edges: list[int], columns: int) -> list[tuple[int, int, int]]:
    """The way through the columns: (first column, how many, size that ends there or -1), at most `columns` each."""
    return [
        (start, min(columns, last - start), size if start + columns >= last else -1)
        for size, (first, last) in enumerate(pairwise(edges))
        for start in range(first, last, columns)
    ]


def columns_of(edges: list[int], most: int) -> int:
    """Columns a step: a power of two, no more than the widest slice fills."""
    columns, widest = most, max(last - first for first, last in pairwise(edges))
    while columns > LEAST_COLUMNS and columns // 2 >= widest:
        columns //= 2
    return columns
