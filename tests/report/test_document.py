"""The document: complete, strict JSON, lossless, refused where it is not ours."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.errors import InputError
from mrl_sweep.report.document import QueryScores, Report
from mrl_sweep.report.document_rows import (
    BudgetRow,
    CandidateRow,
    DocumentRow,
    FunnelRow,
    GateRow,
    LoserRow,
    ProjectionRow,
    SliceRow,
    SmallestRow,
    VerdictRow,
)
from mrl_sweep.report.exports import SCORES_FILE, write_scores
from mrl_sweep.types import Advice, Configuration, Evidence, Measure, Scores

text = st.text(st.characters(exclude_categories=()), max_size=8).filter(
    lambda s: not re.search("[\ud800-\udbff][\udc00-\udfff]", s)
)
number = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | number
whole = st.integers(0, 10**12)
maybe_whole = st.none() | whole
json_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
measure_rows = st.builds(
    Evidence,
    mean=number,
    kept=maybe,
    at_least=maybe,
    at_most=maybe,
    lost=maybe_whole,
    gained=maybe_whole,
    unchanged=maybe_whole,
    provable_loss=maybe,
    queries_needed=maybe_whole,
)
candidate_rows = st.builds(
    CandidateRow,
    basis=text,
    dim=whole,
    index=text,
    verdict=text,
    bytes_per_vector=whole,
    measures=st.dictionaries(text, measure_rows, max_size=2),
    reason=text,
    agreement=st.dictionaries(text, number, max_size=2),
    index_bytes=maybe_whole,
    build_s=maybe,
    latency_ms=st.dictionaries(text, maybe, max_size=2),
    queries_per_second=maybe,
    precision=text,
    rescore=text,
    bytes_on_disk=maybe_whole,
)
slice_rows = st.builds(
    SliceRow,
    field=text,
    value=text,
    dim=whole,
    queries=whole,
    kept=maybe,
    at_least=maybe,
    at_most=maybe,
    q_value=maybe,
    kept_by_others=maybe,
    declared=st.booleans(),
    verdict=st.none() | text,
    retain=maybe,
)
verdict_rows = st.builds(
    VerdictRow,
    dimension=whole,
    proven=maybe_whole,
    measured=maybe_whole,
    measure=text,
    retain=number,
    alpha=number,
    decide_by=text,
    kept=maybe,
    at_least=maybe,
    queries=whole,
    sentence=text,
    required=st.lists(text, max_size=2).map(tuple),
    configuration=text,
    bytes_per_vector=maybe_whole,
    bytes_on_disk=maybe_whole,
    smallest=st.lists(
        st.builds(SmallestRow, retain=number, dimension=whole, configuration=text, bytes_per_vector=whole), max_size=2
    ).map(tuple),
)
document_rows = st.lists(st.builds(DocumentRow, id=text, title=text, grade=maybe_whole), max_size=2).map(tuple)
loser_rows = st.builds(
    LoserRow,
    query_id=text,
    text=text,
    dim=whole,
    measure=text,
    full=number,
    value=number,
    left=document_rows,
    came_in=document_rows,
)
gate_rows = st.builds(
    GateRow,
    question=text,
    status=text,
    exit_code=whole,
    dim=whole,
    sentence=text,
    failures=st.lists(text, max_size=2).map(tuple),
)
funnel_rows = st.builds(
    FunnelRow,
    small=whole,
    shortlist=whole,
    large=whole,
    measure=text,
    kept_low=maybe,
    kept_high=maybe,
    at_least=maybe,
    operations=maybe_whole,
    full_operations=maybe_whole,
    hot_bytes=maybe_whole,
    verdict=text,
    recommended=st.booleans(),
    measured_kept=maybe,
    latency_ms=st.dictionaries(text, maybe, max_size=2),
)
projection_rows = st.builds(
    ProjectionRow,
    dim=whole,
    measure=text,
    documents=whole,
    value=number,
    low=maybe,
    high=maybe,
    kept=maybe,
    kept_low=maybe,
    kept_high=maybe,
    modelled=st.booleans(),
    acceptable=st.none() | st.booleans(),
    holds_up_to=maybe_whole,
)
budget_rows = st.builds(
    BudgetRow,
    budget=text,
    dim=maybe_whole,
    index=text,
    kept=maybe,
    size_bytes=maybe_whole,
    p99_ms=maybe,
    configuration=text,
    quality=maybe,
    at_least=maybe,
    acceptable=st.none() | st.booleans(),
    within=maybe_whole,
    reason=text,
)
reports = st.builds(
    Report,
    status=text,
    verdict=verdict_rows,
    candidates=st.lists(candidate_rows, max_size=2).map(tuple),
    slices=st.lists(slice_rows, max_size=2).map(tuple),
    warnings=st.lists(st.builds(Advice, text, text, text), max_size=2).map(tuple),
    excluded=st.dictionaries(text, whole, max_size=2),
    manifest=st.dictionaries(text, json_value, max_size=3),
    losers=st.lists(loser_rows, max_size=2).map(tuple),
    gate=st.none() | gate_rows,
    funnels=st.lists(funnel_rows, max_size=1).map(tuple),
    projections=st.lists(projection_rows, max_size=1).map(tuple),
    budgets=st.lists(budget_rows, max_size=1).map(tuple),
)


@given(report=reports)
@settings(max_examples=60)
def test_a_report_survives_json_unchanged(report: Report) -> None:
    written = report.to_json()
    assert Report.from_json(written) == report
    assert Report.from_json(written).to_json() == written
    assert written.isascii()


def small(**changes: object) -> Report:
    verdict = VerdictRow(
        dimension=256,
        proven=256,
        measured=128,
        measure="nDCG@10",
        retain=0.98,
        alpha=0.05,
        decide_by="bound",
        kept=0.9903,
        at_least=0.9821,
        queries=648,
        sentence="Use 256 dimensions.",
    )
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
        slices=(SliceRow(field="label", value="CONTRADICT", dim=256, queries=41, kept=0.93, at_least=0.9, q_value=0.01),)
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
    assert {"field", "value", "dim", "queries", "kept", "at_least", "q_value"} <= set(plain["slices"][0])


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
