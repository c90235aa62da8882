"""`pgvector:DSN?table=items` reads vectors from a PostgreSQL table, in the order of their ids; nothing is written there."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode

import numpy as np

from mrl_sweep.deploying.pgvector import connected, extension_schema
from mrl_sweep.embedding.protocol import Brought, Role
from mrl_sweep.embedding.vectors.rows import ID_KEYS, VECTOR_KEYS, VectorFile
from mrl_sweep.embedding.vectors.source import brought
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError, first_line
from mrl_sweep.events import OnEvent, Progress
from mrl_sweep.files.ids import Ids
from mrl_sweep.record import record
from mrl_sweep.types import Collection
from mrl_sweep.words import first_offenders, printable

FORMS: Final = "--model 'pgvector:postgresql://host/database?table=items&id=id&vector=embedding'; id and vector may be left out"

_OWN: Final = ("table", "id", "vector")
_AS_THEY_ARE: Final[dict[str, np.dtype[Any]]] = {"vector": np.dtype(">f4"), "halfvec": np.dtype(">f2")}
_CAST: Final = ("real[]", "double precision[]", "sparsevec")
_ROWS_AT_ONCE: Final = 2000
_HEAD_BYTES: Final = 4
"""The dimensions and two spare bytes before the numbers of a value in PostgreSQL's binary form."""


@record
class TableAddress:
    """An address names the database, the table, and its columns where they are given."""

    dsn: str
    table: str
    id_column: str | None
    vector_column: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `DSN?table=items&id=id&vector=embedding`; other options go to the driver. Raises InputError without a table."""
        dsn, _, query = text.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        own = {name: value for name, value in pairs if name in _OWN}
        others = [(name, value) for name, value in pairs if name not in _OWN]
        if not own.get("table"):
            raise InputError("the address of the vectors names no table", FORMS)
        return cls(
            dsn + (f"?{urlencode(others)}" if others else ""), own["table"], own.get("id") or None, own.get("vector") or None
        )


class VectorTable:
    """A `VectorSource` of the vectors of documents, or of queries, in one table, matched by id."""

    def __init__(self, address: str) -> None:
        self._address = TableAddress.parse(address)
        self._last: tuple[Set[str], VectorFile] | None = None

    @property
    def name(self) -> str:
        return f"pgvector:{self._address.table}"

    def identity(self, role: Role) -> Mapping[str, Any]:  # noqa: ARG002
        """Returns the names of the table and its columns: its rows are not known before they are read."""
        return {
            "provider": "pgvector",
            "table": self._address.table,
            "columns": [self._address.id_column, self._address.vector_column],
        }

    def load(self, collection: Collection, role: Role, *, on_event: OnEvent) -> Brought:
        """Reads the role's vectors as `VectorSource.load` says. Rows of other ids are passed over.

        Raises InputError where the table or its columns are not there or may not be read, EnvironmentFault where the database
        cannot be reached.
        """
        of_documents = role is Role.DOCUMENT or collection.query_rows is not None
        wanted = frozenset(collection.documents.ids if of_documents else collection.queries.ids)
        if not of_documents and self._last is not None:
            self._refuse_documents(wanted & self._last[0])
        if self._last is None or self._last[0] != wanted:
            self._last = wanted, read_table(self._address, wanted, on_event)
        return brought(self._last[1], collection, role, {"provider": "pgvector", "name": self._address.table}, on_event)

    def _refuse_documents(self, shared: Set[str]) -> None:
        """Raises InputError where queries have ids of the documents that were read: they would get the documents' vectors."""
        if shared:
            ids = first_offenders([printable(name) for name in sorted(shared)])
            raise InputError(
                f"{self._address.table} has the documents' vectors, which queries of the same ids would get: {ids}",
                "name what has the queries: --query-model pgvector:…?table=queries, a model, or vectors:FOLDER",
            )


