"""Vectors that exist already, matched with the collection by file order or by id, and checked once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from mrl_sweep.embedding.protocol import Brought, Role
from mrl_sweep.embedding.vectors.columnar import VDF_META
from mrl_sweep.embedding.vectors.formats import read_vectors
from mrl_sweep.embedding.vectors.rows import LAYOUT, Names, VectorFile
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, Progress
from mrl_sweep.files.digests import FileDigests
from mrl_sweep.ranking.pass_plan import ZERO_SQUARED_NORM
from mrl_sweep.types import Advice, Collection, FileRows, Float32Array, IntArray, Vectors
from mrl_sweep.words import first_offenders, plural

STEMS: Final = {Role.DOCUMENT: ("docs", "documents", "corpus"), Role.QUERY: ("queries",)}
"""What the files of a role are called."""

_CHECKED_AT_ONCE_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the collection: what its records are called, their ids, and where they stood in their file."""

    noun: str
    ids: Sequence[str]
    file_rows: FileRows | None


class VectorFolder:
    """A `VectorSource`: full-size vectors of documents and queries in one folder, their columns by `names`."""

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
        """A digest of the files that hold the role's vectors or name their rows, and what their columns are called."""
        whole = (self._folder / VDF_META).is_file()
        places = [path for path in self._folder.iterdir() if whole or path.name.partition(".")[0] in STEMS[role]]
        files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
        named = {key: name for key, name in (("id", self._names.id), ("vector", self._names.vector)) if name}
        try:
            return {"provider": "vectors", "revision": self._digests.of(files, self._folder), **named}
        except OSError as error:
            raise InputError(f"cannot read {self._folder}: {error.strerror or error}", LAYOUT) from error

    def load(self, collection: Collection, role: Role, *, on_event: OnEvent) -> Brought:
        """As the protocol says: memory-mapped where the format allows."""
        stems = STEMS[Role.DOCUMENT if collection.query_rows is not None else role]
        if stems not in self._files:
            self._files[stems] = read_vectors(self._folder, stems, self._names)
        table = self._files[stems]
        model = {
            "provider": "vectors",
            "name": self._folder.name,
            "dim": int(table.rows.shape[1]),
            "dtype": table.rows.dtype.name,
            "files": [table.name],
        }
        return brought(table, collection, role, model, on_event)


def brought(table: VectorFile, collection: Collection, role: Role, model: Mapping[str, Any], on_event: OnEvent) -> Brought:
    """The table's rows of this role's texts; documents that serve as queries have their own vectors.

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
    facts = _checked(table, order, side, on_event)
    return Brought(
        vectors=Vectors(parts=(table.rows,), order=order),
        origin=table.name,
        model=model,
        n_zero=facts.n_zero,
        unit_length=facts.unit_length,
        warnings=tuple(facts.advice() if role is Role.DOCUMENT else facts.zero_queries() if own is None else ()),
    )


def _matched(table: VectorFile, side: Side) -> IntArray | None:
    """The file's row of each record; None where they are the same. By id where the file has ids, else by place."""
    if table.ids is not None:
        place = {name: row for row, name in enumerate(table.ids)}
        if len(place) < len(table.ids):
            raise InputError(
                f"{table.origin}: {len(table.ids) - len(place):,} ids occur more than once", "one vector for each id"
            )
        lost = [name for name in side.ids if name not in place]
        if lost:
            raise InputError(
                f"{table.origin}: no vector for {side.noun} {first_offenders(lost)}", "embed them, or leave them out"
            )
        order = np.fromiter((place[name] for name in side.ids), np.int64, len(side.ids))
    else:
        expected = side.file_rows.count if side.file_rows else len(side.ids)
        if len(table.rows) != expected:
            raise InputError(
                f"{table.origin} has {len(table.rows):,} rows, the collection's file has {expected:,} {side.noun}",
                "one row for each record of the file, in file order; or ids: docs.ids.txt, or Parquet with `id` and `vector`",
            )
        order = side.file_rows.rows if side.file_rows else np.arange(expected)
    return None if np.array_equal(order, np.arange(len(table.rows))) else order


@dataclass(frozen=True, slots=True)
class _Checked:
    """What a look at every value found."""

    n_zero: int
    zero: list[str]
    unit_length: bool
    alike: bool

    def advice(self) -> Iterator[Advice]:
        if self.n_zero:
            message = plural(self.n_zero, "document has a zero vector", "documents have a zero vector")
            yield Advice("zero-documents", f"{message}: {first_offenders(self.zero, self.n_zero)}")
        if self.alike:
            yield Advice("collapsed-embeddings", "collapsed embeddings: all document vectors are alike")

    def zero_queries(self) -> Iterator[Advice]:
        if self.n_zero:
            message = plural(self.n_zero, "query has a zero vector and ties", "queries have a zero vector and tie")
            yield Advice("zero-queries", f"{message} with every document: {first_offenders(self.zero, self.n_zero)}")


def _checked(table: VectorFile, order: IntArray | None, side: Side, on_event: OnEvent) -> _Checked:
    """Looks at every row once. Raises InputError naming the ids whose vectors hold NaN or infinity."""
    n = len(table.rows) if order is None else len(order)
    step = max(1, _CHECKED_AT_ONCE_BYTES // max(1, table.rows.shape[1] * 4))
    bad: list[int] = []
    zero: list[int] = []
    unit = alike = True
    first: Float32Array | None = None
    for start in range(0, n, step):
        block = table.rows[start : start + step] if order is None else table.rows[order[start : start + step]]
        rows = np.ascontiguousarray(block, dtype=np.float32)
        squared = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        bad += (np.flatnonzero(~np.isfinite(rows).all(axis=1)) + start).tolist()
        zero += (np.flatnonzero(squared < ZERO_SQUARED_NORM) + start).tolist()
        unit = unit and bool((abs(squared - 1) < 2e-3).all())
        first = rows[0].copy() if first is None else first
        alike = alike and bool((rows == first).all())
        on_event(Progress(f"check {side.noun}", min(start + step, n), n, "vectors"))
    if bad:
        names = first_offenders([side.ids[row] for row in bad])
        raise InputError(f"{table.origin}: NaN or infinite values for {side.noun} {names}", "embed them again, or leave them out")
    return _Checked(len(zero), [side.ids[row] for row in zero[:5]], unit, alike and n > 1)
