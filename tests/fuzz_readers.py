"""Every reader that the fuzzing job tries, each with valid files to begin with."""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from embedding_helpers import CountingEmbedder, collection_of, tree, vectors_of

from mrl_sweep.api import run
from mrl_sweep.collection import LoadOptions, load_collection
from mrl_sweep.embedding import Embedder, ModelOptions, Role, Store, embed, open_embedder
from mrl_sweep.embedding.hosted.patience import Garbled, Transient
from mrl_sweep.embedding.hosted.replies import Refused, judge
from mrl_sweep.embedding.hosted.wire import Reply, by_index, in_order, member, parsed
from mrl_sweep.embedding.vectors.rows import Names
from mrl_sweep.embedding.vectors.source import VectorFolder
from mrl_sweep.errors import InputError
from mrl_sweep.events import ignore
from mrl_sweep.execution.parts import Part
from mrl_sweep.files.digests import FileDigests
from mrl_sweep.measures.measure import parse_measure
from mrl_sweep.pipeline.parts import merge_parts, run_part
from mrl_sweep.report.document import Report
from mrl_sweep.report.folder import read_run, read_runs
from mrl_sweep.report.render import Format, render
from mrl_sweep.runs.compare import side_by_side
from mrl_sweep.runs.gate import decide_gate
from mrl_sweep.runs.plan import plan_run
from mrl_sweep.runs.reopen import reopen
from mrl_sweep.runs.returned import read_returned, score_returned
from mrl_sweep.settings.config import SweepConfig, load_config
from mrl_sweep.types import Collection

LIGHT, HEAVY = 12, 2
"""Turns of a reader in a round: one that renders a report or opens a library's cache takes ten times as long as the others."""


class Target(NamedTuple):
    """One reader: valid files by name, one of which is mutated, `fixed` ones that never are, and what reads their folder."""

    name: str
    seeds: dict[str, bytes]
    read: Callable[[Path], object]
    turns: int = LIGHT
    fixed: Mapping[str, bytes] = {}


def below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


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


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


CORPUS: Final = lines(*({"_id": f"d{i}", "title": "a", "text": f"word {i}", "x": 1.5} for i in range(3)))
QUERIES: Final = lines(*({"_id": f"q{i}", "text": "word", "metadata": {"lang": "en", "n": i}} for i in range(3)))
QRELS: Final = b"query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t2\nq2\td2\t0\n"
BEIR: Final = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}
TOPICS: Final = b"<top>\n<num> Number: q0\n<title> a word\n<desc> b\n</top>\n<top>\n<num> q1\n<title> c\n</top>\n"
XML: Final = b"<topics><topic number='q0'><title>a</title></topic><topic number='q1'><query>b</query></topic></topics>"
TSV: Final = b"d0\ta\nd1\tb\n"
TREC_QRELS: Final = b"q0 0 d0 1\nq1 0 d1 2\n"
VECTORS: Final = np.arange(12, dtype=np.float32).reshape(3, 4)
NPY: Final = packed(lambda out: np.save(out, VECTORS))
SETTINGS: Final = (
    b'[collection]\nsource = "pydocs"\n[sweep]\ndims = "256,64"\nindex = ["Flat"]\n'
    b'[decision]\nmeasures = ["nDCG@10"]\nretain = "98%"\nalpha = 0.05\n[run]\nmax_memory = "4GiB"\nthreads = 2\n'
    b'[deploy]\nfunnel = ["64:100:256"]\nproject_docs = ["10M"]\n'
)
OPTIONS: Final = (
    *("dims=256,64", "dims=every:8", "measure=nDCG@10,R(rel=2)@100", "retain=98%", "alpha=0.05", "index=IVF64,PQ8", "threads=2"),
    *("funnel=64:100:256", "precision=int8,binary", "rescore=4x", "basis=pca", "budget_ms=2.5", "docs=10M", "max_memory=4GiB"),
    *("target=qdrant", "store=s3://bucket/x", "base_url=http://h/v1", "format=json", "slice=lang", "allow=excluded"),
)
ANSWER: Final = json.dumps({"data": [{"index": i, "embedding": row.tolist()} for i, row in enumerate(VECTORS)]}).encode()
ERROR: Final = {"code": 429, "message": "slow down", "type": "rate_limit", "details": [{"reason": "X"}]}
COMPLAINT: Final = json.dumps({"error": ERROR}).encode()
WEIGHTS: Final = (2).to_bytes(8, "little") + b"{}"
MODEL: Final = {
    "config.json": {"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 512, "auto_map": {"A": "b"}},
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Router", "type": "sentence_transformers.models.Router"},
    ],
    "config_sentence_transformers.json": {"prompts": {"query": "q: ", "s2p": "x"}, "similarity_fn_name": "cosine"},
    "1_Pooling/config.json": {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True},
    "2_Router/router_config.json": {"structure": {"query": ["a"], "document": ["b"]}},
    "sentence_bert_config.json": {"max_seq_length": 512},
}


# --- Collections, vectors, models -------------------------------------------------------------------------------------


