from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_helpers import collection_of

from mrl_sweep.embedding import Store, embed, open_embedder
from mrl_sweep.errors import InputError
from mrl_sweep.types import FileRows

DOCS = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
QUERIES = np.random.default_rng(2).standard_normal((3, 8)).astype(np.float32)
COLLECTION = collection_of(list("abcde"), list("xyz"))


def folder_of(path: Path, docs: Any = DOCS, queries: Any = QUERIES) -> Any:
    np.save(path / "docs.npy", docs)
    np.save(path / "queries.npy", queries)
    return path


def load(path: Path, collection: Any = COLLECTION) -> Any:
    return embed(collection, open_embedder(f"vectors:{path}"), Store(path / "store"))


def write_parquet(path: Path, ids: Any, rows: Any, kind: Any = None) -> None:
    vectors = kind(rows) if kind else pa.array([row.tolist() for row in rows], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, "vector": vectors}), path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_taken_in_file_order_whatever_their_precision(tmp_path: Path, dtype: Any) -> None:
    embeddings = load(folder_of(tmp_path, DOCS.astype(dtype), QUERIES.astype(dtype)))
    assert np.array_equal(embeddings.documents.read(0, 5), DOCS.astype(dtype).astype(np.float32))
    assert np.array_equal(embeddings.queries, QUERIES.astype(dtype).astype(np.float32))
    assert embeddings.queries.dtype == np.float32
    assert isinstance(embeddings.documents.parts[0], np.memmap)
    assert embeddings.model["dim"] == 8
    assert not (tmp_path / "store").exists()


def test_rows_of_records_that_are_not_evaluated_are_passed_over(tmp_path: Path) -> None:
    collection = collection_of(
        list("ac"), ["z"], document_rows=FileRows(np.array([0, 2]), 5), query_rows=FileRows(np.array([2]), 3)
    )
    embeddings = load(folder_of(tmp_path), collection)
    assert np.array_equal(embeddings.documents.read(0, 2), DOCS[[0, 2]])
    assert np.array_equal(embeddings.queries, QUERIES[[2]])


@pytest.mark.parametrize(
    ("docs", "queries", "told"), [(DOCS[:4], QUERIES, "4 rows.*5 documents"), (DOCS, DOCS, "5 rows.*3 queries")]
)
def test_another_number_of_rows_is_refused_naming_both(tmp_path: Path, docs: Any, queries: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load(folder_of(tmp_path, docs, queries))


def test_the_number_is_held_against_the_file_not_against_what_is_evaluated(tmp_path: Path) -> None:
    collection = collection_of(list("abcde"), ["z"], query_rows=FileRows(np.array([2]), 4))
    with pytest.raises(InputError, match="3 rows, the collection's file has 4 queries"):
        load(folder_of(tmp_path), collection)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_ids(tmp_path: Path, value: Any) -> None:
    docs = DOCS.copy()
    docs[[1, 3], 2] = value
    with pytest.raises(InputError, match=r"docs\.npy: NaN or infinite values for documents d1, d3") as caught:
        load(folder_of(tmp_path, docs))
    assert caught.value.exit_code == 2
    queries = QUERIES.copy()
    queries[2, 0] = value
    with pytest.raises(InputError, match=r"queries\.npy: NaN or infinite values for queries q2"):
        load(folder_of(tmp_path, DOCS, queries))


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was read",))


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    array = np.empty(5, object)
    array[:] = [Bomb()] * 5
    np.save(tmp_path / "docs.npy", array, allow_pickle=True)
    np.save(tmp_path / "queries.npy", QUERIES)
    with pytest.raises(InputError, match="it holds pickled objects"):
        load(tmp_path)
    (tmp_path / "docs.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"docs\.npy: not a plain \.npy file"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", [".pkl", ".pt", ".pth"])
def test_a_pickle_instead_of_an_array_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"docs{suffix}").write_bytes(b"x")
    np.save(tmp_path / "queries.npy", QUERIES)
    with pytest.raises(InputError, match=rf"docs\{suffix}: pickles are refused"):
        load(tmp_path)


@pytest.mark.parametrize("docs", [DOCS.astype(np.int64), DOCS[0], DOCS[None], np.array(["a", "b"])])
def test_what_is_no_table_of_floats_is_refused(tmp_path: Path, docs: Any) -> None:
    with pytest.raises(InputError, match="vectors"):
        load(folder_of(tmp_path, docs))


def test_documents_and_queries_of_different_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"8 dimensions in docs\.npy, 4 in queries\.npy"):
        load(folder_of(tmp_path, DOCS, QUERIES[:, :4]))


