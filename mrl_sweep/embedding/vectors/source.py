"""Files of vectors that exist already (`vectors:FOLDER`): read by their endings, matched with the collection by order or by id.

.npy, .safetensors and .fvecs are read here, tables of ids and vectors in `rows.py`. Nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from mrl_sweep.embedding.protocol import Brought, Role
from mrl_sweep.embedding.vectors.rows import (
    LAYOUT,
    VDF_META,
    Names,
    VectorFile,
    read_csv,
    read_folder,
    read_jsonl,
    read_lance,
    read_parquet,
    read_vdf,
)
from mrl_sweep.errors import InputError, MrlSweepError
from mrl_sweep.events import OnEvent, Progress
from mrl_sweep.files import LFS_POINTER
from mrl_sweep.files.digests import FileDigests
from mrl_sweep.files.ids import Ids
from mrl_sweep.ranking.pass_plan import ZERO_SQUARED_NORM
from mrl_sweep.record import record
from mrl_sweep.types import Collection, FileRows, IntArray, Vectors
from mrl_sweep.words import first_offenders, plural


class Reader(Protocol):
    """Reads a file, or a folder that is a table; `names` are those of its columns."""

    def __call__(self, path: Path, names: Names) -> VectorFile: ...


USUAL_NAMES: Final = Names()

_PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")
_TENSOR_TYPES: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
_TENSOR_NAMES: Final = ("vectors", "embeddings", "embedding", "vector")
_MOST_HEADER_BYTES: Final = 100 << 20


def read_vectors(folder: Path, stems: Sequence[str], names: Names = USUAL_NAMES) -> VectorFile:
    """Reads the first file, or table in a folder, with one of these stems; memory-mapped where the format allows.

    Raises InputError where there is none, or where it is damaged, pickled, or no table of floating-point numbers.
    """
    if (folder / VDF_META).is_file():
        return _read(folder / VDF_META, lambda path: read_vdf(path.parent, stems, names))
    for path, reader in ((folder / f"{stem}{suffix}", reader) for stem in stems for suffix, reader in _READERS.items()):
        if path.is_dir() if reader in _OF_FOLDERS else path.is_file():
            table = _named(_read(path, partial(reader, names=names)), folder / f"{path.stem}.ids.txt")
            if table.rows.ndim != 2 or not table.rows.shape[1]:
                raise InputError(f"{path}: vectors must be a table of rows, found shape {table.rows.shape}", LAYOUT)
            return table
    pickled = [path.name for path in sorted(folder.iterdir()) if path.stem in stems and path.suffix in _PICKLES]
    if pickled:
        raise InputError(
            f"{folder / pickled[0]}: pickles are refused, they can run code when they are read",
            "numpy.save(..., allow_pickle=False)",
        )
    raise InputError(f"{folder} has no vectors of the {'documents' if 'docs' in stems else 'queries'}", LAYOUT)


def _read(path: Path, reader: Callable[[Path], VectorFile]) -> VectorFile:
    """Reads the file's table. Raises InputError for any error of a library: the file is damaged."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(LFS_POINTER)) == LFS_POINTER:
                    raise InputError(f"{path} is a Git LFS pointer, not the file itself", f"git -C {path.parent} lfs pull")
        return reader(path)
    except MrlSweepError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", LAYOUT) from error
    except Exception as error:
        raise InputError(f"cannot read {path}: it is damaged ({type(error).__name__}: {error})", LAYOUT) from error


