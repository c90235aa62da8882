"""BEIR's corpus lines many at a time, by Arrow's JSON reader; whatever it does not read as we do is left to `json_documents`.

Arrow reads a block of lines in a tenth of the time, and its messages name no line. So a block is believed only where every line
gave one document with a string as id and one as text; from the first other block on, the lines are read one by one, which
accepts what is acceptable and names what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.collection.reading.lines import open_binary, unreadable
from mrl_sweep.collection.reading.records import Batch, Document, in_batches

BLOCK_BYTES: Final = 8 << 20
PIECE_BYTES: Final = 1 << 20
"""Of a block, for each of Arrow's threads."""

LEAST_BYTES: Final = 2 << 20
"""A smaller file is read before Arrow would be imported."""

Rest = Callable[[int, int], Iterator[tuple[int, Document]]]
"""The documents from a byte offset on, line by line; the second number counts the lines before it."""


def block_batches(
    path: Path, *, max_line_bytes: int, rest: Rest, at_once: int, block_bytes: int = BLOCK_BYTES
) -> Iterator[Batch]:
    """The documents with the byte offsets of their lines, as `json_documents` gives them: a block of them at a time, and
    `at_once` where the lines are read one by one. Raises InputError."""
    offset = number = 0
    try:
        with open_binary(path) as file:
            while block := file.read(block_bytes):
                if not block.endswith(b"\n"):
                    block += file.readline(max_line_bytes + 2)
                ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
                begins = np.append(0, ends + 1)[: len(ends) + (not block.endswith(b"\n"))]
                columns = _parse(block, begins, max_line_bytes)
                if columns is None:
                    break
                yield Batch(begins + offset, *columns)
                offset, number = offset + len(block), number + len(begins)
            else:
                return
    except OSError as error:
        raise unreadable(path, error) from error
    yield from in_batches(rest(offset, number), at_once)


def _parse(block: bytes, begins: Any, max_line_bytes: int) -> tuple[list[str], list[str], list[str]] | None:
    """Ids, titles and texts of a block's documents, one a line; None where a line needs a closer look."""
    import pyarrow as pa
    from pyarrow import json

    fields = pa.schema([("_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
    longest = int(np.diff(begins, append=len(block)).max())
    if longest > max_line_bytes:
        return None
    try:
        block.decode()
        table = json.read_json(
            pa.BufferReader(block),
            read_options=json.ReadOptions(block_size=max(PIECE_BYTES, 2 * longest)),
            parse_options=json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != len(begins) or table["_id"].null_count or table["text"].null_count:
        return None
    ids, titles, texts = (table[name].to_pylist() for name in ("_id", "title", "text"))
    if "" in ids:
        return None
    if table["title"].null_count:
        titles = [title or "" for title in titles]
    return ids, titles, texts
