"""Puts rows into a space: small shards as they come, so that a kill costs a second; large ones in their place later."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from mrl_sweep.files.digests import DigestTable, Uint64Array
from mrl_sweep.store.shard import Index, Rows, read_rows, together
from mrl_sweep.store.space import Shard, Space

Group = tuple[Sequence[int], Sequence[tuple[str, Index]]]
"""Shards by serial number, and the written ones that hold their rows."""


class Writer:
    """Writes to one space, from a thread of its own while the next rows are made; a failed write is raised by the next call.

    Rows wait at most `flush_s` for a shard, and are found in the space from then on. At 0 a batch is stored before `add` returns.
    """

    def __init__(self, space: Space, *, flush_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._space, self._flush_s, self._clock = space, flush_s, clock
        self._pool = ThreadPoolExecutor(1, "mrl-sweep store")
        self._under_way: tuple[Future[Any], Callable[[Any], None]] | None = None
        """What the thread writes, and what is noted of it in the space by the caller's thread: the space has no locks."""
        self._rows: list[Rows] = []
        self._flushed_at = clock()
        self._company = False
        self.n_safe = 0
        """Rows that are in the store, come what may."""

    def add(self, rows: Rows) -> None:
        """Takes a batch."""
        self._rows.append(rows)
        if self._clock() - self._flushed_at >= self._flush_s:
            self.flush()
        if not self._flush_s:
            self.wait()

    def flush(self) -> None:
        """Makes a small shard of the rows that are in none yet."""
        self._flushed_at = self._clock()
        if self._rows:
            self.wait()
            rows, self._rows = together(self._rows), []
            self._space.add([("", rows.without_vectors)])
            self._under_way = self._pool.submit(self._space.write, rows), functools.partial(self._landed, self._space.shards[-1])

    def wait(self) -> None:
        """Returns when everything that was flushed is in the store. Raises what a write has raised."""
        if self._under_way:
            (written, note), self._under_way = self._under_way, None
            note(written.result())

    def company(self) -> bool:
        """Whether other processes have been seen to add vectors. What they add is taken up; cheap enough before every batch."""
        if self._under_way is None or self._under_way[0].done():
            self.wait()
            self._company |= self._space.refresh()
        return self._company

    def is_full(self) -> bool:
        """Whether the small shards of the space would fill a large one."""
        return self._space.bytes_of(self._space.small()) >= self._space.shard_bytes

    def cut(self, sequence: Uint64Array) -> None:
        """Has the small shards rewritten as large ones, in the order of this sequence of texts, while the next rows are made.

        Not in company: whoever comes next does it, and nobody's shards vanish while they are read.
        """
        if not self.company():
            self.wait()
            self._under_way = self._pool.submit(rewrite_small, self._space, sequence), self._replace

    def finish(self, sequence: Uint64Array | None = None) -> None:
        """Everything in the store; with the sequence of all texts, its small shards are rewritten as in `cut`."""
        self.flush()
        self.wait()
        if sequence is not None:
            self.cut(sequence)
            self.wait()
        self._pool.shutdown()

    def abandon(self) -> None:
        """Writes nothing more, after a failure; what was put before stays."""
        self._pool.shutdown()

    def _landed(self, shard: Shard, written: tuple[str, bool]) -> None:
        (shard.name, there), shard.sound = written, True
        self._company |= there
        self.n_safe += len(shard.flags)

    def _replace(self, groups: Iterable[Group]) -> None:
        for serials, new in groups:
            self._space.replace(serials, new)


def rewrite_small(space: Space, sequence: Uint64Array) -> list[Group]:
    """Puts the rows of small shards into large ones, each text once, in the order of this sequence of texts.

    Where the disk is full the small ones stay, which are as good.
    """
    shard_of = space.find(sequence) >> 32
    by_shard = np.argsort(shard_of, kind="stable")
    ends = np.searchsorted(shard_of[by_shard], np.arange(len(space.shards) + 1))
    places = [by_shard[begin:end] for begin, end in itertools.pairwise(ends.tolist())]
    groups: list[Group] = []
    with contextlib.suppress(OSError):
        small = space.sound(space.small())
        small.sort(key=lambda serial: places[serial][0] if len(places[serial]) else len(sequence))
        for serials in _grouped(small, space):
            texts = sequence[np.sort(np.concatenate([places[serial] for serial in serials]))]
            groups.append((serials, _rewritten(space, serials, texts)))
    return groups


def _grouped(serials: Sequence[int], space: Space) -> Iterator[list[int]]:
    """Two or more neighbours that fill a shard; the last ones may not."""
    group: list[int] = []
    for serial in serials:
        group.append(serial)
        if space.bytes_of(group) >= space.shard_bytes:
            yield group
            group = []
    if len(group) > 1:
        yield group


def _rewritten(space: Space, serials: Sequence[int], texts: Uint64Array) -> list[tuple[str, Index]]:
    names = sorted(space.shards[serial].name for serial in serials)
    rows = together([read_rows(space.objects.fetch(name), space.kind) for name in names])
    row_of = DigestTable()
    row_of.put(rows.digests[::-1], np.arange(len(rows.flags))[::-1])  # the first of a text's rows: in whichever process the same
    mine = rows.digests[np.isin(space.find(rows.digests) >> 32, serials)]
    row_of_text = row_of.find(np.concatenate([texts, mine]))
    order = row_of_text[np.sort(np.unique(row_of_text, return_index=True)[1])]
    most = max(1, space.shard_bytes // space.kind.row_bytes)
    pieces = (rows.take(order[start : start + most]) for start in range(0, len(order), most))
    return [(space.write(piece)[0], piece.without_vectors) for piece in pieces]
