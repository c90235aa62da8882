"""The command line's entry point: every ending, good or bad, becomes an exit code here and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Final, NoReturn

from mrl_sweep.cli.console import close_quietly, open_closed_streams
from mrl_sweep.cli.help_page import HELP, PROGRAM, asks_for_help, help_page
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError
from mrl_sweep.words import printable

INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
BUG: Final = 70

_MACHINE_FAULTS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO})


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and ends the process with its exit code: 0, 1, 2, 3, 4, 70, 130 or 143."""
    open_closed_streams()
    invocation = Invocation(tuple(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _terminations() as signals:
        code = _ended(invocation, signals)
    sys.exit(_flushed(invocation, code))


def _ended(invocation: Invocation, signals: list[int]) -> int:
    """Runs the command; tells the user what it ended with, and turns that into an exit code."""
    try:
        return _call(invocation)
    except MrlSweepError as fault:
        if fault.exit_code == BUG:
            return _bug(invocation, fault)
        return _fail(invocation, fault.message, fault.hint, fault.exit_code)
    except KeyboardInterrupt:
        code = TERMINATED if signal.SIGTERM in signals else INTERRUPTED
        return _fail(invocation, "interrupted", "what is done is kept: the same command resumes", code)
    except MemoryError:
        return _fail(invocation, "out of memory", "give a lower --max-memory or fewer --threads", EnvironmentFault.exit_code)
    except OSError as error:
        return _file_fault(invocation, error)
    except ModuleNotFoundError as error:
        return _missing_library(invocation, error)
    except Exception as error:
        return _bug(invocation, error)


def _call(invocation: Invocation) -> int:
    """Parses and runs the command, whose value is the exit code, None meaning 0. The help page alone needs no parser."""
    if asks_for_help(invocation.argv):
        with contextlib.suppress(BrokenPipeError):
            print(help_page(), end="", flush=True)
        return 0 if invocation.argv else InputError.exit_code
    import typer

    from mrl_sweep.cli.program import in_our_style, preload, program

    preload(invocation.argv)
    command = typer.main.get_command(program(invocation.argv))
    usage_errors: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    if "_MRL_SWEEP_COMPLETE" in os.environ:
        command(prog_name=PROGRAM)
    try:
        try:
            parsed = command.make_context(PROGRAM, list(invocation.argv), obj=invocation)
        except BrokenPipeError:  # the reader of a version or a help page has gone; results are written by `write_line`
            return 0
        with parsed as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except usage_errors as usage:
        return _fail(invocation, *in_our_style(usage, invocation.argv), InputError.exit_code)
    except BrokenPipeError:  # the same, of a command's help page
        if HELP.isdisjoint(invocation.argv):
            raise
        return 0


def _missing_library(invocation: Invocation, error: ModuleNotFoundError) -> int:
    """Reports a missing library, which the user may have left out (`requirements/gate.txt`); a module of ours is our bug."""
    library = (error.name or "").partition(".")[0]
    if library in ("", "mrl_sweep"):
        return _bug(invocation, error)
    hint = f"pip install {library}; requirements/gate.txt has what judging a finished run needs, and no more"
    return _fail(invocation, f"{library} is not installed, and this needs it", hint, EnvironmentFault.exit_code)


def _file_fault(invocation: Invocation, error: OSError) -> int:
    """Reports a full disk or a broken connection as the machine's fault, an unusable path as the user's, all else as our bug."""
    place = printable(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in _MACHINE_FAULTS or isinstance(error, ConnectionError):
        message = f"{reason}: {place}" if place else reason
        hint = "make room or choose another folder: the same command resumes"
        return _fail(invocation, message, hint, EnvironmentFault.exit_code)
    if place:
        return _fail(invocation, f"cannot use {place}: {reason}", "check this path and its permissions", InputError.exit_code)
    return _bug(invocation, error)


def _fail(invocation: Invocation, message: str, hint: str, code: int) -> int:
    if invocation.debug:
        traceback.print_exc()
    invocation.say_error(message, hint, code)
    return code


def _bug(invocation: Invocation, error: BaseException) -> int:
    kind = f"{type(error).__module__}.{type(error).__name__}".removeprefix("builtins.")
    hint = "please report it with the output of the same command and --debug; stored work is kept"
    return _fail(invocation, f"this is a fault of mrl-sweep, not of your data: {kind}: {error}", hint, BUG)


@contextlib.contextmanager
def _terminations() -> Iterator[list[int]]:
    """Makes SIGTERM end the work as Ctrl-C does, so that one clean way of stopping serves both; yields the signals that came."""
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: the caller handles signals
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def _flushed(invocation: Invocation, code: int) -> int:
    """Flushes what was printed; returns the exit code. A reader that has gone away is no fault, and nothing is said of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            close_quietly(stream)
            if not isinstance(error, BrokenPipeError):
                invocation.say_error(f"cannot write the output: {error.strerror}", "", EnvironmentFault.exit_code)
                code = EnvironmentFault.exit_code
    return code
