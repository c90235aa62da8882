"""One shard of a store: read with every doubt settled by checksums, written by one process at a time, whole after any kill."""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mrl_sweep.store.digests import Uint64Array, row_checksums
from mrl_sweep.store.layout import (
    RECORD,
    Manifest,
    Records,
    ShardFiles,
    header,
    header_matches,
    index_bytes,
    index_digest,
    is_untouched,
    map_rows,
    read_manifest,
    read_records,
    replace_file,
    restamp,
    sample_of,
    settle,
    shard_numbers,
    sound_records,
    whole_batches,
    write_at,
)
from mrl_sweep.types import IntArray


@dataclass(frozen=True, slots=True)
class Shard:
    """What a shard holds that is beyond doubt: `records` whose rows are sound, in the index's order.

    `n_read` counts the records read so far, sound or not. `damaged`: something that was settled is no longer so.
    `unsettled`: the manifest is missing, broken or behind, and may be written anew.
    """

    files: ShardFiles
    rows: npt.NDArray[Any]
    records: Records
    n_read: int
    inode: int
    damaged: bool = False
    unsettled: bool = False


def read_shard(files: ShardFiles, dim: int, dtype: np.dtype[Any]) -> Shard:
    """Reads a shard as it is now, another process may be writing it. Rows are checked unless nobody touched them since."""
    inode = _inode(files)
    manifest = read_manifest(files, dim, dtype.name)
    records = read_records(files)
    rows = map_rows(files, dim, dtype)
    n_settled = manifest.records if manifest else 0
    vouched = manifest is not None and len(records) >= n_settled and index_digest(records[:n_settled]) == manifest.index_digest
    if not vouched:
        n_settled = 0
    records = records[: n_settled + len(whole_batches(records[n_settled:]))]
    untouched = manifest is not None and vouched and n_settled == len(records) and is_untouched(files, manifest, len(rows))
    if untouched and sound_records(sample_of(records), rows).all():
        return Shard(files, rows, records, len(records), inode)
    sound = sound_records(records, rows)
    damaged = (manifest is not None and not vouched) or not bool(sound[:n_settled].all())
    damaged = damaged or (_size(files) > 0 and not header_matches(files.rows, dtype, (dim,)))
    if not damaged and vouched and n_settled == len(records):
        restamp(files)
    unsettled = not vouched or n_settled < len(records)
    return Shard(files, rows, records[sound], len(records), inode, damaged, unsettled)


def read_more(shard: Shard) -> Shard | None:
    """The shard with what its writer has added since, `records` holding only the new ones; None where it was rewritten."""
    if _inode(shard.files) != shard.inode:
        return None
    records = whole_batches(read_records(shard.files, shard.n_read))
    if not len(records):
        return replace(shard, records=records)
    rows = map_rows(shard.files, shard.rows.shape[1], shard.rows.dtype)
    return replace(shard, rows=rows, records=records[sound_records(records, rows)], n_read=shard.n_read + len(records))


def _inode(files: ShardFiles) -> int:
    try:
        return files.index.stat().st_ino
    except OSError:
        return -1


def _size(files: ShardFiles) -> int:
    try:
        return files.rows.stat().st_size
    except OSError:
        return 0


@contextlib.contextmanager
def locked(files: ShardFiles) -> Iterator[bool]:
    """True while this process owns the shard; False where another one does, or where it cannot be written."""
    try:
        stream = io.FileIO(files.rows, "r+")
    except OSError:
        yield False
        return
    with stream:
        yield _lock(stream) and _same_file(stream, files)


def set_aside(files: ShardFiles) -> None:
    """Moves a damaged shard (locked by the caller) out of the way, for a person to look at."""
    folder = files.folder / "set-aside"
    folder.mkdir(exist_ok=True)
    tag = secrets.token_hex(4)
    for path in files.all():
        with contextlib.suppress(FileNotFoundError):
            path.replace(folder / f"{tag}-{path.name}")


