"""Each hint about vectors in a PostgreSQL table is followed: its words lead to vectors that are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import followed_hints as hints
import pytest
from embedding_helpers import CountingEmbedder, collection_of, vectors_of

from mrl_sweep.embedding import Store, embed, open_embedder

psycopg: Any = pytest.importorskip("psycopg")

COLLECTION = collection_of(["a", "b"])
NUMBERED = replace(COLLECTION, queries=replace(COLLECTION.queries, ids=("d0",)))
ROWS = [str(row.tolist()) for row in vectors_of(["a", "b"])]
FORMS = "&id=id&vector=embedding"


@pytest.fixture
def schema(dsn: str) -> Iterator[str]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA told")
        tables: dict[str, list[str | None]] = {
            "items": [*ROWS],
            "null": [ROWS[0], None],
            "sizes": [ROWS[0], "[1,2]"],
            "others": [],
        }
        for name, rows in tables.items():
            connection.execute(f"CREATE TABLE told.{name} (id text, note text, embedding vector)")
            for number, row in enumerate(rows):
                connection.execute(f"INSERT INTO told.{name} VALUES (%s, 'n', %s)", [f"d{number}", row])
        connection.execute("CREATE TABLE told.named AS SELECT id AS mine, note, embedding AS a, embedding AS b FROM told.items")
        connection.execute("CREATE VIEW told.broken AS SELECT (1 / (length(note) - 1))::text AS id, embedding FROM told.items")
        yield f"pgvector:{dsn}{'&' if '?' in dsn else '?'}"
        connection.execute("DROP SCHEMA told CASCADE")


def load(model: str, folder: Path, collection: Any = COLLECTION, queries: str = "") -> None:
    """The vectors of documents; the queries are embedded unless they too are to come from the table."""
    asked = open_embedder(queries) if queries else CountingEmbedder()
    embed(collection, open_embedder(model), Store(folder), query_model=asked)


class Case(NamedTuple):
    """The table (and columns) named, what is told, what the hint says; what is then typed, and what is done to the tables."""

    table: str
    says: str
    hint: str
    follow: Callable[[re.Match[str], str], str]
    mend: str = ""


def same(_: re.Match[str], before: str) -> str:
    return before


def items(match: re.Match[str], before: str) -> str:
    """The form that the hint shows, behind the address of this database."""
    assert match[1] == f"?table=items{FORMS}"
    return (
        re.split("[?&]table=|[?&]$", before)[0]
        + ("&" if before.count("?") > 1 or "?host" in before else "?")
        + "table=told."
        + match[1][7:]
    )


def named(column: str) -> Callable[[re.Match[str], str], str]:
    return lambda match, before: re.sub(rf"&{match[1][1:3]}\w*=\w+", "", before) + match[1].replace("NAME", column)


SHOWN = r"--model 'pgvector:postgresql://host/database(\?table=\S+)'"
EMBED = "UPDATE told.{} SET embedding = (SELECT embedding FROM told.items WHERE id = 'd1') WHERE id = 'd1'"
CASES = [
    Case("", "names no table", SHOWN, items),
    Case("table=told.none", "has no table", SHOWN, items),
    Case("table=told.others", "has no row", SHOWN, items),
    Case("table=told.broken", "cannot read", SHOWN, items),
    Case("table=told.named&vector=a", "no column of ids", "^name it: (&id=NAME)$", named("mine")),
    Case("table=told.named&id=mine", "no column of vectors", "^name it: (&vector=NAME)$", named("b")),
    Case(
        "table=told.items&vector=note",
        "holds no vectors",
        r"the columns are .*\b(embedding) \(vector\)",
        lambda match, before: before.replace("=note", f"={match[1]}"),
    ),
    Case("table=told.null", "no vector", "embed them first", same, EMBED.format("null")),
    Case("table=told.sizes", "of another size", "embed them again", same, EMBED.format("sizes")),
]
REASONS = {"'try again'": "the server goes away in the middle of a reading"}
"""Hints that are not followed here: a piece of the call, and why."""


def test_every_hint_is_followed_or_has_a_reason(dsn: str, schema: str, tmp_path: Path) -> None:
    places = []
    for number, case in enumerate(CASES):
        before = schema + case.table
        met = hints.met(lambda model=before: load(model, tmp_path / f"before{number}"))  # noqa: B023
        assert met, case
        places.append(met.place)
        assert re.search(case.says, met.error.message), (case, met.error.message)
        match = re.search(case.hint, met.error.hint)
        assert match, (case, met.error.hint)
        if case.mend:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(case.mend)
        load(case.follow(match, before), tmp_path / f"after{number}")
    model = f"{schema}table=told.items"
    shared = hints.met(lambda: embed(NUMBERED, open_embedder(model), Store(tmp_path / "shared")))
    assert shared
    places.append(shared.place)
    assert "--query-model pgvector:…?table=queries, a model, or" in shared.error.hint
    load(model, tmp_path / "asked", NUMBERED)
    load(model, tmp_path / "apart", NUMBERED, f"{schema}table=told.items")
    here = [site for site in hints.sites("embedding/vectors") if site.path.name == "database.py"]
    assert hints.unfollowed(here, places, REASONS) == []
