"""Mutated inputs for every reader, seeded: `python tests/fuzz.py --inputs 100000` (or `make fuzz`) says which of them broke one.

A reader may accept an input or refuse it as an error of ours. Any other exception, more than 20 seconds and more than 1 GiB of
memory for one input are failures; each is printed with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import signal
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import numpy as np

from mrl_sweep.collection import LoadOptions, load_collection
from mrl_sweep.embedding.hosted.replies import judge
from mrl_sweep.embedding.hosted.wire import Garbled, Refused, Reply, Transient, by_index, in_order, member, parsed
from mrl_sweep.embedding.vectors.formats import read_vectors
from mrl_sweep.errors import MrlSweepError
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.report.document import Report
from mrl_sweep.report.files.folder import read_run
from mrl_sweep.settings.config import load_config

MOST_SECONDS: Final = 20
MOST_BYTES: Final = 1 << 30

_TOKENS: Final = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\r\n", b"\t", b'"', b"'", b",", b"{", b"}", b"[", b"]"),
    *(
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-1",
        b"0",
        b"9" * 25,
        b"1.7",
        b"null",
        b"true",
        b"<top>",
        b"</top>",
        b"<x>",
        b"\xe2\x80\xa8",
    ),
    *(b"PAR1", b"PK\x03\x04", b"\x93NUMPY", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"_id", b"text", b"=", b"[[", b"#", b"../", b"%"),
)


class Target(NamedTuple):
    """One reader: valid files by name to begin with, and what reads them from their folder."""

    name: str
    seeds: dict[str, bytes]
    read: Callable[[Path], object]


class Failure(NamedTuple):
    target: str
    seed: int
    error: str


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def packed(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def parquet(columns: dict[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return packed(lambda out: pq.write_table(pa.table(columns), out))


CORPUS: Final = lines(*({"_id": f"d{i}", "title": "a", "text": f"word {i}", "x": 1.5} for i in range(3)))
QUERIES: Final = lines(*({"_id": f"q{i}", "text": "word", "metadata": {"lang": "en", "n": i}} for i in range(3)))
QRELS: Final = b"query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t2\nq2\td2\t0\n"
TOPICS: Final = b"<top>\n<num> Number: q0\n<title> a word\n<desc> b\n</top>\n<top>\n<num> q1\n<title> c\n</top>\n"
XML: Final = b"<topics><topic number='q0'><title>a</title></topic><topic number='q1'><query>b</query></topic></topics>"
VECTORS: Final = np.arange(12, dtype=np.float32).reshape(3, 4)
SETTINGS: Final = (
    b'[collection]\nsource = "pydocs"\n[sweep]\ndims = "256,64"\nindex = ["Flat"]\n'
    b'[decision]\nmeasures = ["nDCG@10"]\nretain = "98%"\nalpha = 0.05\n[run]\nmax_memory = "4GiB"\nthreads = 2\n'
    b'[deploy]\nfunnel = ["64:100:256"]\nproject_docs = ["10M"]\n'
)
ANSWER: Final = json.dumps({"data": [{"index": i, "embedding": row.tolist()} for i, row in enumerate(VECTORS)]}).encode()
ERROR: Final = {"code": 429, "message": "slow down", "type": "rate_limit", "details": [{"reason": "X"}]}
COMPLAINT: Final = json.dumps({"error": ERROR}).encode()


def collection(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        loaded = load_collection(name.format(folder), options=LoadOptions(max_line_bytes=1 << 20))
        return list(loaded.documents.texts()), json.dumps(loaded.queries.metadata, allow_nan=False)

    return read


def answer(folder: Path) -> object:
    """A server's answer, read as every vendor reads it; the first byte is its status."""
    body = (folder / "answer").read_bytes()
    status = 200 + (body[0] if body else 0) * 2
    for reply in (Reply(status, {"retry-after": body[:9].decode("latin-1")}, body), Reply(200, {}, body)):
        try:
            judge(reply, "m", "http://h/v1", None, 0.0)
            document = parsed(reply)
            by_index(member(document, "data"), 3)
            in_order(member(document, "embeddings"), 3)
        except (Garbled, Refused, Transient):
            continue
    return None


def report(folder: Path) -> object:
    from mrl_sweep.report.render import Format, render

    found = Report.from_json((folder / "report.json").read_bytes())
    return [render(found, kind) for kind in Format]


