"""How a hint about a collection is followed: what is typed, the files as they should be, the command that is run."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import followed_hints as hints
import pyarrow as pa
import pyarrow.parquet as pq
from reread import load_collection
from test_siblings import BEIR, CORPUS, TEXTS, joined

from mrl_sweep.collection.judgments import LoadOptions

Match = re.Match[str]


class Try(NamedTuple):
    """What is typed: the collection's name, its folder on the disk, the split and how strictly it is read."""

    folder: Path
    spec: str
    split: str | None = None
    options: LoadOptions = LoadOptions()

    def load(self) -> None:
        list(load_collection(self.spec, split=self.split, options=self.options).documents.texts())


Follow = Callable[[Try, Match], Try]


def typed(form: str = "{0}", **names: str) -> Follow:
    """The hint's words (its first group) in place of the collection's name; what it calls NAME or FILE is filled in."""

    def follow(tried: Try, match: Match) -> Try:
        words = match[1]
        for name, value in names.items():
            words = words.replace(name, value.format(tried.folder))
        return tried._replace(spec=form.format(words, tried.spec, tried.folder))

    return follow


def added(**names: str) -> Follow:
    return typed("{1},{0}", **names)


def repaired(**files: str | bytes) -> Follow:
    """The file as the hint says that it should be."""

    def follow(tried: Try, _: Match) -> Try:
        hints.saved(tried.folder, {name.replace("__", "/").replace("_", ".", 1): text for name, text in files.items()})
        return tried

    return follow


def option(**options: Any) -> Follow:
    return lambda tried, _match: tried._replace(options=LoadOptions(**options))


def split(tried: Try, match: Match) -> Try:
    return tried._replace(split=match[1])


def ran(name: str) -> Follow:
    """The command of the hint, whose output takes the file's place."""

    def follow(tried: Try, match: Match) -> Try:
        file = tried.folder / name
        if match[1].startswith("jq"):
            file.write_text("".join(json.dumps(row) + "\n" for row in json.loads(file.read_text())))  # jq may be missing
        else:
            hints.run_as_told(hints.names_file(match[1], file), file)
        return tried

    return follow


def same_ids(name: str) -> Follow:
    """The id of one file written as the hint shows it in the other."""

    def follow(tried: Try, match: Match) -> Try:
        file = tried.folder / name
        ours, theirs = (text.encode().decode("unicode_escape") for text in match.groups())
        assert ours in file.read_text()
        file.write_text(file.read_text().replace(ours, theirs))
        return tried

    return follow


def pulled(tried: Try, match: Match) -> Try:
    """What Git LFS does in the folder that the hint names."""
    assert Path(match[1]) == tried.folder
    return repaired(corpus_jsonl=CORPUS)(tried, match)


def unpacked(tried: Try, _: Match) -> Try:
    packed = tried.folder / "x.tar.gz"
    with tarfile.open(packed) as archive:
        archive.extractall(tried.folder, filter="data")
    return tried._replace(spec=str(tried.folder / "x"))


def unzipped(tried: Try, _: Match) -> Try:
    with zipfile.ZipFile(tried.folder / "corpus.jsonl") as archive:
        archive.extractall(tried.folder)
    return tried


def exported(tried: Try, _: Match) -> Try:
    with sqlite3.connect(tried.folder / "corpus.csv") as connection:
        rows = connection.execute("SELECT * FROM t").fetchall()
    (tried.folder / "corpus.csv").write_text("id,text\n" + joined(rows, ","))
    return tried


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, text in BEIR.items():
            member = tarfile.TarInfo(f"x/{name}")
            member.size = len(data := str(text).encode())
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("corpus.jsonl", CORPUS)
    return stream.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (id, text)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", TEXTS)
        connection.commit()
        return connection.serialize()


def parquet(**columns: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()
