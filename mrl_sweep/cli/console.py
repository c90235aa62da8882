"""Output to stdout and stderr: lines of text, and progress bars and notes while the core works.

Colour and progress bars come only on terminals that want them; a reader that has gone away is no error.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.events import Event, Note, OnEvent, Progress, Stage, Timing
from mrl_sweep.words import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from mrl_sweep.cli.invocation import Invocation


def open_closed_streams() -> None:
    """Opens to nowhere what the caller has closed of stdin, stdout and stderr, before any file can take its number (FAULTS 57).

    A model's weights opened as descriptor 2 would be written to by any library that warns on stderr.
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
    """Tells whether the stream is a terminal that wants colour: with NO_COLOR, or as a dumb terminal, it does not."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_line(text: str, stream: TextIO | None = None) -> None:
    """Prints one text, ended by a newline, to the stream (default stdout); a reader that has gone away changes nothing.

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
    """Sends the rest of the stream nowhere, so that neither we nor the interpreter's end stumbles over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def painted(text: str, style: str, stream: TextIO) -> str:
    """Returns the text, in an ANSI style (`31;1`) where the stream shows colour."""
    return f"\x1b[{style}m{text}\x1b[0m" if colours(stream) else text


@contextlib.contextmanager
def listening(invocation: Invocation) -> Iterator[OnEvent]:
    """Yields a listener for the core's events, whose bars are gone from the screen when the block ends, however it ends."""
    listener = _Listener(invocation)
    try:
        yield listener
    finally:
        listener.close()


class _Listener:
    """Says on a terminal what is being done from the first moment: a line that the next one replaces, then bars.

    Bars are made when the first progress arrives: a warm run, or one in a pipe, never imports rich for them.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._draws = sys.stderr.isatty() and not invocation.quiet
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._stage = ""
        self._begin("start")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            if self._draws:
                self._advance(event)
        elif isinstance(event, Stage):
            self._begin(event.name)
        elif isinstance(event, Note):
            self._say(printable(event.text, 500))
        elif isinstance(event, Timing) and self._invocation.verbose:
            self._say(f"{event.stage}: {event.elapsed_s:.2f} s")

    def close(self) -> None:
        self._erase()
        if self._bars is not None:
            self._bars.stop()

    def _begin(self, stage: str) -> None:
        """Shows what begins, until the next line or bar takes its place."""
        if self._draws and self._bars is None:
            self._erase()
            self._stage = f"{printable(stage)} ..."
            self._show()

    def _show(self) -> None:
        sys.stderr.write(self._stage)
        sys.stderr.flush()

    def _erase(self) -> None:
        if self._stage:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def _say(self, text: str) -> None:
        self._erase()
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._invocation.say(text)
            self._show()

    def _advance(self, event: Progress) -> None:
        bars = self._bars or self._start()
        if event.stage not in self._tasks:
            self._tasks[event.stage] = bars.add_task(
                printable(event.stage), total=event.total, unit=event.unit, detail="", rate=""
            )
        task = self._tasks[event.stage]
        bars.update(task, completed=event.done, total=event.total, detail=printable(event.detail))
        speed = bars.tasks[bars.task_ids.index(task)].speed
        bars.update(task, rate=f"{speed:,.0f} {event.unit}/s" if speed else "")

    def _start(self) -> Bars:
        self._erase()
        self._stage = ""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars.start()
        return self._bars
