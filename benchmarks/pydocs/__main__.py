"""`python -m benchmarks.pydocs [FOLDER]` makes the packaged collection again from what is installed, in its place or in FOLDER.

Other versions of Python and its packages say other things: the figures of the README, of docs/ and of the tests change with them,
and the NOTICE beside the files says whose words they are. Made with Python 3.11.7 and the versions of constraints.txt.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.pydocs.entries import Entry, grades_of, known_items, read_questions
from benchmarks.pydocs.harvest import harvest, module_names
from mrl_sweep.demo import FOLDER, SPLITS

KNOWN_ITEM: Final = "known-item"


def collection_files() -> dict[str, str]:
    """The text of each file of the collection by its path: documents in order of name, known items, then questions."""
    entries = harvest(module_names())
    row_of = {alias: row for row, entry in enumerate(entries) for alias in entry.aliases}
    row_of |= {entry.name: row for row, entry in enumerate(entries)}
    questions = [(question, grades_of(question, row_of)) for question in read_questions()]
    items, bodies, unused = known_items(entries, kept_whole=frozenset(row for _, grades in questions for row in grades))
    print(f"{len(entries):,} documents; summaries that became no query: {unused}", file=sys.stderr)

    queries: dict[str, list[Any]] = {KNOWN_ITEM: [], "questions": []}
    judged: dict[str, list[str]] = {KNOWN_ITEM: [], "questions": []}
    for item in items:
        query = f"{KNOWN_ITEM}:{entries[item.rows[0]].name}"
        about = {"style": KNOWN_ITEM, **_about(entries[item.rows[0]])}
        queries[KNOWN_ITEM].append({"_id": query, "text": item.text, "metadata": about})
        judged[KNOWN_ITEM] += _judgments(query, dict.fromkeys(item.rows, 1), entries)
    for question, grades in questions:
        about = {"style": question.style, "topic": question.topic, **_about(entries[max(grades, key=lambda row: grades[row])])}
        queries["questions"].append({"_id": question.id, "text": question.text, "metadata": about})
        judged["questions"] += _judgments(question.id, grades, entries)
    judged["test"] = judged[KNOWN_ITEM] + judged["questions"]

    documents = (
        {"_id": entry.name, "title": entry.name, "text": f"{entry.signature}\n{bodies.get(row, entry.doc)}".strip()}
        for row, entry in enumerate(entries)
    )
    qrels = {f"qrels/{split}.tsv": "query-id\tcorpus-id\tscore\n" + "".join(judged[split]) for split in SPLITS}
    return {"corpus.jsonl": _lines(documents), "queries.jsonl": _lines(queries[KNOWN_ITEM] + queries["questions"]), **qrels}


def _about(entry: Entry) -> dict[str, str]:
    return {"package": entry.package, "kind": entry.kind}


def _judgments(query: str, grades: Mapping[int, int], entries: list[Entry]) -> list[str]:
    return [f"{query}\t{entries[row].name}\t{grade}\n" for row, grade in grades.items()]


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, text in collection_files().items():
        file = folder / f"{name}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(text.encode(), mtime=0))
