"""TREC run files: what every candidate returned, so that trec_eval, ir_measures and ranx can check every figure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np

from mrl_sweep.errors import InputError
from mrl_sweep.files import draft_folder
from mrl_sweep.types import FLOAT32, Advice, Configuration, Ranks

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def write_trec_runs(
    folder: Path,
    ranks: Ranks,
    query_ids: Sequence[str],
    document_ids: Mapping[int, str] | Sequence[str],
    *,
    tag: str = "mrl-sweep",
) -> tuple[list[Path], tuple[Advice, ...]]:
    """Write `qid Q0 docid rank score tag` lines, best first, one file per candidate; return the files and what to know of them.

    `document_ids` gives the id of each corpus row in `ranks.top`. The format has no way to hold an id with white space: such
    ids are written percent-encoded and counted (FAULTS 71). Scores are float32, printed so that they read back the same.
    Raises InputError where the ranks hold no top documents.
    """
    if ranks.top is None:
        raise InputError("there are no rankings to write: only ranks were kept", "run with --run-files")
    queries = [_word(name) for name in query_ids]
    mentioned = np.unique(ranks.top.rows)
    documents = {int(row): _word(document_ids[int(row)]) for row in mentioned[mentioned >= 0]}
    changed = sum(a != b for a, b in zip(queries, query_ids, strict=True))
    changed += sum(word != document_ids[row] for row, word in documents.items())
    paths = [folder / file_name(candidate) for candidate in ranks.candidates]
    with draft_folder(folder) as draft:
        for c, path in enumerate(paths):
            with (draft / path.name).open("w", encoding="utf-8", newline="\n") as file:
                for query, rows, scores in zip(queries, ranks.top.rows[c], ranks.top.scores[c], strict=True):
                    file.writelines(
                        f"{query} Q0 {documents[row]} {rank} {score:.9g} {tag}\n"
                        for rank, (row, score) in enumerate(zip(rows.tolist(), scores.tolist(), strict=True), start=1)
                        if row >= 0
                    )
        for path in paths:
            (draft / path.name).replace(path)
    return paths, _advice(changed)


def file_name(candidate: Configuration) -> str:
    """`prefix-256-exact.trec`; an index whose factory string a file system may not like gets a digest besides."""
    how = (candidate.index, *(() if candidate.precision == FLOAT32 else (candidate.precision,)), candidate.rescore)
    plain = "-".join((str(candidate.basis), str(candidate.dim), *filter(None, how)))
    safe = _UNSAFE.sub("_", plain)[:100]
    return f"{safe}.trec" if safe == plain else f"{safe}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}.trec"


def _word(text: str) -> str:
    """The id itself, or percent-encoded where it is empty or holds white space, control characters or a lone surrogate."""
    if text and text.isprintable() and not any(c.isspace() for c in text):
        return text
    return quote(text, safe="", errors="surrogatepass") or "%"


def _advice(changed: int) -> tuple[Advice, ...]:
    if not changed:
        return ()
    message = (
        f"{changed:,} ids hold white space or control characters, which TREC run files cannot: they are percent-encoded there"
    )
    return (Advice("trec-ids-encoded", message, "encode the ids in the judgments alike before you evaluate the run files"),)
