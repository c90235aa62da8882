"""TREC collections: documents as JSON lines or TSV, topics in their usual layouts, judgments with an iteration column (`trec:`).

`trec:FOLDER` reads `docs` (`corpus`, `documents`, `collection`), `topics` (`topics.<split>`, `queries`) and `qrels.txt`
(`qrels.<split>.txt`, `qrels/<split>.txt`); `trec:docs=FILE,topics=FILE,qrels=FILE` names them.
"""

from __future__ import annotations

from typing import Final

from mrl_sweep.collection.formats.files import Layout, load_files
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

TREC_HOLDS: Final = (
    "a TREC folder holds docs.jsonl or docs.tsv, topics.txt (.xml, .jsonl, .tsv) and qrels.txt; "
    "or name them: trec:docs=FILE,topics=FILE,qrels=FILE"
)
TREC: Final = Layout(
    name="trec",
    scheme="trec:",
    holds=TREC_HOLDS,
    corpus=("docs", "corpus", "documents", "collection"),
    queries=("topics", "queries"),
    quoted=False,
    queries_endings=(".txt", ".xml", ".jsonl", ".tsv", ".trec", ".parquet", ".csv"),
    qrels_endings=(".txt", ".tsv", ".qrels", ".trec", ".jsonl", ".parquet", ".csv"),
    called=("docs", "topics", "qrels"),
)


def load_trec(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection that `trec:source` names. Errors: InputError with file and line."""
    return load_files(source, TREC, split=split, options=options, on_event=on_event)
