"""Rows that have an id and a vector, under the names that databases and notebooks give them: records, and JSON lines of them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import InputError
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


@dataclass(frozen=True, slots=True)
class Names:
    """What the id and the vector of a row are called; None for the usual names. A vector may be one of several named ones."""

    id: str | None = None
    vector: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`id=NAME&vector=NAME`, both optional. Raises InputError for anything else."""
        pairs = dict(parse_qsl(text, keep_blank_values=True))
        if strange := sorted(pairs.keys() - {"id", "vector"}):
            raise InputError(f"vectors have an id and a vector, no {printable(strange[0])}", "vectors:FOLDER?id=NAME&vector=NAME")
        return cls(pairs.get("id") or None, pairs.get("vector") or None)

    def id_among(self, keys: Iterable[str]) -> str | None:
        """The key that plays the id."""
        there = set(keys)
        return next((key for key in ((self.id,) if self.id else ID_KEYS) if key in there), None)

    def vector_among(self, keys: Iterable[str]) -> str | None:
        """The key that plays the vector, or holds the named ones."""
        there = set(keys)
        return next((key for key in (*((self.vector,) if self.vector else ()), *VECTOR_KEYS) if key in there), None)

    def one_of(self, named: Sequence[str], where: str) -> str:
        """Which of several named vectors is meant: the only one, or the one of this name. Raises InputError where none is."""
        wanted = (self.vector,) if self.vector else ("", "default", *VECTOR_KEYS)
        chosen = (
            named[0] if len(named) == 1 and self.vector in (None, named[0]) else next((n for n in wanted if n in named), None)
        )
        if chosen is None:
            had = first_offenders([printable(str(name), 40) for name in named], limit=8) or "none"
            raise InputError(f"{where}: which of the named vectors is meant? {had}", "vectors:FOLDER?vector=NAME")
        return chosen


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


def read_jsonl(path: Path, names: Names) -> VectorFile:
    """One object a line, with an id and a vector under any of their names: what vector databases export."""
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
                name = _id_of(record, where, names)
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
    return VectorFile(str(path), np.frombuffer(values, np.float32).reshape(len(ids), dim), ids)


def _id_of(record: Any, where: str, names: Names) -> str:
    """The id of a record, a string or a whole number. Raises InputError naming the place and the keys that there are."""
    if not isinstance(record, dict):
        raise InputError(f"{where}: not an object but {type(record).__name__}", ROWS)
    key = names.id_among(record)
    value = None if key is None else record[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{where}: no id; the keys are {_keys_of(record)}", ROWS)
    return str(value)


def _vector_of(record: dict[str, Any], where: str, names: Names) -> Any:
    """What plays the vector: a usual name, else the only list of numbers there is."""
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
    return named[names.one_of(list(named), where)]


def _keys_of(record: dict[str, Any]) -> str:
    return first_offenders([printable(str(name), 40) for name in record], limit=8) or "none"


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
