"""The formats in which people keep vectors: .npy, .safetensors, .fvecs, Parquet, JSON lines. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import InputError, first_offenders
from mrl_sweep.types import Float32Array

LAYOUT: Final = (
    "the folder holds docs.npy and queries.npy, or .safetensors or .fvecs (rows in file order, or named by docs.ids.txt), "
    "or as .parquet or .jsonl with `id` and `vector`"
)
_PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")
_TENSOR_TYPES: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
_TENSOR_NAMES: Final = ("vectors", "embeddings", "embedding", "vector")
_VECTOR_KEYS: Final = ("vector", "embedding", "values", "vectors")
_ID_KEYS: Final = ("id", "_id")
_MOST_HEADER_BYTES: Final = 100 << 20


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Vectors as a file has them: (n, dim) `rows` in file order, float16, float32 or float64; `ids` where rows are named."""

    path: Path
    rows: npt.NDArray[Any]
    ids: Sequence[str] | None = None


def read_vectors(folder: Path, stems: Sequence[str]) -> VectorFile:
    """The first file of these names in a format we read, memory-mapped where the format allows.

    Raises InputError where there is none, or where it is damaged, pickled, or no table of floating-point numbers.
    """
    for stem in stems:
        for suffix, reader in _READERS.items():
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                table = _named(_read(path, reader), folder / f"{stem}.ids.txt")
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
    try:
        return reader(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", LAYOUT) from error


def _named(table: VectorFile, ids_path: Path) -> VectorFile:
    """The table with the ids of the text file beside it, one a line."""
    if table.ids is not None or not ids_path.is_file():
        return table
    try:
        lines = ids_path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{ids_path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from error
    ids = [line.removesuffix("\r") for line in (lines[:-1] if lines and not lines[-1] else lines)]
    if len(ids) != len(table.rows):
        raise InputError(f"{ids_path} has {len(ids):,} lines, {table.path.name} has {len(table.rows):,} rows", "one id a line")
    return replace(table, ids=ids)


def _read_npy(path: Path) -> VectorFile:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        pickled = any(word in str(error).lower() for word in ("pickle", "object"))
        reason = "it holds pickled objects" if pickled else str(error)
        raise InputError(f"{path}: not a plain .npy file: {reason}", "numpy.save a float32 array") from error
    if rows.dtype.kind != "f" or rows.dtype.itemsize not in (2, 4, 8):
        raise InputError(f"{path}: vectors of {rows.dtype}; float16, float32 and float64 are read", "convert them to float32")
    return VectorFile(path, rows)


def _read_fvecs(path: Path) -> VectorFile:
    """Each row as its int32 size and so many float32, little endian; the sizes are all checked."""
    total = path.stat().st_size
    dim = int(np.fromfile(path, "<i4", 1)[0]) if total >= 4 else 0
    width = 4 + 4 * dim
    if dim <= 0 or total % width:
        raise InputError(f"{path}: not an .fvecs file of one size ({total:,} bytes, rows of {dim})", LAYOUT)
    records = np.memmap(path, np.dtype([("dim", "<i4"), ("vector", "<f4", (dim,))]), "r")
    other = np.flatnonzero(records["dim"] != dim)
    if len(other):
        raise InputError(f"{path}: row {other[0]} says {records['dim'][other[0]]} dimensions, the first {dim}", LAYOUT)
    return VectorFile(path, records["vector"])


def _read_safetensors(path: Path) -> VectorFile:
    """The one table in the file, or the one called `vectors` or `embeddings`. bfloat16 is widened to float32."""
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
    return VectorFile(path, (rows.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else rows)


def _read_jsonl(path: Path) -> VectorFile:
    """One object a line, with `id` (or `_id`) and `vector` (or `embedding`, `values`): what vector databases export."""
    ids: list[str] = []
    values = array("f")
    dim = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
                vector = next(record[key] for key in _VECTOR_KEYS if key in record)
                ids.append(str(next(record[key] for key in _ID_KEYS if key in record)))
                before = len(values)
                values.extend(vector)
            except (ValueError, TypeError, StopIteration, OverflowError) as error:
                reason = str(error) or "`id` and `vector` are needed"
                raise InputError(f"{path}:{number}: {reason}", "one object a line with `id` and `vector`") from error
            dim = dim or len(values)
            if len(values) - before != dim:
                raise InputError(f"{path}:{number}: a vector of {len(values) - before} dimensions, the first has {dim}", LAYOUT)
    if not ids:
        raise InputError(f"{path}: no vectors", LAYOUT)
    return VectorFile(path, np.frombuffer(values, np.float32).reshape(len(ids), dim), ids)


def _read_parquet(path: Path) -> VectorFile:
    """Columns `id` and `vector` (lists of one length); the vectors are copied out once, as float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.OSFile(os.fsencode(path))) as file:
            if not {"id", "vector"} <= set(file.schema_arrow.names):
                raise InputError(f"{path}: columns {', '.join(file.schema_arrow.names)}; `id` and `vector` are needed", LAYOUT)
            n, ids, start = file.metadata.num_rows, list[str](), 0
            rows: Float32Array = np.empty((0, 0), np.float32)
            for batch in file.iter_batches(columns=["id", "vector"]):
                ids += [str(value) for value in batch.column("id").to_pylist()]
                block = _list_column(path, batch.column("vector"))
                rows = rows if start else np.empty((n, block.shape[1]), np.float32)
                if block.shape[1] != rows.shape[1]:
                    raise InputError(f"{path}: vectors of {rows.shape[1]} and of {block.shape[1]} dimensions", LAYOUT)
                rows[start : start + len(block)] = block
                start += len(block)
    except pa.ArrowException as error:
        raise InputError(f"cannot read {path}: {error}", LAYOUT) from error
    return VectorFile(path, rows, ids)


def _list_column(path: Path, column: Any) -> npt.NDArray[Any]:
    if column.null_count or not len(column):
        raise InputError(f"{path}: {column.null_count} rows without a vector", "leave rows without a vector out")
    values = column.flatten() if hasattr(column, "flatten") else column[:0]
    if not len(values) or values.null_count or len(values) % len(column) or not str(values.type).startswith(_ARROW_FLOATS):
        raise InputError(f"{path}: `vector` must hold lists of as many floating-point numbers each", LAYOUT)
    width = len(values) // len(column)
    if hasattr(column, "offsets") and (np.diff(column.offsets.to_numpy()) != width).any():
        raise InputError(f"{path}: vectors of different lengths", LAYOUT)
    return np.asarray(values.to_numpy(zero_copy_only=False).reshape(len(column), width))


_ARROW_FLOATS: Final = ("float", "halffloat", "double")
_READERS: Final[dict[str, Callable[[Path], VectorFile]]] = {
    ".npy": _read_npy,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".fvecs": _read_fvecs,
    ".jsonl": _read_jsonl,
}
