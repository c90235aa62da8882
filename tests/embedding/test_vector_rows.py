"""Vectors beside ids, under the names that databases and notebooks give them, and faults that name whose vector it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.embedding import open_embedder
from mrl_sweep.embedding.vectors.rows import ID_KEYS, VECTOR_KEYS, Names
from mrl_sweep.embedding.vectors.source import USUAL_NAMES, read_vectors
from mrl_sweep.errors import InputError

ROWS = [[0.5, 1.0, 2.0], [1.5, -1.0, 0.25]]


def write(folder: Path, kind: str, records: list[dict[str, Any]]) -> None:
    """The records as a user has them: in `docs.jsonl`, a CSV, one Parquet file or a folder of them, LanceDB, a VDF folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "jsonl":
        (folder / "docs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    elif kind == "csv":
        with (folder / "docs.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, records[0].keys())
            writer.writeheader()
            writer.writerows(records)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), folder / "docs.parquet")
    elif kind == "lance":
        lancedb = pytest.importorskip("lancedb")
        lancedb.connect(str(folder)).create_table("docs", pa.Table.from_pylist(records))
    else:
        place = folder / ("vectors" if kind == "vdf" else "docs")
        place.mkdir()
        for i, record in enumerate(records):
            pq.write_table(pa.Table.from_pylist([record]), place / f"{i + 9}.parquet")
        if kind == "vdf":
            index = {
                "namespace": "",
                "data_path": "vectors",
                "vector_columns": ["my_vec_v2"],
                "dimensions": 3,
                "metric": "Cosine",
            }
            (folder / "VDF_META.json").write_text(json.dumps({"version": "0.1", "indexes": {"items": [index]}}))


def read(folder: Path, names: Names = USUAL_NAMES) -> dict[str, list[float]]:
    table = read_vectors(folder, ("docs",), names)
    assert table.ids is not None
    return dict(zip(table.ids, np.asarray(table.rows, np.float32).tolist(), strict=True))


KINDS = pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])


@KINDS
@pytest.mark.parametrize(("key", "column"), [*((key, "vector") for key in ID_KEYS), *(("id", name) for name in VECTOR_KEYS)])
def test_usual_names_are_known(tmp_path: Path, kind: str, key: str, column: str) -> None:
    write(tmp_path, kind, [{key: f"d{i}", column: row, "text": "t"} for i, row in enumerate(ROWS)])
    assert read(tmp_path) == {"d0": ROWS[0], "d1": ROWS[1]}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "folder", "lance", "vdf"])
def test_the_only_list_of_numbers_is_the_vector(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"id": i, "my_vec_v2": row, "tags": "[a]"} for i, row in enumerate(ROWS)])
    assert read(tmp_path) == {"0": ROWS[0], "1": ROWS[1]}


@KINDS
def test_a_vector_may_be_text(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"id": f"d{i}", "embedding": str(row)} for i, row in enumerate(ROWS)])
    assert read(tmp_path) == {"d0": ROWS[0], "d1": ROWS[1]}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_named_vector_is_found(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"id": f"d{i}", "vector": {"dense": row}} for i, row in enumerate(ROWS)])
    assert read(tmp_path) == {"d0": ROWS[0], "d1": ROWS[1]}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_of_several_named_vectors_none_is_guessed(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"id": "d0", "vector": {"title": ROWS[0], "body": ROWS[1]}}])
    with pytest.raises(InputError, match="which of the named vectors is meant\\? title, body"):
        read(tmp_path)
    assert read(tmp_path, Names.parse("vector=body")) == {"d0": ROWS[1]}
    with pytest.raises(InputError, match="which of the named vectors is meant"):
        read(tmp_path, Names.parse("vector=none"))


