"""Files written whole or not at all, writing in place to devices and pipes, and a digest of JSON facts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from mrl_sweep.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    import numpy.typing as npt

LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
"""The beginning of the text that Git LFS keeps in place of a large file."""

_OWN_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/(self|thread-self|[0-9]+))/fd/([0-9]+)")
_LINKS_FOLLOWED: Final = 16


def is_there(path: str | Path) -> bool:
    """Tells whether a file or folder of this name exists; False for names that no file can have, where `Path.exists` raises."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Reads arrays of an `.npz` by name. Raises KeyError for one that it lacks, OSError, and ValueError for a damaged file."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
    except (KeyError, OSError):
        raise
    except Exception as error:  # a zip of numpy arrays: its readers raise whatever they stumble over
        raise ValueError(str(error) or "it is damaged") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} is no array")
    return arrays


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Makes a folder inside `folder` to write drafts in, which is gone afterwards; move what is finished with `replace`.

    Raises EnvironmentFault where the disk is full or the folder cannot be written.
    """
    draft: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
        yield draft
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EnvironmentFault(f"no space left in {folder}", "free some, or choose another folder with --out") from error
        raise EnvironmentFault(
            f"cannot write to {folder}: {error.strerror or error}", "choose another folder with --out"
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Makes an empty file beside `path`, which takes the place of `path` when the block ends well, and is gone otherwise.

    The folder must exist. Raises OSError: the caller knows what the file is for, and words the message.
    """
    handle, name = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def json_digest(facts: Any, *, size: int = 8) -> str:
    """Digests these facts, in any order of keys, to 2 * `size` hex digits; a value that JSON lacks counts as its text."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a text in UTF-8; a lone surrogate becomes `\\udXXX`. Raises EnvironmentFault as `draft_file` does."""
    with draft_file(path) as draft:
        draft.write_bytes(text.encode("utf-8", "backslashreplace"))


@contextmanager
def draft_file(path: Path) -> Iterator[Path]:
    """Yields a path to write to; when the block ends, `path` holds what was written: an ordinary file is replaced in one step.

    A device, a FIFO, a socket, `/dev/stdout` or a process substitution is written in place and stays what it is; a reader that
    has gone away changes nothing. Raises EnvironmentFault where the disk is full or the place cannot be written.
    """
    if not is_in_place(path):
        target = Path(os.path.realpath(path))  # a link stays a link
        with draft_folder(target.parent) as folder:
            yield folder / target.name
            (folder / target.name).replace(target)
        return
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "draft"
        yield draft
        try:
            with draft.open("rb") as written, open_in_place(path) as place:
                shutil.copyfileobj(written, place)
        except BrokenPipeError:
            return
        except OSError as error:
            raise EnvironmentFault(f"cannot write to {path}: {error.strerror or error}", "give -o another file") from error


def is_in_place(path: Path) -> bool:
    """Tells whether a path must be written to in place and never replaced: all but ordinary files and folders."""
    if descriptor_of(path) is not None:
        return True
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def open_in_place(path: Path) -> BinaryIO:
    """Opens the path for writing; an open descriptor of this process is duplicated, and written on from where it stands."""
    descriptor = descriptor_of(path)
    return path.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def descriptor_of(path: Path) -> int | None:
    """Returns the open descriptor that `/dev/stdout`, `/dev/fd/63` or `/proc/self/fd/1` stands for, None for any other path.

    Opened by name, a descriptor that leads to a file would begin it anew and lose what was appended to.
    """
    place = str(path)
    for _ in range(_LINKS_FOLLOWED):
        match = _OWN_DESCRIPTOR.fullmatch(os.path.normpath(place))
        if match and match[1] in (None, "self", "thread-self", str(os.getpid())):
            return int(match[2])
        try:
            place = os.path.join(os.path.dirname(place), os.readlink(place))  # noqa: PTH118, PTH120, PTH115
        except (OSError, ValueError):
            return None
    return None


def prepare_folder(folder: Path) -> None:
    """Makes sure, before any work, that `folder` exists and can be written. Raises InputError (FAULTS 55)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}", "choose another folder with --out") from error
