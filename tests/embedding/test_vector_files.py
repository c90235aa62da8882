from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_helpers import collection_of

from mrl_sweep.embedding import Store, embed, open_embedder
from mrl_sweep.embedding.vectors.source import read_vectors
from mrl_sweep.errors import InputError

DOCS = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
QUERIES = np.random.default_rng(2).standard_normal((3, 8)).astype(np.float32)
COLLECTION = collection_of(list("abcde"), list("xyz"))


def write_npy(path: Path, rows: Any, _prefix: Any) -> None:
    np.save(path.with_suffix(".npy"), rows)


def write_safetensors(path: Path, rows: Any, _prefix: Any) -> None:
    from safetensors.numpy import save_file

    save_file({"embeddings": rows, "length": np.ones(len(rows), np.float32)}, path.with_suffix(".safetensors"))


def write_fvecs(path: Path, rows: Any, _prefix: Any) -> None:
    path.with_suffix(".fvecs").write_bytes(b"".join(struct.pack(f"<i{len(row)}f", len(row), *row) for row in rows))


def write_jsonl(path: Path, rows: Any, prefix: Any) -> None:
    lines = [json.dumps({"id": f"{prefix}{i}", "values": row.tolist(), "payload": {"n": 1}}) for i, row in enumerate(rows)]
    path.with_suffix(".jsonl").write_text("\n".join(lines[::-1]) + "\n")


def write_parquet(path: Path, rows: Any, prefix: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": [f"{prefix}{i}" for i in range(len(rows))], "vector": rows.tolist()})
    pq.write_table(table, path.with_suffix(".parquet"))


FORMATS = [write_npy, write_safetensors, write_fvecs, write_jsonl, write_parquet]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same_vectors(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "docs", DOCS, "d")
    write(tmp_path / "queries", QUERIES, "q")
    embeddings = embed(COLLECTION, open_embedder(f"vectors:{tmp_path}"), Store(tmp_path / "store"))
    assert np.array_equal(embeddings.documents.read(0, 5), DOCS)
    assert np.array_equal(embeddings.documents.take([4, 0]), DOCS[[4, 0]])
    assert np.array_equal(embeddings.queries, QUERIES)
    assert embeddings.queries.flags.c_contiguous


@pytest.mark.parametrize("write", [write_npy, write_safetensors, write_fvecs])
def test_rows_may_be_named_by_a_text_file_beside_them(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "docs", np.concatenate([DOCS[::-1], DOCS]), "")
    (tmp_path / "docs.ids.txt").write_bytes("\ufeffd4\r\nd3\nd2\nd1\nd0\nx y\n\u2028\n\n5\n-".encode())
    write(tmp_path / "queries", QUERIES, "")
    embeddings = embed(COLLECTION, open_embedder(f"vectors:{tmp_path}"), Store(tmp_path / "store"))
    assert np.array_equal(embeddings.documents.read(0, 5), DOCS)
    (tmp_path / "docs.ids.txt").write_text("d0\nd1\n")
    with pytest.raises(InputError, match=r"docs\.ids\.txt has 2 lines, .* has 10 rows"):
        read_vectors(tmp_path, ["docs"])
    (tmp_path / "docs.ids.txt").write_bytes(b"d0\n\xff\n")
    with pytest.raises(InputError, match="byte 3 is not UTF-8"):
        read_vectors(tmp_path, ["docs"])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_safetensors_keep_their_precision_and_are_not_copied(tmp_path: Path, dtype: Any) -> None:
    write_safetensors(tmp_path / "docs", DOCS.astype(dtype), "")
    rows = read_vectors(tmp_path, ["docs"]).rows
    assert isinstance(rows, np.memmap)
    assert rows.dtype == dtype
    assert np.array_equal(rows, DOCS.astype(dtype))


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    wanted = torch.from_numpy(DOCS).to(torch.bfloat16)
    save_file({"only": wanted}, tmp_path / "docs.safetensors")
    assert np.array_equal(read_vectors(tmp_path, ["docs"]).rows, wanted.float().numpy())


def test_safetensors_with_several_tables_must_name_one(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": DOCS, "b": DOCS}, tmp_path / "docs.safetensors")
    with pytest.raises(InputError, match="which tensor holds the vectors"):
        read_vectors(tmp_path, ["docs"])
    save_file({"a": DOCS.astype(np.int32)}, tmp_path / "docs.safetensors")
    with pytest.raises(InputError, match="vectors of I32"):
        read_vectors(tmp_path, ["docs"])


@pytest.mark.parametrize("cut", [0, 5, 40, -1, -100])
def test_a_torn_safetensors_file_is_refused(tmp_path: Path, cut: int) -> None:
    from safetensors.numpy import save_file

    save_file({"only": DOCS}, tmp_path / "docs.safetensors")
    path = tmp_path / "docs.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"docs\.safetensors"):
        read_vectors(tmp_path, ["docs"])


def test_an_fvecs_file_must_be_of_one_size(tmp_path: Path) -> None:
    path = tmp_path / "docs.fvecs"
    for content in (b"", b"\x08\0\0", struct.pack("<i", 0), struct.pack("<i3f", 2, 1, 2, 3), struct.pack("<i", -1)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not an \.fvecs file"):
            read_vectors(tmp_path, ["docs"])
    path.write_bytes(struct.pack("<ifif", 1, 0.5, 7, 0.5))
    with pytest.raises(InputError, match="row 1 says 7 dimensions, the first 1"):
        read_vectors(tmp_path, ["docs"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "b"}', "no vector; the keys are id"),
        ('{"vector": [1, 2]}', "no id; the keys are vector"),
        ('{"id": "b", "vector": [1]}', "a vector of 1 dimensions, the first has 2"),
        ('{"id": "b", "vector": ["1", "2"]}', "b has a vector that is no list of numbers"),
        ('{"id": "b", "vector": 3}', "b has a vector that is no list of numbers"),
        ('{"id": "b", "vec', "Invalid control character"),
        ("[1]", ""),
    ],
)
def test_a_wrong_json_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "docs.jsonl").write_text('{"id": "a", "vector": [1, 2]}\n\n' + line + "\n")
    with pytest.raises(InputError, match=r"docs\.jsonl:3: .*" + told):
        read_vectors(tmp_path, ["docs"])


def test_an_empty_json_file_has_no_vectors(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text("\n")
    with pytest.raises(InputError, match="no vectors"):
        read_vectors(tmp_path, ["docs"])
