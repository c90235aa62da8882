"""A run in parts ends with the report of a whole run, whoever completes the set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.errors import InputError
from mrl_sweep.events import Note
from mrl_sweep.execution.parts import Part
from mrl_sweep.pipeline.embed import DocumentSpan, texts_of
from mrl_sweep.pipeline.parts import merge_parts, run_part
from mrl_sweep.pipeline.run import load, run
from mrl_sweep.settings.config import SweepConfig

N_DOCS, N_QUERIES, DIM = 90, 40, 16


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    """A collection and its vectors, as settings."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "corpus"
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": f"d{i}", "title": "", "text": f"document {i}"}) for i in range(N_DOCS)]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    lines = [json.dumps({"_id": f"q{i}", "text": f"question {i}"}) for i in range(N_QUERIES)]
    (folder / "queries.jsonl").write_text("\n".join(lines) + "\n")
    rows = [f"q{i}\td{i % N_DOCS}\t1" for i in range(N_QUERIES)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")
    docs = rng.standard_normal((N_DOCS, DIM)).astype(np.float32)
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "docs.npy", docs)
    np.save(tmp_path / "vectors" / "queries.npy", docs[:N_QUERIES] + rng.standard_normal((N_QUERIES, DIM)).astype(np.float32))
    return {
        "collection": str(folder), "model": f"vectors:{tmp_path / 'vectors'}", "store": str(tmp_path / "store"), "dims": "16,8,4",
        "index": "none", "basis": ["prefix", "pca", "random"],
    }  # fmt: skip


def settings(made: dict[str, Any], out: Path, **more: str) -> SweepConfig:
    return SweepConfig.of(**{**made, **more}, out=str(out))


def comparable(folder: Path) -> dict[str, object]:
    """The report without date and place."""
    report = json.loads((folder / "report.json").read_text())
    del report["manifest"]["created"], report["manifest"]["settings"]["run.out"]
    return report


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_part_that_completes_the_set_writes_the_report_of_a_whole_run(
    made: dict[str, Any], tmp_path: Path, order: tuple[int, int, int]
) -> None:
    run(settings(made, tmp_path / "whole"))
    reports = [run_part(settings(made, tmp_path / "parts"), Part(3, number)) for number in order]
    assert [report is None for report in reports] == [True, True, False]
    assert comparable(tmp_path / "parts") == comparable(tmp_path / "whole")
    assert (tmp_path / "parts" / "rotation.npy").read_bytes() == (tmp_path / "whole" / "rotation.npy").read_bytes()


def test_merging_again_gives_the_report_again_and_a_part_that_is_there_is_not_counted_again(
    made: dict[str, Any], tmp_path: Path
) -> None:
    for number in (1, 2):
        run_part(settings(made, tmp_path / "parts"), Part(2, number))
    before, counted = comparable(tmp_path / "parts"), Part(2, 1).file(tmp_path / "parts").stat().st_mtime_ns
    (tmp_path / "parts" / "report.json").unlink()
    run_part(settings(made, tmp_path / "parts"), Part(2, 1))
    assert comparable(tmp_path / "parts") == before
    merge_parts(tmp_path / "parts")
    assert comparable(tmp_path / "parts") == before
    assert Part(2, 1).file(tmp_path / "parts").stat().st_mtime_ns == counted


def test_what_is_missing_is_said_and_merge_refuses_to_go_on(made: dict[str, Any], tmp_path: Path) -> None:
    events = []
    assert run_part(settings(made, tmp_path / "parts"), Part(3, 2), events.append) is None
    assert Note(f"part 2/3 is counted in {tmp_path / 'parts'}; missing: 1/3, 3/3") in events
    with pytest.raises(InputError, match=r"parts are missing in .*: 1/3, 3/3"):
        merge_parts(tmp_path / "parts")
    assert not (tmp_path / "parts" / "report.json").exists()


@pytest.mark.parametrize(("changed", "value"), [("dims", "16,8"), ("similarity", "dot"), ("retain", "0.9")])
def test_a_part_with_other_settings_is_refused(made: dict[str, Any], tmp_path: Path, changed: str, value: str) -> None:
    run_part(settings(made, tmp_path / "parts"), Part(2, 1))
    with pytest.raises(InputError, match=r"part 1/2 in .* was counted of other data or other settings"):
        run_part(settings(made, tmp_path / "parts", **{changed: value}), Part(2, 2))


def test_a_part_of_another_set_is_refused_before_anything_is_counted(made: dict[str, Any], tmp_path: Path) -> None:
    run_part(settings(made, tmp_path / "parts"), Part(2, 1))
    with pytest.raises(InputError, match="holds parts of 2, not of 3"):
        run_part(settings(made, tmp_path / "parts"), Part(3, 3))


def test_parts_need_a_folder_and_one_collection(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run_part(SweepConfig.of(**made), Part(2, 1))
    assert caught.value.hint == "give --out DIR"
    with pytest.raises(InputError, match="one collection"):
        run_part(settings({**made, "collection": [made["collection"], "pydocs"]}, tmp_path / "parts"), Part(2, 1))


def test_the_texts_of_a_part_are_those_rows_of_the_corpus(made: dict[str, Any], tmp_path: Path) -> None:
    collection = load(settings(made, tmp_path / "out"))
    part = texts_of(collection, Part(4, 2))
    start, stop = Part(4, 2).rows(N_DOCS)
    assert list(part.documents.ids) == [f"d{i}" for i in range(start, stop)]
    assert list(part.documents.texts()) == [f"document {i}" for i in range(start, stop)]
    assert list(part.documents.texts(2, 4)) == [f"document {start + 2}", f"document {start + 3}"]
    assert isinstance(part.documents, DocumentSpan)
    assert part.documents.titles([0]) == [f"document {start}"]
    assert len(part.documents) == stop - start


def test_the_queries_are_texts_of_the_first_part_alone(made: dict[str, Any], tmp_path: Path) -> None:
    collection = load(settings(made, tmp_path / "out"))
    assert [len(texts_of(collection, part).queries) for part in Part.all_of(3)] == [N_QUERIES, 0, 0]
