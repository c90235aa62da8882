"""What follows `trec:` and `csv:`: a folder, or files by part, and names of columns: `FOLDER,queries.text=question`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mrl_sweep.errors import InputError, printable


@dataclass(frozen=True, slots=True)
class Spec:
    """`folder` (None where every file is named) and the settings given after it."""

    text: str
    folder: Path | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a report calls the collection: the folder, or that of the documents."""
        if self.folder is not None:
            return self.folder.resolve().name
        first = next(iter(self.settings.values()))
        return Path(first).resolve().parent.name

    def path(self, part: str) -> Path | None:
        """The file named for a part, looked for in the folder first; None where the folder must tell."""
        if part not in self.settings:
            return None
        inside = self.folder / self.settings[part] if self.folder is not None else None
        return inside if inside is not None and inside.exists() else Path(self.settings[part])

    def columns(self, part: str) -> dict[str, str]:
        """The columns named for a part, by role: `queries.text=question` gives {"text": "question"}."""
        return {key.partition(".")[2]: name for key, name in self.settings.items() if key.startswith(f"{part}.")}


def parse_spec(text: str, keys: Iterable[str], usage: str) -> Spec:
    """Errors: InputError for an unknown setting, with the nearest known one; a folder may hold commas where it exists."""
    if Path(text).is_dir():
        return Spec(text, Path(text))
    known = sorted(keys)
    first, *rest = text.split(",")
    folder = None if "=" in first and not Path(first).exists() else Path(first)
    settings: dict[str, str] = {}
    for item in rest if folder is not None else [first, *rest]:
        key, equals, value = item.partition("=")
        key = key.strip()
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise InputError(
                f"unknown setting {printable(key)} in {printable(text)}",
                f"did you mean {near[0]}? {usage}" if near else usage,
            )
        if not equals or not value:
            raise InputError(f"{key} needs a value in {printable(text)}", usage)
        settings[key] = value
    return Spec(text, folder, settings)
