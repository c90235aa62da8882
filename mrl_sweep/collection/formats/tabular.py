"""Tables of documents, queries and judgments: CSV, TSV, Parquet or JSON lines with named columns (`csv:`).

`csv:FOLDER` reads `corpus` (`docs`, `documents`), `queries` (`topics`) and `qrels` (`qrels/<split>`, `qrels.<split>`), each
`.csv`, `.tsv`, `.parquet` or `.jsonl`; `csv:corpus=FILE,queries=FILE,qrels=FILE` names them.
"""

from __future__ import annotations

from typing import Final

from mrl_sweep.collection.formats.files import Layout, load_files
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

HOLDS: Final = (
    "the folder holds corpus, queries and qrels, each .csv, .tsv, .parquet or .jsonl; "
    "or name them: csv:corpus=FILE,queries=FILE,qrels=FILE"
)
ENDINGS: Final = (".csv", ".tsv", ".parquet", ".jsonl")
TABULAR: Final = Layout(
    name="tabular",
    scheme="csv:",
    holds=HOLDS,
    corpus=("corpus", "docs", "documents"),
    queries=("queries", "topics"),
    quoted=True,
    corpus_endings=ENDINGS,
    queries_endings=ENDINGS,
    qrels_endings=(*ENDINGS, ".txt"),
)


def load_tabular(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection that `csv:source` names. Errors: InputError with file and line, or row."""
    return load_files(source, TABULAR, split=split, options=options, on_event=on_event)