def read_table(address: TableAddress, wanted: Set[str], on_event: OnEvent) -> VectorFile:
    """Reads the rows of these ids by a cursor, in a transaction that may only read; memory-mapped from an unnamed file."""
    with _faults_of(address.table), connected(address.dsn, FORMS) as connection:
        connection.read_only = True
        with connection.transaction():
            query, dtype = _query(connection, address)
            with connection.cursor(name="mrl_sweep", binary=True) as cursor, tempfile.TemporaryFile(prefix="mrl-sweep-") as file:
                cursor.execute(query)
                ids, dim = list[str](), 0
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    taken = [(name, value) for name, value in rows if name in wanted]
                    if empty := [printable(name) for name, value in taken if value is None]:
                        raise InputError(f"{address.table}: no vector (null) for {first_offenders(empty)}", "embed them first")
                    dim = dim or (len(rows[0][1] or b"") - _HEAD_BYTES) // dtype.itemsize
                    width = _HEAD_BYTES + dim * dtype.itemsize
                    if other := [printable(name) for name, value in taken if len(value) != width]:
                        raise InputError(
                            f"{address.table}: vectors of another size than the first: {first_offenders(other)}",
                            "embed them again",
                        )
                    ids += [name for name, _ in taken]
                    record = np.dtype([("head", f"V{_HEAD_BYTES}"), ("values", dtype, (dim,))])
                    block = np.frombuffer(b"".join(value for _, value in taken), record)["values"]
                    file.write(block.astype(dtype.newbyteorder("=")).tobytes())
                    on_event(Progress(f"read {address.table}", len(ids), len(wanted), "vectors"))
                file.flush()
                if not ids:
                    raise InputError(f"{address.table} has no row whose id is one of the collection's", FORMS)
                return VectorFile(address.table, np.memmap(file, dtype.newbyteorder("="), "r", 0, (len(ids), dim)), Ids(ids))


def _query(connection: Any, address: TableAddress) -> tuple[Any, np.dtype[Any]]:
    """Returns the statement that reads ids as text beside vectors, and the type of the vectors' numbers."""
    from psycopg import sql

    columns = connection.execute(
        "SELECT attname, format_type(atttypid, NULL), attrelid::regclass::text FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [address.table],
    ).fetchall()
    if not columns:
        raise InputError(f"the database has no table {printable(address.table)} that this user sees", FORMS)
    kinds = {name: kind.rpartition(".")[2] for name, kind, _ in columns}
    key = address.id_column or next((name for name in ID_KEYS if name in kinds), None)
    column = address.vector_column or _vector_column(kinds)
    had = first_offenders([f"{printable(name, 40)} ({kind})" for name, kind in kinds.items()], limit=12)
    for wanted, what, option in ((key, "ids", "id"), (column, "vectors", "vector")):
        if wanted not in kinds:
            named = "" if wanted is None else f" {printable(wanted)}"
            raise InputError(f"{address.table} has no column{named} of {what}; the columns are {had}", f"name it: &{option}=NAME")
    assert key is not None
    assert column is not None
    if kinds[column] not in (*_AS_THEY_ARE, *_CAST):
        raise InputError(
            f"{address.table}: {column} is of type {kinds[column]}, which holds no vectors", f"the columns are {had}"
        )
    cast = sql.SQL(f"::{extension_schema(connection)}.vector") if kinds[column] in _CAST else sql.SQL("")
    statement = sql.SQL("SELECT {key}::text, {column}{cast} FROM {table} ORDER BY {key}").format(
        key=sql.Identifier(key), column=sql.Identifier(column), cast=cast, table=sql.SQL(columns[0][2])
    )
    return statement, _AS_THEY_ARE.get(kinds[column], _AS_THEY_ARE["vector"])


def _vector_column(kinds: dict[str, str]) -> str | None:
    """Returns the vector column of a usual name, else the only one that holds vectors; None where neither is there."""
    holding = [name for name, kind in kinds.items() if kind in (*_AS_THEY_ARE, *_CAST)]
    usual = next((name for name in VECTOR_KEYS if name in holding), None)
    return usual or (holding[0] if len(holding) == 1 else None)


@contextlib.contextmanager
def _faults_of(table: str) -> Iterator[None]:
    """Turns a server's error into EnvironmentFault for a lost connection, and into InputError for any other."""
    try:
        yield
    except MrlSweepError:
        raise
    except Exception as error:
        import psycopg

        if isinstance(error, psycopg.OperationalError):
            raise EnvironmentFault(f"the database went away while {table} was read: {first_line(error)}", "try again") from None
        if isinstance(error, psycopg.Error):
            raise InputError(f"cannot read {printable(table)}: {first_line(error)}", FORMS) from None
        raise
