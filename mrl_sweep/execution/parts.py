"""Partial counts as files: of one part of several runs that need no engine, and of a long ranking that was interrupted."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.places import mapped
from mrl_sweep.files import draft_folder, read_arrays, replacing
from mrl_sweep.ranking.counting import CountContext, pass_key
from mrl_sweep.ranking.pass_plan import Tally
from mrl_sweep.ranking.task import CountTask, Partial, Span, join_spans
from mrl_sweep.record import record
from mrl_sweep.types import Vectors
from mrl_sweep.words import first_offenders, plural

PARTS_FOLDER: Final = "parts"
"""Name of the folder of parts, below the run's folder."""

PARTIAL_FOLDER: Final = "partial-ranks"
"""Name of the folder of an interrupted ranking's counts, below the store."""

_FACTS: Final = "facts"


@record(order=True)
class Part:
    """The part `number` (from 1) of `of` parts; written `2/3`."""

    of: int
    number: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a part as `str` writes it. Raises InputError for anything else."""
        match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"--part {text!r} is no part", "write --part I/N, from 1/N to N/N: --part 2/3")
        return cls(int(match[2]), int(match[1]))

    @classmethod
    def all_of(cls, of: int) -> tuple[Self, ...]:
        """Returns all parts of a set of this size."""
        return tuple(cls(of, number) for number in range(1, of + 1))

    def rows(self, n_documents: int) -> Span:
        """Returns this part's rows as (start, stop); all parts together hold each document once, in near equal shares."""
        return n_documents * (self.number - 1) // self.of, n_documents * self.number // self.of

    def file(self, folder: Path) -> Path:
        """Returns the path of the part's file in the folder of the run."""
        return folder / PARTS_FOLDER / f"{self.number}-of-{self.of}.npz"


def write_part(folder: Path, part: Part, facts: Mapping[str, Any], counts: Mapping[str, Partial]) -> None:
    """Puts a finished part in place, whole or not at all: its partial counts by the key of their pass.

    Raises EnvironmentFault where the disk is full or the folder cannot be written.
    """
    arrays: dict[str, Any] = {_FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    for key, partial in counts.items():
        arrays |= {f"{key}.{name}": value for name, value in _arrays_of(partial).items()}
    file = part.file(folder)
    with draft_folder(file.parent) as draft:
        np.savez(draft / file.name, **arrays)
        (draft / file.name).replace(file)


def read_facts(folder: Path, part: Part) -> dict[str, Any]:
    """Reads the facts that were written with a part. Raises InputError where they cannot be read."""
    try:
        facts = json.loads(bytes(_arrays(folder, part, [_FACTS])[_FACTS]))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("settings"), dict):
        raise _damaged(folder, part)
    return facts


def read_counts(folder: Path, part: Part, key: str) -> Partial:
    """Reads a part's counts in the pass of this key. Raises InputError where it cannot, or where they are of other data."""
    arrays = _arrays(folder, part, [f"{key}.{name}" for name in _PARTIAL])
    try:
        return _partial_of(*arrays.values())
    except (ValueError, TypeError) as error:
        raise _damaged(folder, part) from error


_PARTIAL: Final = ("rows", *Tally._fields)
"""The arrays of a partial count."""


def _arrays_of(partial: Partial) -> dict[str, Any]:
    return {"rows": np.array(partial.rows, np.int64).reshape(-1, 2), **partial.tally._asdict()}


def _partial_of(rows: npt.NDArray[Any], *tally: npt.NDArray[Any]) -> Partial:
    """Makes a partial count of its arrays. Raises ValueError or TypeError where `rows` are no spans."""
    return Partial(join_spans((int(start), int(stop)) for start, stop in rows), Tally(*tally))


def _damaged(folder: Path, part: Part) -> InputError:
    return InputError(f"{part.file(folder)} is no finished part", "remove it and run that part again")


def finished_parts(folder: Path) -> tuple[Part, ...]:
    """Lists the parts that lie in the folder of a run. Raises InputError where they are of sets of different sizes."""
    names = (re.fullmatch(r"(\d+)-of-(\d+)\.npz", path.name) for path in (folder / PARTS_FOLDER).glob("*.npz"))
    parts = sorted(Part(int(name[2]), int(name[1])) for name in names if name)
    sizes = sorted({part.of for part in parts})
    if len(sizes) > 1:
        raise InputError(
            f"{folder / PARTS_FOLDER} holds parts of {' and of '.join(map(str, sizes))}",
            "remove those of the one, or give another --out",
        )
    return tuple(parts)


def missing_parts(folder: Path) -> tuple[Part, ...]:
    """Lists the parts that the set in this folder lacks. Raises InputError where no part is there at all."""
    finished = finished_parts(folder)
    if not finished:
        raise InputError(f"{folder} holds no finished part", "run each part first: mrl-sweep run … --out DIR --part 1/3")
    return tuple(part for part in Part.all_of(finished[0].of) if part not in finished)


