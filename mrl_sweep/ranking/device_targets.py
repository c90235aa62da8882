"""The targets of a GPU pass: rows split into two bfloat16 parts, the filter's error, tile shapes, torch and Triton.

The filter sees vectors in two halves of sixteen bits, slice by slice. The tensor cores multiply bfloat16 and add up in float32.
A number x is split into `high`, x rounded to bfloat16 (8 bits of significand), and `low`, the rest rounded likewise; the product
of two numbers is high·high + high·low + low·high. bfloat16 has the range of float32: no scaling is needed. Three products of
sixteen bits cost less than two of TF32, and are off by a thirtieth of what one of TF32 is: so few documents are left to the judge
that no coarser filter is worth a choice.

The filter's error. For prefixes of length one it is at most `band_of` and `Targets.bands` together, the sum of

* the parts: |x - high| <= 2^-8 |x|, and what low leaves out is at most 2^-17 |x|. The product left out, low·low, is at most
  2^-16 of the product. By Cauchy-Schwarz the sizes of the products add up to at most 1: 2^-16 + 2 x 2^-17, and 2^-23 for
  their products.
* the sum of a step: tensor cores align what they add to the largest and cut off the rest, less than 2^-23 of it for each of the
  three products of a column and, where they add to what they have, once more. Each step starts from zero, and none of its
  partial sums exceeds the product of its two norms; over all steps these products add up to at most 1. So this part does not
  grow with the number of columns: 4 x 2^-23 for each column of a step.
* the sum of the steps, in float32: 2^-24 for each step.
* `Targets.bands`, which the other kernels allow for too: the rounding of norms, of thresholds and of the scaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.ranking.pass_plan import LARGEST_NORM2, ZERO_SQUARED_NORM, Step, Targets, steps_of
from mrl_sweep.record import record

COLUMNS: Final = (64, 32, 16)
"""Columns of a step to choose from: multiples of sixteen, which the tensor cores take at once."""

STEP_COSTS: Final = 8
"""A step costs the work of so many columns beside its own."""

PART_BYTES: Final = 4
"""Bytes of a number in both parts."""


class Tile(NamedTuple):
    """The shape of one program: `queries` by `docs`, powers of two, by so many warps; loads of `stages` steps in flight."""

    queries: int = 128
    docs: int = 64
    warps: int = 4
    stages: int = 3

    def bytes_of(self, columns: int) -> int:
        """Returns the bytes of shared memory that the tile's loads take, with so many columns a step."""
        return self.stages * (self.queries + self.docs) * columns * PART_BYTES


FEW_QUERIES: Final = 64
"""Up to so many queries, a tile has room for no more of them."""

TOGETHER: Final = 2
"""Programs that a multiprocessor runs at once: one multiplies while the other compares."""


