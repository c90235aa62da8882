"""Exports of a run for other tools: scores.parquet with every query's value, and TREC run files with the returned documents."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mrl_sweep.errors import InputError
from mrl_sweep.files import draft_folder
from mrl_sweep.types import FLOAT32, Advice, Configuration, Ranks, Scores
from mrl_sweep.words import plural

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from mrl_sweep.report.document import QueryScores

SCORES_FILE: Final = "scores.parquet"

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def write_scores(path: Path, table: QueryScores) -> None:
    """Writes one row per candidate, measure and counted query: its configuration, the measure, query_id, value (float64).

    Excluded queries are not in it. Each candidate is a row group, so that memory does not grow with the number of candidates.
    """
    import pyarrow.parquet as pq

    with path.open("wb") as file, pq.ParquetWriter(file, _schema(), compression="zstd") as writer:
        for part in _tables(table):
            writer.write_table(part)


def frame(table: QueryScores | None, folder: Path | None) -> pd.DataFrame:
    """Returns the long-form pandas table, from memory or else the run folder. Raises InputError without either, or if damaged."""
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


def write_trec_runs(
    folder: Path,
    ranks: Ranks,
    query_ids: Sequence[str],
    document_ids: Mapping[int, str] | Sequence[str],
) -> tuple[list[Path], tuple[Advice, ...]]:
    """Writes `qid Q0 docid rank score mrl-sweep` lines, best first, a file a candidate; returns the paths, and advice.

    `document_ids` gives the id of each corpus row in `ranks.top`. The format cannot hold an id with white space: such ids are
    written percent-encoded and counted in the advice (FAULTS 71). Scores are float32, printed so that they read back the same.
    Raises InputError where the ranks hold no top documents.
    """
    import numpy as np

    if ranks.top is None:
        raise InputError("there are no rankings to write: only ranks were kept", "run with --run-files")
    queries = [_word(name) for name in query_ids]
    mentioned = np.unique(ranks.top.rows)
    documents = {int(row): _word(document_ids[int(row)]) for row in mentioned[mentioned >= 0]}
    changed = sum(a != b for a, b in zip(queries, query_ids, strict=True))
    changed += sum(word != document_ids[row] for row, word in documents.items())
    paths = [folder / file_name(candidate) for candidate in ranks.candidates]
    with draft_folder(folder) as draft:
        for c, path in enumerate(paths):
            with (draft / path.name).open("w", encoding="utf-8", newline="\n") as file:
                for query, rows, scores in zip(queries, ranks.top.rows[c], ranks.top.scores[c], strict=True):
                    file.writelines(
                        f"{query} Q0 {documents[row]} {rank} {score:.9g} mrl-sweep\n"
                        for rank, (row, score) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True), start=1)
                        if row >= 0
                    )
        for path in paths:
            (draft / path.name).replace(path)
    return paths, _advice(changed)


def file_name(candidate: Configuration) -> str:
    """Names a candidate's run file, `prefix-256-exact.trec`; a name with unsafe characters, or too long, ends with a digest."""
    how = (candidate.index, *(() if candidate.precision == FLOAT32 else (candidate.precision,)), candidate.rescore)
    plain = "-".join((str(candidate.basis), str(candidate.dim), *filter(None, how)))
    safe = _UNSAFE.sub("_", plain)[:100]
    return f"{safe}.trec" if safe == plain else f"{safe}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}.trec"


def _word(text: str) -> str:
    """The id itself, or percent-encoded where it is empty or holds white space, control characters or a lone surrogate."""
    if text and text.isprintable() and not any(c.isspace() for c in text):
        return text
    return quote(text, safe="", errors="surrogatepass") or "%"


def _advice(changed: int) -> tuple[Advice, ...]:
    if not changed:
        return ()
    ids = plural(changed, "id")
    message = f"{ids} with white space or control characters, which TREC run files cannot hold: percent-encoded there"
    return (Advice("trec-ids-encoded", message, "encode the ids in the judgments alike before you evaluate the run files"),)
