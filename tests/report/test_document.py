"""The document: complete, strict JSON, lossless, refused where it is not ours."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
import types
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_evaluation import verdict_row

from mrl_sweep.errors import InputError
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.document_rows import CandidateRow
from mrl_sweep.report.exports import SCORES_FILE, write_scores
from mrl_sweep.types import Configuration, Evidence, Measure, Scores, SliceRow

text = st.text(st.characters(exclude_categories=()), max_size=8).filter(
    lambda s: not re.search("[\ud800-\udbff][\udc00-\udfff]", s)
)
number = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 10**12)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Whatever a field of this type may hold."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        held = [
            one.name for one in dataclasses.fields(hint) if one.metadata.get("document", True) and one.name != "schema_version"
        ]
        return st.builds(hint, **{name: values(hints[name]) for name in held})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.none() | values(arguments[0])
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=1).map(tuple)
    if origin is not None:
        return st.dictionaries(text, values(arguments[1]), max_size=1)
    return {str: text, float: number, int: whole, bool: st.booleans(), Any: json_value}[hint]


@given(report=values(Report))
@settings(max_examples=60)
def test_a_report_survives_json_unchanged(report: Report) -> None:
    written = report.to_json()
    assert Report.from_json(written) == report
    assert Report.from_json(written).to_json() == written
    assert written.isascii()


def small(**changes: object) -> Report:
    verdict = verdict_row(measured=128)
    row = CandidateRow(
        basis="prefix",
        dim=256,
        index="exact",
        verdict="pass",
        bytes_per_vector=1024,
        measures={
            "nDCG@10": Evidence(mean=0.3379, kept=0.9903, at_least=0.9821, at_most=0.9985, lost=41, gained=37, unchanged=570)
        },
        agreement={"10": 0.87},
    )
    report = Report(status="pass", verdict=verdict, candidates=(row,), manifest={"model": {}, "collection": {}, "versions": {}})
    return replace(report, **changes)  # type: ignore[arg-type]


def test_the_document_has_every_field_of_the_contract_in_its_order() -> None:
    document = small(
        slices=(
            SliceRow(
                field="label", value="NO", dim=256, queries=41, kept=0.93, at_least=0.9, q_value=0.01, p_value=0.002, p_below=0.5
            ),
        )
    )
    plain = document.to_dict()
    contract = ["schema_version", "status", "verdict", "candidates", "slices", "warnings", "excluded", "manifest"]
    assert list(plain)[: len(contract)] == contract
    verdict = ["dimension", "proven", "measured", "measure", "retain", "alpha", "decide_by", "kept", "at_least", "queries"]
    added = ["configuration", "bytes_per_vector", "bytes_on_disk", "smallest", "clusters"]
    added += ["bytes_sentence", "proven_configurations", "by_share", "by_default"]
    assert list(plain["verdict"]) == [*verdict, "sentence", "required", *added]
    candidate = plain["candidates"][0]
    assert list(candidate["measures"]["nDCG@10"].items()) == [
        ("mean", 0.3379),
        ("kept", 0.9903),
        ("at_least", 0.9821),
        ("at_most", 0.9985),
        ("lost", 41),
        ("gained", 37),
        ("unchanged", 570),
        ("provable_loss", None),
        ("queries_needed", None),
    ]
    assert candidate["agreement"] == {"10": 0.87}
    assert candidate["index_bytes"] is None
    assert candidate["latency_ms"] == {"p50": None, "p99": None}
    of_slice = ["field", "value", "dim", "queries", "kept", "at_least", "at_most", "q_value", "kept_by_others", "declared"]
    assert list(plain["slices"][0]) == [*of_slice, "verdict", "retain"], "p-values are the search's own"


def test_what_is_not_finite_is_null() -> None:
    report = small(manifest={"a": math.nan, "b": [math.inf, np.float32("-inf")], "c": np.array([1, 2])})
    assert json.loads(report.to_json())["manifest"] == {"a": None, "b": [None, None], "c": [1, 2]}


def test_a_mean_over_no_query_is_null_and_reads_back_as_not_a_number() -> None:
    row = CandidateRow(
        basis="prefix", dim=1, index="exact", verdict="baseline", bytes_per_vector=4, measures={"R": Evidence(mean=math.nan)}
    )
    written = small(candidates=(row,)).to_json()
    assert "NaN" not in written
    assert math.isnan(Report.from_json(written).candidates[0].measures["R"].mean)


def test_what_is_read_is_written_again_to_the_letter() -> None:
    row = replace(small().candidates[0], smaller={"docs": 2706, "p50_ms": 0.05, "recall": 1.0, "p99_ms": None})
    written = small(candidates=(row,)).to_json()
    assert '"docs": 2706,' in written
    assert Report.from_json(written).to_json() == written


def test_keys_of_a_later_version_are_passed_over() -> None:
    plain = small().to_dict()
    plain["added_later"] = 1
    plain["verdict"]["added_later"] = 1
    assert Report.from_dict(plain) == small()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 3}, "r.json: schema_version is 3; this version reads 1 and 2"),
        ({"schema_version": "1"}, "r.json: schema_version is '1'; this version reads 1 and 2"),
        ({"schema_version": True}, "r.json: schema_version is True; this version reads 1 and 2"),
        ({"status": 1}, "r.json: status should be text, not 1"),
        ({"verdict": None}, "r.json: verdict should be an object, not null"),
        ({"candidates": {}}, "r.json: candidates should be a list, not {}"),
        ({"candidates": [{"basis": "prefix"}]}, "r.json: candidates[0].dim is missing"),
        ({"excluded": {"empty": 1.5}}, "r.json: excluded.empty should be a whole number, not 1.5"),
    ],
)
def test_a_document_that_is_not_ours_is_refused_with_the_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Report.from_dict(small().to_dict() | change, source="r.json")
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize("written", ["", "{", "[]", "null", '{"a": 1}', '{"schema_version": NaN}', b"\xff\xfe\x00"])
def test_what_is_no_report_at_all_is_an_input_error(written: str | bytes) -> None:
    with pytest.raises(InputError, match=r"^r\.json"):
        Report.from_json(written, source="r.json")


def two_candidates() -> QueryScores:
    values = np.arange(12, dtype=float).reshape(2, 2, 3)
    counted = np.array([[True, True, False], [True, True, True]])
    candidates = (Configuration("prefix", 4), Configuration("pca", 2, "HNSW32"))
    return QueryScores(Scores(candidates, (Measure("nDCG", 10), Measure("R", 10)), values, counted), ("a", "b", "c"))


def test_the_frame_is_long_form_and_leaves_excluded_queries_out() -> None:
    frame = small(scores=two_candidates()).to_frame()
    assert [tuple(row) for row in frame.itertuples(index=False)] == [
        ("prefix", 4, "exact", "float32", "", "nDCG@10", "a", 0.0),
        ("prefix", 4, "exact", "float32", "", "nDCG@10", "b", 1.0),
        ("prefix", 4, "exact", "float32", "", "R@10", "a", 3.0),
        ("prefix", 4, "exact", "float32", "", "R@10", "b", 4.0),
        ("prefix", 4, "exact", "float32", "", "R@10", "c", 5.0),
        ("pca", 2, "HNSW32", "float32", "", "nDCG@10", "a", 6.0),
        ("pca", 2, "HNSW32", "float32", "", "nDCG@10", "b", 7.0),
        ("pca", 2, "HNSW32", "float32", "", "R@10", "a", 9.0),
        ("pca", 2, "HNSW32", "float32", "", "R@10", "b", 10.0),
        ("pca", 2, "HNSW32", "float32", "", "R@10", "c", 11.0),
    ]


def test_the_frame_from_the_folder_equals_the_one_from_memory(tmp_path: Path) -> None:
    folder = tmp_path / "dim=256"  # a name that Parquet readers take for a partition
    folder.mkdir()
    write_scores(folder / SCORES_FILE, two_candidates())
    read, memory = small(folder=folder).to_frame(), small(scores=two_candidates()).to_frame()
    assert list(read.columns) == ["basis", "dim", "index", "precision", "rescore", "measure", "query_id", "value"]
    assert read.astype(object).equals(memory.astype(object))


def test_a_report_without_scores_says_where_they_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never written"):
        small().to_frame()
    with pytest.raises(InputError, match=r"scores\.parquet"):
        small(folder=tmp_path).to_frame()
    (tmp_path / SCORES_FILE).write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a Parquet file"):
        small(folder=tmp_path).to_frame()


def test_reading_a_report_imports_no_heavy_package() -> None:
    code = (
        "import sys; from mrl_sweep.report.folder import read_report, read_run; "
        "from mrl_sweep.report.render import render; "
        "heavy = {'pandas', 'pyarrow', 'faiss', 'torch', 'numba', 'scipy', 'jinja2', 'rich'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
