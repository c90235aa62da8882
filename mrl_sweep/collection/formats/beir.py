"""BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, each plain or compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.collection.reading.folders import (
    check_folder,
    choose_split,
    file_sizes,
    find_file,
    find_splits,
    require_file,
    split_hint,
)
from mrl_sweep.collection.reading.lines import Where, read_lines
from mrl_sweep.collection.reading.qrels import read_qrels
from mrl_sweep.collection.reading.records import json_queries
from mrl_sweep.collection.reading.text_sources import FileSource
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

BEIR_HOLDS: Final = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"


def load_beir(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection in folder `source`. Errors: InputError for everything that is not as it should be, with file and line."""
    folder = Path(source)
    check_folder(folder, BEIR_HOLDS)
    corpus = require_file(folder, ["corpus"], [".jsonl"], BEIR_HOLDS)
    if options.label_free:
        return _unjudged(source, corpus, options, on_event)
    queries = require_file(folder, ["queries"], [".jsonl"], BEIR_HOLDS)
    splits = _splits(folder)
    split = choose_split(split, splits, str(folder / "qrels"))
    qrels = splits[split]
    limit = options.max_line_bytes
    return assemble(
        Parts(
            name=folder.resolve().name,
            source=source,
            split=split,
            documents=FileSource.of(corpus, max_line_bytes=limit),
            queries=json_queries(read_lines(queries, max_line_bytes=limit), queries),
            queries_label=str(queries),
            queries_place=lambda number: str(Where(queries, number)),
            judgments=read_qrels(qrels, max_line_bytes=limit),
            judgments_label=str(qrels),
            judgments_place=lambda number: str(Where(qrels, number)),
            hint=split_hint(splits),
            facts={"layout": "beir", "files": file_sizes((corpus, queries, qrels))},
        ),
        options,
        on_event,
    )


def _unjudged(source: str, corpus: Path, options: LoadOptions, on_event: OnEvent) -> Collection:
    """The folder without its judgments, which may be missing, as may the queries."""
    folder, limit = Path(source), options.max_line_bytes
    queries = find_file(folder, ["queries"], [".jsonl"])
    return assemble(
        Parts(
            name=folder.resolve().name,
            source=source,
            split="",
            documents=FileSource.of(corpus, max_line_bytes=limit),
            queries=None if queries is None else json_queries(read_lines(queries, max_line_bytes=limit), queries),
            queries_label=str(queries),
            queries_place=lambda number: str(Where(queries or folder, number)),
            judgments=(),
            judgments_label="",
            judgments_place=str,
            facts={"layout": "beir", "files": file_sizes(filter(None, (corpus, queries)))},
        ),
        options,
        on_event,
    )


def _splits(folder: Path) -> dict[str, Path]:
    holder = folder / "qrels"
    if not holder.is_dir():
        raise InputError(f"cannot read {holder}: no such folder", BEIR_HOLDS)
    found = find_splits(folder, "qrels/{}", [".tsv"])
    if not found:
        raise InputError(f"nothing to evaluate: {holder} holds no .tsv file", BEIR_HOLDS)
    return found
