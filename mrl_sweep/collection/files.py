"""One reader for all folders and tables: BEIR, MTEB, TREC, CSV, Parquet, recognised by content; any column can be named.

Settings after commas name files (`corpus=`, `queries=`, `qrels=`; `docs=` and `topics=` mean the same), columns (`corpus.id=`,
`corpus.text=`, `corpus.title=`, `queries.id=`, `queries.text=`, `qrels.query=`, `qrels.document=`, `qrels.grade=`) and
`quotes=none` for files whose quotation marks are part of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.judgments import LoadOptions
from mrl_sweep.collection.queries import read_topics
from mrl_sweep.collection.reading.folders import (
    DEFAULT_SPLIT,
    Spec,
    check_folder,
    choose_split,
    file_sizes,
    files_digest,
    find_file,
    find_parts,
    find_qrels,
    parse_spec,
    require_file,
    split_hint,
)
from mrl_sweep.collection.reading.lines import NumberedLine, Where, is_blank, read_lines, text_of
from mrl_sweep.collection.reading.qrels import JudgmentColumns, is_judgment, read_qrels
from mrl_sweep.collection.reading.records import Query, Source, json_object, json_queries
from mrl_sweep.collection.reading.tables import (
    DOCUMENT_ID_COLUMNS,
    DOCUMENT_TEXT_COLUMNS,
    ColumnNames,
    CsvRows,
    PlaceOf,
    TableRow,
    TsvRows,
    documents,
    json_rows,
    judgments,
    named,
    queries,
    rows_of,
)
from mrl_sweep.collection.reading.text_sources import FileSource, Joined, RowSource, is_parquet, parquet_blocks
from mrl_sweep.errors import InputError
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.record import record
from mrl_sweep.types import Collection

PARTS: Final = ("corpus", "queries", "qrels")
SETTINGS: Final = (
    *PARTS,
    *("corpus.id", "corpus.text", "corpus.title", "queries.id", "queries.text"),
    *("qrels.query", "qrels.document", "qrels.grade", "quotes"),
)
ALIASES: Final = {"docs": "corpus", "documents": "corpus", "topics": "queries"}
_TABLES: Final = (".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".json")
_TEXTS: Final = (".txt", ".xml", ".trec")
_JUDGED: Final = (".tsv", ".jsonl", ".ndjson", ".parquet", ".csv", ".txt", ".qrels", ".trec", ".json")
_FIELDS: Final = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json")
_PLAIN_TSV: Final = {2: ("id", "text"), 3: ("id", "title", "text"), 4: ("id", "url", "title", "text")}


@record(kw_only=True)
class Layout:
    """Says how a kind of folder is named and what its files are usually called, preferred names first.

    `quoted` files of fields may quote them as CSV does; in others every character stands for itself, and a header may be missing.
    """

    name: str
    scheme: str
    holds: str
    corpus: tuple[str, ...]
    queries: tuple[str, ...]
    quoted: bool
    corpus_endings: tuple[str, ...] = _TABLES
    queries_endings: tuple[str, ...] = (*_TABLES, *_TEXTS)
    qrels_endings: tuple[str, ...] = _JUDGED
    called: tuple[str, str, str] = PARTS
    """What the parts are called in messages."""


BEIR: Final = Layout(
    name="beir",
    scheme="",
    holds="a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv",
    corpus=("corpus", "docs", "documents", "collection"),
    queries=("queries", "topics", "questions"),
    quoted=False,
)
TREC: Final = Layout(
    name="trec",
    scheme="trec:",
    holds="a TREC folder holds docs.jsonl or docs.tsv, topics.txt (.xml, .jsonl, .tsv) and qrels.txt; "
    "or name them: trec:docs=FILE,topics=FILE,qrels=FILE",
    corpus=("docs", "corpus", "documents", "collection"),
    queries=("topics", "queries"),
    quoted=False,
    queries_endings=(*_TEXTS, *_TABLES),
    qrels_endings=(".txt", *_JUDGED),
    called=("docs", "topics", "qrels"),
)
TABULAR: Final = Layout(
    name="tabular",
    scheme="csv:",
    holds="the folder holds corpus, queries and qrels, each .csv, .tsv, .parquet or .jsonl; "
    "or name them: csv:corpus=FILE,queries=FILE,qrels=FILE",
    corpus=("corpus", "docs", "documents"),
    queries=("queries", "topics"),
    quoted=True,
    corpus_endings=_FIELDS,
    queries_endings=_FIELDS,
    qrels_endings=(*_FIELDS, ".txt"),
)


@record
class Files:
    """Lists a collection's files (`queries` and `qrels` None where a label-free reading does without), its split and a hint.

    The corpus may lie in several, one after the other.
    """

    corpus: tuple[Path, ...]
    queries: Path | None
    qrels: Path | None
    split: str
    hint: str = ""

    def present(self) -> list[Path]:
        return [path for path in (*self.corpus, self.queries, self.qrels) if path is not None]


@record
class Reading:
    """Says how the files are read: the columns a user names, whether fields may be quoted, and the longest line."""

    spec: Spec
    quoted: bool
    limit: int

    def quotes(self, path: Path) -> bool:
        """Says whether marks around a field are no part of its text: in layouts that quote and in .csv, but for `quotes=none`."""
        return self.quoted or (_is_csv(path) and "quotes" not in self.spec.settings)


def load_files(source: str, *, layout: Layout, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """Loads the collection that `source` names in this layout. Raises InputError with file and line, or row."""
    spec = parse_spec(source, SETTINGS, layout.holds, ALIASES)
    if spec.settings.get("quotes", "none") != "none":
        raise InputError(f"quotes={spec.settings['quotes']} is not understood", "quotes=none")
    reading = Reading(spec, layout.quoted and "quotes" not in spec.settings, options.max_line_bytes)
    files = find_files(spec, layout, split, label_free=options.label_free)
    judged, judgment_place = (iter(()), str) if files.qrels is None else judgments_of(files.qrels, reading)
    topics, query_place = (None, str) if files.queries is None else queries_of(files.queries, reading)
    present = files.present()
    return assemble(
        Parts(
            name=spec.name,
            source=f"{layout.scheme}{source}",
            split=files.split,
            documents=corpus_of(files.corpus, reading),
            queries=topics,
            queries_label=str(files.queries),
            queries_place=lambda number: str(query_place(number)),
            judgments=judged,
            judgments_label=str(files.qrels),
            judgments_place=lambda number: str(judgment_place(number)),
            hint=files.hint,
            facts={"layout": layout.name, "files": file_sizes(present), "digest": files_digest(present)},
        ),
        options,
        on_event,
    )


def find_files(spec: Spec, layout: Layout, split: str | None, *, label_free: bool) -> Files:
    """Finds the files that the settings name, else those that the folder holds. Raises InputError where one is missing."""
    corpus, topics, qrels = (spec.path(part) for part in PARTS)
    folder = spec.folder
    if folder is None:
        missing = [called for called, path in zip(layout.called, (corpus, topics, qrels), strict=True) if path is None]
        if corpus is None or (missing and not label_free):
            raise InputError(f"{layout.scheme}{spec.text} names no {' and no '.join(missing)}", layout.holds)
        return Files(_parts(corpus, layout), topics, None if label_free else qrels, "" if label_free else split or DEFAULT_SPLIT)
    check_folder(folder, layout.holds, layout.scheme)
    setting = [f"{layout.scheme}{called}" for called in layout.called]
    whole = corpus or find_file(folder, layout.corpus, layout.corpus_endings)
    parts = _parts(corpus, layout) if corpus else () if whole else find_parts(folder, layout.corpus, layout.corpus_endings)
    corpora = parts or (whole or require_file(folder, layout.corpus, layout.corpus_endings, layout.holds, setting[0]),)
    if label_free:
        return Files(corpora, topics or find_file(folder, layout.queries, layout.queries_endings), None, "")
    hint = ""
    if qrels is None:
        splits = find_qrels(folder, layout.qrels_endings, layout.holds, layout.scheme)
        split, hint = (
            choose_split(split, splits, str(folder / "qrels" if (folder / "qrels").is_dir() else folder)),
            split_hint(splits),
        )
        qrels = splits[split]
    split = split or DEFAULT_SPLIT
    of_split = [f"{stem}{between}{split}" for stem in layout.queries for between in "./"]
    topics = (
        topics
        or find_file(folder, of_split, layout.queries_endings)
        or require_file(folder, layout.queries, layout.queries_endings, layout.holds, setting[1])
    )
    return Files(corpora, topics, qrels, split, hint)


def _parts(named: Path, layout: Layout) -> tuple[Path, ...]:
    """The file that is named, or those in the folder that is."""
    return (find_parts(named.parent, [named.name], layout.corpus_endings) or (named,)) if named.is_dir() else (named,)


def corpus_of(paths: tuple[Path, ...], reading: Reading) -> Source:
    """Returns the documents of these files, one file after the other."""
    sources = tuple(documents_of(path, reading) for path in paths)
    return sources[0] if len(sources) == 1 else Joined(sources)


def documents_of(path: Path, reading: Reading) -> Source:
    """Opens the documents of a file, none of them held in memory."""
    columns, limit = reading.spec.columns("corpus"), reading.limit
    if is_parquet(path):
        return RowSource(str(path), parquet_blocks(path, columns.values()), columns)
    first = _first_line(path, limit)
    if first is None:
        raise InputError(f"nothing to evaluate: {path} holds no documents")
    rows: Callable[[Iterator[NumberedLine], Path], Iterator[TableRow]]
    keep_ends = False
    if _is_json(first, path):
        if not columns and "_id" in json_object(first, path):
            return FileSource.of(path, max_line_bytes=limit)  # BEIR's own lines, which Arrow reads in blocks
        rows = json_rows
    elif reading.quotes(path) or "quotes" in reading.spec.settings:
        rows, keep_ends = CsvRows.of(path, max_line_bytes=limit, quoted=reading.quotes(path)), True
    else:
        usual_names = [named(columns, "id", DOCUMENT_ID_COLUMNS), named(columns, "text", DOCUMENT_TEXT_COLUMNS)]
        rows = TsvRows.of(path, _PLAIN_TSV, usual_names, max_line_bytes=limit)
    where = partial(Where, path)
    return FileSource.of(
        path, lambda lines, file: documents(rows(lines, file), columns, where), max_line_bytes=limit, keep_ends=keep_ends
    )


def queries_of(path: Path, reading: Reading) -> tuple[Iterable[Query], PlaceOf]:
    """Opens the queries of a file; returns them, and what turns a line or row number into a place for messages."""
    columns, where = reading.spec.columns("queries"), partial(Where, path)
    first = None if is_parquet(path) else _first_line(path, reading.limit)
    if first is not None and _is_json(first, path) and not columns and "_id" in json_object(first, path):
        return json_queries(read_lines(path, max_line_bytes=reading.limit), path), where
    table = table_of(path, reading, columns)
    if table is None:
        return read_topics(path, columns=columns, max_line_bytes=reading.limit), where
    rows, row_place = table
    return queries(rows, columns, row_place), row_place


def judgments_of(path: Path, reading: Reading) -> tuple[Iterator[JudgmentColumns], PlaceOf]:
    """Opens a file's judgments, a table or lines as BEIR and TREC write them; returns them as `queries_of` does."""
    columns = reading.spec.columns("qrels")
    first = _first_line(path, reading.limit) if _is_csv(path) and not columns else None
    has_header = first is None or not is_judgment(text_of(first, path))
    table = table_of(path, reading, columns, fields=bool(columns) or _is_csv(path)) if has_header else None
    if table is None:
        return read_qrels(path, max_line_bytes=reading.limit), partial(Where, path)
    rows, where = table
    return judgments(rows, columns, where), where


