"""How the filter on a GPU sees vectors: in two halves of sixteen bits, slice by slice, and how far its scores may be off.

The tensor cores multiply bfloat16 and add up in float32. A number x is split into `high`, x rounded to bfloat16 (8 bits of
significand), and `low`, the rest rounded likewise; the product of two numbers is high·high + high·low + low·high. bfloat16 has
the range of float32: no scaling is needed. Three products of sixteen bits cost less than two of TF32, and are off by a
thirtieth of what one of TF32 is: so few documents are left to the judge that no coarser filter is worth a choice.

The filter's error. For prefixes of length one it is at most `band_of`, the sum of

* the parts: |x - high| <= 2^-8 |x|, and what low leaves out is at most 2^-17 |x|. The product left out, low·low, is at most
  2^-16 of the product. By Cauchy-Schwarz the sizes of the products add up to at most 1: 2^-16 + 2 x 2^-17, and 2^-23 for
  their products.
* the sum of a step: tensor cores align what they add to the largest and cut off the rest, less than 2^-23 of it for each of the
  three products of a column and, where they add to what they have, once more. Each step starts from zero, and none of its
  partial sums exceeds the product of its two norms; over all steps these products add up to at most 1. So this part does not
  grow with the number of columns: 4 x 2^-23 for each column of a step.
* the sum of the steps, in float32: 2^-24 for each step.
* what the other kernels allow for too (`Targets.bands`): the rounding of norms, of thresholds and of the scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

COLUMNS: Final = (64, 32, 16)
"""Columns of a step, from the most: what the tensor cores take at once is sixteen."""

STEP_COSTS: Final = 8
"""Columns' worth of work that a step costs beside its columns."""

PART_BYTES: Final = 4
"""Of a number in both parts."""


class Tile(NamedTuple):
    """The shape of one program: `queries` by `docs`, powers of two, by so many warps; loads of `stages` steps in flight."""

    queries: int = 128
    docs: int = 64
    warps: int = 4
    stages: int = 3

    def bytes_of(self, columns: int) -> int:
        """Shared memory that its loads take."""
        return self.stages * (self.queries + self.docs) * columns * PART_BYTES


FEW_QUERIES: Final = 64
"""Up to so many, a tile has no place for more."""

TOGETHER: Final = 2
"""Programs that a multiprocessor runs at once: one multiplies while the other compares."""


class Step(NamedTuple):
    """Columns from `first`, `width` of them; `size` ends there, or -1."""

    first: int
    width: int
    size: int


def columns_of(edges: Sequence[int]) -> int:
    """Columns a step that make the way through these slices the cheapest: those beyond the end of a slice are zeros."""
    widths = [last - first for first, last in pairwise(edges)]
    return min(COLUMNS, key=lambda columns: sum(-(-width // columns) for width in widths) * (columns + STEP_COSTS))


def steps_of(edges: Sequence[int], columns: int) -> list[Step]:
    """The way through the columns, at most `columns` a step."""
    return [
        Step(start, min(columns, last - start), size if start + columns >= last else -1)
        for size, (first, last) in enumerate(pairwise(edges))
        for start in range(first, last, columns)
    ]


def band_of(steps: Sequence[Step], columns: int) -> list[float]:
    """What the filter's arithmetic adds to its error at each size, for unit vectors."""
    parts, sums = 2.0**-15 + 2.0**-23, 4 * columns * 2.0**-23
    return [parts + sums + (i + 1) * 2.0**-24 for i, step in enumerate(steps) if step.size >= 0]


def tile_for(shared_memory: int, n_queries: int, columns: int) -> Tile:
    """The tile of a device that offers a program so many bytes of shared memory: as many loads in flight as fit twice."""
    tile = Tile() if n_queries > FEW_QUERIES else Tile(queries=FEW_QUERIES)
    while tile.stages > 1 and tile.bytes_of(columns) > shared_memory // TOGETHER:
        tile = tile._replace(stages=tile.stages - 1)
    return tile