def _named(table: VectorFile, ids_path: Path) -> VectorFile:
    """Returns the table with the ids of the text file beside it, one a line, where it has no ids itself."""
    if table.ids is not None or not ids_path.is_file():
        return table
    try:
        lines = ids_path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{ids_path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from error
    ids = [line.removesuffix("\r") for line in (lines[:-1] if lines and not lines[-1] else lines)]
    if len(ids) != len(table.rows):
        raise InputError(
            f"{ids_path} has {plural(len(ids), 'line')}, {table.name} has {plural(len(table.rows), 'row')}", "one id a line"
        )
    return replace(table, ids=Ids(ids))


def _read_npy(path: Path) -> VectorFile:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        pickled = any(word in str(error).lower() for word in ("pickle", "object"))
        reason = "it holds pickled objects" if pickled else str(error)
        raise InputError(f"{path}: not a plain .npy file: {reason}", "numpy.save a float32 array") from error
    if rows.dtype.kind != "f" or rows.dtype.itemsize not in (2, 4, 8):
        raise InputError(f"{path}: vectors of {rows.dtype}; float16, float32 and float64 are read", "convert them to float32")
    return VectorFile(str(path), rows)


def _read_fvecs(path: Path) -> VectorFile:
    """Reads rows of an int32 size and so many float32, little endian; checks every size."""
    total = path.stat().st_size
    dim = int(np.fromfile(path, "<i4", 1)[0]) if total >= 4 else 0
    width = 4 + 4 * dim
    if dim <= 0 or total % width:
        raise InputError(f"{path}: not an .fvecs file of one size ({total:,} bytes, rows of {dim})", LAYOUT)
    records = np.memmap(path, np.dtype([("dim", "<i4"), ("vector", "<f4", (dim,))]), "r")
    other = np.flatnonzero(records["dim"] != dim)
    if len(other):
        raise InputError(f"{path}: row {other[0]} says {records['dim'][other[0]]} dimensions, the first {dim}", LAYOUT)
    return VectorFile(str(path), records["vector"])


def _read_safetensors(path: Path) -> VectorFile:
    """Reads the only table in the file, or the one with a name of `_TENSOR_NAMES`. bfloat16 is widened to float32."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(size - 8, _MOST_HEADER_BYTES):
                raise ValueError("its header is longer than the file")
            tensors = {name: entry for name, entry in json.loads(stream.read(length)).items() if name != "__metadata__"}
        tables = {name: entry for name, entry in tensors.items() if len(entry["shape"]) == 2}
        chosen = next((name for name in _TENSOR_NAMES if name in tables), next(iter(tables), None) if len(tables) == 1 else None)
        if chosen is None:
            raise InputError(f"{path}: which tensor holds the vectors? {first_offenders(list(tensors))}", "call it `vectors`")
        kind, shape, (begin, end) = (tables[chosen][key] for key in ("dtype", "shape", "data_offsets"))
        if kind not in _TENSOR_TYPES:
            raise InputError(f"{path}: vectors of {kind}; F16, BF16, F32 and F64 are read", "convert them to float32")
        dtype = np.dtype(_TENSOR_TYPES[kind])
        if end - begin != shape[0] * shape[1] * dtype.itemsize or 8 + length + end > size:
            raise ValueError(f"{chosen} does not fit the file")
        if not shape[0]:
            raise ValueError(f"{chosen} is empty")
        rows: npt.NDArray[Any] = np.memmap(path, dtype, "r", 8 + length + begin, (shape[0], shape[1]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a whole .safetensors file: {error}", LAYOUT) from error
    return VectorFile(str(path), (rows.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else rows)


def _array(read: Callable[[Path], VectorFile]) -> Reader:
    """Makes a reader of a format without columns, which refuses names of them."""

    def reader(path: Path, names: Names) -> VectorFile:
        if names != USUAL_NAMES:
            raise InputError(f"{path}: a {path.suffix} file has rows and no columns to name", "leave ?id= and ?vector= out")
        return read(path)

    return reader


_READERS: Final[dict[str, Reader]] = {
    ".npy": _array(_read_npy),
    ".parquet": read_parquet,
    ".safetensors": _array(_read_safetensors),
    ".fvecs": _array(_read_fvecs),
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".lance": read_lance,
    "": read_folder,
}
_OF_FOLDERS: Final = (read_lance, read_folder)


STEMS: Final = {Role.DOCUMENT: ("docs", "documents", "corpus"), Role.QUERY: ("queries",)}
"""Stems of the names of a role's files."""

_CHECKED_AT_ONCE_BYTES: Final = 64 << 20


@record
class Side:
    """A side is the documents or the queries: the noun for messages, their ids, and where they stood in their file."""

    noun: str
    ids: Sequence[str]
    file_rows: FileRows | None


class VectorFolder:
    """A `VectorSource` of full-size vectors of documents and queries in one folder; `names` are those of their columns."""

    def __init__(self, folder: Path, names: Names, cache_dir: Path | None = None) -> None:
        if not folder.is_dir():
            raise InputError(
                f"cannot read {folder}: it is not a folder",
                f"--model vectors:{folder.parent if folder.is_file() else 'FOLDER'}; " + LAYOUT,
            )
        self._folder, self._names, self._digests = folder, names, FileDigests(cache_dir)
        self._files: dict[tuple[str, ...], VectorFile] = {}

    @property
    def name(self) -> str:
        return f"vectors:{self._folder.name}"

    def identity(self, role: Role) -> Mapping[str, Any]:
        """Returns the digest of the files that hold the role's vectors or name their rows, and the columns' names."""
        whole = (self._folder / VDF_META).is_file()
        places = [path for path in self._folder.iterdir() if whole or path.name.partition(".")[0] in STEMS[role]]
        files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
        named = {key: name for key, name in (("id", self._names.id), ("vector", self._names.vector)) if name}
        try:
            return {"provider": "vectors", "revision": self._digests.of(files, self._folder), **named}
        except OSError as error:
            raise InputError(f"cannot read {self._folder}: {error.strerror or error}", LAYOUT) from error

    def load(self, collection: Collection, role: Role, *, on_event: OnEvent) -> Brought:
        """Reads the role's vectors as `VectorSource.load` says; memory-mapped where the format allows."""
        stems = STEMS[Role.DOCUMENT if collection.query_rows is not None else role]
        if stems not in self._files:
            self._files[stems] = read_vectors(self._folder, stems, self._names)
        return brought(self._files[stems], collection, role, {"provider": "vectors", "name": self._folder.name}, on_event)


def brought(table: VectorFile, collection: Collection, role: Role, source: Mapping[str, Any], on_event: OnEvent) -> Brought:
    """Matches the table's rows with this role's texts; queries that are documents have the documents' vectors. `source` goes into
    the report's manifest.

    Raises InputError where count, ids or values are wrong.
    """
    documents = Side("documents", collection.documents.ids, collection.documents.file_rows)
    queries = Side("queries", collection.queries.ids, collection.queries.file_rows)
    side, own = (documents if role is Role.DOCUMENT else queries), (None if role is Role.DOCUMENT else collection.query_rows)
    if own is None:
        order = _matched(table, side)
    else:
        placed = _matched(table, documents)
        order = own if placed is None else placed[own]
    zero, unit_length = _checked(table, order, side, on_event)
    return Brought(
        vectors=Vectors(parts=(table.rows,), order=order),
        origin=table.name,
        model={**source, "dim": int(table.rows.shape[1]), "dtype": table.rows.dtype.name, "files": [table.name]},
        zero=zero,
        unit_length=unit_length,
    )


def _matched(table: VectorFile, side: Side) -> IntArray | None:
    """Returns the file's row of each text, None where the order is the same: by id where the file has ids, else by place."""
    if table.ids is not None:
        if repeated := table.ids.repeated():
            ids = plural(len(repeated), "id occurs", "ids occur")
            raise InputError(f"{table.origin}: {ids} more than once", "one vector for each id")
        order = table.ids.rows_of(side.ids)
        if len(lost := np.flatnonzero(order < 0)):
            names = first_offenders([side.ids[row] for row in lost[:5].tolist()], len(lost))
            raise InputError(f"{table.origin}: no vector for {side.noun} {names}", "embed them, or leave them out")
    else:
        expected = side.file_rows.count if side.file_rows else len(side.ids)
        if len(table.rows) != expected:
            raise InputError(
                f"{table.origin} has {plural(len(table.rows), 'row')}, the collection's file has {expected:,} {side.noun}",
                "one row for each record of the file, in file order; or ids: docs.ids.txt, or Parquet with `id` and `vector`",
            )
        order = side.file_rows.rows if side.file_rows else np.arange(expected)
    return None if np.array_equal(order, np.arange(len(table.rows))) else order


def _checked(table: VectorFile, order: IntArray | None, side: Side, on_event: OnEvent) -> tuple[IntArray, bool]:
    """Looks at every value once; returns the rows that are zero, and whether all are of unit length.

    Raises InputError naming the ids whose vectors hold NaN or infinity.
    """
    n = len(table.rows) if order is None else len(order)
    step = max(1, _CHECKED_AT_ONCE_BYTES // max(1, table.rows.shape[1] * 4))
    bad: list[int] = []
    zero: list[int] = []
    unit = True
    for start in range(0, n, step):
        block = table.rows[start : start + step] if order is None else table.rows[order[start : start + step]]
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite here, and refused below
            rows = np.ascontiguousarray(block, dtype=np.float32)
        squared = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        bad += (np.flatnonzero(~np.isfinite(rows).all(axis=1)) + start).tolist()
        zero += (np.flatnonzero(squared < ZERO_SQUARED_NORM) + start).tolist()
        unit = unit and bool((abs(squared - 1) < 2e-3).all())
        on_event(Progress(f"check {side.noun}", min(start + step, n), n, "vectors"))
    if bad:
        names = first_offenders([side.ids[row] for row in bad])
        raise InputError(f"{table.origin}: NaN or infinite values for {side.noun} {names}", "embed them again, or leave them out")
    return np.array(zero, np.int64), unit