@record
class PartsExecutor:
    """Counts nothing: hands over what the parts in the folder of a run have counted."""

    folder: Path

    def count(self, task: CountTask, context: CountContext) -> Iterator[Partial]:
        """Yields each part's counts. Raises InputError where parts are missing, or are of other data or settings."""
        if missing := missing_parts(self.folder):
            names = first_offenders([str(part) for part in missing])
            raise InputError(f"parts are missing in {self.folder}: {names}", f"mrl-sweep run … --part {missing[0]}")
        key = pass_key(task.of([(0, len(task.vectors))]))
        for part in finished_parts(self.folder):
            partial = read_counts(self.folder, part, key)
            if not partial.fits(task):
                raise _damaged(self.folder, part)
            context.on_rows(partial.n_rows)
            yield partial


def _arrays(folder: Path, part: Part, names: list[str]) -> dict[str, Any]:
    file = part.file(folder)
    try:
        return read_arrays(file, names)
    except KeyError as error:
        hint = f"remove {folder / PARTS_FOLDER} and run all parts again, or give another --out"
        raise InputError(f"part {part} in {folder} was counted of other data or other settings", hint) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}", "remove it and run that part again") from error


EVERY_S: Final = 30.0
STALE_S: Final = 30 * 24 * 3600.0
"""Seconds after which counts that no run has taken up again are removed, when others are saved."""


class FileCheckpoint:
    """Keeps partial counts of rankings over the same vectors in a folder, one `.npz` a pass; nothing in it is pickled.

    Time is counted from the object's making. Where nothing can be written, the listener is told once and the ranking goes on.
    """

    def __init__(
        self,
        folder: Path,
        vectors: Vectors,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        on_event: OnEvent = ignore,
    ) -> None:
        self._folder, self._vectors, self._identity = folder, vectors, ""
        self._every_s, self._clock, self._on_event = every_s, clock, on_event
        self._last = clock()
        self._used: set[Path] = set()
        self._writable = True

    def load(self, key: str) -> Partial | None:
        """Reads what was kept under this key for these very vectors; None where there is nothing, or nothing whole."""
        if not self._folder.is_dir() or not any(self._folder.glob("*.npz")):
            return None
        path = self._path(key)
        try:
            partial = _partial_of(*read_arrays(path, _PARTIAL).values())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._used.add(path)
        self._on_event(Note(f"going on from {plural(partial.n_rows, 'document')} ranked by an interrupted run"))
        return partial

    def due(self) -> bool:
        """Tells whether `every_s` have passed since the last save; never where nothing can be written."""
        return self._writable and self._clock() - self._last >= self._every_s

    def save(self, key: str, partial: Partial) -> None:
        """Replaces what is kept under this key, whole or not at all, and removes stale counts."""
        path = self._path(key)
        self._last = self._clock()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as draft, draft.open("wb") as file:
                np.savez(file, **_arrays_of(partial))
                self._used.add(path)
            self._remove_stale(path)
        except OSError as error:
            if self._writable:
                self._on_event(Note(f"partial counts cannot be kept in {self._folder}: {error.strerror or error}"))
            self._writable = False

    def clear(self) -> None:
        """Removes what this object has saved or loaded."""
        for path in self._used:
            path.unlink(missing_ok=True)
        self._used.clear()

    def _path(self, key: str) -> Path:
        self._identity = self._identity or identity_of(self._vectors)
        digest = hashlib.blake2b(f"{key} {self._identity}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{digest}.npz"

    def _remove_stale(self, fresh: Path) -> None:
        newest = fresh.stat().st_mtime
        for path in (*self._folder.glob("*.npz"), *self._folder.glob(".draft-*")):
            try:
                if newest - path.stat().st_mtime > STALE_S:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                continue


def open_checkpoint(store: Path, vectors: Vectors, on_event: OnEvent = ignore) -> FileCheckpoint:
    """Opens the partial counts over these vectors; `clear` them when the run that needs them is written."""
    return FileCheckpoint(store / PARTIAL_FOLDER, vectors, on_event=on_event)


def identity_of(vectors: Vectors) -> str:
    """Returns a digest that other vectors lack: of files by name, size, time of change and place, else of the content."""
    digest = hashlib.blake2b(digest_size=16)
    for part in vectors.parts:
        digest.update(f"{part.shape} {part.dtype.str}".encode())
        _add_part(digest, part)
    if vectors.order is not None:
        digest.update(b"order")
        digest.update(np.ascontiguousarray(vectors.order).data)
    return digest.hexdigest()


def _add_part(digest: hashlib.blake2b, part: npt.NDArray[Any]) -> None:
    place = mapped(part)
    if place is None or place.filename is None:
        for start in range(0, len(part), 4096):
            digest.update(np.ascontiguousarray(part[start : start + 4096]).data)
        return
    file = Path(place.filename).resolve()
    state = file.stat()
    digest.update(f"{file} {state.st_size} {state.st_mtime_ns} {place.begin}".encode())
