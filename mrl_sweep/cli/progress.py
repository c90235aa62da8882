"""What a person sees while the core works: a progress bar on a terminal, nothing in a pipe; notes and timings on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mrl_sweep.events import Event, Note, OnEvent, Progress, Timing
from mrl_sweep.words import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from mrl_sweep.cli.invocation import Invocation


@contextlib.contextmanager
def listening(invocation: Invocation) -> Iterator[OnEvent]:
    """A listener for the core's events; its bars are gone from the screen when it ends, however it ends."""
    listener = _Listener(invocation)
    try:
        yield listener
    finally:
        listener.close()


class _Listener:
    """Bars are made when the first progress arrives: a warm run, or one in a pipe, never imports rich for them."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._draws = sys.stderr.isatty() and not invocation.quiet
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            if self._draws:
                self._advance(event)
        elif isinstance(event, Note):
            self._say(printable(event.text, 500))
        elif isinstance(event, Timing) and self._invocation.verbose:
            self._say(f"{event.stage}: {event.elapsed_s:.2f} s")

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _say(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._invocation.say(text)

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
