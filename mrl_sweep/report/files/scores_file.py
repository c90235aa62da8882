"""scores.parquet: every query's value, long-form, written candidate by candidate with pyarrow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mrl_sweep.errors import InputError
from mrl_sweep.types import Scores

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from mrl_sweep.report.document import QueryScores

SCORES_FILE: Final = "scores.parquet"


def write_scores(path: Path, table: QueryScores) -> None:
    """Write one row per candidate, measure and counted query: its configuration, the measure, query_id, value (float64).

    Excluded queries are not in it. One row group a candidate, so that memory does not grow with their number.
    """
    import pyarrow.parquet as pq

    with path.open("wb") as file, pq.ParquetWriter(file, _schema(), compression="zstd") as writer:
        for part in _tables(table):
            writer.write_table(part)


def frame(table: QueryScores | None, folder: Path | None) -> pd.DataFrame:
    """The long-form pandas table, from memory or else from the run folder. Raises InputError where there is neither."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if table is not None:
        parts = list(_tables(table))
        whole: pd.DataFrame = (pa.concat_tables(parts) if parts else _schema().empty_table()).to_pandas()
        return whole
    path = folder / SCORES_FILE if folder is not None else None
    if path is None or not path.is_file():
        raise InputError(
            f"there are no per-query scores: {path or 'this report was never written to a folder'}",
            "read the report from its run folder, which holds scores.parquet",
        )
    try:
        # Not read_table: on a path it would take `key=value` folders above the file for partition columns.
        read: pd.DataFrame = pq.ParquetFile(pa.OSFile(os.fsencode(path))).read().to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file: {error}", "run it again; the file is damaged") from error
    return read


def _schema() -> Any:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    fields = [
        ("basis", name),
        ("dim", pa.int64()),
        ("index", name),
        ("precision", name),
        ("rescore", name),
        ("measure", name),
        ("query_id", pa.string()),
    ]
    return pa.schema([*fields, ("value", pa.float64())])


def _tables(table: QueryScores) -> Iterator[Any]:
    """One Arrow table per candidate, its rows by measure and then in query order. Nothing here needs pyarrow.compute, which
    takes longer to import than a small table to write."""
    import numpy as np
    import pyarrow as pa

    scores: Scores = table.scores
    schema = _schema()
    ids = [_utf8(name) for name in table.query_ids]
    counted = [np.flatnonzero(mask) for mask in scores.counted]
    lengths = [len(rows) for rows in counted]
    codes = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    measure = pa.DictionaryArray.from_arrays(_numbers(codes), _strings([str(m) for m in scores.measures]))
    query_id = _strings([ids[row] for rows in counted for row in rows.tolist()])
    for c, candidate in enumerate(scores.candidates):
        value = np.concatenate([np.zeros(0), *(scores.values[c, m, rows] for m, rows in enumerate(counted))])
        n = len(value)
        columns = [
            _constant(candidate.basis, n),
            _numbers(np.full(n, candidate.dim)),
            _constant(candidate.index, n),
            _constant(candidate.precision, n),
            _constant(candidate.rescore, n),
        ]
        yield pa.Table.from_arrays([*columns, measure, query_id, _numbers(value)], schema=schema)


def _constant(text: str, n: int) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(_numbers(np.zeros(n, np.int32)), _strings([str(text)]))


def _numbers(values: npt.NDArray[Any]) -> Any:
    """An Arrow array over these numbers. `pa.array` would do, but imports pandas to look whether they are a Series."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def _strings(texts: Sequence[str]) -> Any:
    """An Arrow array of these texts, made without pandas as `_numbers` is."""
    import numpy as np
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _utf8(text: str) -> str:
    """The text itself, or with its lone surrogates spelled out: Parquet holds UTF-8 only."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
