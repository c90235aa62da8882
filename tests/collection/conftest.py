"""A small BEIR folder whose every file a test may replace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CORPUS = [
    {"_id": "d1", "title": "Rain", "text": "It falls on the plain."},
    {"_id": "d2", "title": "", "text": "Snow is cold."},
    {"_id": "d3", "text": "Hail hurts."},
]
QUERIES: list[dict[str, Any]] = [
    {"_id": "q1", "text": "what falls on the plain", "metadata": {"kind": "wet", "words": 5}},
    {"_id": "q2", "text": "what is cold"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\nq2\td3\t0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder, files given by keyword replacing the usual ones; `qrels={"test": ...}` holds the splits."""

    def write(
        *,
        corpus: bytes | str | list[dict[str, Any]] = CORPUS,
        queries: bytes | str | list[dict[str, Any]] = QUERIES,
        qrels: bytes | str | dict[str, bytes | str] = QRELS,
    ) -> Path:
        (tmp_path / "qrels").mkdir(exist_ok=True)
        splits = qrels if isinstance(qrels, dict) else {"test": qrels}
        for name, content in {
            "corpus.jsonl": corpus,
            "queries.jsonl": queries,
            **{f"qrels/{split}.tsv": text for split, text in splits.items()},
        }.items():
            (tmp_path / name).write_bytes(as_bytes(content))
        return tmp_path

    return write


def as_bytes(content: bytes | str | list[dict[str, Any]]) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    return "".join(json.dumps(record) + "\n" for record in content).encode()
