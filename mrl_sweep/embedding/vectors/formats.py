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

from mrl_sweep.errors import InputError
from mrl_sweep.files import LFS_POINTER
from mrl_sweep.types import Float32Array
from mrl_sweep.words import first_offenders, printable

LAYOUT: Final = (
    "the folder holds docs.npy and queries.npy, or .safetensors or .fvecs (rows in file order, or named by docs.ids.txt), "
    "or as .parquet or .jsonl with `id` and `vector`"
)
_PICKLES: Final = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib")
_TENSOR_TYPES: Final = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
_TENSOR_NAMES: Final = ("vectors", "embeddings", "embedding", "vector")
VECTOR_KEYS: Final[tuple[str, ...]] = ("vector", "embedding", "embeddings", "emb", "values", "vectors", "dense_vector")
ID_KEYS: Final[tuple[str, ...]] = (
    *("id", "_id", "ids", "doc_id", "docid", "document_id", "docno"),
    *("query_id", "qid", "corpus_id", "corpus-id", "pk", "uuid"),
)
ROWS: Final = "each row needs an id (`id`, `_id`, `doc_id` ...) and a vector (`vector`, `embedding`, `emb`, `values` ...)"
_MOST_HEADER_BYTES: Final = 100 << 20


@dataclass(frozen=True, slots=True)
class VectorFile:
    """Vectors as a file or a table has them: (n, dim) `rows` in its order, float16, float32 or float64.

    `ids` are the rows' names where they have some; `origin` says in messages where they are from.
    """

    origin: str
    rows: npt.NDArray[Any]
    ids: Sequence[str] | None = None

    @property
    def name(self) -> str:
        """The origin without the folders that it lies in."""
        return self.origin.rpartition("/")[2]


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
    """The file's table. Whatever a library raises over a damaged file is the file's fault."""
    try:
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{path} is a Git LFS pointer, not the file itself", f"git -C {path.parent} lfs pull")
        return reader(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", LAYOUT) from error
    except Exception as error:
        raise InputError(f"cannot read {path}: it is damaged ({type(error).__name__}: {error})", LAYOUT) from error


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
        raise InputError(f"{ids_path} has {len(ids):,} lines, {table.name} has {len(table.rows):,} rows", "one id a line")
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
    return VectorFile(str(path), rows)


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
    return VectorFile(str(path), records["vector"])


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
    return VectorFile(str(path), (rows.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else rows)


def _read_jsonl(path: Path) -> VectorFile:
    """One object a line, with an id and a vector under any of their usual names: what vector databases export."""
    ids: list[str] = []
    values = array("f")
    dim = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                record = json.loads(line.decode("utf-8-sig"))
                name = id_of(record, where)
                vector = numbers_of(_vector_of(record, where), f"{where}: {name}")
                values.extend(vector)
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise InputError(f"{where}: {error or type(error).__name__}", ROWS) from error
            ids.append(name)
            dim = dim or len(vector)
            if len(vector) != dim:
                raise InputError(
                    f"{where}: {printable(name)} has a vector of {len(vector)} dimensions, the first has {dim}", LAYOUT
                )
    if not ids:
        raise InputError(f"{path}: no vectors", LAYOUT)
    return VectorFile(str(path), np.frombuffer(values, np.float32).reshape(len(ids), dim), ids)


def id_of(record: Any, where: str) -> str:
    """The id of a record, a string or a whole number. Raises InputError naming the place and the keys that there are."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: not an object but {type(record).__name__}", ROWS)
    key = next((key for key in ID_KEYS if key in record), None)
    value = None if key is None else record[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        had = first_offenders([printable(str(name), 40) for name in record], limit=8) or "none"
        raise InputError(f"{where}: no id; the keys are {had}", ROWS)
    return str(value)


def _vector_of(record: dict[str, Any], where: str) -> Any:
    """What plays the vector: a usual name, else the only list of numbers there is."""
    found = next((key for key in VECTOR_KEYS if key in record), None)
    if found is None:
        lists = [key for key, value in record.items() if isinstance(value, list) and value and _is_number(value[0])]
        if len(lists) != 1:
            had = first_offenders([printable(str(name), 40) for name in record], limit=8) or "none"
            raise InputError(f"{where}: no vector; the keys are {had}", ROWS)
        found = lists[0]
    value = record[found]
    return _named_vector(value, where) if isinstance(value, dict) else value


def _named_vector(value: dict[str, Any], where: str) -> Any:
    """The one vector under a name of its own, as Qdrant and Weaviate write them."""
    named = {name: inner for name, inner in value.items() if isinstance(inner, list | str)}
    if len(named) == 1:
        return next(iter(named.values()))
    chosen = next((name for name in ("", "default", *VECTOR_KEYS) if name in named), None)
    if chosen is None:
        had = first_offenders([printable(str(name), 40) for name in value], limit=8) or "none"
        raise InputError(f"{where}: which of the named vectors is meant? {had}", "keep one of them")
    return named[chosen]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers_of(value: Any, where: str) -> Sequence[float]:
    """The numbers of a vector, also where it is text: `[0.1, 0.2]`. Raises InputError naming whose it is."""
    if value is None:
        raise InputError(f"{printable(where, 300)} has no vector (null)", "embed it, or leave it out")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            shown = printable(value, 40)
            raise InputError(f"{printable(where, 300)} has a vector that is text: {shown}", "write lists of numbers") from None
    if not isinstance(value, list) or not value or not all(map(_is_number, value)):
        raise InputError(f"{printable(where, 300)} has a vector that is no list of numbers", "write lists of numbers")
    return value


def _read_parquet(path: Path) -> VectorFile:
    """Columns of an id and a vector under any of their usual names; the vectors are copied out once, as float32."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.OSFile(os.fsencode(path))) as file:
            key, column = _columns(path, file.schema_arrow)
            n, ids, start = file.metadata.num_rows, list[str](), 0
            rows: Float32Array = np.empty((0, 0), np.float32)
            for batch in file.iter_batches(columns=[key, column]):
                names = batch.column(key).to_pylist()
                ids += [_parquet_id(path, key, value, start + i) for i, value in enumerate(names)]
                block = _list_column(path, batch.column(column), column, ids[start:])
                rows = rows if start else np.empty((n, block.shape[1]), np.float32)
                if block.shape[1] != rows.shape[1]:
                    raise InputError(f"{path}: vectors of {rows.shape[1]} and of {block.shape[1]} dimensions", LAYOUT)
                rows[start : start + len(block)] = block
                start += len(block)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", LAYOUT) from error
    if not ids:
        raise InputError(f"{path}: no vectors", LAYOUT)
    return VectorFile(str(path), rows, ids)


def _columns(path: Path, schema: Any) -> tuple[str, str]:
    """The columns of the id and the vector: their usual names, else the only column of lists."""
    key = next((name for name in ID_KEYS if name in schema.names), None)
    column = next((name for name in VECTOR_KEYS if name in schema.names), None)
    if column is None:
        lists = [
            field.name for field in schema if hasattr(field.type, "value_type") and str(field.type.value_type) in _ARROW_FLOATS
        ]
        column = lists[0] if len(lists) == 1 else None
    if key is None or column is None:
        had = first_offenders([f"{printable(field.name, 40)} ({field.type})" for field in schema], limit=12)
        raise InputError(f"{path}: no column of {'ids' if key is None else 'vectors'}; the columns are {had}", ROWS)
    return key, column


def _parquet_id(path: Path, key: str, value: Any, row: int) -> str:
    if isinstance(value, bytes):
        value = value.decode()
    if value is None or isinstance(value, bool | float) or value == "":
        raise InputError(f"{path} row {row + 1:,}: {key} is {value!r}, which is no id", ROWS)
    return str(value)


def _list_column(path: Path, column: Any, name: str, ids: Sequence[str]) -> npt.NDArray[Any]:
    """(n, dim) the vectors of a batch: lists of floating-point numbers, or text of such lists."""
    import pyarrow as pa

    if column.null_count:
        without = [printable(ids[i]) for i, valid in enumerate(column.is_valid().to_pylist()) if not valid]
        raise InputError(f"{path}: no vector (null) for {first_offenders(without)}", "embed them, or leave them out")
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        parsed = [numbers_of(text, f"{path}: {one}") for one, text in zip(ids, column.to_pylist(), strict=True)]
        if len({len(row) for row in parsed}) > 1:
            raise InputError(f"{path}: vectors of different lengths", LAYOUT)
        return np.asarray(parsed, np.float32)
    values = column.flatten() if hasattr(kind, "value_type") else None
    if values is None or str(values.type) not in _ARROW_FLOATS:
        raise InputError(f"{path}: `{name}` is of type {kind}; lists of floating-point numbers are needed", LAYOUT)
    if not len(values) or values.null_count or len(values) % len(column):
        raise InputError(f"{path}: `{name}` must hold lists of as many floating-point numbers each", LAYOUT)
    width = len(values) // len(column)
    if hasattr(column, "offsets") and (np.diff(column.offsets.to_numpy()) != width).any():
        raise InputError(f"{path}: vectors of different lengths", LAYOUT)
    return np.asarray(values.to_numpy(zero_copy_only=False).reshape(len(column), width))


_ARROW_FLOATS: Final = frozenset({"float", "halffloat", "double"})
_READERS: Final[dict[str, Callable[[Path], VectorFile]]] = {
    ".npy": _read_npy,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".fvecs": _read_fvecs,
    ".jsonl": _read_jsonl,
}
