"""Every error a user can cause or meet, each with its exit code; `cli.main` is the one place that turns them into exits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class MrlSweepError(Exception):
    """What went wrong (`message`) and what to do about it (`hint`, names the flag)."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(MrlSweepError):
    """Usage, configuration or data that cannot be evaluated."""

    exit_code = 2


class EnvironmentFault(MrlSweepError):
    """A provider, a disk or a missing package; the work so far is kept and the same command resumes."""

    exit_code = 3


class MissingExtra(EnvironmentFault):
    """An optional package that this command needs."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed", f"pip install 'mrl-sweep[{extra}]'")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """An error inside says which one of several it is about."""
    try:
        yield
    except MrlSweepError as fault:
        fault.message = f"{printable(name)}: {fault.message}"
        raise


def first_offenders(offenders: list[str], total: int | None = None, limit: int = 5) -> str:
    """The first offenders and the total: `a, b, c, d, e and 12 more`."""
    count = len(offenders) if total is None else total
    shown = ", ".join(offenders[:limit])
    return shown if count <= limit else f"{shown} and {count - limit:,} more"


def printable(text: str, limit: int = 120) -> str:
    """An id or a piece of a user's file, fit for a message: what a terminal would obey is escaped, cut at `limit` characters."""
    shown = text if len(text) <= limit else text[:limit] + "…"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in shown)


def several(count: int, one: str, many: str) -> str:
    """A count with its noun: `1 document has`, `2,000 documents have`."""
    return f"{count:,} {one if count == 1 else many}"
