"""Writing to the two streams: colour only for terminals that want it, and quiet when the reader has gone away."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from mrl_sweep.errors import EnvironmentFault


def open_closed_streams() -> None:
    """Open to nowhere what the caller has closed of stdin, stdout and stderr, before any file can take its number (FAULTS 57).

    A model's weights opened as descriptor 2 would be written to by whatever library warns on stderr.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if nowhere != descriptor:
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


def colours(stream: TextIO) -> bool:
    """Whether the stream is a terminal that wants colour: NO_COLOR and a dumb terminal do not."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_line(text: str, stream: TextIO | None = None) -> None:
    """Print one text, ended by a newline, to the stream (default stdout); a reader that has gone away changes nothing.

    Raises EnvironmentFault where stdout cannot take it, as on a full disk.
    """
    stream = stream or sys.stdout
    try:
        print(text.removesuffix("\n"), file=stream, flush=True)
    except OSError as error:
        close_quietly(stream)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise EnvironmentFault(
                f"cannot write the output: {error.strerror}", "free some space, or give -o a file elsewhere"
            ) from error


def close_quietly(stream: TextIO) -> None:
    """Send the rest of the stream nowhere, so that neither we nor the interpreter's end stumbles over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def painted(text: str, style: str, stream: TextIO) -> str:
    """The text in an ANSI style (`31;1`) where the stream shows colour."""
    return f"\x1b[{style}m{text}\x1b[0m" if colours(stream) else text