@KINDS
def test_columns_of_other_names_are_found_by_name(tmp_path: Path, kind: str) -> None:
    rows = [{"sku": f"00{i}", "id": i, "vector": ROWS[0], "mine": row} for i, row in enumerate(ROWS)]
    write(tmp_path, kind, rows)
    assert read(tmp_path, Names.parse("id=sku&vector=mine")) == {"000": ROWS[0], "001": ROWS[1]}
    with pytest.raises(InputError, match=r"no (id|column of ids); the (keys|columns) are sku"):
        read(tmp_path, Names.parse("id=nothing"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv", "lance"])
def test_a_vector_of_another_name_than_the_one_that_is_meant_is_not_taken(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"id": f"d{i}", "embedding": row} for i, row in enumerate(ROWS)])
    with pytest.raises(InputError, match=r"no (vector body|column of vectors); the (keys|columns) are id"):
        read(tmp_path, Names.parse("vector=body"))


def test_a_file_without_columns_has_none_to_name(tmp_path: Path) -> None:
    np.save(tmp_path / "docs.npy", np.array(ROWS, np.float32))
    with pytest.raises(InputError, match="has rows and no columns to name"):
        read(tmp_path, Names.parse("vector=body"))


def test_a_name_that_vectors_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vectors have an id and a vector, no table"):
        open_embedder(f"vectors:{tmp_path}?table=x")


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ("{", "not a description of vectors"),
        ('{"indexes": {"a": [], "b": []}}', "no index is called docs: a, b"),
        ('{"indexes": {"docs": [{}]}}', "not a description of vectors"),
        ('{"indexes": {"docs": [{"data_path": "none"}]}}', "cannot read .*none"),
    ],
)
def test_a_vdf_folder_that_describes_nothing_is_refused(tmp_path: Path, meta: str, told: str) -> None:
    (tmp_path / "VDF_META.json").write_text(meta)
    with pytest.raises(InputError, match=told):
        read(tmp_path)


def test_a_csv_keeps_its_ids_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "docs.csv").write_text('id,embedding\n"007","[1, 2]"\n1e3,"[3,\n4]"\n')
    assert read(tmp_path) == {"007": [1.0, 2.0], "1e3": [3.0, 4.0]}


def test_an_empty_folder_or_a_csv_without_rows_has_no_vectors(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    with pytest.raises(InputError, match="no Parquet file lies in it"):
        read(tmp_path)
    (tmp_path / "docs.csv").write_text("id,embedding\n")
    with pytest.raises(InputError, match="no vectors"):
        read(tmp_path)


@KINDS
def test_a_null_vector_names_its_document(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, [{"_id": "d0", "embedding": ROWS[0]}, {"_id": "d1", "embedding": None}])
    with pytest.raises(InputError, match=r"no vector \(null\).*d1|d1 has no vector|d1 has a vector that is text"):
        read(tmp_path)


@KINDS
@pytest.mark.parametrize("value", ["none", '[1, "a"]', "{}", "[]", "[true]"])
def test_text_that_is_no_vector_names_its_document(tmp_path: Path, kind: str, value: str) -> None:
    write(tmp_path, kind, [{"_id": "d0", "embedding": value}])
    with pytest.raises(InputError, match="d0 has a vector that is"):
        read(tmp_path)


def test_a_column_of_another_type_is_named_with_its_type(tmp_path: Path) -> None:
    write(tmp_path, "parquet", [{"id": "d0", "vector": [1, 2]}])
    with pytest.raises(InputError, match=r"`vector` is of type list<element: int64>"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["docs.npy", "docs.parquet", "docs.jsonl", "docs.safetensors", "docs.fvecs"])
def test_a_git_lfs_pointer_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 9\n")
    with pytest.raises(InputError, match="is a Git LFS pointer"):
        read(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 3), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        b"{'descr': '<f4\x00', 'shape': (2, 3), }",
        b"\xff\xfe\x00",
        b"(" * 90,
    ],
)
def test_row_64_a_damaged_npy_header_is_the_files_fault(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "docs.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 24)
    with pytest.raises(InputError, match=r"docs\.npy"):
        read(tmp_path)
