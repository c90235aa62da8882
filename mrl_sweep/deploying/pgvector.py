"""Measuring a live pgvector: the index of `Target.paste` is built in a schema of its own, searched, weighed and dropped."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mrl_sweep.deploying.findings import Cost
from mrl_sweep.deploying.index_spec import LiveIndex
from mrl_sweep.deploying.indexes.answers import Answers, Trial, judged_ranks, without_own
from mrl_sweep.deploying.indexes.measurement import IndexMeasurement, Latency, at_depth
from mrl_sweep.deploying.targets import target_named
from mrl_sweep.errors import EnvironmentFault, InputError, MissingExtra, first_line
from mrl_sweep.events import OnEvent, Progress, ignore
from mrl_sweep.types import Advice, Configuration, Float32Array, IntArray, Vectors

_INDEX_NAME: Final = "items_embedding"
_ROWS_AT_ONCE: Final = 2000
_WARM_UP_CALLS: Final = 10


def measure_live(
    dsn: str, index: LiveIndex, configurations: Sequence[Configuration], trial: Trial, on_event: OnEvent = ignore
) -> tuple[IndexMeasurement, ...]:
    """Builds and searches each configuration that pgvector can index, by the statements that a user is given to paste.

    Everything stands in a schema that is made for it and dropped at the end, also on failure. Raises InputError where the
    database has no pgvector or does not let the user create a schema, EnvironmentFault where it cannot be reached.
    """
    target = target_named("pgvector")
    fitting = [one for one in configurations if not target.refusal(one, trial.vectors.dim)]
    with connected(dsn) as connection, _schema_of_its_own(connection):
        _fill(connection, trial.vectors, on_event)
        measured = []
        for codes in dict.fromkeys(one.exact for one in fitting):
            build_s = _build(connection, index, codes, trial, on_event)
            measured += [_measure(connection, index, one, trial, build_s) for one in fitting if one.exact == codes]
            connection.execute(f"DROP INDEX {_INDEX_NAME}")
        return tuple(measured)


@contextlib.contextmanager
def connected(dsn: str, hint: str = "--dsn postgresql://host/database") -> Iterator[Any]:
    """Opens a connection that commits each statement; its password is never part of a message. `hint` says how it is given.

    Raises InputError for an invalid address, EnvironmentFault where the database cannot be reached, MissingExtra without psycopg.
    """
    try:
        import psycopg
    except ModuleNotFoundError:
        raise MissingExtra("psycopg", "pgvector") from None
    try:
        connection = psycopg.connect(dsn, autocommit=True)
    except psycopg.ProgrammingError as error:
        raise InputError(f"the address of the database is not valid: {first_line(error)}", hint) from None
    except psycopg.OperationalError as error:
        raise EnvironmentFault(
            f"cannot reach the database: {first_line(error)}", "check the address; a password may stand in PGPASSWORD"
        ) from None
    with connection:
        yield connection


@contextlib.contextmanager
def _schema_of_its_own(connection: Any) -> Iterator[None]:
    import psycopg

    extension = extension_schema(connection)
    name = f"mrl_sweep_{uuid.uuid4().hex[:12]}"
    try:
        connection.execute(f"CREATE SCHEMA {name}")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        hint = "GRANT CREATE ON DATABASE … TO …, or measure a copy: nothing outside a schema of its own is written"
        raise InputError(f"the database lets this user create no schema: {first_line(error)}", hint) from None
    try:
        connection.execute(f"SET search_path TO {name}, {extension}")
        yield
    finally:
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def _fill(connection: Any, vectors: Vectors, on_event: OnEvent) -> None:
    """Copies the documents into a table by row number, at full size, in PostgreSQL's binary COPY form."""
    dim = vectors.dim
    connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({dim}))")
    head = [("fields", ">i2"), ("of_id", ">i4"), ("id", ">i8"), ("of_vector", ">i4"), ("dim", ">i2"), ("unused", ">i2")]
    row = np.dtype([*head, ("values", ">f4", (dim,))])
    with connection.cursor() as cursor, cursor.copy("COPY items (id, embedding) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, len(vectors))
            block = np.zeros(stop - start, row)
            block["fields"], block["of_id"], block["of_vector"], block["dim"] = 2, 8, 4 + 4 * dim, dim
            block["id"], block["values"] = np.arange(start, stop), vectors.read(start, stop)
            copy.write(block.tobytes())
            on_event(Progress("pgvector", stop, len(vectors), "documents", "copying"))
        copy.write(b"\xff\xff")
    connection.execute("ANALYZE items")


def _pasted(index: LiveIndex, candidate: Configuration, trial: Trial) -> dict[str, str]:
    """Returns the statements for this configuration by purpose, asking for as many documents as the measures look at."""
    paste = target_named("pgvector").paste(candidate, trial.vectors.dim, k=trial.k, effort=index.ef)
    return {statement.purpose: text for statement, text in paste}


def _build(connection: Any, index: LiveIndex, codes: Configuration, trial: Trial, on_event: OnEvent) -> float:
    """Builds the index over these codes, which a search that rescores uses too; returns the seconds it took."""
    candidate = replace(codes, index=str(index))
    on_event(Progress(f"index {candidate}", 0, 1, "indexes", "building"))
    start = time.perf_counter()
    connection.execute(_pasted(index, candidate, trial)["index"])
    return time.perf_counter() - start


def _measure(connection: Any, index: LiveIndex, one: Configuration, trial: Trial, build_s: float) -> IndexMeasurement:
    """Measures what the standing index returns for this configuration's query, its bytes, and how long a search takes."""
    candidate = replace(one, index=str(index))
    pasted = _pasted(index, candidate, trial)
    size = connection.execute(f"SELECT pg_relation_size('{_INDEX_NAME}')").fetchone()[0]
    connection.execute(pasted["session"])
    advice = _made_to_use_the_index(connection, pasted["query"], trial, candidate)
    lists, times_s = _search(connection, pasted["query"], trial)
    connection.execute("RESET enable_seqscan")
    rows = at_depth(without_own(lists, trial.own_rows)[0], trial.depth, -1)
    scores = np.where(rows >= 0, -np.arange(rows.shape[1]), -np.inf).astype(np.float32)
    above, tied = judged_ranks(Answers(rows, scores), trial.qrels)
    latency = Latency.of(times_s)
    cost = Cost(
        index_bytes=int(size),
        build_s=build_s,
        p50_ms=latency.p50_ms,
        p99_ms=latency.p99_ms,
        queries_per_second_1=len(times_s) / sum(times_s),
        threads=1,
    )
    return IndexMeasurement(
        candidate=candidate, above=above, tied=tied, top_rows=rows, top_scores=scores, cost=cost, advice=advice
    )


def _made_to_use_the_index(connection: Any, query: str, trial: Trial, candidate: Configuration) -> tuple[Advice, ...]:
    """Switches off, with advice, the reading of the whole table where EXPLAIN says that the planner would rather do that."""
    if uses_index(connection, query, trial.queries[0]):
        return ()
    connection.execute("SET enable_seqscan = off")
    message = (
        f"{candidate}: PostgreSQL would rather read the whole table than the index; it was measured with enable_seqscan = off"
    )
    return (Advice("pgvector-seqscan", message, "the index pays on larger tables; EXPLAIN shows which is used"),)


def uses_index(connection: Any, query: str, vector: Float32Array) -> bool:
    """Tells whether EXPLAIN names the pasted index in the plan of the pasted query."""
    lines = connection.execute(f"EXPLAIN {query}", {"query": text_of(vector)}).fetchall()
    return any(f"using {_INDEX_NAME}" in line for (line,) in lines)


def _search(connection: Any, query: str, trial: Trial) -> tuple[IntArray, list[float]]:
    """Returns (n_queries, k) rows, best first, -1 beyond; and the seconds that each query took, as the client sees it."""
    lists = np.full((len(trial.queries), trial.k), -1, np.int64)
    texts = [text_of(vector) for vector in trial.queries]
    for text in texts[:_WARM_UP_CALLS]:
        connection.execute(query, {"query": text}).fetchall()
    times_s = []
    for i, text in enumerate(texts):
        start = time.perf_counter()
        answer = connection.execute(query, {"query": text}).fetchall()
        times_s.append(time.perf_counter() - start)
        lists[i, : len(answer)] = [row for (row,) in answer]
    return lists, times_s


def text_of(vector: Float32Array) -> str:
    """Writes a vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.9g}" for value in vector.tolist()) + "]"


def extension_schema(connection: Any) -> str:
    """Names the schema, quoted, that the extension stands in. Raises InputError where the database has no pgvector."""
    row = connection.execute(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'vector'"
    ).fetchone()
    if row is None:
        raise InputError("the database has no pgvector", "CREATE EXTENSION vector; in that database")
    return str(row[0])
