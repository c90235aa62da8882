"""The events that the core reports while it works; the listener decides how they look."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mrl_sweep.record import record


@record
class Progress:
    """`done` of `total` units of `stage` (`total` None: unknown); `detail` is the current estimate, in words."""

    stage: str
    done: int
    total: int | None
    unit: str
    detail: str = ""


@record
class Note:
    """A line for a person: what was found or chosen."""

    text: str


@record
class Stage:
    """A piece of work has begun; what it counts, if anything, comes as progress."""

    name: str


@record
class Timing:
    """How long a finished stage took, for `-v`."""

    stage: str
    elapsed_s: float


Event = Progress | Note | Stage | Timing
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Discards every event."""


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Silences Python's warnings and these loggers of other libraries in the block; mrl-sweep says what concerns a user."""
    levels = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
