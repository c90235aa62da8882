"""Puts rows into a space: small shards as they come, so that a kill costs a second; large ones in their place later."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mrl_sweep.files.digests import DigestTable, Uint64Array
from mrl_sweep.store.objects import LIST_EVERY_S
from mrl_sweep.store.shard import Rows, together
from mrl_sweep.store.space import Space


class Writer:
    """Writes to one space. What the disk refuses is an OSError; rows that it refused are not written again.

    Rows wait at most `flush_s` for a shard (longer where an object store would be busy with many small ones) or until they fill
    one, and are found in the space from then on. At 0 every batch is stored before `add` returns.
    """

    def __init__(self, space: Space, *, flush_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._space, self._clock = space, clock
        self._flush_s = max(flush_s, LIST_EVERY_S) if flush_s and space.objects.remote else flush_s
        self._rows: list[Rows] = []
        self._flushed_at = clock()
        self._company = False
        self.n_safe = 0
        """Rows that are in the store, come what may."""

    def add(self, rows: Rows) -> None:
        """Takes a batch."""
        self._rows.append(rows)
        n_bytes = sum(len(some.flags) for some in self._rows) * self._space.kind.row_bytes
        if self._clock() - self._flushed_at >= self._flush_s or n_bytes >= self._space.shard_bytes:
            self.flush()

    def flush(self) -> None:
        """Makes a small shard of the rows that are in none yet."""
        if self._rows:
            rows, self._rows = together(self._rows), []
            name, there = self._space.write(rows)
            self._space.add(name, rows)
            self._company |= there
            self.n_safe += len(rows.flags)
        self._flushed_at = self._clock()

    def company(self) -> bool:
        """Whether other processes have been seen to add vectors. What they add is taken up; cheap enough before every batch."""
        self._company |= self._space.refresh()
        return self._company

    def is_full(self) -> bool:
        """Whether the small shards of the space would fill a large one."""
        return self._space.bytes_of(self._space.small()) >= self._space.shard_bytes

    def rewrite(self, sequence: Uint64Array) -> None:
        """Puts the rows of small shards into large ones, each text once, in the order of this sequence of texts.

        Not in company: whoever comes next does it, and nobody's shards vanish while they are read. Where the disk is full the
        small ones stay, which are as good.
        """
        if self.company():
            return
        with contextlib.suppress(OSError):
            serial_of = self._space.find(sequence) >> 32
            serials, places = np.unique(serial_of, return_index=True)
            first = dict(zip(serials.tolist(), places.tolist(), strict=True))
            small = self._space.sound(self._space.small())
            small.sort(key=lambda serial: first.get(serial, len(sequence)))
            for group in _grouped(small, self._space):
                _rewrite(self._space, group, sequence[np.isin(serial_of, group)])


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


def _rewrite(space: Space, serials: Sequence[int], texts: Uint64Array) -> None:
    """Puts large shards in the place of small ones: first these texts, then what else the small ones hold.

    Left out is only what another shard holds that has just been looked at: what the table says may have been removed since.
    """
    rows = space.read(serials)
    serial_of = space.find(rows.digests) >> 32
    elsewhere = space.sound(np.setdiff1d(serial_of, serials).tolist())
    row_of_text = DigestTable()
    row_of_text.put(rows.digests[::-1], np.arange(len(rows.flags))[::-1])  # the first of a text's rows
    places = row_of_text.find(np.concatenate([texts, rows.digests[~np.isin(serial_of, elsewhere)]]))
    order = places[np.sort(np.unique(places, return_index=True)[1])]
    most = max(1, space.shard_bytes // space.kind.row_bytes)
    for start in range(0, len(order), most):
        piece = rows.take(order[start : start + most])
        space.add(space.write(piece)[0], piece)
    space.remove(serials)