def finished_run(folder: Path) -> object:
    """What `gate` and `plan` do with a finished run."""
    from mrl_sweep.runs.gate import decide_gate
    from mrl_sweep.runs.plan import plan_run
    from mrl_sweep.runs.reopen import reopen
    from mrl_sweep.settings.config import SweepConfig

    settings = SweepConfig.of(docs="1M", dim=2)
    return decide_gate(reopen(folder, settings), settings), plan_run(reopen(folder, settings), settings)


def edited_ranks(folder: Path) -> object:
    """The same where one array of ranks.npz holds other numbers: a whole file that says nonsense."""
    path = folder / "ranks.npz"
    chance = random.Random(path.read_bytes() + (folder / "report.json").read_bytes())
    source = path if zipfile.is_zipfile(path) else None
    if source is None:
        return finished_run(folder)
    try:
        with np.load(source, allow_pickle=False) as loaded:
            arrays = {name: loaded[name].copy() for name in loaded.files}
    except Exception:
        return finished_run(folder)
    if not arrays:
        return finished_run(folder)
    name = chance.choice(sorted(arrays))
    array = arrays[name]
    if array.size:
        flat = array.reshape(-1)
        flat[chance.randrange(flat.size)] = chance.choice(
            (0, 1, 7, 100, 127) if flat.dtype.itemsize == 1 else (0, -1, -4, 5, 2**30, -(2**30))
        )
    if chance.random() < 0.2:
        arrays[name] = array[:-1] if array.ndim else array.astype(np.float32)
    np.savez(path, allow_pickle=False, **arrays)
    return finished_run(folder)


def run_files() -> dict[str, bytes]:
    """The files of a small finished run."""
    from mrl_sweep.api import run

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder / "c", {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS})
        write(
            folder / "v",
            {"docs.npy": packed(lambda out: np.save(out, VECTORS)), "queries.npy": packed(lambda out: np.save(out, VECTORS))},
        )
        run(
            collection=str(folder / "c"),
            model=f"vectors:{folder / 'v'}",
            dims="4,2",
            index="none",
            out=str(folder / "r"),
            store=str(folder / "s"),
        )
        return {name: (folder / "r" / name).read_bytes() for name in ("report.json", "ranks.npz")}


