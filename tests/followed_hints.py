"""Hints that are followed: where the package makes an error with a hint, and which of these places a table of cases meets."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mrl_sweep
from mrl_sweep.errors import MissingExtra, MrlSweepError

ROOT = Path(mrl_sweep.__file__).parent
Files = dict[str, str | bytes]


class Site(NamedTuple):
    """A call that makes an error with a hint: its lines, and the call as it is written."""

    path: Path
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.first} {self.text}"

    def made(self, place: tuple[str, int]) -> bool:
        return Path(place[0]) == self.path and self.first <= place[1] <= self.last


def sites(room: str) -> list[Site]:
    """Every error with a hint that this room makes; that of a missing package always has one."""
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in ("InputError", "EnvironmentFault", "MissingExtra"):
                continue
            if len(node.args) > 1 or node.keywords:
                found.append(Site(path, node.lineno, node.end_lineno or node.lineno, ast.unparse(node)))
    return found


class Met(NamedTuple):
    """An error with the place in the package that made it."""

    error: MrlSweepError
    place: tuple[str, int]


@contextmanager
def _watched(places: dict[int, tuple[str, int]]) -> Any:
    """Notes where each error is made while it lasts."""
    whole = MrlSweepError.__init__

    def noting(self: MrlSweepError, *args: Any, **kwargs: Any) -> None:
        frame = sys._getframe(1)
        if isinstance(self, MissingExtra) and frame.f_back is not None:
            frame = frame.f_back
        places[id(self)] = frame.f_code.co_filename, frame.f_lineno
        whole(self, *args, **kwargs)

    MrlSweepError.__init__ = noting
    try:
        yield
    finally:
        MrlSweepError.__init__ = whole


def met(call: Callable[[], object]) -> Met | None:
    """The error that the call ends in, and where it is made; None where it succeeds."""
    places: dict[int, tuple[str, int]] = {}
    with _watched(places):
        try:
            call()
        except MrlSweepError as error:
            return Met(error, places[id(error)])
    return None


def saved(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def run_as_told(command: str, file: Path) -> None:
    """What the command of a hint prints takes the file's place."""
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True)
    file.write_bytes(done.stdout)


def names_file(command: str, file: Path) -> str:
    """The command with the file, where a hint leaves it to the reader to add it."""
    return command if str(file) in command else f"{command} {shlex.quote(str(file))}"


def unfollowed(found: Iterable[Site], places: Iterable[tuple[str, int]], reasons: Mapping[str, str]) -> list[str]:
    """The sites that no case meets and no reason excuses, and the reasons that excuse none or too many."""
    left = [site for site in found if not any(site.made(place) for place in set(places))]
    faults = [str(site) for site in left if not any(part in site.text for part in reasons)]
    return faults + [f"no reason is needed: {part}" for part in reasons if sum(part in site.text for site in left) != 1]
