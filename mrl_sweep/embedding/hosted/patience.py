"""Retries: how often a call that failed is tried again, and how long is waited in between.

Where a vendor names a time, that is waited; else waits double, with jitter; tries and waits are bounded.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.interrupt import pause
from mrl_sweep.record import record


class Transient(Exception):
    """Another try may mend this failure. The vendor asks to wait `retry_after_s` seconds; `unreachable`: no connection."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, unreachable: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.unreachable = unreachable


class Garbled(Transient):
    """An answer has no valid vectors. `rows` are the places of the texts that it got wrong, where they are known."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = rows


T = TypeVar("T")

_KEPT = "what was embedded is kept; run the same command again to go on"


@record(kw_only=True)
class Patience:
    """Patience says how often and how long a batch is tried; times are in seconds.

    Between tries it waits what the vendor asks for, else `first_s` doubled each time up to `most_s`, less a random part of up to
    a half; never more than `total_s` for one batch. `unreachable` bounds the tries without a connection, `garbled` those with
    invalid answers, `timeout_s` the time of one try. `sleep` returns True where it was interrupted.
    """

    attempts: int = 8
    unreachable: int = 4
    garbled: int = 4
    total_s: float = 600.0
    first_s: float = 1.0
    most_s: float = 60.0
    timeout_s: float = 120.0
    sleep: Callable[[float], bool] = pause
    now: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def most(self, fault: Transient) -> int:
        """Returns how many tries this kind of fault is worth."""
        if fault.unreachable:
            return self.unreachable
        return self.garbled if isinstance(fault, Garbled) else self.attempts

    def wait_s(self, fault: Transient, attempt: int) -> float:
        """Returns how long to wait after the `attempt`-th try, in seconds."""
        if fault.retry_after_s is not None:
            return fault.retry_after_s
        return min(self.most_s, self.first_s * 2.0 ** (attempt - 1)) * (1 - 0.5 * self.chance())


class Gate:
    """Holds all of a model's calls back after the vendor has told one of them to wait."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def hold(self, until: float) -> None:
        with self._lock:
            self._until = max(self._until, until)

    def wait_s(self, now: float) -> float:
        with self._lock:
            return max(0.0, self._until - now)


def patiently(call: Callable[[], T], title: str, patience: Patience, gate: Gate) -> T:
    """Calls until there is an answer, as often as `patience` allows, and returns it. Raises EnvironmentFault beyond that.

    A `Garbled` that lasts is raised as it is: the caller knows the texts' names.
    """

    def sleep(seconds: float) -> None:
        if seconds > 0 and patience.sleep(seconds):
            raise EnvironmentFault(f"{title}: interrupted while waiting to try again", _KEPT)

    attempt, waited_s = 0, 0.0
    while True:
        attempt += 1
        sleep(gate.wait_s(patience.now()))
        try:
            return call()
        except Transient as fault:
            wait_s = patience.wait_s(fault, attempt)
            waited_s += wait_s
            if attempt >= patience.most(fault) or waited_s > patience.total_s:
                if isinstance(fault, Garbled):
                    raise
                raise given_up(fault, title, attempt) from None
            if fault.retry_after_s is not None:
                gate.hold(patience.now() + wait_s)
        sleep(wait_s)


def given_up(fault: Transient, title: str, attempts: int | None = None) -> EnvironmentFault:
    """Makes the fault that a user reads where trying again has not helped."""
    tries = f" ({attempts} {'try' if attempts == 1 else 'tries'})" if attempts else ""
    wait = f"; it asks to wait {fault.retry_after_s:,.0f} s" if fault.retry_after_s else ""
    hint = f"is the server running, and --base-url right? {_KEPT}" if fault.unreachable else _KEPT
    return EnvironmentFault(f"{title} {fault}{wait}{tries}", hint)
