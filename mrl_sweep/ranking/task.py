"""Counting tasks, the unit of work of an executor (`CountTask`), their partial results (`Partial`), and spans of rows."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import Final, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.ranking.pass_plan import Kernel, Tally, Targets, empty_tally, merge
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array, FloatArray, Vectors

TURNED_AT_ONCE: Final = 256
"""Rows: what lies between two turns stays in the cache."""

AXIS_BITS: Final = 24
"""The numbers of an axis are rounded to multiples of 2^-24, which is how finely float32 keeps the largest of them."""

Span = tuple[int, int]
"""Document rows from, to: the last is not among them."""


class Turn(Protocol):
    """Turns stored rows (n, dim) into the rows that are scored, (n, any) C-contiguous float32: a rotation, a code.

    A value: it can be pickled, and what it does is decided by what it holds. It never writes into the rows.
    """

    def __call__(self, rows: Float32Array) -> Float32Array: ...

    @property
    def key(self) -> bytes:
        """The bytes that decide what it does: turns of equal type and key turn alike."""
        ...


@record
class Rotation:
    """The turn to other axes: `matrix` (dim, columns) float32, its columns the new axes, orthonormal."""

    matrix: Float32Array
    _whole: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_whole", np.rint(self.matrix.astype(np.float64) * 2.0**AXIS_BITS))

    def __call__(self, rows: Float32Array) -> Float32Array:
        """Returns (n, columns) float32: a row gives the same numbers whatever rows it comes with, in any block, on any machine.

        BLAS adds up in another order for the last rows and columns of a block than for the first. So rows and axes are rounded
        to whole numbers of which every sum of products stays below 2^53: float64 adds them up exactly, in whatever order.
        """
        bits = min(24, 53 - AXIS_BITS - math.ceil(math.log2(max(len(self.matrix), 1)) / 2))
        with np.errstate(invalid="ignore"):  # what is not finite stays so, and the kernel refuses it
            scale = np.ldexp(1.0, bits - np.frexp(np.abs(rows).max(axis=1, initial=0.0))[1])[:, None]
            products: Float32Array = (np.rint(rows * scale) @ self._whole / (scale * 2.0**AXIS_BITS)).astype(np.float32)
        return products

    @property
    def key(self) -> bytes:
        return np.ascontiguousarray(self.matrix).tobytes()


def turned(rows: Float32Array, turns: Sequence[Turn]) -> Float32Array:
    """Returns the rows after every turn, in order; a few rows at a time, so that the steps between take little memory."""
    if not turns:
        return rows
    starts = range(0, max(len(rows), 1), TURNED_AT_ONCE)
    blocks = (functools.reduce(lambda block, turn: turn(block), turns, rows[s : s + TURNED_AT_ONCE]) for s in starts)
    first = next(blocks)
    if len(starts) == 1:
        return first
    out = np.empty((len(rows), first.shape[1]), np.float32)
    for start, block in zip(starts, itertools.chain([first], blocks), strict=True):
        out[start : start + TURNED_AT_ONCE] = block
    return out


@runtime_checkable
class StreamKernel(Protocol):
    """A `Kernel` that reads ahead: one of a device, which copies documents while it counts others."""

    def stream(
        self,
        targets: Targets,
        tally: Tally,
        read: Callable[[int, int], Float32Array],
        shards: Iterable[Span],
        on_counted: Callable[[Span], None],
    ) -> int:
        """Adds the documents of each shard; `on_counted` hears of each counted shard, of the last when the tally has them all.

        Returns the first row that is not finite or too large, or -1.
        """
        ...


@record(kw_only=True)
class CountTask:
    """Counts the documents `rows` of `vectors`, turned by `turns` in order, against `targets`; keeps `depth` best a query.

    A value: it holds no lock, no listener and no executor. Run anywhere and any number of times it gives the same
    `Tally`, and the tallies of tasks over disjoint rows add up to the tally of them all.
    """

    vectors: Vectors
    rows: tuple[Span, ...]
    targets: Targets
    depth: int
    turns: tuple[Turn, ...] = ()

    @property
    def n_rows(self) -> int:
        """How many documents the task counts."""
        return n_rows_of(self.rows)

    def of(self, rows: Iterable[Span]) -> Self:
        """Returns the same task over other rows."""
        return replace(self, rows=tuple(rows))

    def read(self, start: int, stop: int) -> Float32Array:
        """Returns (stop - start, columns) float32, the documents after the turns; the kernel cuts and renormalises prefixes."""
        return turned(self.vectors.read(start, stop), self.turns)

    def empty_tally(self, floor: Float32Array | None = None) -> Tally:
        """Returns a tally with nothing counted; tallies that are given the same `floor` share it."""
        return empty_tally(self.targets, self.depth, floor)


class Partial(NamedTuple):
    """The tally of the documents of `rows`: disjoint spans, ascending."""

    rows: tuple[Span, ...]
    tally: Tally

    @property
    def n_rows(self) -> int:
        """How many documents the tally has counted."""
        return n_rows_of(self.rows)

    def fits(self, task: CountTask) -> bool:
        """Tells whether rows and shapes are those of this task: a file may hold counts of another one, or be edited."""
        pairs = zip(self.tally, task.empty_tally(), strict=True)
        return not rows_left(self.rows, task.rows) and all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)

    def plus(self, other: Partial) -> Partial:
        """Adds two partial tallies. Raises ValueError where a document would be counted twice."""
        return Partial(join_spans((*self.rows, *other.rows)), merge([self.tally, other.tally]))


def count_shards(
    task: CountTask, kernel: Kernel, tally: Tally, shards: Iterable[Span], on_counted: Callable[[Span], None]
) -> None:
    """Adds the documents of each shard to the tally; `on_counted` hears of each shard that is wholly counted.

    Raises InputError where a vector holds NaN or infinity, or is too large for float32.
    """
    if isinstance(kernel, StreamKernel):
        refuse_bad_row(kernel.stream(task.targets, tally, task.read, shards, on_counted))
        return
    for start, stop in shards:
        refuse_bad_row(kernel.tally(task.targets, tally, task.read(start, stop), start))
        on_counted((start, stop))


def refuse_bad_row(row: int) -> None:
    """Raises InputError where a kernel names a document's row that is not finite or too large; -1 is none."""
    if row >= 0:
        raise InputError(f"the vector of document row {row} is not finite, or too large for float32", "embed this document again")


def cut_spans(rows: Iterable[Span], rows_each: int) -> Iterator[Span]:
    """Yields the same rows in order, in spans of at most `rows_each`."""
    for start, stop in rows:
        for begin in range(start, stop, rows_each):
            yield begin, min(begin + rows_each, stop)


def join_spans(rows: Iterable[Span]) -> tuple[Span, ...]:
    """Returns the same rows as few ascending spans. Raises ValueError where two overlap."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in rows if span[0] < span[1]):
        if joined and start < joined[-1][1]:
            raise ValueError(f"rows {start} to {min(stop, joined[-1][1])} are counted twice")
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def rows_left(rows: Sequence[Span], counted: Sequence[Span]) -> tuple[Span, ...]:
    """Returns the spans of `rows` that are not in `counted`; both must be disjoint and ascending."""
    left: list[Span] = []
    for start, stop in rows:
        for begin, end in counted:
            if begin < stop and start < end:
                left.append((start, max(start, begin)))
                start = min(stop, end)
        left.append((start, stop))
    return join_spans(left)


def n_rows_of(rows: Iterable[Span]) -> int:
    """Returns how many rows the spans hold."""
    return sum(stop - start for start, stop in rows)