def collection(folder: Path, name: str) -> object:
    loaded = load_collection(name.format(folder), options=LoadOptions(max_line_bytes=1 << 20))
    return list(loaded.documents.texts()), json.dumps(loaded.queries.metadata, allow_nan=False)


def catalogue(folder: Path) -> object:
    """`ir:` of files that lie here, registered under one name for this call."""
    library: Any = import_module("ir_datasets")
    registered = library.registry._registered
    registered.pop("fuzzed", None)
    library.registry.register("fuzzed", library.create_dataset(*(str(folder / name) for name in ("docs.tsv", "q.tsv", "qrels"))))
    return collection(folder, "ir:fuzzed")


def hub(folder: Path) -> object:
    """`hf:` of a folder, what the library keeps of it beside it."""
    library: Any = import_module("datasets")
    library.config.HF_DATASETS_CACHE, library.config.HF_HUB_OFFLINE = folder / "cache", True
    return collection(folder, "hf:{}")


def three() -> Collection:
    return collection_of(["a", "b", "c"], ["x", "y", "z"])


def vectors(folder: Path) -> object:
    """Documents and queries are the same file here, under the ids that it has."""
    return [VectorFolder(folder, Names()).load(three(), role, on_event=ignore) for role in Role]


def model(folder: Path) -> object:
    opened = open_embedder(str(folder), ModelOptions(query_prompt="s2p"))
    return isinstance(opened, Embedder) and opened.identity(Role.QUERY)


def store(folder: Path) -> object:
    """What a damaged or edited store gives is what the model gives: the figures never change (FAULTS 65)."""
    found = embed(three(), CountingEmbedder(), Store(folder / "s"))
    right = vectors_of(["a", "b", "c"])
    assert found.trained_dims == (4, 2), "facts of the model were changed"
    assert found.documents.read(0, 3).tobytes() == right.tobytes(), "vectors were changed"
    return found


def digests(folder: Path) -> object:
    return FileDigests(folder / "cache").of([folder / "a"], folder)


# --- Answers of servers -----------------------------------------------------------------------------------------------


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


# --- Settings ---------------------------------------------------------------------------------------------------------


def options(folder: Path) -> object:
    """Each line, `name=value`, as one option of the command."""
    given = [line.partition("=") for line in (folder / "options").read_text("latin-1").split("\n")]
    accepted = []
    for name, _, value in given:
        with suppress(InputError):
            accepted.append(SweepConfig.of(**{name: value}))
    return accepted


# --- Runs -------------------------------------------------------------------------------------------------------------


def report(folder: Path) -> object:
    found = Report.from_json((folder / "report.json").read_bytes())
    return [render(found, kind) for kind in Format]


def finished_run(folder: Path) -> object:
    """What `gate` and `plan` do with a finished run."""
    settings = SweepConfig.of(docs="1M", dim=2)
    return decide_gate(reopen(folder, settings), settings), plan_run(reopen(folder, settings), settings)


def two_runs(folder: Path) -> object:
    """What `compare` and `gate --baseline` do with two: the second is edited."""
    settings = SweepConfig.of(dim=2)
    first, second = reopen(folder / "a", settings), reopen(folder / "b", settings)
    return side_by_side([first, second]), decide_gate(first, settings, second)


def edited_ranks(folder: Path) -> object:
    """The same as of a finished run where one array of ranks.npz holds other numbers: a whole file that says nonsense."""
    path = folder / "ranks.npz"
    chance = random.Random(path.read_bytes() + (folder / "report.json").read_bytes())
    if not zipfile.is_zipfile(path):
        return finished_run(folder)
    try:
        with np.load(path, allow_pickle=False) as loaded:
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


def returned(folder: Path) -> object:
    """What a database returned, judged with the run beside it."""
    return score_returned(folder, SweepConfig.of(), read_returned(folder / "returned"), claimed="2", name="db")


class MadeRuns:
    """A small finished run and a finished part of one, made once; `part` refers to the folder for as long as this lives."""

    def __init__(self) -> None:
        self._place = tempfile.TemporaryDirectory()
        folder = Path(self._place.name)
        write(folder / "c", BEIR)
        write(folder / "v", {"docs.npy": NPY, "queries.npy": NPY})
        common: dict[str, Any] = {"collection": str(folder / "c"), "model": f"vectors:{folder / 'v'}", "dims": "4,2"}
        common |= {"index": "none", "store": str(folder / "s")}
        run(**common, out=str(folder / "r"))
        for part in Part.all_of(2):
            run_part(SweepConfig.of(**common, out=str(folder / "p")), part)
        self.run = {name: (folder / "r" / name).read_bytes() for name in ("report.json", "ranks.npz")}
        self.parts = {name: content for name, content in tree(folder / "p").items() if name.startswith("parts/")}

    def merged(self, folder: Path) -> object:
        """The parts in the folder put together; the collection and vectors that they name lie with this object."""
        return merge_parts(folder)


def stored() -> dict[str, bytes]:
    """The files of a store that holds three documents and queries."""
    with tempfile.TemporaryDirectory() as place:
        embed(three(), CountingEmbedder(), Store(Path(place) / "s"))
        return tree(Path(place))


