"""Partial counts on disk: what a long ranking has counted when it is interrupted, for the next run of the same ranking."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.places import mapped
from mrl_sweep.files import read_arrays, replacing
from mrl_sweep.ranking.pass_plan import Tally
from mrl_sweep.ranking.task import Partial, join_spans
from mrl_sweep.types import Vectors

EVERY_S: Final = 30.0
STALE_S: Final = 30 * 24 * 3600.0
"""Counts that nobody came back for are removed when others are saved, this long after they were kept."""


class FileCheckpoint:
    """Keeps partial counts of rankings over the same vectors in a folder, one `.npz` a pass; nothing in it is pickled.

    Time is counted from its making. `clear` removes what this object has saved or loaded, once nobody needs it any more.
    Where nothing can be written, the listener is told once and the ranking goes on without.
    """

    def __init__(
        self,
        folder: Path,
        vectors: Vectors,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        on_event: OnEvent = ignore,
    ) -> None:
        self._folder, self._vectors, self._identity = folder, vectors, ""
        self._every_s, self._clock, self._on_event = every_s, clock, on_event
        self._last = clock()
        self._used: set[Path] = set()
        self._writable = True

    def load(self, key: str) -> Partial | None:
        """What was kept under this key for these very vectors; None where there is nothing, or nothing whole."""
        if not self._folder.is_dir() or not any(self._folder.glob("*.npz")):
            return None
        path = self._path(key)
        try:
            arrays = read_arrays(path, ("rows", *Tally._fields))
            rows = join_spans((int(start), int(stop)) for start, stop in arrays["rows"])
            partial = Partial(rows, Tally(*(arrays[name] for name in Tally._fields)))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._used.add(path)
        self._on_event(Note(f"going on from {partial.n_rows:,} documents ranked by an interrupted run"))
        return partial

    def due(self) -> bool:
        """Whether `every_s` have passed since the last time."""
        return self._writable and self._clock() - self._last >= self._every_s

    def save(self, key: str, partial: Partial) -> None:
        """Replace what is kept under this key, whole or not at all."""
        path = self._path(key)
        self._last = self._clock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(path, {"rows": np.array(partial.rows, np.int64).reshape(-1, 2), **partial.tally._asdict()})
            self._remove_stale(path)
        except OSError as error:
            if self._writable:
                self._on_event(Note(f"partial counts cannot be kept in {self._folder}: {error.strerror or error}"))
            self._writable = False

    def clear(self) -> None:
        """Remove what this object has saved or loaded."""
        for path in self._used:
            path.unlink(missing_ok=True)
        self._used.clear()

    def _path(self, key: str) -> Path:
        self._identity = self._identity or identity_of(self._vectors)
        digest = hashlib.blake2b(f"{key} {self._identity}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{digest}.npz"

    def _write(self, path: Path, arrays: dict[str, Any]) -> None:
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)
            self._used.add(path)

    def _remove_stale(self, fresh: Path) -> None:
        newest = fresh.stat().st_mtime
        for path in (*self._folder.glob("*.npz"), *self._folder.glob(".draft-*")):
            try:
                if newest - path.stat().st_mtime > STALE_S:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                continue


def identity_of(vectors: Vectors) -> str:
    """A digest that other vectors do not have: files by name, size, time of change and place, arrays in memory by content."""
    digest = hashlib.blake2b(digest_size=16)
    for part in vectors.parts:
        digest.update(f"{part.shape} {part.dtype.str}".encode())
        _add_part(digest, part)
    if vectors.order is not None:
        digest.update(b"order")
        digest.update(np.ascontiguousarray(vectors.order).data)
    return digest.hexdigest()


def _add_part(digest: hashlib.blake2b, part: npt.NDArray[Any]) -> None:
    place = mapped(part)
    if place is None or place.filename is None:
        for start in range(0, len(part), 4096):
            digest.update(np.ascontiguousarray(part[start : start + 4096]).data)
        return
    file = Path(place.filename).resolve()
    state = file.stat()
    digest.update(f"{file} {state.st_size} {state.st_mtime_ns} {place.begin}".encode())
