"""Each hint of the readers of vectors is followed: its words lead to vectors that are read."""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import followed_hints as hints
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_helpers import collection_of, vectors_of
from safetensors.numpy import save

from mrl_sweep.embedding import Store, embed, open_embedder
from mrl_sweep.embedding.vectors.rows import VDF_META

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
COLLECTION = collection_of([f"text {i}" for i in range(3)], ["which?", "where?"])
DOCS, QUERIES = vectors_of(["a", "b", "c"]), vectors_of(["x", "y"])
IDS = ["d0", "d1", "d2"]


def load(spec: str, store: Path) -> None:
    embed(COLLECTION, open_embedder(spec), Store(store))


def npy(rows: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows)
    return stream.getvalue()


def table(**columns: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def harmed(file: bytes) -> bytes:
    """With the first of its pages overwritten."""
    return file[:4] + b"\xff" * 60 + file[64:]


def jsonl(rows: Any, ids: Any = IDS, key: str = "id", vector: str = "vector") -> str:
    return "".join(json.dumps({key: name, vector: row}) + "\n" for name, row in zip(ids, rows, strict=True))


def tensors(**entries: Any) -> bytes:
    return save({name: np.ascontiguousarray(rows) for name, rows in entries.items()})


def of_type(kind: str) -> bytes:
    header = json.dumps({"vectors": {"dtype": kind, "shape": [3, 8], "data_offsets": [0, 24]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(24)


def fvecs(*sizes: int) -> bytes:
    return b"".join(struct.pack(f"<i{DOCS.shape[1]}f", size, *DOCS[0]) for size in sizes)


def described(**spaces: Any) -> str:
    return json.dumps({"indexes": {name: [{"data_path": path}] for name, path in spaces.items()}})


Follow = Callable[[Path, "re.Match[str]", str], str]


def layout(folder: Path, match: re.Match[str], spec: str) -> str:
    """The two files that the hint names, in place of what is there under their names or before them."""
    for name, rows in zip(match.groups(), (DOCS, QUERIES), strict=True):
        for old in folder.glob(f"{Path(name).stem}.*"):
            old.rename(folder / f"was-{old.name}") if old.suffix != ".npy" else None
        (folder / name).write_bytes(npy(rows))
    if (folder / VDF_META).exists():
        (folder / VDF_META).rename(folder / "was.json")
    return spec


def written(**files: str | bytes) -> Follow:
    """The file as the hint says that it should be."""

    def follow(folder: Path, _: re.Match[str], spec: str) -> str:
        hints.saved(folder, {name.replace("_", ".", name.count("_")): text for name, text in files.items()})
        return spec

    return follow


def typed(**names: str) -> Follow:
    """The hint's words as the model, with what it calls FOLDER and NAME filled in."""

    def follow(folder: Path, match: re.Match[str], _: str) -> str:
        words = match[1].replace("FOLDER", str(folder))
        for name, value in names.items():
            words = words.replace(f"{name}=NAME", f"{name}={value}")
        return re.sub(r"(?<=[?&])\w+=NAME&?", "", words).rstrip("?&")

    return follow


def plain(_: Path, _match: re.Match[str], spec: str) -> str:
    return spec.partition("?")[0]


class Case(NamedTuple):
    """What lies in the folder beside queries.npy, what is told, what the hint says, and how it is followed."""

    files: Mapping[str, str | bytes]
    says: str
    hint: str
    follow: Follow
    more: str = ""
    others: Mapping[str, str | bytes] = MappingProxyType({"queries.npy": npy(QUERIES)})


def asked(rows: Any, **names: str) -> Mapping[str, str | bytes]:
    """The queries' file, whose columns are called as those of the documents."""
    return {"queries.jsonl": jsonl(rows, ["q0", "q1"], **names)}


def laid(files: Mapping[str, str | bytes], says: str, more: str = "") -> Case:
    return Case(files, says, r"the folder holds (\S+) and (\S+),", layout, more)


ROWS = r"each row needs an id \(`id`.*\) and a vector \(`vector`"
NAMED = r"other names: (vectors:\S+)$"
good_jsonl, good_npy = written(docs_jsonl=jsonl(DOCS.tolist())), written(docs_npy=npy(DOCS))
good_parquet = written(docs_parquet=table(id=IDS, vector=DOCS.tolist()))
NAN = np.where(np.arange(8) == 2, np.nan, DOCS).astype(np.float32)
LISTS = DOCS.tolist()
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def pulled(folder: Path, match: re.Match[str], spec: str) -> str:
    """What Git LFS does in the folder that the hint names."""
    assert Path(match[1]) == folder
    return good_npy(folder, match, spec)


CASES = {
    "no vectors": laid({}, "has no vectors of the documents"),
    "no table": laid({"docs.npy": npy(DOCS[0])}, "must be a table of rows"),
    "damaged": laid({"docs.parquet": b"PAR1"}, "cannot read|damaged"),
    "damaged inside": laid({"docs.parquet": harmed(table(id=IDS, vector=LISTS))}, "cannot read"),
    "damaged csv": laid({"docs.csv": b'id,vector\nd0,"[1]"\nd1,"[1]",7\n'}, "cannot read|damaged"),
    "no .fvecs": laid({"docs.fvecs": b"\x08\0\0\0\1"}, "not an .fvecs file"),
    "sizes in .fvecs": laid({"docs.fvecs": fvecs(8, 7, 8)}, "says 7 dimensions"),
    "no .safetensors": laid({"docs.safetensors": b"\xff" * 20}, "not a whole .safetensors"),
    "lines of two sizes": laid({"docs.jsonl": jsonl([[1.0, 2.0], [1.0], [1.0]])}, "has a vector of 1 dimensions"),
    "no lines": laid({"docs.jsonl": "\n"}, "no vectors"),
    "an empty folder": laid({"docs/x.txt": ""}, "no Parquet file"),
    "no rows": laid(
        {"docs.parquet": table(id=pa.array([], pa.string()), vector=pa.array([], pa.list_(pa.float32())))}, "no vectors"
    ),
    "whole numbers": laid({"docs.parquet": table(id=IDS, vector=[[1, 2]] * 3)}, "is of type list"),
    "lists with holes": laid({"docs.parquet": table(id=IDS, vector=[[1.0, None]] * 3)}, "lists of as many"),
    "lists of two lengths": laid(
        {"docs.parquet": table(id=IDS, vector=[[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]])}, "different lengths"
    ),
    "text of two lengths": laid({"docs.csv": 'id,vector\nd0,"[1, 2]"\nd1,"[1]"\nd2,"[1]"\n'}, "different lengths"),
    "files of two sizes": laid(
        {"docs/1.parquet": table(id=["d0"], vector=[[1.0]]), "docs/2.parquet": table(id=["d1"], vector=[[1.0, 2.0]])},
        "dimensions",
    ),
    "broken text": laid({"docs.parquet": table(id=IDS, vector=pa.array([b"\xff"] * 3).view(pa.string()))}, "cannot read"),
    "an index of another name": laid({VDF_META: described(a="a", b="b")}, "no index is called"),
    "an index that is none": laid({VDF_META: "[]"}, "not a description of vectors"),
    "a pickle": Case({"docs.pkl": b""}, "pickles are refused", r"numpy.save\(\.\.\., allow_pickle=False\)", good_npy),
    "a pickle in .npy": Case({"docs.npy": npy(np.array([None]))}, "not a plain .npy", "numpy.save a float32 array", good_npy),
    "numbers that are whole": Case({"docs.npy": npy(np.ones((3, 8), np.int64))}, "int64", "convert them to float32", good_npy),
    "a tensor's type": Case(
        {"docs.safetensors": of_type("I8")},
        "vectors of I8",
        "convert them to float32",
        written(docs_safetensors=tensors(vectors=DOCS)),
    ),
    "two tensors": Case(
        {"docs.safetensors": tensors(a=DOCS, b=DOCS)},
        "which tensor",
        "call it `vectors`",
        written(docs_safetensors=tensors(vectors=DOCS, b=DOCS)),
    ),
    "a pointer": Case({"docs.npy": LFS}, "Git LFS pointer", r"git -C (\S+) lfs pull", pulled),
    "ids that are not UTF-8": Case(
        {"docs.npy": npy(DOCS), "docs.ids.txt": b"\xff\n"},
        "not UTF-8",
        "save the file as UTF-8",
        written(docs_ids_txt="d0\nd1\nd2\n"),
    ),
    "too few ids": Case(
        {"docs.npy": npy(DOCS), "docs.ids.txt": "d0\n"}, "has 1 line", "one id a line", written(docs_ids_txt="d0\nd1\nd2\n")
    ),
    "names for rows without": Case(
        {"docs.npy": npy(DOCS)}, "no columns to name", r"leave \?id= and \?vector= out", plain, "?id=x"
    ),
    "NaN": Case({"docs.npy": npy(NAN)}, "NaN or infinite", "embed them again", good_npy),
    "an id twice": Case(
        {"docs.jsonl": jsonl([*LISTS, LISTS[0]], [*IDS, "d0"])}, "more than once", "one vector for each id", good_jsonl
    ),
    "an id without": Case({"docs.jsonl": jsonl(LISTS[:2], IDS[:2])}, "no vector for", "embed them", good_jsonl),
    "rows by place": Case({"docs.npy": npy(DOCS[:2])}, "has 2 rows", "one row for each record of the file", good_npy),
    "rows by name": Case(
        {"docs.npy": npy(np.concatenate([DOCS, DOCS]))},
        "has 6 rows",
        r"or ids: docs\.ids\.txt",
        written(docs_ids_txt="d0\nd1\nd2\nx\ny\nz\n"),
    ),
    "no columns but these": Case({"docs.jsonl": jsonl(LISTS)}, "no ids", r"^(vectors:\S+)$", typed(), "?ids=x"),
    "one of several vectors": Case(
        {"docs.jsonl": jsonl([{"a": row, "b": row} for row in LISTS])},
        "named vectors is meant",
        r"^(vectors:\S+)$",
        typed(vector="a"),
        "",
        asked([{"a": row} for row in QUERIES.tolist()]),
    ),
    "a line that is no object": Case({"docs.jsonl": "[]\n"}, "not an object", ROWS, good_jsonl),
    "a line that is no JSON": Case({"docs.jsonl": "{\n"}, ":1: ", ROWS, good_jsonl),
    "lines without an id": Case(
        {"docs.jsonl": jsonl(LISTS, key="me")},
        "no id; the keys are me",
        NAMED,
        typed(id="me"),
        "",
        asked(QUERIES.tolist(), key="me"),
    ),
    "lines without a vector": Case(
        {"docs.jsonl": jsonl([{"x": row} for row in LISTS], vector="mine")},
        "no vector; the keys are",
        NAMED,
        typed(vector="mine"),
        "",
        asked([{"x": row} for row in QUERIES.tolist()], vector="mine"),
    ),
    "lines without this vector": Case(
        {"docs.jsonl": jsonl(LISTS)},
        "no vector x; the keys are id, vector",
        NAMED,
        typed(vector="vector"),
        "?vector=x",
        asked(QUERIES.tolist()),
    ),
    "columns without an id": Case(
        {"docs.parquet": table(me=IDS, vector=LISTS)},
        "no column of ids",
        NAMED,
        typed(id="me"),
        "",
        asked(QUERIES.tolist(), key="me"),
    ),
    "an empty id": Case({"docs.parquet": table(id=["", "d1", "d2"], vector=LISTS)}, "which is no id", ROWS, good_parquet),
    "null in lines": Case({"docs.jsonl": jsonl([None, *LISTS[1:]])}, "has no vector", "embed it, or leave it out", good_jsonl),
    "null in columns": Case(
        {"docs.parquet": table(id=IDS, vector=[None, *LISTS[1:]])}, "null", "embed them, or leave them out", good_parquet
    ),
    "a vector that is text": Case({"docs.jsonl": jsonl(["a"] * 3)}, "vector that is text", "write lists of numbers", good_jsonl),
    "a vector that is none": Case({"docs.jsonl": jsonl([["a"]] * 3)}, "no list of numbers", "write lists of numbers", good_jsonl),
}
REASONS = {
    "cannot read {meta}": "a description that only another user may read",
    "'cannot read {self._folder}: {error.strerror or error}', LAYOUT": "a disk that fails while the files are digested",
}
"""Hints that are not followed here: a piece of the call, and why."""


def situation(case: Case, folder: Path) -> tuple[str, hints.Met]:
    hints.saved(folder / "v", {**case.others, **case.files})
    spec = f"vectors:{folder / 'v'}{case.more}"
    met = hints.met(lambda: load(spec, folder / "store"))
    assert met, "the situation is read"
    return spec, met


@pytest.mark.parametrize("name", CASES)
def test_the_hint_leads_on(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    spec, met = situation(case, tmp_path)
    assert re.search(case.says, met.error.message), met.error.message
    match = re.search(case.hint, met.error.hint)
    assert match, met.error.hint
    then = case.follow(tmp_path / "v", match, spec)
    assert hints.met(lambda: load(then, tmp_path / "other")) is None


def test_every_hint_of_the_room_is_followed_or_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [situation(case, tmp_path / str(number))[1].place for number, case in enumerate(CASES.values())]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "lancedb", None)
        missing = situation(Case({"docs.lance/x": ""}, "", "", plain), tmp_path / "lance")[1]
    places.append(missing.place)
    extra = re.fullmatch(r"pip install 'mrl-sweep\[(\w+)\]'", missing.error.hint)
    assert extra
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert any(one.startswith("lancedb") for one in extras[extra[1]])
    file = situation(Case({"docs.npy": npy(DOCS)}, "", "", plain, "/docs.npy"), tmp_path / "file")[1]
    places.append(file.place)
    folder = re.search(r"--model (vectors:\S+);", file.error.hint)
    assert folder
    assert hints.met(lambda: load(folder[1], tmp_path / "other")) is None
    here = [site for site in hints.sites("embedding/vectors") if site.path.name != "database.py"]
    assert hints.unfollowed(here, places, REASONS) == []
