"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrl_sweep.errors import EnvironmentFault, InputError


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` (made if need be) to write drafts in, gone afterwards; move what is finished with `replace`.

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


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8; a lone surrogate becomes `\\udXXX`. Raises EnvironmentFault as `draft_folder` does."""
    with draft_folder(path.parent) as draft:
        (draft / path.name).write_bytes(text.encode("utf-8", "backslashreplace"))
        (draft / path.name).replace(path)


def prepare_folder(folder: Path) -> None:
    """Make sure, before any work, that `folder` exists and can be written. Raises InputError (FAULTS 55)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}", "choose another folder with --out") from error
