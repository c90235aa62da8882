"""A collection in figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reread import load_collection

from mrl_sweep.collection import LoadOptions, MissingDocs
from mrl_sweep.collection.describe import Lengths, SliceField, Spread, describe, slice_fields
from mrl_sweep.events import Event, Progress
from mrl_sweep.types import Collection

Folder = Callable[..., Path]


def collection(folder: Folder) -> Collection:
    return load_collection(
        str(folder(qrels="q1\td1\t2\nq1\tgone\t1\nq1\td3\t0\nq2\td2\t1\n")), options=LoadOptions(missing_docs=MissingDocs.COUNT)
    )


def test_figures_of_a_small_collection(folder: Folder) -> None:
    found = describe(collection(folder))
    assert (found.documents, found.queries, found.judgments, found.relevant, found.missing) == (3, 2, 4, 3, 1)
    assert found.grades == {2: 1, 1: 2, 0: 1}
    assert found.judgments_per_query == Spread(1, 2.0, 2.0, 3, 3)
    assert found.relevant_per_query == Spread(1, 1.5, 1.5, 2, 2)
    assert found.document_lengths == Lengths(Spread(11, 13.0, 17.0, 27, 27))
    assert found.query_lengths.characters == Spread(12, 17.5, 17.5, 23, 23)
    assert found.excluded == {"missing_documents": 1}
    assert [remark.code for remark in found.warnings] == ["missing-documents"]
    assert found.slices == (SliceField("kind", {"wet": 1}, 1, 1), SliceField("words", {"5": 1}, 1, 1))
    json.dumps(found.to_dict())


def test_rows_are_for_people(folder: Folder) -> None:
    rows = dict(describe(collection(folder)).rows())
    assert rows["judgments"] == "4 (grades: 1 x 2, 2 x 1, 1 x 0)"
    assert rows["judged but missing"] == "1 (25.0%)"
    assert rows["missing documents"] == "1 set aside"
    assert rows["slice kind"] == "wet 1; 1 query without"


def test_values_of_slices_are_counted_most_frequent_first() -> None:
    metadata: list[dict[str, Any]] = [
        {"a": "x", "b": 1},
        {"a": "y", "b": True},
        {"a": "y", "c": None},
        {"a": "x"},
        {"a": "y"},
        {},
    ]
    assert slice_fields(metadata) == (
        SliceField("a", {"y": 3, "x": 2}, 2, 1),
        SliceField("b", {"1": 1, "true": 1}, 2, 4),
        SliceField("c", {}, 0, 6),
    )


def test_progress_reaches_the_number_of_documents(folder: Folder) -> None:
    events: list[Event] = []
    describe(collection(folder), on_event=events.append)
    assert events == [Progress("checking", 3, 3, "documents")]


def test_what_the_queries_could_prove_stands_among_the_figures(folder: Folder) -> None:
    few = describe(collection(folder))
    assert (few.units, few.strictest_share) == (2, None)
    assert dict(few.rows())["provable"] == "2 judged queries prove nothing: it takes 30"
    clustered = describe(collection(folder), cluster="kind")
    assert clustered.provable == "2 clusters of judged queries prove nothing: it takes 30"
