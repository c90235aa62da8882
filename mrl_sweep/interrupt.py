"""Signals (Ctrl-C, SIGTERM): held back until the batch in flight is stored, elsewhere obeyed within a moment (FAULTS 69)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
GRACE_S: Final = 1.5
"""Seconds that a signal waits for the work to end in order. Files written by then are whole: each is put in place at once."""

_heard: Final = threading.Event()
_holding: Final = threading.Event()


def pause(seconds: float) -> bool:
    """Sleeps, in any thread; returns True, and early, once a signal is being held back: there is no point in waiting on."""
    return _heard.wait(seconds)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a signal came; on leaving it is delivered to the handler that was there before.

    Only the main thread may touch handlers: elsewhere, and for signals that are ignored, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = [number for number in SIGNALS if before[number] not in (signal.SIG_IGN, None)]

    def restore() -> None:
        for number in ours:
            signal.signal(number, before[number])

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        _heard.set()
        if len(received) > 1:
            restore()
            signal.raise_signal(number)

    for number in ours:
        signal.signal(number, receive)
    _holding.set()
    try:
        yield lambda: bool(received)
    finally:
        _holding.clear()
        restore()
        _heard.clear()
        if received:
            signal.raise_signal(received[0])


@contextlib.contextmanager
def ended_within(grace_s: float, end: Callable[[int], None]) -> Iterator[None]:
    """Calls `end(signal)` from a thread of its own where a signal has not ended the block `grace_s` after it came.

    Python runs a handler only between two of its own steps, and training an index or ranking a shard is one step that may take
    minutes. While signals are held back the first one has time until the batch is stored; the second is obeyed as elsewhere.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    except ValueError:  # not the main thread, where the caller handles signals
        os.close(reader)
        os.close(writer)
        yield
        return
    over = threading.Event()
    threading.Thread(target=_watch, args=(reader, over, grace_s, end), name="mrl-sweep signals", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        os.close(writer)  # which the watching thread takes for the end


def _watch(reader: int, over: threading.Event, grace_s: float, end: Callable[[int], None]) -> None:
    received = 0
    while numbers := os.read(reader, 64):
        for number in numbers:
            if number not in SIGNALS:
                continue
            received += 1
            if received == 1 and _holding.is_set():
                continue  # it comes again when the batch is stored
            if not over.wait(grace_s):
                end(number)
    os.close(reader)
