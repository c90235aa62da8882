"""`mrl-sweep score`: a real embedded LanceDB, and lists made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.deploying.targets import target_named
from mrl_sweep.types import Configuration

N, Q, DIM = 1500, 120, 64


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection with vectors whose queries are noisy copies of their one relevant document."""
    folder = tmp_path_factory.mktemp("lists")
    rng = np.random.default_rng(3)
    spectrum = 1 / np.sqrt(1 + np.arange(DIM) / 8)
    documents = (rng.standard_normal((N, DIM)) * spectrum).astype(np.float32)
    relevant = rng.choice(N, Q, replace=False)
    queries = (documents[relevant] + 0.9 * rng.standard_normal((Q, DIM)) * spectrum).astype(np.float32)
    (folder / "c" / "qrels").mkdir(parents=True)
    (folder / "v").mkdir()
    np.save(folder / "v" / "docs.npy", documents)
    np.save(folder / "v" / "queries.npy", queries)
    for name, letter, count in (("corpus", "d", N), ("queries", "q", Q)):
        lines = [json.dumps({"_id": f"{letter}{i}", "text": f"{letter}{i}"}) + "\n" for i in range(count)]
        (folder / "c" / f"{name}.jsonl").write_text("".join(lines))
    judged = [f"q{i}\td{row}\t1\n" for i, row in enumerate(relevant)]
    (folder / "c" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))
    return folder


def run_folder(command: Any, vectors: Path, out: Path) -> Path:
    told = ["--collection", str(vectors / "c"), "--model", f"vectors:{vectors / 'v'}", "--dims", "64,32,16", "--index", "none"]
    finished = command("run", *told, "--retain", "80%", "--store", str(out / "s"), "--out", str(out / "r"))
    assert finished.returncode == 0, finished.stderr
    return out / "r"


def lance_lists(vectors: Path, dim: int, folder: Path, *, index: bool) -> list[dict[str, Any]]:
    """What an embedded LanceDB returns on the first `dim` columns, with a cosine search or an index of 8-bit codes."""
    lancedb = pytest.importorskip("lancedb")
    documents, queries = (np.load(vectors / "v" / f"{name}.npy")[:, :dim] for name in ("docs", "queries"))
    rows = [{"id": f"d{i}", "vector": row.tolist()} for i, row in enumerate(documents)]
    table = lancedb.connect(str(folder)).create_table("items", rows)
    pasted = {
        one.purpose: text
        for one, text in target_named("lancedb").paste(Configuration("prefix", dim, precision="int8"), DIM, k=100)
    }
    if index:
        exec(pasted["index"], {"table": table})
    found = []
    for i, query in enumerate(queries):
        names: dict[str, Any] = {"table": table, "query": query}
        exec(pasted["query"], names)
        found.append({"query_id": f"q{i}", "ids": names["ids"]})
    return found


def test_an_exhaustive_lancedb_loses_nothing_against_the_exact_ranks(command: Any, vectors: Path, tmp_path: Path) -> None:
    run = run_folder(command, vectors, tmp_path)
    file = tmp_path / "lancedb.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lance_lists(vectors, 32, tmp_path / "db", index=False)))
    told = command("score", str(run), "--trec", str(file), "--codes", "32", "--format", "json")
    assert told.returncode == 0, told.stderr
    rows = {(row["dim"], row["index"]): row for row in json.loads(told.stdout)["candidates"]}
    returned, exact = rows[32, "lancedb"], rows[32, "exact"]
    for measure in ("nDCG@10", "R@10", "R@100"):
        assert returned["measures"][measure]["mean"] == pytest.approx(exact["measures"][measure]["mean"], abs=1e-9)
    assert returned["agreement"]["10"] == pytest.approx(exact["agreement"]["10"], abs=0.002)
    assert returned["verdict"] == exact["verdict"]


def test_lancedb_with_an_index_is_one_more_judged_configuration(command: Any, vectors: Path, tmp_path: Path) -> None:
    run = run_folder(command, vectors, tmp_path)
    file = tmp_path / "lancedb.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lance_lists(vectors, 32, tmp_path / "db", index=True)))
    told = command("score", str(run), "--trec", str(file), "--codes", "32", "--out", str(tmp_path / "with"))
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("32:float32:lancedb keeps ")
    assert "Exact search of the same codes keeps " in told.stdout
    again = json.loads(command("report", str(tmp_path / "with"), "--format", "json").stdout)
    assert again["candidates"][-1]["index"] == "lancedb"
    assert again["candidates"][-1]["verdict"] in ("pass", "inconclusive", "fail")


