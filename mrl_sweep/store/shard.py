"""One shard: an Arrow IPC file of one record batch, named by its content, written whole and never changed.

    vector  fixed-size list of float32 or float16, as many as the model has dimensions
    digest  16 bytes: BLAKE2b of the text
    tokens  uint32, how many the model read; 0 where the provider does not say
    flags   uint8: TRUNCATED, ZERO, UNIT, TRUNCATION_KNOWN

The schema's metadata names the format and the key of the space, so that a shard of another model is told apart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mrl_sweep.files.digests import Uint64Array
from mrl_sweep.record import record
from mrl_sweep.types import IntArray

TRUNCATED: Final = 1
ZERO: Final = 2
UNIT: Final = 4
TRUNCATION_KNOWN: Final = 8

SUFFIX: Final = ".arrow"
FORMAT: Final = "mrl-sweep shard 2"


class NotOurs(ValueError):
    """This error says that a file is no shard of the space in which it lies."""


@record
class Kind:
    """The properties that all shards of a space share: the digest of the space's key, the vectors' dimension and type."""

    space: str
    dim: int
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """The bytes that a text takes in a shard."""
        return self.dim * self.dtype.itemsize + 16 + 4 + 1


class Rows(NamedTuple):
    """Texts and their vectors: (n, dim) `vectors`, (n, 2) uint64 `digests`, (n,) uint32 `tokens`, (n,) uint8 `flags`."""

    vectors: npt.NDArray[Any]
    digests: Uint64Array
    tokens: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]

    def take(self, places: IntArray) -> Rows:
        return Rows(self.vectors[places], self.digests[places], self.tokens[places], self.flags[places])


def together(rows: Sequence[Rows]) -> Rows:
    """Joins rows, one after the other."""
    return Rows(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))


def write_shard(path: Path, rows: Rows, kind: Kind) -> None:
    """Writes rows as a shard's file. Raises OSError."""
    import pyarrow as pa

    def column(type_: Any, dtype: Any, values: npt.NDArray[Any]) -> Any:
        """Makes an Arrow array without `pa.array`, which imports pandas."""
        own = np.ascontiguousarray(values, dtype)
        return pa.Array.from_buffers(type_, own.nbytes * 8 // type_.bit_width, [None, pa.py_buffer(own)])

    schema = _schema(kind)
    types = schema.field("vector").type.value_type, *schema.types[1:]
    vectors, *others = map(column, types, (kind.dtype, "<u8", "<u4", "u1"), rows)
    batch = pa.RecordBatch.from_arrays([pa.FixedSizeListArray.from_arrays(vectors, kind.dim), *others], schema=schema)
    with pa.OSFile(os.fsencode(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(batch)


def read_index(file: Any, kind: Kind) -> Rows:
    """Reads a shard from an open pyarrow file, which it closes; all but the vectors: (n, 0). Raises NotOurs, or OSError."""
    import pyarrow as pa

    try:
        with file, pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=[1, 2, 3])) as reader:
            if reader.num_record_batches != 1 or reader.schema.metadata != _schema(kind).metadata:
                raise NotOurs("it holds other vectors")
            batch = reader.get_batch(0)
            digests, tokens, flags = (
                np.frombuffer(column.buffers()[1], dtype, batch.num_rows * values).copy()
                for column, dtype, values in zip(batch.columns, ("<u8", "<u4", "u1"), (2, 1, 1), strict=True)
            )  # `to_numpy` imports pandas
            return Rows(np.empty((batch.num_rows, 0), kind.dtype), digests.reshape(-1, 2).astype(np.uint64), tokens, flags)
    except (pa.ArrowException, ValueError, TypeError, LookupError, AttributeError) as error:
        raise NotOurs(str(error)) from error


def map_vectors(path: Path, kind: Kind) -> npt.NDArray[Any]:
    """Returns (n, dim), a memory map of the vectors in a shard's file; nothing is copied."""
    import pyarrow as pa

    with pa.memory_map(os.fsencode(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
        file.seek(0)
        begin = file.read_buffer().address
        offset = batch.column("vector").values.buffers()[1].address - begin  # `flatten` imports pyarrow.compute
        return np.memmap(path, kind.dtype, "r", offset, (batch.num_rows, kind.dim))


def _schema(kind: Kind) -> Any:
    import pyarrow as pa

    fields = [
        pa.field("vector", pa.list_(pa.from_numpy_dtype(kind.dtype), kind.dim), nullable=False),
        pa.field("digest", pa.binary(16), nullable=False),
        pa.field("tokens", pa.uint32(), nullable=False),
        pa.field("flags", pa.uint8(), nullable=False),
    ]
    return pa.schema(fields, metadata={"format": FORMAT, "space": kind.space, "vectors": f"{kind.dim} x {kind.dtype.name}"})
