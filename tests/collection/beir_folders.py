"""A collection read from a folder, or the error that refuses it, in the words of these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reread import load_collection

from mrl_sweep.collection import LoadOptions, MissingDocs
from mrl_sweep.errors import InputError
from mrl_sweep.types import Collection

Folder = Callable[..., Path]
STRICT = LoadOptions(strict=True)
COUNT = LoadOptions(missing_docs=MissingDocs.COUNT)


def load(path: Path, options: LoadOptions | None = None, split: str | None = None) -> Collection:
    return load_collection(str(path), split=split, options=options or LoadOptions())


def refused(path: Path, options: LoadOptions | None = None, split: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        load(path, options, split)
    assert caught.value.exit_code == 2
    return caught.value


def judged(collection: Collection) -> dict[str, dict[str, int]]:
    """Judgments by id again; missing documents under "?"."""
    qrels = collection.qrels
    grades: dict[str, dict[str, int]] = {query: {} for query in collection.queries.ids}
    for query, row, grade in zip(qrels.queries.tolist(), qrels.rows.tolist(), qrels.grades.tolist(), strict=True):
        grades[collection.queries.ids[query]][collection.documents.ids[row] if row >= 0 else "?"] = grade
    return grades


def codes(collection: Collection) -> list[str]:
    return [remark.code for remark in collection.warnings]
