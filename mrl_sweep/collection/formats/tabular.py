"""Tables of documents, queries and judgments: CSV, TSV, Parquet or JSON lines with named columns.

`csv:FOLDER` reads `corpus` (`docs`, `documents`), `queries` (`topics`) and `qrels` (`qrels/<split>`, `qrels.<split>`), each
`.csv`, `.tsv`, `.parquet` or `.jsonl`. Settings after commas name files (`corpus=`, `queries=`, `qrels=`), columns
(`corpus.id=`, `corpus.text=`, `corpus.title=`, `queries.id=`, `queries.text=`, `qrels.query=`, `qrels.document=`,
`qrels.grade=`) and `quotes=none` for files whose quotation marks are part of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.collection.reading.columns import Asked, Spec, TableRow, documents, judgments, parse_spec, queries
from mrl_sweep.collection.reading.folders import (
    DEFAULT_SPLIT,
    check_folder,
    choose_split,
    file_sizes,
    find_qrels,
    require_file,
    split_hint,
)
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.qrels import Judgment, read_qrels
from mrl_sweep.collection.reading.records import Document, Source
from mrl_sweep.collection.reading.tables import CsvRows, is_parquet, json_rows, parquet_rows
from mrl_sweep.collection.reading.text_sources import FileSource, RowSource
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

HOLDS: Final = (
    "the folder holds corpus, queries and qrels, each .csv, .tsv, .parquet or .jsonl; "
    "or name them: csv:corpus=FILE,queries=FILE,qrels=FILE"
)
ENDINGS: Final = (".csv", ".tsv", ".parquet", ".jsonl")
_FILES: Final = ("corpus", "queries", "qrels")
_SETTINGS: Final = (
    *_FILES,
    *("corpus.id", "corpus.text", "corpus.title", "queries.id", "queries.text"),
    *("qrels.query", "qrels.document", "qrels.grade", "quotes"),
)


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows: `rows` gives them all, in order; `where` a row's number as a place."""

    path: Path
    rows: Callable[[], Iterator[TableRow]]
    where: Callable[[int], object]


def load_tabular(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection that `csv:source` names. Errors: InputError with file and line, or row."""
    spec = parse_spec(source, _SETTINGS, HOLDS)
    if spec.settings.get("quotes", "none") != "none":
        raise InputError(f"quotes={spec.settings['quotes']} is not understood", "quotes=none")
    quoted = "quotes" not in spec.settings
    corpus, query_file, qrels, split, hint = _files(spec, split)
    limit = options.max_line_bytes
    table = open_table(query_file, limit, quoted=quoted)
    judged, judged_place = _judgments(qrels, spec.columns("qrels"), limit, quoted=quoted)
    return assemble(
        Parts(
            name=spec.name,
            source=f"csv:{source}",
            split=split,
            documents=document_table(corpus, spec.columns("corpus"), limit, quoted=quoted),
            queries=queries(table.rows(), spec.columns("queries"), table.where),
            queries_label=str(query_file),
            queries_place=lambda number: str(table.where(number)),
            judgments=judged,
            judgments_label=str(qrels),
            judgments_place=lambda number: str(judged_place(number)),
            hint=hint,
            facts={"layout": "tabular", "files": file_sizes((corpus, query_file, qrels))},
        ),
        options,
        on_event,
    )


def open_table(path: Path, max_line_bytes: int, *, quoted: bool = True) -> RowFile:
    """The rows of a file, told by content: Parquet, JSON lines, else CSV or TSV with a header."""
    if is_parquet(path):
        rows = parquet_rows([path])
        return RowFile(path, lambda: rows(0), lambda number: f"{path} row {number + 1:,}")
    keep_ends = not _is_json(path, max_line_bytes)
    parse = CsvRows.of(path, max_line_bytes=max_line_bytes, quoted=quoted) if keep_ends else json_rows
    return RowFile(
        path,
        lambda: parse(read_lines(path, max_line_bytes=max_line_bytes, keep_ends=keep_ends), path),
        lambda number: Where(path, number),
    )


def document_table(path: Path, asked: Asked, max_line_bytes: int, *, quoted: bool = True) -> Source:
    """The documents of a file, told by content as in `open_table`; none of them kept in memory."""
    if is_parquet(path):
        return RowSource(str(path), parquet_rows([path]), asked)
    keep_ends = not _is_json(path, max_line_bytes)
    rows = CsvRows.of(path, max_line_bytes=max_line_bytes, quoted=quoted) if keep_ends else json_rows

    def parse(lines: Iterator[NumberedLine], file: Path) -> Iterator[tuple[int, Document]]:
        return documents(rows(lines, file), asked, lambda number: Where(file, number))

    return FileSource.of(path, parse, max_line_bytes=max_line_bytes, keep_ends=keep_ends)


def _judgments(
    path: Path, asked: Asked, max_line_bytes: int, *, quoted: bool
) -> tuple[Iterator[Judgment], Callable[[int], object]]:
    """Judgments of a table with named columns; of a TSV file also as BEIR and TREC write them."""
    if path.name.partition(".tsv")[1] and not asked:
        return read_qrels(path, max_line_bytes=max_line_bytes), lambda number: Where(path, number)
    table = open_table(path, max_line_bytes, quoted=quoted)
    return judgments(table.rows(), asked, table.where), table.where


def _files(spec: Spec, split: str | None) -> tuple[Path, Path, Path, str, str]:
    """Corpus, queries, judgments, the split's name, and what to try when its queries are unknown."""
    corpus, query_file, qrels = (spec.path(part) for part in _FILES)
    folder = spec.folder
    if folder is None:
        if corpus is None or query_file is None or qrels is None:
            missing = [part for part, path in zip(_FILES, (corpus, query_file, qrels), strict=True) if path is None]
            raise InputError(f"csv:{spec.text} names no {' and no '.join(missing)}", HOLDS)
        return corpus, query_file, qrels, split or DEFAULT_SPLIT, ""
    check_folder(folder, HOLDS)
    hint = ""
    if qrels is None:
        splits = find_qrels(folder, ENDINGS, HOLDS)
        split, hint = choose_split(split, splits, str(folder)), split_hint(splits)
        qrels = splits[split]
    corpus = corpus or require_file(folder, ["corpus", "docs", "documents"], ENDINGS, HOLDS)
    query_file = query_file or require_file(folder, ["queries", "topics"], ENDINGS, HOLDS)
    return corpus, query_file, qrels, split or DEFAULT_SPLIT, hint


def _is_json(path: Path, max_line_bytes: int) -> bool:
    first = next((line for line in read_lines(path, max_line_bytes=max_line_bytes) if not is_blank(line)), None)
    return first is not None and text_of(first, path).lstrip().startswith("{")