def columns_of(edges: Sequence[int]) -> int:
    """Returns the columns of a step for which these slices cost least: a slice's last step is filled up with zeros."""
    widths = [last - first for first, last in pairwise(edges)]
    return min(COLUMNS, key=lambda columns: sum(-(-width // columns) for width in widths) * (columns + STEP_COSTS))


def band_of(steps: Sequence[Step], columns: int) -> list[float]:
    """Returns (n_sizes) what the filter's own arithmetic adds to `Targets.bands`, for unit vectors."""
    parts, sums = 2.0**-15 + 2.0**-23, 4 * columns * 2.0**-23
    return [parts + sums + (i + 1) * 2.0**-24 for i, step in enumerate(steps) if step.size >= 0]


def tile_for(shared_memory: int, n_queries: int, columns: int) -> Tile:
    """Returns the tile for so many bytes of shared memory a program: as many loads in flight as fit `TOGETHER` times."""
    tile = Tile() if n_queries > FEW_QUERIES else Tile(queries=FEW_QUERIES)
    while tile.stages > 1 and tile.bytes_of(columns) > shared_memory // TOGETHER:
        tile = tile._replace(stages=tile.stages - 1)
    return tile


JUDGED_COLUMNS: Final = 128
"""Columns that the judge takes at once."""

Tensor = Any
"""torch.Tensor, which is not imported here."""


@record
class Device:
    """The device of a pass: torch, Triton, `device_programs`, and the torch.device; `interpreted` in Triton's interpreter."""

    torch: Any
    triton: Any
    programs: Any
    device: Any

    @property
    def interpreted(self) -> bool:
        return bool(self.device.type == "cpu")

    @property
    def judged(self) -> int:
        """Documents that one program judges. The interpreter's time goes by programs, not by documents."""
        return 2048 if self.interpreted else 8

    def put(self, array: Any, dtype: Any = None) -> Tensor:
        """Returns a tensor on the device with these numbers."""
        if self.torch.is_tensor(array):
            return array.to(self.device)
        array = np.ascontiguousarray(array, dtype)
        array = array if array.flags.writeable else array.copy()
        return self.torch.from_numpy(array).to(self.device, copy=True)

    def empty(self, *shape: int, dtype: str = "int32") -> Tensor:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def zeros(self, *shape: int, dtype: str = "int32") -> Tensor:
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def judge(
        self, queries: Tensor, docs: Tensor, norms: Tensor, dims: Tensor, keys: Tensor, rows: Tensor, scoring: int
    ) -> Tensor:
        """Returns (n,) float32, the scores of docs[rows[i]] for keys[i] = size * n_queries + query, rounded from float64."""
        scores = self.empty(len(keys), dtype="float32")
        if len(keys):
            self.programs.judge[(self.triton.cdiv(len(keys), self.judged),)](
                *(queries, docs, norms, dims, keys, rows, scores, len(keys), len(queries), queries.stride(0), docs.stride(0)),
                ZERO_SQUARED_NORM,
                SCORING=scoring,
                ROWS=self.judged,
                COLUMNS=JUDGED_COLUMNS,
            )
        return scores


class DeviceTargets:
    """`Targets` on the device, the queries in both parts, and the steps through the columns."""

    def __init__(self, device: Device, targets: Targets, tile: Tile | None, shared_memory: int) -> None:
        self.source = targets
        self.edges = [int(edge) for edge in targets.edges]
        self.columns = columns_of(self.edges)
        steps = steps_of(self.edges, self.columns)
        self.n_steps, self.n_sizes, self.n_queries = len(steps), len(self.edges) - 1, len(targets.queries)
        self.n_pairs, self.scoring = targets.rows.shape[1], int(targets.scoring)
        self.tile = tile or tile_for(shared_memory, self.n_queries, self.columns)
        n_own = np.diff(targets.offsets)
        self.most_pairs = int(n_own.max(initial=0))
        query_of = np.repeat(np.arange(self.n_queries), n_own)
        scaled = (targets.thresholds * targets.scales[:, query_of]).astype(np.float32)
        lowest = np.full(targets.norms.shape, np.inf, np.float32)
        lowest[:, n_own > 0] = scaled[:, targets.offsets[:-1][n_own > 0]]
        put = device.put
        self.queries, self.norms, self.scales = put(targets.queries), put(targets.norms), put(targets.scales)
        self.steps, self.dims = put([*steps, (0, 0, -1)], np.int32), put(self.edges[1:], np.int32)
        self.begin, self.end = put(targets.offsets[:-1], np.int32), put(targets.offsets[1:], np.int32)
        self.query_of, self.thresholds, self.rows = put(query_of, np.int32), put(targets.thresholds), put(targets.rows)
        self.scaled, self.lowest, self.own_rows = put(scaled), put(lowest), put(targets.own_rows)
        bands = targets.bands + np.array(band_of(steps, self.columns))
        self.bands, self.silent = put(bands), self.norms == 0
        self.parts = SplitRows(device, self, self.n_queries)
        self.parts.split(device, self, self.queries, device.zeros(self.n_sizes), device.zeros(4))


def padded(n_rows: int, tile: Tile) -> int:
    """Returns the slots for rows: whole tiles, and one tile more for a launch that begins in their midst."""
    tallest = max(tile.queries, tile.docs)
    return (-(-n_rows // tallest) + 1) * tallest


class SplitRows:
    """Both parts of up to `n_rows` rows, step by step; their inverse norms, and the largest norms of their prefixes."""

    def __init__(self, device: Device, t: DeviceTargets, n_rows: int) -> None:
        self.slots = padded(n_rows, t.tile)
        dtype = "float32" if device.interpreted else "bfloat16"  # the interpreter does not multiply bfloat16
        self.high = device.empty(t.n_steps, self.slots, t.columns, dtype=dtype)
        self.low = device.empty(t.n_steps, self.slots, t.columns, dtype=dtype)
        self.inverse = device.empty(t.n_sizes, self.slots, dtype="float32")
        self.largest = device.zeros(t.n_sizes)

    def split(self, device: Device, t: DeviceTargets, rows: Tensor, zeros: Tensor, status: Tensor) -> None:
        """Splits `rows`; adds their zero prefixes to `zeros`, and puts the first row not finite or too large in `status`."""
        self.largest.zero_()
        together = max(t.tile.queries, t.tile.docs) if device.interpreted else 2048 // t.columns
        device.programs.split_rows[(padded(len(rows), t.tile) // together,)](
            *(rows, t.steps, self.high, self.low, self.inverse, zeros, self.largest, status),
            *(len(rows), self.slots, t.n_steps, rows.stride(0), ZERO_SQUARED_NORM, LARGEST_NORM2),
            COSINE=t.scoring > 0,
            ROWS=together,
            COLUMNS=t.columns,
        )