class ShardWriter:
    """Adds rows to one shard that it owns. A lock held by the operating system dies with its process, so none is left behind."""

    def __init__(self, files: ShardFiles, stream: io.FileIO, shard: Shard) -> None:
        self.files = files
        self._stream = stream
        self._records = [shard.records]
        self._n_records = len(shard.records)
        self._dim, self._dtype = shard.rows.shape[1], shard.rows.dtype
        self._settled = not shard.unsettled
        used = np.unique(shard.records["row"]).astype(np.int64)
        self._next = int(used[-1]) + 1 if len(used) else 0
        self._free = np.setdiff1d(np.arange(self._next), used)
        self._index = self._begin_index(shard)

    @classmethod
    def create(cls, folder_files: ShardFiles, dim: int, dtype: np.dtype[Any]) -> Self:
        """A new shard with the folder's next free number; `folder_files` says which folder."""
        number = max(shard_numbers(folder_files.folder), default=-1) + 1
        while True:
            files = ShardFiles(folder_files.folder, number)
            number += 1
            try:
                stream = io.FileIO(files.rows, "x+")
            except FileExistsError:
                continue
            if _lock(stream, unsupported=True) and _same_file(stream, files):
                break
            stream.close()
        try:
            write_at(stream, header(dtype, (0, dim)), 0)
            empty = Shard(files, np.empty((0, dim), dtype), np.empty(0, RECORD), 0, -1, unsettled=True)
            return cls(files, stream, empty)
        except BaseException:
            stream.close()
            _remove(files)
            raise

    @classmethod
    def adopt(cls, files: ShardFiles, dim: int, dtype: np.dtype[Any]) -> Self | None:
        """Goes on with a shard that nobody owns; None where somebody does, or where it is damaged."""
        try:
            stream = io.FileIO(files.rows, "r+")
        except OSError:
            return None
        if _lock(stream) and _same_file(stream, files):
            shard = read_shard(files, dim, dtype)
            if not shard.damaged:
                return cls(files, stream, shard)
        stream.close()
        return None

    @property
    def n_records(self) -> int:
        """Rows that are filled."""
        return self._n_records

    @property
    def n_rows(self) -> int:
        """Rows that are taken, filled or reserved."""
        return self._next

    @property
    def is_settled(self) -> bool:
        """True where everything written is under the manifest."""
        return self._settled

    @property
    def records(self) -> Records:
        """Every record written so far, also those of the shard that was gone on with."""
        self._records = [np.concatenate(self._records)]
        return self._records[0]

    def reserve(self, n: int) -> IntArray:
        """(n,) ascending rows for the texts that come next; an interrupted run's gaps first: it ends as if undisturbed."""
        gaps, self._free = self._free[:n], self._free[n:]
        fresh = np.arange(self._next, self._next + n - len(gaps))
        self._next += len(fresh)
        return np.concatenate([gaps, fresh]).astype(np.int64)

    def give_back(self, rows: IntArray) -> None:
        """Reserved rows that will not be filled after all."""
        self._free = np.union1d(self._free, rows)

    def write(self, rows: IntArray, vectors: npt.NDArray[Any], records: Records) -> None:
        """One batch: the rows first, their records after them. `records` carry digest, tokens and flags; the rest is set here."""
        vectors = np.ascontiguousarray(vectors, self._dtype)
        order = np.argsort(rows, kind="stable")
        if (np.diff(order) != 1).any():
            rows, vectors, records = rows[order], vectors[order], records[order]
        begin = len(header(self._dtype, (0, self._dim)))
        width = vectors.shape[1] * vectors.itemsize
        cuts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1), len(rows)]
        for low, high in itertools.pairwise(cuts):
            write_at(self._stream, vectors[low:high].data, begin + int(rows[low]) * width)
        batch = records.copy()
        batch["row"] = rows
        batch["left"] = np.arange(len(rows))[::-1]
        batch["checksum"] = row_checksums(vectors, _digests(batch), rows)
        end = len(header(RECORD, (0,))) + self._n_records * RECORD.itemsize
        write_at(self._index, batch.tobytes(), end)
        self._records.append(batch)
        self._n_records += len(batch)
        self._settled = False

    def settle(self) -> None:
        """Puts the index in the rows' order, the number of rows into the headers, and the manifest over both."""
        if self._settled:
            return
        records = self.records[np.argsort(self.records["row"], kind="stable")]
        records["left"] = 0
        rows = int(records["row"][-1]) + 1 if len(records) else 0
        write_at(self._stream, header(self._dtype, (rows, self._dim)), 0)
        self._stream.truncate(len(header(self._dtype, (0, self._dim))) + rows * self._dim * self._dtype.itemsize)
        os.fsync(self._stream.fileno())
        self._index.close()
        replace_file(self.files.index, index_bytes(records))
        manifest = Manifest(rows, len(records), self._dim, self._dtype.name, index_digest(records))
        settle(self.files, manifest)
        self._records, self._settled = [records], True
        self._index = io.FileIO(self.files.index, "r+")

    def close(self) -> None:
        """Gives the shard up as it is; what was written stays, settled or not. A shard that got nothing is removed."""
        self._index.close()
        if not self._n_records:
            _remove(self.files)
        self._stream.close()

    def _begin_index(self, shard: Shard) -> io.FileIO:
        """The index with exactly the sound records: what a kill left of an unfinished batch is cut off."""
        if shard.n_read != len(shard.records) or not self.files.index.exists():
            replace_file(self.files.index, index_bytes(shard.records))
        stream = io.FileIO(self.files.index, "r+")
        stream.truncate(len(header(RECORD, (0,))) + len(shard.records) * RECORD.itemsize)
        return stream


def _digests(records: Records) -> Uint64Array:
    return np.ascontiguousarray(records["digest"])


def _remove(files: ShardFiles) -> None:
    for path in files.all():
        with contextlib.suppress(OSError):
            path.unlink()


def _lock(stream: io.FileIO, *, unsupported: bool = False) -> bool:
    """Takes the file's lock without waiting; `unsupported` is the answer where the system or the file system knows no locks."""
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:
        return unsupported
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsupported
    return True


def _same_file(stream: io.FileIO, files: ShardFiles) -> bool:
    """False where the path names another file by now (it was set aside or removed before we had the lock)."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), files.rows.stat())
    except OSError:
        return False
