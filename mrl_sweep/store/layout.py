"""The files of one shard: rows and their index as `.npy` files that grow in place, and the JSON manifest that vouches for them.

    00000.npy        full-size rows, one text each; plain numpy
    00000.index.npy  a record for each row: the text's digest, the row, a checksum over both and the row's bytes, flags
    00000.json       how many rows and records are settled; written last, its time of change is put on the others

Rows are written before their records, and a batch's records end with `left` 0: whatever a kill leaves behind, the records up to
the last whole batch name rows that are whole. Records that no manifest vouches for yet are held against their checksums.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.store.digests import row_checksums
from mrl_sweep.types import BoolArray

Records = npt.NDArray[np.void]

RECORD: Final = np.dtype(
    [
        ("digest", "<u8", (2,)),
        ("checksum", "<u8"),
        ("row", "<u4"),
        ("tokens", "<u4"),
        ("left", "<u4"),
        ("flags", "<u4"),
    ]
)
TRUNCATED: Final = 1
ZERO: Final = 2
UNIT: Final = 4
TRUNCATION_KNOWN: Final = 8

FORMAT: Final = 1
_CHECKED_AT_ONCE_BYTES: Final = 16 << 20
_SAMPLED_ROWS: Final = 16


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The three paths of a shard."""

    folder: Path
    number: int

    @property
    def stem(self) -> str:
        return f"{self.number:05d}"

    @property
    def rows(self) -> Path:
        return self.folder / f"{self.stem}.npy"

    @property
    def index(self) -> Path:
        return self.folder / f"{self.stem}.index.npy"

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.stem}.json"

    def all(self) -> tuple[Path, Path, Path]:
        return self.rows, self.index, self.manifest


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is settled: `rows` in the data file, the first `records` of the index and their digest."""

    rows: int
    records: int
    dim: int
    dtype: str
    index_digest: str
    format: int = FORMAT


def shard_numbers(folder: Path) -> list[int]:
    """The numbers of the shards in a folder, ascending; files of other names are not ours."""
    stems = (path.stem for path in folder.glob("*.npy"))
    return sorted(int(stem) for stem in stems if stem.isdecimal() and len(stem) >= 5)


# --- Headers ----------------------------------------------------------------------------------------------------------


def header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The `.npy` header; numpy pads it so that its length does not depend on the number of rows."""
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def header_matches(path: Path, dtype: np.dtype[Any], width: tuple[int, ...]) -> bool:
    """True where the file begins as ours do, whatever its number of rows. Nothing in it is ever unpickled."""
    expected = header(dtype, (0, *width))
    try:
        with path.open("rb") as stream:
            begin = stream.read(len(expected))
        if len(begin) != len(expected) or begin[:8] != expected[:8]:
            return False
        stream_ = io.BytesIO(begin)
        np.lib.format.read_magic(stream_)
        shape, fortran, found = np.lib.format.read_array_header_1_0(stream_)
    except (OSError, ValueError, SyntaxError):
        return False
    return stream_.tell() == len(expected) and not fortran and found == dtype and tuple(shape[1:]) == width


# --- Writing ----------------------------------------------------------------------------------------------------------


def write_at(stream: io.FileIO, data: bytes | memoryview, offset: int) -> None:
    """All of it, or OSError (no space, quota, a limit on file sizes)."""
    view = memoryview(data).cast("B")
    stream.seek(offset)
    while len(view):
        view = view[stream.write(view) :]


def replace_file(path: Path, data: bytes) -> None:
    """Atomic: readers see the old content or the new. A failed write leaves no temporary file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def index_bytes(records: Records) -> bytes:
    return header(RECORD, (len(records),)) + records.tobytes()


def index_digest(records: Records) -> str:
    return hashlib.blake2b(records.tobytes(), digest_size=16).hexdigest()


def settle(files: ShardFiles, manifest: Manifest) -> None:
    """Writes the manifest, then gives rows and index its time of change: a later one means that they were touched."""
    replace_file(files.manifest, json.dumps(asdict(manifest), indent=1).encode() + b"\n")
    restamp(files)


def restamp(files: ShardFiles) -> None:
    """Best effort: where the times cannot be set, the rows are checked again the next time."""
    with contextlib.suppress(OSError):
        stamp = files.manifest.stat().st_mtime_ns
        for path in (files.rows, files.index):
            os.utime(path, ns=(stamp, stamp))


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_manifest(files: ShardFiles, dim: int, dtype: str) -> Manifest | None:
    """None where there is none (yet), or none that makes sense for vectors of this kind."""
    try:
        document = json.loads(files.manifest.read_bytes())
        manifest = Manifest(**document)
        sound = manifest.format == FORMAT and (manifest.dim, manifest.dtype) == (dim, dtype)
        return manifest if sound and 0 <= int(manifest.records) <= int(manifest.rows) else None
    except (OSError, ValueError, TypeError):
        return None


def read_records(files: ShardFiles, start: int = 0) -> Records:
    """Every whole record of the index file from `start` on, an unfinished last one left out; none where it is not one of ours."""
    begin = len(header(RECORD, (0,))) + start * RECORD.itemsize
    try:
        if files.index.stat().st_size < begin + RECORD.itemsize or not header_matches(files.index, RECORD, ()):
            return np.empty(0, RECORD)
        with files.index.open("rb") as stream:
            stream.seek(begin)
            data = stream.read()
    except OSError:
        return np.empty(0, RECORD)
    return np.frombuffer(data, RECORD, count=len(data) // RECORD.itemsize)


def whole_batches(records: Records) -> Records:
    """The records up to the end of the last whole batch."""
    ends = np.flatnonzero(records["left"] == 0)
    return records[: ends[-1] + 1 if len(ends) else 0]


def map_rows(files: ShardFiles, dim: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """(n, dim) memory map of every row the data file has room for, settled or not; (0, dim) where it is not one of ours."""
    offset = len(header(dtype, (0, dim)))
    try:
        n = (files.rows.stat().st_size - offset) // (dim * dtype.itemsize)
        if n > 0 and header_matches(files.rows, dtype, (dim,)):
            return np.memmap(files.rows, dtype, "r", offset, (n, dim))
    except (OSError, ValueError):
        pass
    return np.empty((0, dim), dtype)


def is_untouched(files: ShardFiles, manifest: Manifest, n_rows: int) -> bool:
    """True where rows and index still bear the manifest's time and the file's size is the settled one."""
    try:
        stamps = {path.stat().st_mtime_ns for path in files.all()}
    except OSError:
        return False
    return len(stamps) == 1 and n_rows == manifest.rows


def sound_records(records: Records, rows: npt.NDArray[Any]) -> BoolArray:
    """(n,) True where the record's row is there and its bytes give the record's checksum."""
    sound = np.zeros(len(records), np.bool_)
    inside = np.flatnonzero(records["row"] < len(rows))
    inside = inside[np.argsort(records["row"][inside], kind="stable")]
    for some in _pieces(inside, rows):
        record = records[some]
        sound[some] = row_checksums(rows[record["row"]], record["digest"], record["row"]) == record["checksum"]
    return sound


def _pieces(order: npt.NDArray[np.intp], rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.intp]]:
    size = max(1, _CHECKED_AT_ONCE_BYTES // max(1, rows.shape[1] * rows.dtype.itemsize))
    return (order[start : start + size] for start in range(0, len(order), size))


def sample_of(records: Records) -> Records:
    """A few records spread evenly, for the glance that even an untouched shard gets."""
    return records[np.unique(np.linspace(0, len(records) - 1, _SAMPLED_ROWS).astype(np.int64))] if len(records) else records
