"""What the core says while it works; who listens decides how it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` units of `stage` (`total` None: unknown); `detail` is the current estimate, in words."""

    stage: str
    done: int
    total: int | None
    unit: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for a person: what was found or chosen."""

    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A piece of work has begun; what it counts, if anything, comes as progress."""

    name: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a finished stage took, for `-v`."""

    stage: str
    elapsed_s: float


Event = Progress | Note | Stage | Timing
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Discards every event."""
