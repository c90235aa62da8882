"""Names of collections and their folders: the settings after a name, the file that plays each part, and the splits there are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mrl_sweep.collection.reading.lines import unreadable
from mrl_sweep.errors import InputError
from mrl_sweep.files import is_there
from mrl_sweep.record import record
from mrl_sweep.words import did_you_mean, nearest, printable

COMPRESSED: Final = ("", ".gz", ".zst", ".bz2", ".xz")
DEFAULT_SPLIT: Final = "test"


@record
class Spec:
    """Holds a collection's name as it was typed: its `folder` (None where every file is named), and the settings after it."""

    text: str
    folder: Path | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The collection's name in reports: that of its folder, else of the folder of the first setting's file."""
        if self.folder is not None:
            return self.folder.resolve().name
        first = next(iter(self.settings.values()))
        return Path(first).resolve().parent.name

    def path(self, part: str) -> Path | None:
        """Returns the file named for a part, looked for in the folder first; None where none is named."""
        if part not in self.settings:
            return None
        inside = self.folder / self.settings[part] if self.folder is not None else None
        return inside if inside is not None and is_there(inside) else Path(self.settings[part])

    def columns(self, part: str) -> dict[str, str]:
        """Returns the columns named for a part, by role: `queries.text=question` gives {"text": "question"}."""
        return {key.partition(".")[2]: name for key, name in self.settings.items() if key.startswith(f"{part}.")}


def parse_spec(text: str, keys: Iterable[str], usage: str, aliases: Mapping[str, str] = MappingProxyType({})) -> Spec:
    """Parses a folder and the settings after it; a part's other names (`aliases`) become its own.

    A folder may hold commas where it exists. Raises InputError for an unknown setting, with the nearest known one.
    """
    if Path(text).is_dir():
        return Spec(text, Path(text))
    valid_keys = sorted(keys)
    first, *rest = text.split(",")
    folder = None if "=" in first and not is_there(first) else Path(first)
    settings: dict[str, str] = {}
    for item in rest if folder is not None else [first, *rest]:
        key, equals, value = item.partition("=")
        part, dot, role = key.strip().partition(".")
        key = aliases.get(part, part) + dot + role
        if key not in valid_keys:
            raise InputError(
                f"unknown setting {printable(key)} in {printable(text)}",
                f"{did_you_mean(key, [*valid_keys, *aliases])} {usage}".lstrip(),
            )
        if not equals or not value:
            raise InputError(f"{key} needs a value in {printable(text)}", usage)
        settings[key] = value
    return Spec(text, folder, settings)


def check_folder(folder: Path, holds: str, scheme: str = "") -> None:
    """Raises InputError for what is no readable folder, with folders of a similar name and what it should hold."""
    try:
        if folder.is_dir():
            next(folder.iterdir(), None)
            return
        exists = folder.exists()
        siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from error
    if exists:
        packed = folder.suffix.lower() in (".zip", ".tar", ".tgz", ".7z", ".rar") or ".tar" in folder.suffixes
        what = "unpack it, and name the folder that it makes" if packed else f"name its folder: {scheme}{folder.parent}"
        raise InputError(f"cannot read {folder}: it is a file, not a folder", f"{what}; {holds}")
    meant = did_you_mean(folder.name, siblings, spelt=lambda name: printable(str(folder.parent / name)), most=3)
    is_owned = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", folder.as_posix()) and not folder.parent.is_dir()
    of_the_hub = f" (hf:{folder.as_posix()} is one of the Hugging Face hub)" if is_owned else ""
    others = "" if meant else f"; other collections are named trec:, csv:, ir:, hf: or pydocs{of_the_hub}"
    raise InputError(f"cannot read {printable(str(folder))}: no such folder", f"{meant} {holds}{others}".lstrip())


def find_file(folder: Path, stems: Iterable[str], endings: Sequence[str]) -> Path | None:
    """Finds the first file named stem + ending, plain or compressed, in the order of stems, then endings."""
    names = [stem + ending + packed for stem in stems for ending in endings for packed in COMPRESSED]
    return next((path for name in names if (path := folder / name).exists()), None) or _in_other_case(folder, names)


def _in_other_case(folder: Path, names: Sequence[str]) -> Path | None:
    """The first file of these names, capital letters or not: `Corpus.jsonl`, `corpus.JSONL`."""
    lowered = {path.name.lower(): path for path in folder.iterdir()} if folder.is_dir() else {}
    return next((lowered[name] for name in names if name in lowered), None)


def find_parts(folder: Path, stems: Iterable[str], endings: Sequence[str]) -> tuple[Path, ...]:
    """Finds the files of a corpus in parts, by name: `corpus-*.jsonl`, or all in a folder `corpus`, plain or compressed."""
    names = (f"{stem}{between}*{ending}" for stem in stems for ending in endings for between in "-/")
    matches = (sorted(path for packed in COMPRESSED for path in folder.glob(name + packed)) for name in names)
    return tuple(next(filter(None, matches), ()))


def require_file(folder: Path, stems: Sequence[str], endings: Sequence[str], holds: str, setting: str) -> Path:
    """Finds a file as `find_file` does.

    Errors: InputError that says what the folder holds and what it should; `setting` (`trec:topics`) names a file of another name.
    """
    path = find_file(folder, stems, endings)
    if path is None:
        listing = ", ".join(sorted(printable(p.name) for p in folder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"cannot read {folder / (stems[0] + endings[0])}: no such file; the folder holds {listing}",
            f"{_elsewhere(folder, stems, endings, setting)}; {holds}",
        )
    return path


def _elsewhere(folder: Path, stems: Sequence[str], endings: Sequence[str], setting: str) -> str:
    """Says what to type where the file lies in a folder below, or has a similar name."""
    scheme, _, part = setting.rpartition(":")
    scheme = f"{scheme}:" if scheme else ""
    entries = sorted(folder.iterdir())
    inner = [path for path in entries if path.is_dir() and find_file(path, stems, endings)]
    if inner:
        return f"name the folder below: {scheme}{inner[0]}"
    within = [*entries, *(path for entry in entries if entry.is_dir() for path in sorted(entry.iterdir()))]
    readable = [path for path in within if path.is_file() and any(end in path.name.lower() for end in endings)]
    free = [path for path in readable if not _plays_another(path.relative_to(folder), stems)]
    near = nearest(stems[0], {_words(path.relative_to(folder))[0] for path in free}) if len(free) > 1 else []
    file = next((path for path in free if len(free) == 1 or _words(path.relative_to(folder))[0] in near), None)
    return f"name the file: {scheme}{folder},{part}={file.relative_to(folder) if file else 'FILE'}"


def _words(path: Path) -> list[str]:
    return re.findall(r"[a-z]+", path.as_posix().lower()) or [""]


def _plays_another(path: Path, stems: Sequence[str]) -> bool:
    """Whether the name, or that of its folder, begins as that of another part of a collection."""
    others = {"corpus", "docs", "documents", "collection", "queries", "topics", "questions", "qrels"} - {*stems}
    return _words(path)[0] in others


def find_splits(folder: Path, pattern: str, endings: Sequence[str]) -> dict[str, Path]:
    """Finds the file of each split, among those named by `pattern` (`{}` stands for the split) + ending, plain or compressed."""
    before, _, after = pattern.partition("{}")
    splits: dict[str, Path] = {}
    below = before.rpartition("/")[0]
    place = (_in_other_case(folder, [below]) if below else None) or folder / below
    files = sorted(place.iterdir()) if place.is_dir() else []
    for ending in (after + ending + packed for packed in COMPRESSED for ending in endings):
        for path in files:
            name = before.removesuffix(before.rpartition("/")[2]) + path.name
            if not (name.startswith(before) and name.lower().endswith(ending)):
                continue
            split = name[len(before) : len(name) - len(ending)]
            if split:
                _add_split(splits, split, path)
    return splits


def _add_split(splits: dict[str, Path], split: str, path: Path) -> None:
    """Adds the file of a split. Errors: InputError where another holds it too, unless one is the other packed."""
    earlier = splits.setdefault(split, path)
    names = [{f"{one}{ending}" for ending in COMPRESSED} for one in (earlier, path)]
    packed = str(path) in names[0] or str(earlier) in names[1]
    if earlier != path and not packed:
        raise InputError(
            f"two files hold the judgments of {printable(split)}: {earlier} and {path}",
            f"name one: {path.parent.parent if path.parent.name == 'qrels' else path.parent},qrels={path}",
        )


def find_qrels(folder: Path, endings: Sequence[str], holds: str, scheme: str = "") -> dict[str, Path]:
    """Finds the file of each split: `qrels/<split>.…`, `qrels.<split>.…`, and `qrels.…` for `test`.

    Errors: InputError where there is none, and where two files hold one split.
    """
    single = find_file(folder, ["qrels"], endings)
    splits = find_splits(folder, "qrels/{}", endings) or find_splits(folder, "qrels.{}", endings)
    if single is not None and single.is_file():
        _add_split(splits, DEFAULT_SPLIT, single)
    if not splits:
        holder = folder / "qrels" if (folder / "qrels").is_dir() else folder
        what = ", ".join(sorted(printable(path.name) for path in holder.iterdir())[:8]) or "nothing"
        raise InputError(
            f"nothing to evaluate: {printable(str(folder))} holds no judgments, and {printable(holder.name)}/ holds {what}",
            f"put them into {folder / 'qrels' / DEFAULT_SPLIT}{endings[0]}, or name their file: {scheme}{folder},qrels=FILE; "
            f"without judgments --label-free measures what comes back of the full size's top 10; {holds}",
        )
    return splits


def choose_split(split: str | None, splits: Mapping[str, Any], where: str) -> str:
    """Returns `split`; for None, `test` or the only one there is. Errors: InputError that lists the splits there are."""
    if split is None:
        split = next(iter(splits)) if len(splits) == 1 else DEFAULT_SPLIT
    if split in splits:
        return split
    near = nearest(split, splits)
    raise InputError(
        f"no split {printable(split)} in {where}; the splits there are {', '.join(sorted(map(printable, splits)))}",
        f"--split {near[0] if near else sorted(splits)[0]}",
    )


def split_hint(splits: Iterable[str]) -> str:
    """Says what to try when a split's queries are unknown."""
    names = sorted(splits)
    return f"is it the right --split? There are {', '.join(names)}" if len(names) > 1 else ""


def file_sizes(paths: Iterable[Path]) -> dict[str, int]:
    """Returns the bytes of each file by name, the folder that all share left out."""
    files = sorted(set(paths))
    folder = files[0].parent
    while not all(path.is_relative_to(folder) for path in files):
        folder = folder.parent
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def files_digest(paths: Iterable[Path]) -> str:
    """Digests the contents of these files, in this order, to 32 hex digits. Raises InputError for one that cannot be read."""
    total = hashlib.sha256()  # which processors have instructions for
    for path in paths:
        try:
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise unreadable(path, error) from error
    return total.hexdigest()[:32]
