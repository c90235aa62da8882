"""The objects of one space, in a local folder or an object store: written whole, immutable, named by their content."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from mrl_sweep.files.digests import FileDigests, file_digest
from mrl_sweep.files.object_store import ObjectStore, hint_at

ASIDE: Final = "set-aside"
DRAFT_KEPT_S: Final = 3600.0
"""Seconds after which drafts of killed processes are removed."""

LIST_EVERY_S: Final = 5.0
"""Seconds between two looks at what has been added to an object store."""


class Objects:
    """The objects of one space. Where the system or the object store refuses, OSError is raised.

    A `remote` holds the objects; the folder then has copies of what this machine wrote or read, and may be deleted.
    """

    def __init__(self, folder: Path, digests: FileDigests, remote: ObjectStore | None = None) -> None:
        self.folder, self.remote, self._digests = folder, remote, digests

    @property
    def place(self) -> str:
        """The folder or the address, as a message names it."""
        return self.remote.address if self.remote else str(self.folder)

    @property
    def remedy(self) -> str:
        """A hint for a message: what to do where nothing can be written to the place."""
        return f"{hint_at(self.remote.address)}; or name another" if self.remote else "free space there or give another folder"

    def stamp(self) -> object:
        """Returns a value that stays the same as long as `names` need not be read again."""
        if self.remote:
            return int(time.monotonic() / LIST_EVERY_S)
        return self.folder.stat().st_mtime_ns if self.folder.exists() else None

    def names(self) -> list[str]:
        """Lists the objects that are there; none where the place does not exist yet."""
        try:
            names = self.remote.names() if self.remote else [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        return [name for name in names if name.endswith((".arrow", ".json")) and not name.startswith(".")]

    def prepare(self) -> None:
        """Makes the place ready for `put`, and removes old drafts of processes that were killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._draft() as draft:
            draft.touch()
        for path in self.folder.glob(".*.draft"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > DRAFT_KEPT_S:
                    path.unlink()

    def put(self, write: Callable[[Path], object], name_of: str) -> tuple[str, bool]:
        """Stores what `write(path)` writes, whole or not at all; returns its name, and whether it was there before.

        The digest of its bytes stands for the braces in `name_of`: a second put of a name puts the same bytes.
        """
        with self._draft() as draft:
            write(draft)
            with draft.open("rb") as stream, ThreadPoolExecutor(1, "mrl_sweep_sync") as pool:
                synced = pool.submit(os.fsync, stream.fileno())  # which waits for the disk
                digest = str(file_digest(draft, "sha256"))
                synced.result()
            name = name_of.format(digest)
            there = (self.remote.size(name) is not None) if self.remote else (self.folder / name).exists()
            if self.remote:
                self.remote.put(draft, name)
            draft.replace(self.folder / name)
            self._digests.written(self.folder / name, digest)
        return name, there

    def open(self, name: str) -> Any:
        """Opens an object as a pyarrow file to read ranges from, without fetching the rest."""
        import pyarrow as pa

        if self.remote and not (self.folder / name).exists():
            return self.remote.open(name)
        return pa.memory_map(os.fsencode(self.folder / name))

    def fetch(self, name: str) -> Path:
        """Returns a local file with the object's bytes, to be mapped into memory; downloads it where there is no copy."""
        copy = self.folder / name
        if self.remote and not copy.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._draft() as draft:
                self.remote.fetch(name, draft)
                draft.replace(copy)
        return copy

    def sound(self, names: Iterable[str], *, again: bool = False) -> dict[str, bool | None]:
        """Tells whether each object's bytes are what its name says; None where it is gone. A damaged copy is fetched again."""
        names = list(names)
        for name in names if self.remote else ():
            with contextlib.suppress(FileNotFoundError):
                self.fetch(name)
        digests = zip(names, self._digests.each([self.folder / name for name in names]), strict=True)
        checked = {name: None if digest is None else digest in name for name, digest in digests}
        damaged = [name for name, sound in checked.items() if sound is False]
        if self.remote and damaged and not again:
            for name in damaged:
                (self.folder / name).unlink(missing_ok=True)
            checked |= self.sound(damaged, again=True)
        return checked

    def remove(self, name: str) -> None:
        """Deletes an object, and the copy of it, if they are there."""
        if self.remote:
            self.remote.remove(name)
        (self.folder / name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Moves an object to `set-aside/`, for a person to look at; leaves it where the place cannot be written."""
        with contextlib.suppress(OSError):
            if self.remote:
                (self.folder / name).unlink(missing_ok=True)
                self.remote.move(name, f"{ASIDE}/{name}")
            else:
                (self.folder / ASIDE).mkdir(exist_ok=True)
                (self.folder / name).replace(self.folder / ASIDE / name)

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Path]:
        """Yields a path in the folder for an object's bytes, and removes it afterwards."""
        draft = self.folder / f".{os.urandom(8).hex()}.draft"
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