def test_a_folder_without_vectors_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no vectors of the documents") as caught:
        load(tmp_path)
    assert "docs.npy" in caught.value.hint
    with pytest.raises(InputError, match="not a folder"):
        open_embedder(f"vectors:{tmp_path}/none")


def test_zero_vectors_are_counted_and_named(tmp_path: Path) -> None:
    docs = DOCS.copy()
    docs[[0, 4]] = 0
    embeddings = load(folder_of(tmp_path, docs))
    assert [(advice.code, advice.message) for advice in embeddings.warnings] == [
        ("zero-documents", "2 documents have a zero vector and score 0 for every query: d0, d4")
    ]


def test_vectors_that_are_all_alike_are_called_collapsed(tmp_path: Path) -> None:
    embeddings = load(folder_of(tmp_path, np.ones((5, 8), np.float32)))
    assert [advice.code for advice in embeddings.warnings] == ["collapsed-embeddings"]


def test_whether_vectors_have_unit_length_is_recorded(tmp_path: Path) -> None:
    assert load(folder_of(tmp_path)).model["unit_length"] is False
    unit = DOCS / np.linalg.norm(DOCS, axis=1, keepdims=True)
    assert load(folder_of(tmp_path, unit)).model["unit_length"] is True


KINDS = {
    "list": lambda rows: pa.array([row.tolist() for row in rows], pa.list_(pa.float32())),
    "large list": lambda rows: pa.array([row.tolist() for row in rows], pa.large_list(pa.float64())),
    "fixed list": lambda rows: pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 8),
    "half": lambda rows: pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel().astype(np.float16)), 8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_is_matched_by_id_in_any_order_with_any_surplus(tmp_path: Path, kind: Any) -> None:
    docs = np.concatenate([DOCS, DOCS[:1] * 2])[[3, 5, 1, 0, 2, 4]]
    write_parquet(tmp_path / "docs.parquet", ["d3", "surplus", "d1", "d0", "d2", "d4"], docs, KINDS[kind])
    write_parquet(tmp_path / "queries.parquet", ["q2", "q1", "q0"], QUERIES[::-1], KINDS[kind])
    embeddings = load(tmp_path)
    exact = np.float16 if kind == "half" else np.float32
    assert np.array_equal(embeddings.documents.read(0, 5), DOCS.astype(exact).astype(np.float32))
    assert np.array_equal(embeddings.queries, QUERIES.astype(exact).astype(np.float32))


def test_parquet_read_in_several_batches_is_the_same(tmp_path: Path) -> None:
    n = 70_000
    rows = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
    table = pa.table({"id": [f"d{i}" for i in range(n)], "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 2)})
    pq.write_table(table, tmp_path / "docs.parquet", row_group_size=30_000)
    np.save(tmp_path / "queries.npy", QUERIES[:1, :2])
    embeddings = load(tmp_path, collection_of(["t"] * n))
    assert np.array_equal(embeddings.documents.read(0, n), rows)


@pytest.mark.parametrize(
    ("ids", "rows", "told"),
    [
        (["d0", "d1", "d2", "d3", "d5"], DOCS, "no vector for documents d4"),
        (["d0", "d1", "d2", "d3", "d3"], DOCS, "1 id occurs more than once"),
    ],
)
def test_parquet_ids_must_fit(tmp_path: Path, ids: list[str], rows: Any, told: str) -> None:
    folder_of(tmp_path)
    (tmp_path / "docs.npy").unlink()
    write_parquet(tmp_path / "docs.parquet", ids, rows)
    with pytest.raises(InputError, match=told):
        load(tmp_path)


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0, 2.0], [1.0], [3.0]],
        [[1.0, 2.0], None, [3.0, 4.0]],
        [[1, 2], [3, 4], [5, 6]],
        [1.0, 2.0, 3.0],
        [[1.0, None]] * 3,
        [[]] * 3,
    ],
)
def test_parquet_vectors_must_be_lists_of_one_length(tmp_path: Path, vectors: Any) -> None:
    pq.write_table(pa.table({"id": ["d0", "d1", "d2"], "vector": vectors}), tmp_path / "docs.parquet")
    np.save(tmp_path / "queries.npy", QUERIES[:1, :2])
    with pytest.raises(InputError, match=r"docs\.parquet"):
        load(tmp_path, collection_of(list("abc")))


def test_parquet_with_other_columns_and_broken_files_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["d0"]}), tmp_path / "docs.parquet")
    with pytest.raises(InputError, match="no column of ids; the columns are key"):
        load(tmp_path)
    (tmp_path / "docs.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path)
