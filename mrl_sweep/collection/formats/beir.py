"""BEIR and MTEB folders: `corpus`, `queries`, `qrels/<split>`, each JSON lines, TSV, CSV or Parquet, plain or compressed."""

from __future__ import annotations

from typing import Final

from mrl_sweep.collection.formats.files import Layout, load_files
from mrl_sweep.collection.options import LoadOptions
from mrl_sweep.events import OnEvent, ignore
from mrl_sweep.types import Collection

BEIR_HOLDS: Final = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
BEIR: Final = Layout(
    name="beir",
    scheme="",
    holds=BEIR_HOLDS,
    corpus=("corpus", "docs", "documents", "collection"),
    queries=("queries", "topics"),
    quoted=False,
)


def load_beir(source: str, *, split: str | None, options: LoadOptions, on_event: OnEvent = ignore) -> Collection:
    """The collection in folder `source`. Errors: InputError for everything that is not as it should be, with file and line."""
    return load_files(source, BEIR, split=split, options=options, on_event=on_event)
