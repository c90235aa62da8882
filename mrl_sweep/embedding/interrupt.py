"""Ctrl-C and SIGTERM held back until the batch in flight is stored; a second one is obeyed at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_heard: Final = threading.Event()


def pause(seconds: float) -> bool:
    """Sleeps, in any thread; returns True, and early, once a signal is being held back: there is no point in waiting on."""
    return _heard.wait(seconds)


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether a signal came; on leaving it is delivered to whoever handled it before.

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
    try:
        yield lambda: bool(received)
    finally:
        restore()
        _heard.clear()
        if received:
            signal.raise_signal(received[0])
