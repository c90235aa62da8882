"""A real PostgreSQL with pgvector: what is pasted is used, weighs what the plan says, returns what the report promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.index_spec import LiveIndex
from mrl_sweep.deploying.indexes.answers import Trial
from mrl_sweep.deploying.layouts import table_bytes
from mrl_sweep.deploying.pgvector import connected, measure_live, text_of, uses_index
from mrl_sweep.deploying.targets import target_named
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Qrels, Vectors

psycopg = pytest.importorskip("psycopg")

N, Q, DIM = 2500, 60, 96
PGVECTOR = target_named("pgvector")


def trial(n: int = N, own: bool = False) -> Trial:
    rng = np.random.default_rng(5)
    documents = rng.standard_normal((n, DIM)).astype(np.float32)
    relevant = rng.choice(n, Q, replace=n < Q)
    queries = (documents[relevant] + 0.4 * rng.standard_normal((Q, DIM))).astype(np.float32)
    qrels = Qrels(np.arange(Q + 1), relevant.astype(np.int64), np.ones(Q, np.int64))
    own_rows = relevant.astype(np.int64) if own else None
    return Trial(vectors=Vectors((documents,)), queries=queries, qrels=qrels, own_rows=own_rows, depth=10)


def schemas(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'mrl_sweep_%'").fetchall()
    return [name for (name,) in rows]


CONFIGURATIONS = [
    Configuration.parse(text) for text in ("96", "64:float16:exact", "96:binary:exact", "96:binary:exact:rescore=4x")
]


def test_an_index_weighs_what_is_planned_and_finds_what_exact_search_finds(dsn: str) -> None:
    asked = trial()
    measured = {one.candidate: one for one in measure_live(dsn, LiveIndex(ef=100), CONFIGURATIONS, asked)}
    assert [str(candidate) for candidate in measured] == [
        "96:float32:pgvector:hnsw(m=16,ef=100)",
        "64:float16:pgvector:hnsw(m=16,ef=100)",
        "96:binary:pgvector:hnsw(m=16,ef=100)",
        "96:binary:pgvector:hnsw(m=16,ef=100):rescore=4x",
    ]
    for candidate, one in measured.items():
        assert one.cost.index_bytes == pytest.approx(PGVECTOR.index_bytes(candidate, N), rel=0.02), candidate
        assert one.cost.p50_ms is not None
        assert one.cost.p99_ms is None, "sixty calls are too few for a 99th percentile"
    documents, queries = asked.vectors.read(0, N), asked.queries
    cosine = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        documents / np.linalg.norm(documents, axis=1, keepdims=True)
    ).T
    best = np.argsort(-cosine, axis=1)[:, :10]

    def shared(text: str) -> float:
        rows = measured[Configuration.parse(text)].top_rows
        return float((best[:, :, None] == rows[:, None, :]).any(axis=2).mean())

    once, twice = shared("96:binary:pgvector:hnsw(m=16,ef=100)"), shared("96:binary:pgvector:hnsw(m=16,ef=100):rescore=4x")
    assert shared("96:float32:pgvector:hnsw(m=16,ef=100)") > 0.97
    assert twice > once + 0.1, "the second stage orders by the full vectors"
    full = measured[Configuration.parse("96:float32:pgvector:hnsw(m=16,ef=100)")]
    assert (full.above == 0).mean() > 0.95
    assert schemas(dsn) == []


def test_a_query_never_returns_its_own_document_where_that_is_left_out(dsn: str) -> None:
    asked = trial(own=True)
    (one,) = measure_live(dsn, LiveIndex(ef=60), CONFIGURATIONS[:1], asked)
    assert asked.own_rows is not None
    assert not (one.top_rows == asked.own_rows[:, None]).any()
    assert one.top_rows.shape == (Q, 10)
    assert (one.above == NOT_RETRIEVED).all()


@pytest.mark.parametrize("text", ["96", "64:float16:exact", "96:binary:exact", "64:binary:exact:rescore=4x"])
def test_the_pasted_query_uses_the_pasted_index(dsn: str, text: str) -> None:
    asked = trial()
    pasted = {one.purpose: words for one, words in PGVECTOR.paste(Configuration.parse(text), DIM)}
    with connected(dsn) as connection:
        for table in ("copied", "items"):
            connection.execute(f"CREATE TEMPORARY TABLE {table} (id bigint PRIMARY KEY, embedding vector(96))")
        with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN") as copy:
            for row, vector in enumerate(asked.vectors.read(0, N)):
                copy.write_row((row, text_of(vector)))
        connection.execute("INSERT INTO items SELECT * FROM copied")
        connection.execute("ANALYZE items")
        size = connection.execute("SELECT pg_table_size('items')").fetchone()[0]
        assert size == pytest.approx(table_bytes(DIM, N), rel=0.02)
        connection.execute(pasted["index"])
        connection.execute(pasted["session"])
        assert uses_index(connection, pasted["query"], asked.queries[0])
        found = connection.execute(pasted["query"], {"query": text_of(asked.queries[0])}).fetchall()
        assert len(found) == 10


def test_what_was_made_is_dropped_also_where_it_fails(dsn: str) -> None:
    broken = Trial(
        vectors=trial(50).vectors, queries=np.full((1, 3), 1, np.float32), qrels=trial(50).qrels, own_rows=None, depth=10
    )
    with pytest.raises(psycopg.Error):
        measure_live(dsn, LiveIndex(), CONFIGURATIONS[:1], broken)
    assert schemas(dsn) == []


def test_sizes_that_pgvector_cannot_index_are_not_built(dsn: str) -> None:
    assert measure_live(dsn, LiveIndex(), [Configuration.parse("64:int8:exact")], trial(50)) == ()


def test_a_user_who_may_not_create_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(InputError, match="lets this user create no schema: permission denied"):
        measure_live(dsn.replace("postgres:@", "reader:@"), LiveIndex(), CONFIGURATIONS[:1], trial(50))


def test_a_database_that_is_read_only_is_refused(dsn: str) -> None:
    with pytest.raises(InputError, match="lets this user create no schema: cannot execute CREATE SCHEMA in a read-only"):
        measure_live(f"{dsn}&options=-cdefault_transaction_read_only%3Don", LiveIndex(), CONFIGURATIONS[:1], trial(50))


def test_a_database_without_pgvector_is_refused(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS plain")
        connection.execute("CREATE DATABASE plain")
    with pytest.raises(InputError, match="the database has no pgvector"):
        measure_live(dsn.replace("/postgres?", "/plain?"), LiveIndex(), CONFIGURATIONS[:1], trial(50))


def test_a_database_out_of_reach_is_no_fault_of_the_input_and_no_password_is_shown() -> None:
    with pytest.raises(EnvironmentFault) as fault:
        measure_live("postgresql://me:secret@127.0.0.1:1/x", LiveIndex(), CONFIGURATIONS[:1], trial(50))
    assert "secret" not in fault.value.message + fault.value.hint


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("pgvector:hnsw", LiveIndex(16, 40)),
        ("pgvector:hnsw(ef=80, m=8)", LiveIndex(8, 80)),
        ("pgvector:hnsw(m=24)", LiveIndex(24, 40)),
    ],
)
def test_a_live_index_is_written_with_links_and_effort(text: str, index: LiveIndex) -> None:
    assert LiveIndex.parse(text) == index
    assert LiveIndex.parse(str(index)) == index


@pytest.mark.parametrize("text", ["pgvector:ivfflat", "pgvector:hnsw(lists=4)", "pgvector:hnsw(m=1)", "pgvector:hnsw(ef=4000)"])
def test_what_pgvector_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        LiveIndex.parse(text)


def pasted_answers(dsn: str, asked: Trial, one: Configuration) -> list[dict[str, Any]]:
    """What the statements return that a user is given to paste, for every query, as `score` reads it."""
    pasted = {each.purpose: words for each, words in PGVECTOR.paste(one, DIM, k=100, effort=100)}
    with connected(dsn) as connection:
        connection.execute("CREATE TEMPORARY TABLE items (id bigint PRIMARY KEY, embedding vector(96))")
        with connection.cursor() as cursor, cursor.copy("COPY items FROM STDIN") as copy:
            for row, vector in enumerate(asked.vectors.read(0, len(asked.vectors))):
                copy.write_row((row, text_of(vector)))
        connection.execute(pasted["index"])
        connection.execute(pasted["session"])
        answers = [connection.execute(pasted["query"], {"query": text_of(vector)}).fetchall() for vector in asked.queries]
    return [{"query_id": f"q{i}", "ids": [f"c{row}" for (row,) in rows]} for i, rows in enumerate(answers)]


def test_a_run_measures_the_live_index_beside_its_exact_ranks(dsn: str, command: Any, tmp_path: Path) -> None:
    asked = trial(1200)
    (tmp_path / "c" / "qrels").mkdir(parents=True)
    (tmp_path / "v").mkdir()
    np.save(tmp_path / "v" / "docs.npy", asked.vectors.read(0, 1200))
    np.save(tmp_path / "v" / "queries.npy", asked.queries)
    for name, count in (("corpus", 1200), ("queries", Q)):
        lines = [f'{{"_id": "{name[0]}{i}", "text": "{name} {i}"}}\n' for i in range(count)]
        (tmp_path / "c" / f"{name}.jsonl").write_text("".join(lines))
    judged = [f"q{i}\tc{row}\t1\n" for i, row in enumerate(asked.qrels.rows)]
    (tmp_path / "c" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    told = ["--collection", str(tmp_path / "c"), "--model", f"vectors:{tmp_path / 'v'}", "--dims", "96,64", "--retain", "80%"]
    told += ["--target", "pgvector", "--index", "pgvector:hnsw(m=16,ef=100)", "--store", str(tmp_path / "s")]
    refused = command("run", *told)
    assert (refused.returncode, "none is named" in refused.stderr) == (2, True)
    told += ["--dsn", dsn.replace("postgres:@", "postgres:canary@"), "--out", str(tmp_path / "r")]
    done = command("run", *told, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    promised = {(row["dim"], row["index"]): row for row in json.loads(done.stdout)["candidates"] if row["precision"] == "float32"}
    file = tmp_path / "pasted.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in pasted_answers(dsn, asked, Configuration.parse("64"))))
    judged_again = command("score", str(tmp_path / "r"), "--trec", str(file), "--codes", "64", "--format", "json")
    kept = json.loads(judged_again.stdout)["candidates"][-1]["measures"]["nDCG@10"]["kept"]
    bounds = promised[64, "pgvector:hnsw(m=16,ef=100)"]["measures"]["nDCG@10"]
    assert bounds["at_least"] <= kept <= bounds["at_most"]
    planned = command("plan", str(tmp_path / "r"), "--docs", "1200", "--index", "pgvector:hnsw(m=16,ef=100)", "--format", "json")
    assert planned.returncode == 0, planned.stderr
    rows = {row["configuration"]: row for row in json.loads(planned.stdout)["rows"]}
    measured = {(row["dim"], row["index"]): row for row in json.loads(done.stdout)["candidates"] if row["precision"] == "float32"}
    for dim in (96, 64):
        one = rows[f"{dim}:float32:pgvector:hnsw(m=16,ef=100)"]
        assert one["acceptable"] is True
        assert one["index_bytes"] == pytest.approx(measured[dim, "pgvector:hnsw(m=16,ef=100)"]["index_bytes"], rel=0.02)
