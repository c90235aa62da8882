"""Vectors out of a real PostgreSQL with pgvector: what is read, how little is asked of the database, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of

from mrl_sweep.embedding import Store, embed, open_embedder
from mrl_sweep.embedding.vectors.database import TableAddress
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.types import Embeddings

psycopg = pytest.importorskip("psycopg")

TEXTS, QUESTIONS = [f"text {i}" for i in range(5)], ["which?", "where?", "when?"]
COLLECTION = collection_of(TEXTS, QUESTIONS)
DOCUMENTS, QUERIES = vectors_of(TEXTS), vectors_of(QUESTIONS)


@pytest.fixture
def schema(dsn: str) -> Iterator[str]:
    """A schema for one test, with documents in reverse order beside rows of others, and queries."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA shelf")
        connection.execute("CREATE TABLE shelf.items (id text PRIMARY KEY, note text, embedding vector(8))")
        connection.execute("CREATE TABLE shelf.queries (id text, embedding vector(8))")
        rows = [*reversed([(f"d{i}", row) for i, row in enumerate(DOCUMENTS)]), ("other", DOCUMENTS[0])]
        for name, row in rows:
            connection.execute("INSERT INTO shelf.items VALUES (%s, 'n', %s)", [name, str(row.tolist())])
        for i, row in enumerate(QUERIES):
            connection.execute("INSERT INTO shelf.queries VALUES (%s, %s)", [f"q{i}", str(row.tolist())])
        yield dsn
        connection.execute("DROP SCHEMA shelf CASCADE")


def address(dsn: str, table: str, more: str = "") -> str:
    return f"pgvector:{dsn}{'&' if '?' in dsn else '?'}table={table}{more}"


def both(dsn: str, folder: Path, table: str = "shelf.items", more: str = "") -> Embeddings:
    documents, queries = open_embedder(address(dsn, table, more)), open_embedder(address(dsn, "shelf.queries"))
    return embed(COLLECTION, documents, Store(folder), query_model=queries)


def test_documents_and_queries_come_from_two_tables_by_id(schema: str, tmp_path: Path) -> None:
    embeddings = both(schema, tmp_path)
    assert np.array_equal(embeddings.documents.read(0, 5), DOCUMENTS)
    assert np.array_equal(embeddings.queries, QUERIES)
    assert embeddings.model == {
        "provider": "pgvector",
        "name": "shelf.items",
        "dim": 8,
        "dtype": "float32",
        "files": ["shelf.items"],
        "unit_length": False,
        "counts": {"zero_documents": 0, "zero_queries": 0},
        "query_model": {
            "provider": "pgvector",
            "name": "shelf.queries",
            "dim": 8,
            "dtype": "float32",
            "files": ["shelf.queries"],
        },
        "identity": {
            "document": {"provider": "pgvector", "table": "shelf.items", "columns": [None, None]},
            "query": {"provider": "pgvector", "table": "shelf.queries", "columns": [None, None]},
        },
    }


def test_queries_with_the_ids_of_documents_do_not_get_their_vectors(schema: str, tmp_path: Path) -> None:
    """Numbers as ids are usual on both sides, and a table of documents has no queries."""
    numbered = replace(COLLECTION, queries=replace(COLLECTION.queries, ids=("d0", "d1", "q2")))
    with pytest.raises(InputError, match="which queries of the same ids would get: d0, d1") as refused:
        embed(numbered, open_embedder(address(schema, "shelf.items")), Store(tmp_path))
    assert refused.value.hint.startswith("name what has the queries: --query-model")


def test_a_model_may_embed_the_queries(schema: str, tmp_path: Path) -> None:
    asked = CountingEmbedder()
    embeddings = embed(COLLECTION, open_embedder(address(schema, "shelf.items")), Store(tmp_path), query_model=asked)
    assert sorted(asked.asked) == sorted(QUESTIONS)
    assert np.array_equal(embeddings.queries, QUERIES)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("halfvec(8)", "float16"), ("real[]", "float32"), ("double precision[]", "float32"), ("sparsevec(8)", "float32")],
)
def test_other_types_of_columns_hold_vectors_too(schema: str, tmp_path: Path, kind: str, dtype: str) -> None:
    with psycopg.connect(schema, autocommit=True) as connection:
        source = "embedding::real[]" if kind == "double precision[]" else "embedding"
        connection.execute(f"CREATE TABLE shelf.typed AS SELECT id AS doc_id, {source}::{kind} AS emb FROM shelf.items")
    embeddings = both(schema, tmp_path, "shelf.typed")
    assert embeddings.model["dtype"] == dtype
    assert np.array_equal(embeddings.documents.read(0, 5), DOCUMENTS.astype(dtype).astype(np.float32))


def test_columns_and_tables_of_odd_names_are_found_by_name(schema: str, tmp_path: Path) -> None:
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE shelf."My Items" AS SELECT id AS "Key", embedding AS "a;b", embedding AS c FROM shelf.items'
        )
    embeddings = both(schema, tmp_path, "shelf.%22My%20Items%22", "&id=Key&vector=a;b")
    assert np.array_equal(embeddings.documents.read(0, 5), DOCUMENTS)


