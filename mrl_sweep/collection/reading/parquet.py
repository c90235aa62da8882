"""Parquet files as one table of rows, read batch by batch; the only file here that knows pyarrow's Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mrl_sweep.collection.reading.columns import Row
from mrl_sweep.collection.reading.lines import unreadable

_BATCH_ROWS: Final = 1024


def is_parquet(path: Path) -> bool:
    """By its first bytes. Errors: InputError for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise unreadable(path, error) from error


def parquet_rows(paths: Sequence[Path]) -> Callable[[int], Iterator[Row]]:
    """A reader of the rows from a given one on, over all files in order; lists and nested columns (vectors) are left out.

    The reader raises InputError for a file that is no Parquet.
    """

    def rows(position: int = 0) -> Iterator[Row]:
        start = 0
        for path in paths:
            file = _open(path)
            names = [field.name for field in file.schema_arrow if _is_plain(field.type)]
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if start + count > position:
                    yield from _group(file, path, group, names, start, position)
                start += count

    return rows


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _group(file: Any, path: Path, group: int, names: list[str], start: int, position: int) -> Iterator[Row]:
    import pyarrow as pa

    row = start
    try:
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
            if row + batch.num_rows > position:
                wanted = batch.slice(max(0, position - row))
                for i, fields in enumerate(wanted.to_pylist(), max(row, position)):
                    yield Row(i, i, fields)
            row += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _is_plain(kind: Any) -> bool:
    """Whether a column may hold an id, a text, a grade or a metadata value; structs are metadata, lists are vectors."""
    import pyarrow as pa

    return not (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_binary(kind)
    )