def table_of(
    path: Path, reading: Reading, columns: ColumnNames, *, fields: bool | None = None
) -> tuple[Iterator[TableRow], PlaceOf] | None:
    """Opens Parquet, JSON lines, and CSV or TSV with a header; returns None for other files.

    `fields` says whether CSV or TSV is tried; None tries it in layouts that quote, in files named .csv, and with `quotes=none`.
    """
    if is_parquet(path):
        return rows_of(parquet_blocks(path, columns.values())), lambda number: f"{path} row {number + 1:,}"
    first = _first_line(path, reading.limit)
    if first is not None and _is_json(first, path):
        return json_rows(read_lines(path, max_line_bytes=reading.limit), path), partial(Where, path)
    if first is not None and text_of(first, path).lstrip().startswith("<"):
        return None
    by_layout = reading.quoted or "quotes" in reading.spec.settings or _is_csv(path)
    if not (by_layout if fields is None else fields):
        return None
    rows = CsvRows.of(path, max_line_bytes=reading.limit, quoted=reading.quotes(path))
    return rows(read_lines(path, max_line_bytes=reading.limit, keep_ends=True), path), partial(Where, path)


def _is_csv(path: Path) -> bool:
    """Says whether a file is CSV by its name."""
    return any(suffix.lower() == ".csv" for suffix in path.suffixes)


def _first_line(path: Path, limit: int) -> NumberedLine | None:
    return next((line for line in read_lines(path, max_line_bytes=limit) if not is_blank(line)), None)


def _is_json(first: NumberedLine, path: Path) -> bool:
    return text_of(first, path).lstrip().startswith("{")