def test_more_rows_than_one_fetch_arrive_whole(schema: str, tmp_path: Path) -> None:
    n = 4500
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE shelf.many AS SELECT 'd' || i AS id, ('[' || i || ',1]')::vector(2) AS embedding "
            "FROM generate_series(0, %s) i",
            [n - 1],
        )
        connection.execute("CREATE TABLE shelf.one AS SELECT 'q0' AS id, '[1,1]'::vector(2) AS embedding")
    collection = collection_of([f"text {i}" for i in range(n)])
    found = embed(
        collection,
        open_embedder(address(schema, "shelf.many")),
        Store(tmp_path),
        query_model=open_embedder(address(schema, "shelf.one")),
    )
    assert np.array_equal(found.documents.read(0, n)[:, 0], np.arange(n))


ALTER = "ALTER TABLE shelf.items"


@pytest.mark.parametrize(
    ("change", "address_ends", "told"),
    [
        ("", "shelf.none", "no table shelf.none"),
        ("", "shelf.items&vector=note", "note is of type text, which holds no vectors"),
        ("", "shelf.items&id=nothing", r"no column nothing of ids; the columns are id \(text\)"),
        (f"{ALTER} ADD second vector(8); {ALTER} RENAME embedding TO first", "shelf.items", "no column of vectors"),
        ("UPDATE shelf.items SET embedding = NULL WHERE id = 'd3'", "shelf.items", r"no vector \(null\) for d3"),
        ("DELETE FROM shelf.items WHERE id = 'd2'", "shelf.items", "no vector for documents d2"),
        ("UPDATE shelf.items SET id = id || 'x'", "shelf.items", "no row whose id is one of the collection's"),
        (
            f"{ALTER} DROP CONSTRAINT items_pkey; INSERT INTO shelf.items SELECT * FROM shelf.items WHERE id = 'd1'",
            "shelf.items",
            "1 id occurs more than once",
        ),
        (
            f"{ALTER} ALTER embedding TYPE vector; UPDATE shelf.items SET embedding = '[1,2]' WHERE id = 'd4'",
            "shelf.items",
            "another size than the first: d4",
        ),
        (
            f"{ALTER} ALTER embedding TYPE vector(2) USING subvector(embedding, 1, 2)",
            "shelf.items",
            "2 dimensions in shelf.items, 8 in shelf.queries",
        ),
    ],
)
def test_what_cannot_be_read_is_named(schema: str, tmp_path: Path, change: str, address_ends: str, told: str) -> None:
    if change:
        with psycopg.connect(schema, autocommit=True) as connection:
            connection.execute(change)
    with pytest.raises(InputError, match=told):
        both(schema, tmp_path, address_ends)


def test_nothing_is_written_and_a_user_without_rights_is_told_so(schema: str, tmp_path: Path) -> None:
    with psycopg.connect(schema, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION shelf.writes() RETURNS text LANGUAGE sql AS $$ DELETE FROM shelf.items RETURNING id $$"
        )
        connection.execute("CREATE VIEW shelf.trap AS SELECT shelf.writes() AS id, embedding FROM shelf.items")
    with pytest.raises(InputError, match=r"cannot read shelf\.trap: cannot execute DELETE in a read-only transaction"):
        both(schema, tmp_path, "shelf.trap")


def test_the_address_is_taken_apart_and_shows_no_password() -> None:
    text = "postgresql://me:secret@host/db?sslmode=require&table=items&vector=v"
    assert TableAddress.parse(text) == TableAddress("postgresql://me:secret@host/db?sslmode=require", "items", None, "v")
    assert TableAddress.parse("host=h dbname=d?table=s.t&id=k") == TableAddress("host=h dbname=d", "s.t", "k", None)
    assert open_embedder(f"pgvector:{text}").name == "pgvector:items"
    with pytest.raises(InputError, match="names no table") as caught:
        open_embedder("pgvector:postgresql://me:secret@host/db?id=x")
    assert "secret" not in str(caught.value) + (caught.value.hint or "")


def test_a_database_that_is_not_there_is_the_environments_fault(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cannot reach the database") as caught:
        both("postgresql://me:secret@127.0.0.1:1/none", tmp_path)
    assert "secret" not in str(caught.value)


def test_a_run_leaves_the_password_in_no_file(schema: str, tmp_path: Path) -> None:
    """The address of the vectors is a setting, the model's name in the report, and part of the run's digest."""
    from mrl_sweep.cli import main

    (tmp_path / "c" / "qrels").mkdir(parents=True)
    for name, count in (("corpus", 5), ("queries", 3)):
        ids = [f"{'d' if name == 'corpus' else 'q'}{i}" for i in range(count)]
        (tmp_path / "c" / f"{name}.jsonl").write_text("".join(f'{{"_id": "{one}", "text": "{one}"}}\n' for one in ids))
    (tmp_path / "c" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\nq2\td2\t1\n")
    secret = [
        address(schema.replace("postgres:@", "postgres:canary@"), f"shelf.{table}", "&password=canary")
        for table in ("items", "queries")
    ]
    with pytest.raises(SystemExit) as ended:
        main(["run", "--collection", str(tmp_path / "c"), "--model", secret[0], "--query-model", secret[1], "--index", "none",
              "--dims", "4", "--store", str(tmp_path / "s"), "--out", str(tmp_path / "r")])  # fmt: skip
    assert ended.value.code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file()}
    assert b"pgvector:postgresql://***@" in written["report.json"]
    assert [name for name, content in written.items() if b"canary" in content] == []
