"""FAISS writes warnings straight to file descriptor 2: this takes them away and lets everything else through at once."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

_WARNING = re.compile(rb"WARN(?:ING)?:? [^\n]*\n")
_UNFINISHED = re.compile(rb"WARN(?:ING)?:? [^\n]*\Z")
_LOCK = threading.Lock()


@contextlib.contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """`WARNING …` lines that reach descriptor 2 inside the block, each different one once; whatever else is written passes.

    The list is complete when the block has ended. Descriptors belong to the process: while one block captures, another
    captures nothing.
    """
    caught: list[str] = []
    if not _LOCK.acquire(blocking=False):
        yield caught
        return
    try:
        with _descriptor_2_piped() as pipe:
            if pipe is None:
                yield caught
                return
            read_end, original = pipe
            sorter = threading.Thread(target=_sort, args=(read_end, original, caught), daemon=True)
            sorter.start()
            try:
                yield caught
            finally:
                os.dup2(original, 2)
                sorter.join()
    finally:
        _LOCK.release()


@contextlib.contextmanager
def _descriptor_2_piped() -> Iterator[tuple[int, int] | None]:
    """(the pipe's reading end, the original descriptor), or None where the process has no descriptor 2."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:
        yield None
        return
    read_end, write_end = os.pipe()
    os.dup2(write_end, 2)
    os.close(write_end)
    try:
        yield read_end, original
    finally:
        os.close(read_end)
        os.close(original)


def _sort(read_end: int, original: int, caught: list[str]) -> None:
    """Reads until the last writer has closed; an unfinished warning is held back until its line ends."""
    held = b""
    while chunk := os.read(read_end, 65536):
        held = _pass_on(held + chunk, original, caught)
    _pass_on(held + b"\n" if held else b"", original, caught)


def _pass_on(written: bytes, original: int, caught: list[str]) -> bytes:
    for warning in _WARNING.findall(written):
        text = warning.decode("utf-8", "replace").strip()
        if text not in caught:
            caught.append(text)
    rest = _WARNING.sub(b"", written)
    unfinished = _UNFINISHED.search(rest)
    held = unfinished.group() if unfinished else b""
    with contextlib.suppress(OSError):
        os.write(original, rest[: len(rest) - len(held)])
    return held