def targets() -> list[Target]:
    """Every reader with valid files."""
    beir = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}
    csv = {
        "corpus.csv": b'id,text\nd0,a\nd1,"b\nc"\n',
        "queries.csv": b"id,text,lang\nq0,a,en\n",
        "qrels.csv": b"qid,docid,rel\nq0,d0,1\n",
    }
    trec = {"docs.tsv": b"d0\ta\nd1\tb\n", "topics.txt": TOPICS, "qrels.txt": b"q0 0 d0 1\nq1 0 d1 2\n"}
    table = {
        "corpus.parquet": parquet({"_id": ["d0", "d1"], "text": ["a", "b"]}),
        "queries.parquet": parquet({"_id": ["q0"], "text": ["a"], "age": [float("nan")]}),
        "qrels/test.jsonl": lines({"query-id": "q0", "corpus-id": "d0", "score": 1}),
    }
    ids, rows = ["d0", "d1", "d2"], VECTORS.tolist()
    safe = json.dumps({"vectors": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}).encode()
    vectors = {
        ".npy": packed(lambda out: np.save(out, VECTORS)),
        ".parquet": parquet({"id": ids, "vector": rows}),
        ".jsonl": lines(*({"id": i, "vector": row} for i, row in zip(ids, rows, strict=True))),
        ".safetensors": len(safe).to_bytes(8, "little") + safe + VECTORS.tobytes(),
        ".fvecs": b"".join(struct.pack("<i4f", 4, *row) for row in rows),
    }
    run = run_files()
    return [
        Target("beir", beir, collection("{}")),
        Target("csv", csv, collection("csv:{}")),
        Target("trec", trec, collection("trec:{}")),
        Target("topics.xml", {**trec, "topics.txt": XML}, collection("trec:{}")),
        Target("parquet", table, collection("{}")),
        *(
            Target(f"vectors{end}", {f"docs{end}": data}, lambda folder: read_vectors(folder, ("docs",)))
            for end, data in vectors.items()
        ),
        Target("settings", {"s.toml": SETTINGS}, lambda folder: load_config(folder / "s.toml", environ={})),
        Target("measure", {"m": b"R(rel=2)@10"}, lambda folder: parse_measure((folder / "m").read_text("latin-1"))),
        Target("answer", {"answer": ANSWER}, answer),
        Target("complaint", {"answer": COMPLAINT}, answer),
        Target("report.json", {"report.json": run["report.json"]}, report),
        Target("ranks.npz", {"ranks.npz": run["ranks.npz"], "report.json": run["report.json"]}, read_run),
        Target("finished run", run, finished_run),
        Target("finished run, ranks edited", run | {"ranks.npz": run["ranks.npz"]}, edited_ranks),
    ]


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with a few edits: bits, cuts, repetitions, tokens that readers stumble over, other numbers, other JSON values."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        place, kind = chance.randrange(len(out) + 1), chance.randrange(8)
        if kind == 0 and out:
            out[min(place, len(out) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del out[place : place + chance.choice((1, 2, 5, 50, 10_000))]
        elif kind == 2:
            out[place:place] = chance.choice(_TOKENS)
        elif kind == 3:
            out[place : place + chance.randrange(1, 6)] = chance.choice(_TOKENS)
        elif kind == 4:
            piece = out[place : place + chance.choice((1, 8, 64))]
            out[place:place] = piece * chance.choice((1, 2, 40))
        elif kind == 5:
            out[place : place + 8] = struct.pack("<q", chance.choice((0, -1, 2**31, 2**62, -(2**63), 7)))
        elif kind == 6:
            out = bytearray(_other_number(bytes(out), chance))
        else:
            out = bytearray(_other_value(bytes(out), chance))
    return bytes(out)


def _other_number(data: bytes, chance: random.Random) -> bytes:
    """One number of a text replaced."""
    import re

    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?", data[:200_000]))
    if not found:
        return data
    one = chance.choice(found)
    other = chance.choice(
        (b"-1", b"0", b"1e400", b"99999999999999999999", b"2147483648", b"null", b'"x"', b"1.5", b"[]", b"1e-300")
    )
    return data[: one.start()] + other + data[one.end() :]


def _other_value(data: bytes, chance: random.Random) -> bytes:
    """One value of a JSON document replaced, dropped or moved; other data as it is."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(document, dict | list):
        return data
    holder: Any = document
    for _ in range(chance.randrange(1, 7)):
        inner = [
            value
            for value in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(value, dict | list) and value
        ]
        if not inner:
            break
        holder = chance.choice(inner)
    if not holder or not isinstance(holder, dict | list):
        return data
    key: Any = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    other = chance.choice((None, -1, 0, 1e300, "", "x", [], {}, True, -(2**62), 0.5, [[]], {"x": 1}))
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = other
    return json.dumps(document).encode()


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises TimeoutError where the block takes longer."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tried(target: Target, seed: int, folder: Path) -> Failure | None:
    """One mutated input of one reader."""
    chance = random.Random(f"{target.name} {seed}")
    name = chance.choice(list(target.seeds))
    place = folder / str(seed)
    files = {**target.seeds, name: mutated(target.seeds[name], chance)}
    write(place, files)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with within(MOST_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(place)
    except MrlSweepError as error:
        if error.exit_code == 70:
            return Failure(target.name, seed, f"{name}: {error}")
    except Exception as error:
        return Failure(target.name, seed, f"{name}: {type(error).__name__}: {error}")
    finally:
        for file in files:
            (place / file).unlink(missing_ok=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
    return Failure(target.name, seed, f"{name}: {grown:,} bytes more memory") if grown > MOST_BYTES else None


def fuzz(n_inputs: int, *, seed: int = 0, only: str = "") -> Iterator[Failure]:
    """The failures among so many inputs, spread over the readers."""
    readers = [target for target in targets() if only in target.name]
    with tempfile.TemporaryDirectory() as place:
        for number in range(n_inputs):
            target = readers[number % len(readers)]
            failure = tried(target, seed + number, Path(place))
            if failure is not None:
                yield failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    asked = parser.parse_args()
    kinds: dict[str, int] = {}
    for failure in fuzz(asked.inputs, seed=asked.seed, only=asked.only):
        kind = f"{failure.target}: {failure.error.partition(': ')[2][:90]}"
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= 2:
            print(f"{failure.target} --seed {failure.seed}: {failure.error[:300]}", flush=True)
    print(f"{asked.inputs:,} inputs, {sum(kinds.values()):,} failures of {len(kinds)} kinds")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
