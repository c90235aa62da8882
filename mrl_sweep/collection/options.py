"""What a loader does about data that are not as they should be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mrl_sweep.types import MissingDocs, NoRelevant

DEFAULT_MAX_LINE_BYTES: Final = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How strictly a collection is read.

    `strict` refuses what is otherwise counted and named: repeated documents and judgments, empty texts, judged documents
    that are missing, queries without a relevant judgment. Queries without any judgment are no fault: a BEIR folder's
    `queries.jsonl` holds those of all splits. `max_line_bytes` bounds one line (or one record) of a file. `distractors` is a
    file of more documents, JSON lines as in corpus.jsonl, that are searched but not judged. `label_free` reads no judgments:
    every query counts, and where there are no queries, documents serve as such.
    """

    missing_docs: MissingDocs = MissingDocs.ERROR
    no_relevant: NoRelevant = NoRelevant.EXCLUDE
    strict: bool = False
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
    distractors: Path | None = None
    label_free: bool = False
