"""Puts rows into a space: small shards as they come, so that a kill costs seconds; one large shard in their place later."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np

from mrl_sweep.store.shard import SUFFIX, Rows, read_rows, together
from mrl_sweep.store.store import Shard, Space
from mrl_sweep.types import IntArray

FIRST_FLUSH_S: Final = 0.25
LAST_FLUSH_S: Final = 5.0
FLUSH_SHARE: Final = 0.1
"""Rows wait for a tenth of the time that the writer has been at work, within these limits, until a small shard is made."""

SMALL_SHARE: Final = 0.5
"""A shard with less than this share of a full one's bytes is rewritten at the end of a run, together with the others."""

_WAITING: Final = 4


class Writer:
    """Writes to one space, from one thread, while the next rows are made. A failed write is raised by the next call.

    Rows stay in memory until a shard is full or `finish` comes; then they are written in the order of their positions in the
    collection, and the small shards that held them meanwhile are removed. `paid`: every batch is put at once.
    """

    def __init__(self, space: Space, *, paid: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._space, self._paid, self._clock = space, paid, clock
        self._began = self._flushed = clock()
        self._pool = ThreadPoolExecutor(1, "mrl-sweep store")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False
        self._n_flushed = 0
        """Batches in memory, from the first, that are in small shards."""
        self.n_safe = 0
        """Rows that are in the store, come what may."""
        self._open()

    def add(self, rows: Rows, positions: IntArray) -> IntArray:
        """Takes a batch; (n,) where its rows are to be found, for `Space.note`. Positions order the rows of a shard."""
        locations = (self._serial << 32) + np.arange(self._n, self._n + len(rows))
        self._rows.append(rows)
        self._positions.append(positions)
        self._n += len(rows)
        now = self._clock()
        if self._paid or now - self._flushed >= min(LAST_FLUSH_S, max(FIRST_FLUSH_S, FLUSH_SHARE * (now - self._began))):
            self.flush()
        return locations

    def flush(self) -> None:
        """Makes a small shard of the rows that are in none yet."""
        fresh = self._rows[self._n_flushed :]
        self._n_flushed, self._flushed = len(self._rows), self._clock()
        if fresh:
            self._do(lambda: self._write_small(fresh))

    def cut(self) -> None:
        """Makes a shard of the rows in memory where they are enough for one; after a window, whose texts should lie together."""
        if self._n * self._space.kind.row_bytes >= self._space.shard_bytes:
            self.wait()  # so that no more than two full shards are in memory, however fast the model is
            self._close()
            self._open()

    def wait(self) -> None:
        """Returns when everything that was flushed is in the store. Raises what a write has raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def finish(self, locations: IntArray, *, rewrite: bool) -> IntArray:
        """Everything in its shard; (n,) where the rows at these locations lie now. `rewrite`: small shards become one.

        Not in company: whoever comes next does it, and nobody's shards vanish while they are read.
        """
        if self._n:
            self._close()
        self.wait()
        self._pool.shutdown()
        locations = self._space.current(locations)
        if rewrite and not self._space.company():
            with contextlib.suppress(OSError):  # the small ones are as good
                rewrite_small(self._space, locations)
        return self._space.current(locations)

    def abandon(self) -> None:
        """Writes nothing more, after a failure; what was put before stays."""
        self._failed = True
        self._pool.shutdown()

    # --- inside ---

    def _open(self) -> None:
        self._serial = self._space.add(Shard("", 0, np.empty(0, np.uint8)))
        self._rows: list[Rows] = []
        self._positions: list[IntArray] = []
        self._n = self._n_flushed = 0
        self._small: list[str] = []

    def _close(self) -> None:
        """Has the rows in memory written as one shard, in the order of their positions."""
        order = np.argsort(np.concatenate(self._positions), kind="stable")
        places = np.empty(len(order), np.int64)
        places[order] = np.arange(len(order))
        shard = Shard("", len(order), np.concatenate([rows.flags for rows in self._rows])[order], sound=True)
        self._space.move(self._serial, (self._space.add(shard) << 32) + places)
        rows, small, fresh = self._rows, self._small, sum(map(len, self._rows[self._n_flushed :]))
        self._do(lambda: self._write_full(shard, rows, places, small, fresh))

    def _do(self, job: Callable[[], None]) -> None:
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._unless_failed, job))

    def _unless_failed(self, job: Callable[[], None]) -> None:
        if not self._failed:
            try:
                job()
            except BaseException:
                self._failed = True
                raise

    def _write_small(self, fresh: Sequence[Rows]) -> None:
        rows = together(fresh)
        self._small.append(self._space.put(rows))
        self.n_safe += len(rows)

    def _write_full(self, shard: Shard, rows: Sequence[Rows], places: IntArray, small: Sequence[str], n_fresh: int) -> None:
        shard.name = self._space.put(together(rows, places))
        self.n_safe += n_fresh
        for name in small:
            if name != shard.name:
                self._space.objects.remove(name)


def rewrite_small(space: Space, locations: IntArray) -> None:
    """Rewrites the small shards into one (or a few full ones), each text once, in the order of these locations."""
    kind, full = space.kind, space.shard_bytes
    small = [serial for serial in space.live() if space.shard(serial).n * kind.row_bytes < SMALL_SHARE * full]
    names = [space.shard(serial).name for serial in small]
    digests = space.objects.digests(names) if len(small) > 1 else []
    small = [s for s, name, digest in zip(small, names, digests, strict=False) if name == f"{digest}{SUFFIX}"]
    if len(small) < 2:
        return
    names = [space.shard(serial).name for serial in small]
    parts = [read_rows(space.objects.fetch(name), kind) for name in names]
    rows = together(parts)
    _, first, text = np.unique(rows.digests, axis=0, return_index=True, return_inverse=True)
    begins = np.cumsum([0, *map(len, parts)])
    order = first[np.argsort(_first_positions(small, begins, locations)[first], kind="stable")]
    place_of_row = np.empty(len(rows), np.int64)
    place_of_row[order] = np.arange(len(order))
    places = place_of_row[first[text.reshape(-1)]]
    most = max(1, full // kind.row_bytes)
    targets = np.empty(len(order), np.int64)
    for start in range(0, len(order), most):
        piece = rows.take(order[start : start + most])
        name = space.put(piece)
        serial = space.add(Shard(name, len(piece), piece.flags, sound=True))
        targets[start : start + most] = (serial << 32) + np.arange(len(piece))
    for i, serial in enumerate(small):
        space.move(serial, targets[places[begins[i] : begins[i + 1]]])
    written = {space.shard(int(serial)).name for serial in np.unique(targets >> 32)}
    for name in set(names) - written:
        space.objects.remove(name)


def _first_positions(serials: Sequence[int], begins: IntArray, locations: IntArray) -> IntArray:
    """(n,) for each row of these shards, one after the other: its first place among the locations; those without come last."""
    positions = np.full(begins[-1], len(locations) + begins[-1], np.int64) + np.arange(begins[-1])
    for i, serial in enumerate(serials):
        at = np.flatnonzero(locations >> 32 == serial)[::-1]
        positions[begins[i] + (locations[at] & 0xFFFFFFFF)] = at
    return positions
