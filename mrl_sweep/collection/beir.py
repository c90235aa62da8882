"""BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, each plain or compressed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mrl_sweep.collection.assemble import Parts, assemble
from mrl_sweep.collection.lines import Line, Where, compression, line_number_at, read_lines, unreadable
from mrl_sweep.collection.options import DEFAULT_MAX_LINE_BYTES, LoadOptions
from mrl_sweep.collection.qrels import read_qrels
from mrl_sweep.collection.records import Document, json_documents, json_queries
from mrl_sweep.errors import InputError, printable
from mrl_sweep.types import Collection

BEIR_HOLDS: Final = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
SUFFIXES: Final = ("", ".gz", ".zst")
DEFAULT_SPLIT: Final = "test"


@dataclass(frozen=True, slots=True)
class FileSource:
    """Documents in one file of lines; a position is the byte offset of a document's first line."""

    path: Path
    parse: Callable[[Iterator[Line], Path], Iterator[tuple[int, Document]]]
    max_line_bytes: int
    stamp: tuple[int, int]

    @classmethod
    def of(
        cls,
        path: Path,
        parse: Callable[[Iterator[Line], Path], Iterator[tuple[int, Document]]] = json_documents,
        *,
        max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    ) -> FileSource:
        """The source, which remembers the file's size and time so that a later change is noticed."""
        return cls(path, parse, max_line_bytes, _stamp(path))

    @property
    def label(self) -> str:
        return str(self.path)

    @property
    def seeks(self) -> bool:
        return compression(self.path) is None

    def scan(self, position: int = 0) -> Iterator[tuple[int, Document]]:
        if _stamp(self.path) != self.stamp:
            raise InputError(f"{self.path} has changed since it was read", "run again when nothing writes to it")
        return self.parse(read_lines(self.path, offset=position, max_line_bytes=self.max_line_bytes), self.path)

    def place(self, position: int) -> str:
        return str(Where(self.path, line_number_at(self.path, position)))


def load_beir(source: str, *, split: str | None, options: LoadOptions) -> Collection:
    """The collection in folder `source`. Errors: InputError for everything that is not as it should be, with file and line."""
    folder = Path(source)
    _check_folder(folder)
    corpus, queries = require_file(folder, "corpus.jsonl", BEIR_HOLDS), require_file(folder, "queries.jsonl", BEIR_HOLDS)
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
            facts={"layout": "beir", "files": file_sizes((corpus, queries, qrels), folder)},
        ),
        options,
    )


def choose_split(asked: str | None, splits: Mapping[str, Any], where: str) -> str:
    """The split asked for; unasked, `test`, or the only one there is."""
    if asked is None:
        asked = next(iter(splits)) if len(splits) == 1 else DEFAULT_SPLIT
    if asked in splits:
        return asked
    near = difflib.get_close_matches(asked, splits, 1)
    raise InputError(
        f"no split {printable(asked)} in {where}; the splits there are {', '.join(sorted(map(printable, splits)))}",
        f"--split {near[0] if near else sorted(splits)[0]}",
    )


def split_hint(splits: Mapping[str, Any]) -> str:
    """What to try when a split's queries are unknown."""
    return f"is it the right --split? There are {', '.join(sorted(splits))}" if len(splits) > 1 else ""


def find_file(folder: Path, name: str) -> Path | None:
    """The file of this name, plain before compressed."""
    return next((path for suffix in SUFFIXES if (path := folder / (name + suffix)).exists()), None)


def require_file(folder: Path, name: str, holds: str) -> Path:
    """As `find_file`. Errors: InputError that says what the folder should hold."""
    path = find_file(folder, name)
    if path is None:
        here = ", ".join(sorted(printable(p.name) for p in folder.iterdir())[:8]) or "nothing"
        raise InputError(f"cannot read {folder / name}: no such file; the folder holds {here}", holds)
    return path


def file_sizes(paths: Sequence[Path], folder: Path) -> dict[str, int]:
    """Bytes by name within the folder."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return status.st_size, status.st_mtime_ns


def _check_folder(folder: Path) -> None:
    try:
        if folder.is_dir():
            next(folder.iterdir(), None)
            return
        exists = folder.exists()
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from error
    if exists:
        raise InputError(f"cannot read {folder}: it is a file, not a folder", BEIR_HOLDS)
    parent = folder.parent
    siblings = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    near = difflib.get_close_matches(folder.name, siblings, 3, 0.5)
    meant = f"did you mean {' or '.join(printable(str(parent / name)) for name in near)}? " if near else ""
    others = "; other collections are named trec:, csv:, ir:, hf: or pydocs" if not near else ""
    raise InputError(f"cannot read {printable(str(folder))}: no such folder", f"{meant}{BEIR_HOLDS}{others}")


def _splits(folder: Path) -> dict[str, Path]:
    holder = folder / "qrels"
    if not holder.is_dir():
        raise InputError(f"cannot read {holder}: no such folder", BEIR_HOLDS)
    found: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(holder.glob("*.tsv" + suffix)):
            found.setdefault(path.name.removesuffix(".tsv" + suffix), path)
    if not found:
        raise InputError(f"nothing to evaluate: {holder} holds no .tsv file", BEIR_HOLDS)
    return found
