"""Reads tables whose rows have an id and a vector, under the names that databases and notebooks give them.

JSON lines, Parquet, CSV, Lance, and the folders of vector-io (VDF).
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import InputError, MissingExtra
from mrl_sweep.files.ids import Ids
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array
from mrl_sweep.words import first_offenders, printable

LAYOUT: Final = (
    "the folder holds docs.npy and queries.npy, or .safetensors or .fvecs (rows in file order, or named by docs.ids.txt), "
    "or .parquet, .jsonl, .csv or .lance with `id` and `vector`, or is a VDF folder"
)
VECTOR_KEYS: Final[tuple[str, ...]] = ("vector", "embedding", "embeddings", "emb", "values", "vectors", "dense_vector")
ID_KEYS: Final[tuple[str, ...]] = (
    *("id", "_id", "ids", "doc_id", "docid", "document_id", "docno"),
    *("query_id", "qid", "corpus_id", "corpus-id", "pk", "uuid"),
)
ROWS: Final = (
    "each row needs an id (`id`, `_id`, `doc_id` ...) and a vector (`vector`, `embedding`, `emb`, `values` ...); other names: "
    "vectors:FOLDER?id=NAME&vector=NAME"
)


@record
class Names:
    """Names of a row's id and vector; None for the usual ones. `vector` may also choose one of several named vectors."""

    id: str | None = None
    vector: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `id=NAME&vector=NAME`, both optional. Raises InputError for anything else."""
        pairs = dict(parse_qsl(text, keep_blank_values=True))
        if strange := sorted(pairs.keys() - {"id", "vector"}):
            raise InputError(f"vectors have an id and a vector, no {printable(strange[0])}", "vectors:FOLDER?id=NAME&vector=NAME")
        return cls(pairs.get("id") or None, pairs.get("vector") or None)

    def id_among(self, keys: Iterable[str]) -> str | None:
        """Returns the key that holds the id; None without one."""
        there = set(keys)
        return next((key for key in ((self.id,) if self.id else ID_KEYS) if key in there), None)

    def vector_among(self, keys: Iterable[str]) -> str | None:
        """Returns the key that holds the vector, or the named vectors; None without one."""
        there = set(keys)
        return next((key for key in (*((self.vector,) if self.vector else ()), *VECTOR_KEYS) if key in there), None)

    def one_of(self, named: Sequence[str], where: str, holder: str) -> str:
        """Chooses one of several named vectors: by `vector`, by a usual name, or the only one. Else raises InputError.

        `holder` is the column or key that holds them all: where `vector` is its name, it does not say which.
        """
        is_open = self.vector in (None, holder)
        wanted = [*filter(None, [self.vector]), *(("", "default", *VECTOR_KEYS) if is_open else ())]
        only = named[0] if len(named) == 1 and is_open else None
        chosen = next((name for name in wanted if name in named), only)
        if chosen is None:
            had = first_offenders([printable(str(name), 40) for name in named], limit=8) or "none"
            raise InputError(f"{where}: which of the named vectors is meant? {had}", "vectors:FOLDER?vector=NAME")
        return chosen


@record
class VectorFile:
    """Holds the vectors of a file or a table: (n, dim) `rows` in its order, float16, float32 or float64.

    `ids` are those of the rows, where they have some; `origin` names the file or table in messages.
    """

    origin: str
    rows: npt.NDArray[Any]
    ids: Ids | None = None

    @property
    def name(self) -> str:
        """Returns the origin without the folders that it lies in."""
        return self.origin.rpartition("/")[2]


def read_jsonl(path: Path, names: Names) -> VectorFile:
    """Reads JSON lines, an object each with an id and a vector, as databases export them. Raises InputError."""
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
                name = _id_in_record(record, where, names)
                vector = numbers_of(_vector_of(record, where, names), f"{where}: {name}")
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
    return VectorFile(str(path), np.frombuffer(values, np.float32).reshape(len(ids), dim), Ids(ids))


def _id_in_record(record: Any, where: str, names: Names) -> str:
    """Returns the id of a record, a string or a whole number. Raises InputError naming the place and the keys that there are."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: not an object but {type(record).__name__}", ROWS)
    key = names.id_among(record)
    value = None if key is None else record[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{where}: no id; the keys are {_keys_of(record)}", ROWS)
    return str(value)


def _vector_of(record: dict[str, Any], where: str, names: Names) -> Any:
    """Returns the vector's value: under its name or a usual one, else the only list of numbers there is."""
    key = names.vector_among(record)
    if key is None:
        lists = [name for name, value in record.items() if isinstance(value, list) and value and _is_number(value[0])]
        if len(lists) != 1 or names.vector:
            raise InputError(f"{where}: no vector; the keys are {_keys_of(record)}", ROWS)
        key = lists[0]
    value = record[key]
    if not isinstance(value, dict):
        if names.vector not in (None, key):
            raise InputError(f"{where}: no vector {printable(names.vector or '', 40)}; the keys are {_keys_of(record)}", ROWS)
        return value
    named = {name: inner for name, inner in value.items() if isinstance(inner, list | str)}
    return named[names.one_of(list(named), where, key)]


def _keys_of(record: dict[str, Any]) -> str:
    return first_offenders([printable(str(name), 40) for name in record], limit=8) or "none"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers_of(value: Any, where: str) -> Sequence[float]:
    """Returns the numbers of a vector, also where it is text: `[0.1, 0.2]`. Raises InputError that begins with `where`."""
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


VDF_META: Final = "VDF_META.json"
"""The file that describes a folder of vector-io, beside its Parquet files."""

_ARROW_FLOATS: Final = frozenset({"float", "halffloat", "double"})
_ARROW_TEXT: Final = frozenset({"string", "large_string"})
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_ROWS_AT_ONCE: Final = 10_000


@record
class _Table:
    """Holds an Arrow table's schema, its number of rows, and a function that reads some of its columns batch by batch."""

    schema: Any
    n_rows: int
    batches: Callable[[list[str]], Iterator[Any]]


def read_parquet(path: Path, names: Names) -> VectorFile:
    """Reads a Parquet file with columns of an id and a vector. Raises InputError where one is missing."""
    return _read_files([path], names, str(path))


def read_folder(path: Path, names: Names) -> VectorFile:
    """Reads the Parquet files of a folder, in the order of their names, as one table."""
    files = sorted(path.glob("*.parquet"), key=lambda file: (len(file.name), file.name))
    if not files:
        raise InputError(f"{path}: no Parquet file lies in it", LAYOUT)
    return _read_files(files, names, str(path))


def read_vdf(folder: Path, stems: Sequence[str], names: Names) -> VectorFile:
    """Reads the index of one of these names in a folder of vector-io, or the only index there is.

    Raises InputError where the folder's description cannot be read, or names no such index.
    """
    meta = folder / VDF_META
    try:
        described = json.loads(meta.read_text(encoding="utf-8-sig"))
        indexes = {str(name): namespaces for name, namespaces in described["indexes"].items()}
        name = next((stem for stem in stems if stem in indexes), next(iter(indexes)) if len(indexes) == 1 else None)
        if name is None:
            raise InputError(f"{meta}: no index is called {' or '.join(stems)}: {first_offenders(list(indexes))}", LAYOUT)
        (space,) = indexes[name]
        place = folder / str(space["data_path"]).strip("/")
        vector = names.vector or next(iter(space.get("vector_columns") or ["vector"]))
        key = names.id or described.get("id_column") or None
    except OSError as error:
        raise InputError(f"cannot read {meta}: {error.strerror or error}", LAYOUT) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{meta}: not a description of vectors ({type(error).__name__}: {error})", LAYOUT) from error
    return (read_folder if place.is_dir() else read_parquet)(place, Names(key, vector))


def read_csv(path: Path, names: Names) -> VectorFile:
    """Reads comma- or tab-separated columns with a header; a vector is text, `[0.1, 0.2]`. Every id stays as it is written."""
    import pyarrow as pa
    import pyarrow.csv as pacsv

    parse = pacsv.ParseOptions(delimiter=_DELIMITERS[path.suffix], newlines_in_values=True)
    read = pacsv.ReadOptions(block_size=64 << 20)
    with pacsv.open_csv(pa.OSFile(os.fsencode(path)), parse_options=parse, read_options=read) as head:
        schema = pa.schema([(name, pa.string()) for name in head.schema.names])

    def batches(columns: list[str]) -> Iterator[Any]:
        convert = pacsv.ConvertOptions(include_columns=columns, column_types={name: pa.string() for name in columns})
        with pacsv.open_csv(
            pa.OSFile(os.fsencode(path)), parse_options=parse, read_options=read, convert_options=convert
        ) as reader:
            yield from reader

    n = sum(len(batch) for batch in batches(schema.names[:1]))
    return _vectors_of(str(path), _Table(schema, n, batches), names)


def read_lance(path: Path, names: Names) -> VectorFile:
    """Reads a table of LanceDB, which lies in a folder of its own. Raises MissingExtra without lancedb."""
    try:
        import lancedb
    except ModuleNotFoundError:
        raise MissingExtra("lancedb", "lance") from None
    table = lancedb.connect(str(path.parent)).open_table(path.stem)
    n = table.count_rows()

    def batches(columns: list[str]) -> Iterator[Any]:
        yield from table.search().select(columns).limit(max(n, 1)).to_batches(_ROWS_AT_ONCE)

    return _vectors_of(str(path), _Table(table.schema, n, batches), names)


def _read_files(files: Sequence[Path], names: Names, origin: str) -> VectorFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = []
    for file in files:
        with pq.ParquetFile(pa.OSFile(os.fsencode(file))) as opened:
            metadata.append((opened.schema_arrow, opened.metadata.num_rows))

    def batches(columns: list[str]) -> Iterator[Any]:
        for file in files:
            with pq.ParquetFile(pa.OSFile(os.fsencode(file))) as opened:
                yield from opened.iter_batches(columns=columns)

    return _vectors_of(origin, _Table(metadata[0][0], sum(n for _, n in metadata), batches), names)


def _vectors_of(origin: str, table: _Table, names: Names) -> VectorFile:
    """Copies the table's vectors out, batch by batch, as (n, dim) float32."""
    import pyarrow as pa

    try:
        key, column = _columns(origin, table, names)
        ids, start = Ids(), 0
        rows: Float32Array = np.empty((0, 0), np.float32)
        for batch in table.batches([key, column]):
            some = [_id_in_column(origin, key, value, start + i) for i, value in enumerate(batch.column(key).to_pylist())]
            if not some:
                continue
            ids.extend(some)
            block = _list_column(origin, batch.column(column), column, some, names)
            rows = rows if start else np.empty((table.n_rows, block.shape[1]), np.float32)
            if block.shape[1] != rows.shape[1]:
                raise InputError(f"{origin}: vectors of {rows.shape[1]} and of {block.shape[1]} dimensions", LAYOUT)
            rows[start : start + len(block)] = block
            start += len(block)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {origin}: {error}", LAYOUT) from error
    if not start:
        raise InputError(f"{origin}: no vectors", LAYOUT)
    return VectorFile(origin, rows, ids)


def _columns(origin: str, table: _Table, names: Names) -> tuple[str, str]:
    """Returns the columns of the id and the vector: by their names, else the only column of lists, or of text that is one."""
    schema = table.schema
    key, column = names.id_among(schema.names), names.vector_among(schema.names)
    if column is None and not names.vector:
        lists = [f.name for f in schema if hasattr(f.type, "value_type") and str(f.type.value_type) in _ARROW_FLOATS]
        lists = lists or _lists_in_text(table)
        column = lists[0] if len(lists) == 1 else None
    if names.vector not in (None, column) and column is not None and not str(schema.field(column).type).startswith("struct"):
        column = None  # another column than the one that is meant, and none that holds named vectors
    if key is None or column is None:
        had = first_offenders([f"{printable(field.name, 40)} ({field.type})" for field in schema], limit=12)
        raise InputError(f"{origin}: no column of {'ids' if key is None else 'vectors'}; the columns are {had}", ROWS)
    return key, column


def _lists_in_text(table: _Table) -> list[str]:
    """Returns the columns whose first value is the text of a list of numbers."""
    text = [field.name for field in table.schema if str(field.type) in _ARROW_TEXT]
    first = next((batch for batch in table.batches(text) if len(batch)), None) if text else None
    if first is None:
        return []
    lists = []
    for name in text:
        with contextlib.suppress(InputError):
            numbers_of(first.column(name)[0].as_py(), name)
            lists.append(name)
    return lists


def _id_in_column(origin: str, key: str, value: Any, row: int) -> str:
    if isinstance(value, bytes):
        value = value.decode()
    if value is None or isinstance(value, bool | float) or value == "":
        raise InputError(f"{origin} row {row + 1:,}: {key} is {value!r}, which is no id", ROWS)
    return str(value)


def _list_column(origin: str, column: Any, name: str, ids: Sequence[str], names: Names) -> npt.NDArray[Any]:
    """Returns (n, dim) vectors of a batch: of lists of floating-point numbers, text of such lists, or one of several by name."""
    import pyarrow as pa

    if column.null_count:
        without = [printable(ids[i]) for i, valid in enumerate(column.is_valid().to_pylist()) if not valid]
        raise InputError(f"{origin}: no vector (null) for {first_offenders(without)}", "embed them, or leave them out")
    kind = column.type
    if pa.types.is_struct(kind):
        inner = names.one_of([field.name for field in kind], origin, name)
        return _list_column(origin, column.field(inner), inner, ids, names)
    if str(kind) in _ARROW_TEXT:
        parsed = [numbers_of(text, f"{origin}: {one}") for one, text in zip(ids, column.to_pylist(), strict=True)]
        if len({len(row) for row in parsed}) > 1:
            raise InputError(f"{origin}: vectors of different lengths", LAYOUT)
        return np.asarray(parsed, np.float32)
    values = column.flatten() if hasattr(kind, "value_type") else None
    if values is None or str(values.type) not in _ARROW_FLOATS:
        raise InputError(f"{origin}: `{name}` is of type {kind}; lists of floating-point numbers are needed", LAYOUT)
    if not len(values) or values.null_count or len(values) % len(column):
        raise InputError(f"{origin}: `{name}` must hold lists of as many floating-point numbers each", LAYOUT)
    width = len(values) // len(column)
    if hasattr(column, "offsets") and (np.diff(column.offsets.to_numpy()) != width).any():
        raise InputError(f"{origin}: vectors of different lengths", LAYOUT)
    return np.asarray(values.to_numpy(zero_copy_only=False).reshape(len(column), width))
