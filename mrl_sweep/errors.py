"""Every error a user can cause or meet, each with its exit code; `cli.main` is the one place that turns them into exits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from mrl_sweep.words import printable


class MrlSweepError(Exception):
    """An error that ends a command: what went wrong (`message`), what to do about it (`hint`, names the flag), the exit code."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # a traceback in a notebook ends as the command's error does


class InputError(MrlSweepError):
    """Usage, configuration or data with which nothing can be evaluated."""

    exit_code = 2


class EnvironmentFault(MrlSweepError):
    """A fault of a provider or a disk, or a missing package; the work so far is kept and the same command resumes."""

    exit_code = 3


class MissingExtra(EnvironmentFault):
    """An optional package that this command needs."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed", f"pip install 'mrl-sweep[{extra}]'")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Puts the name, if any, before the message of an error in the block: which one of several the error is about."""
    try:
        yield
    except MrlSweepError as fault:
        if not name:
            raise
        fault.message = f"{printable(name)}: {fault.message}"
        fault.args = (fault.message,)
        raise


def first_line(error: BaseException) -> str:
    """Returns the first line of a library's error message; the name of the error's class where that is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
