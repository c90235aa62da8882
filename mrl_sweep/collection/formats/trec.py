"""TREC collections: documents as JSON lines or TSV, topics in their usual layouts, judgments with an iteration column.

`trec:FOLDER` reads `docs` (`corpus`, `documents`, `collection`) `.jsonl` or `.tsv`, `topics` (`topics.<split>`, `queries`)
`.txt`, `.xml`, `.jsonl` or `.tsv`, and `qrels.txt` (`qrels.<split>.txt`, `qrels/<split>.txt`). Settings after commas name
files (`docs=`, `topics=`, `qrels=`) or columns (`docs.id=`, `docs.text=`, `docs.title=`, `topics.id=`, `topics.text=`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.collection.reading.columns import (
    DOCUMENT_ID_COLUMNS,
    DOCUMENT_TEXT_COLUMNS,
    Asked,
    Spec,
    documents,
    named,
    parse_spec,
)
from mrl_sweep.collection.reading.folders import (
    DEFAULT_SPLIT,
    check_folder,
    choose_split,
    file_sizes,
    find_file,
    find_qrels,
    require_file,
    split_hint,
)
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.qrels import read_qrels
from mrl_sweep.collection.reading.records import Document
from mrl_sweep.collection.reading.tables import TsvRows, json_rows
from mrl_sweep.collection.reading.text_sources import FileSource
from mrl_sweep.collection.reading.topics import read_topics
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

TREC_HOLDS: Final = (
    "a TREC folder holds docs.jsonl or docs.tsv, topics.txt (.xml, .jsonl, .tsv) and qrels.txt; "
    "or name them: trec:docs=FILE,topics=FILE,qrels=FILE"
)
_FILES: Final = ("docs", "topics", "qrels")
_COLUMNS: Final = ("docs.id", "docs.text", "docs.title", "topics.id", "topics.text")
_TOPIC_ENDINGS: Final = (".txt", ".xml", ".jsonl", ".tsv", ".trec")
_QRELS_ENDINGS: Final = (".txt", ".tsv", ".qrels", ".trec")
_TSV: Final = {2: ("id", "text"), 3: ("id", "title", "text"), 4: ("id", "url", "title", "text")}


def load_trec(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection that `trec:source` names. Errors: InputError with file and line."""
    spec = parse_spec(source, (*_FILES, *_COLUMNS), TREC_HOLDS)
    docs, topics, qrels, split, hint = _files(spec, split)
    limit = options.max_line_bytes
    return assemble(
        Parts(
            name=spec.name,
            source=f"trec:{source}",
            split=split,
            documents=document_file(docs, spec.columns("docs"), limit),
            queries=read_topics(topics, asked=spec.columns("topics"), max_line_bytes=limit),
            queries_label=str(topics),
            queries_place=lambda number: str(Where(topics, number)),
            judgments=read_qrels(qrels, max_line_bytes=limit),
            judgments_label=str(qrels),
            judgments_place=lambda number: str(Where(qrels, number)),
            hint=hint,
            facts={"layout": "trec", "files": file_sizes((docs, topics, qrels))},
        ),
        options,
        on_event,
    )


def document_file(path: Path, asked: Asked, max_line_bytes: int) -> FileSource:
    """Documents as JSON lines, or as TSV of id, text; id, title, text; or id, url, title, text: told by content."""
    first = next((line for line in read_lines(path, max_line_bytes=max_line_bytes) if not is_blank(line)), None)
    if first is None:
        raise InputError(f"nothing to evaluate: {path} holds no documents")
    if text_of(first, path).lstrip().startswith("{"):
        rows = json_rows
    else:
        known = [named(asked, "id", DOCUMENT_ID_COLUMNS), named(asked, "text", DOCUMENT_TEXT_COLUMNS)]
        rows = TsvRows.of(path, _TSV, known, max_line_bytes=max_line_bytes).__call__

    def parse(lines: Iterator[NumberedLine], file: Path) -> Iterator[tuple[int, Document]]:
        return documents(rows(lines, file), asked, lambda number: Where(file, number))

    return FileSource.of(path, parse, max_line_bytes=max_line_bytes)


def _files(spec: Spec, split: str | None) -> tuple[Path, Path, Path, str, str]:
    """Documents, topics, judgments, the split's name, and what to try when its queries are unknown."""
    named = [spec.path(part) for part in _FILES]
    if spec.folder is None:
        if None in named:
            missing = [part for part, path in zip(_FILES, named, strict=True) if path is None]
            raise InputError(f"trec:{spec.text} names no {' and no '.join(missing)}", TREC_HOLDS)
        docs, topics, qrels = (path for path in named if path is not None)
        return docs, topics, qrels, split or DEFAULT_SPLIT, ""
    folder = spec.folder
    check_folder(folder, TREC_HOLDS)
    hint = ""
    qrels_file = spec.path("qrels")
    if qrels_file is None:
        splits = find_qrels(folder, _QRELS_ENDINGS, TREC_HOLDS)
        split, hint = choose_split(split, splits, str(folder)), split_hint(splits)
        qrels_file = splits[split]
    split = split or DEFAULT_SPLIT
    docs_file = spec.path("docs") or require_file(
        folder, ["docs", "corpus", "documents", "collection"], [".jsonl", ".tsv"], TREC_HOLDS
    )
    topics_file = (
        spec.path("topics")
        or find_file(folder, [f"topics.{split}", f"topics/{split}"], _TOPIC_ENDINGS)
        or require_file(folder, ["topics", "queries"], _TOPIC_ENDINGS, TREC_HOLDS)
    )
    return docs_file, topics_file, qrels_file, split, hint