def test_a_trec_file_goes_by_its_scores_and_equal_scores_tie(command: Any, made_run: Any, tmp_path: Path) -> None:
    run = made_run({256: [0] * 40, 128: [0] * 40})
    lines = [f"q{i} Q0 x 1 0.5 t\nq{i} Q0 d{i} 2 0.9 t\n" for i in range(40)]
    file = tmp_path / "qdrant.trec"
    file.write_text("".join(lines))
    told = command("score", str(run), "--trec", str(file), "--codes", "128", "--format", "json")
    assert told.returncode == 0, told.stderr
    row = json.loads(told.stdout)["candidates"][-1]
    assert (row["index"], row["measures"]["nDCG@10"]["mean"]) == ("qdrant", 1.0)
    file.write_text("".join(line.replace("0.9", "0.5") for line in lines))
    row = json.loads(command("score", str(run), "--trec", str(file), "--codes", "128", "--format", "json").stdout)["candidates"][
        -1
    ]
    assert row["measures"]["nDCG@10"]["mean"] == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_latency_stands_where_the_file_has_it(command: Any, made_run: Any, tmp_path: Path) -> None:
    run = made_run({256: [0] * 40, 128: [0] * 40})
    file = tmp_path / "es.jsonl"
    file.write_text("".join(json.dumps({"_id": f"q{i}", "hits": [{"_id": f"d{i}"}], "took": i}) + "\n" for i in range(40)))
    told = command("score", str(run), "--trec", str(file), "--codes", "128", "--format", "json")
    document = json.loads(told.stdout)
    assert document["candidates"][-1]["latency_ms"]["p50"] == 19.5
    assert document["warnings"][0]["code"] == "returned-short"


def test_queries_without_an_answer_find_nothing_and_are_named(command: Any, made_run: Any, tmp_path: Path) -> None:
    run = made_run({256: [0] * 40, 128: [0] * 40})
    file = tmp_path / "half.jsonl"
    file.write_text(
        "".join(json.dumps({"id": f"q{i}", "ids": [f"d{i}"] + [f"x{n}" for n in range(20)]}) + "\n" for i in range(20))
    )
    told = command("score", str(run), "--trec", str(file), "--codes", "128", "--format", "json")
    document = json.loads(told.stdout)
    assert document["candidates"][-1]["measures"]["nDCG@10"]["mean"] == 0.5
    assert document["warnings"][0]["message"].startswith("20 of 40 queries have no answer in the file")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("q0 Q0 d1\n", ":1: 'q0 Q0 d1' is no line of a TREC run file"),
        ("q0 Q0 1 1 nan t\n", ":1: the score nan is not a number"),
        ('{"id": "q0"}\n', ":1: no query id with a list of ids"),
        ('{"id": "q0", "ids": [true]}\n', "'True' is no document id"),
        ('{"id": "q0", "ids": ["d0", "d0"]}\n', "query 'q0' has document 'd0' twice"),
        ('{"id": "q0", "ids": ["0"]}\n{"id": "q0", "ids": ["0"]}\n', ":2: query 'q0' stands here twice"),
        ('{"id": "zz", "ids": ["0"]}\n', "1 of 1 queries are none of the run's: zz"),
        ('{"id": "q0", "ids": ["nobody"]}\n', "no returned document is one that the run knows"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_place(
    command: Any, made_run: Any, tmp_path: Path, text: str, problem: str
) -> None:
    run = made_run({256: [0] * 40, 128: [0] * 40})
    file = tmp_path / "x.jsonl"
    file.write_text(text)
    told = command("score", str(run), "--trec", str(file))
    assert told.returncode == 2
    assert problem in told.stderr


def test_codes_without_exact_ranks_are_refused(command: Any, made_run: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"id": "q0", "ids": ["0"]}\n')
    told = command("score", str(made_run({256: [0] * 40, 128: [0] * 40})), "--trec", str(file), "--codes", "64:binary")
    assert told.returncode == 2
    assert "the run has no exact ranks of 64:binary" in told.stderr