# --- All of them ------------------------------------------------------------------------------------------------------


def targets() -> list[Target]:
    """Every reader with valid files."""
    csv = {
        "corpus.csv": b'id,text\nd0,a\nd1,"b\nc"\n',
        "queries.csv": b"id,text,lang\nq0,a,en\n",
        "qrels.csv": b"qid,docid,rel\nq0,d0,1\n",
    }
    table = {
        "corpus.parquet": parquet({"_id": ["d0", "d1"], "text": ["a", "b"]}),
        "queries.parquet": parquet({"_id": ["q0"], "text": ["a"], "age": [float("nan")]}),
        "qrels/test.jsonl": lines({"query-id": "q0", "corpus-id": "d0", "score": 1}),
    }
    card = "".join(f"- config_name: {part}\n  data_files: {part}.parquet\n" for part in ("corpus", "queries", "qrels"))
    hugging = {
        "README.md": f"---\nconfigs:\n{card}---\n".encode(),
        "corpus.parquet": table["corpus.parquet"],
        "queries.parquet": table["queries.parquet"],
        "qrels.parquet": parquet({"query-id": ["q0"], "corpus-id": ["d0"], "score": [1]}),
    }
    trec = {"docs.tsv": TSV, "topics.txt": TOPICS, "qrels.txt": TREC_QRELS}
    ids, rows = ["d0", "d1", "d2"], VECTORS.tolist()
    safe = json.dumps({"vectors": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}}).encode()
    both = [*ids, "q0", "q1", "q2"]
    formats = {
        ".npy": NPY,
        ".parquet": parquet({"id": both, "vector": rows * 2}),
        ".jsonl": lines(*({"id": i, "vector": row} for i, row in zip(both, rows * 2, strict=True))),
        ".safetensors": len(safe).to_bytes(8, "little") + safe + VECTORS.tobytes(),
        ".fvecs": b"".join(struct.pack("<i4f", 4, *row) for row in rows),
    }
    made = MadeRuns()
    answers = b"q0 Q0 d0 1 0.9 db\nq0 Q0 d1 2 0.5 db\nq1 Q0 d1 1 0.7 db\n"
    listed = lines({"query_id": "q0", "ids": ["d0", "d1"], "ms": 4.2}, {"query_id": "q1", "hits": [{"id": "d1", "score": 0.5}]})
    return [
        Target("beir", BEIR, partial(collection, name="{}")),
        Target("csv", csv, partial(collection, name="csv:{}")),
        Target("trec", trec, partial(collection, name="trec:{}")),
        Target("topics.xml", {**trec, "topics.txt": XML}, partial(collection, name="trec:{}")),
        Target("parquet", table, partial(collection, name="{}")),
        Target("ir", {"docs.tsv": TSV, "q.tsv": b"q0\tx\nq1\ty\n", "qrels": TREC_QRELS}, catalogue),
        Target("hf", hugging, hub, HEAVY),
        *(Target(f"vectors{end}", {f"docs{end}": data}, vectors, fixed={f"queries{end}": data}) for end, data in formats.items()),
        Target("vectors.ids", {"docs.ids.txt": b"d2\nd0\nd1\n"}, vectors, fixed={"docs.npy": NPY, "queries.npy": NPY}),
        Target(
            "model",
            {name: json.dumps(content).encode() for name, content in MODEL.items()} | {"model.safetensors": WEIGHTS},
            model,
            fixed={"tokenizer.json": b"{}"},
        ),
        Target("store", stored(), store),
        Target("digests", {"cache": b'{"/a": [1, 2, 3, 4, "x"]}'}, digests, fixed={"a": b"a"}),
        Target("settings", {"s.toml": SETTINGS}, lambda folder: load_config(folder / "s.toml", environ={})),
        Target("options", {"options": "\n".join(OPTIONS).encode()}, options),
        Target("measure", {"m": b"R(rel=2)@10"}, lambda folder: parse_measure((folder / "m").read_text("latin-1"))),
        Target("answer", {"answer": ANSWER}, answer),
        Target("complaint", {"answer": COMPLAINT}, answer),
        Target("report.json", {"report.json": made.run["report.json"]}, report, HEAVY),
        Target("ranks.npz", {"ranks.npz": made.run["ranks.npz"]}, read_run, fixed={"report.json": made.run["report.json"]}),
        Target("runs.json", {"runs.json": b'{"schema_version": 1, "runs": {"a": "a", "b": "b"}}'}, read_runs),
        Target("finished run", made.run, finished_run, HEAVY),
        Target("finished run, ranks edited", made.run, edited_ranks),
        Target(
            "two runs",
            {f"b/{k}": v for k, v in made.run.items()},
            two_runs,
            HEAVY,
            fixed={f"a/{k}": v for k, v in made.run.items()},
        ),
        Target("parts", made.parts, made.merged, HEAVY),
        Target("returned by rank", {"returned": answers}, returned, fixed=made.run),
        Target("returned lists", {"returned": listed}, returned, fixed=made.run),
    ]
