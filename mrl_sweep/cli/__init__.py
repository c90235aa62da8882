"""The command line's one boundary: every ending, good or bad, becomes an exit code here and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, Final, NoReturn

import typer

from mrl_sweep import __version__
from mrl_sweep.cli.console import close_quietly, open_closed_streams
from mrl_sweep.cli.invocation import Invocation
from mrl_sweep.cli.options import Command, Commands
from mrl_sweep.errors import EnvironmentFault, InputError, MrlSweepError
from mrl_sweep.words import nearest, printable

PROGRAM: Final = "mrl-sweep"
HELP: Final = frozenset({"-h", "--help"})

HOMES: Final = {
    "run": "run",
    "gate": "gate",
    "plan": "finished",
    "embed": "embed",
    "report": "finished",
    "compare": "finished",
    "demo": "run",
    "check": "inputs",
    "config": "inputs",
    "score": "finished",
    "merge": "run",
}
"""The module of each command, in the order of the help page."""

INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
BUG: Final = 70

_MACHINE_FAULTS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO})
_USAGE_ERRORS: Final[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code (FAULTS: 0, 1, 2, 3, 4, 70, 130, 143)."""
    open_closed_streams()
    invocation = Invocation(tuple(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _terminations() as signals:
        code = _ended(invocation, signals)
    sys.exit(_flushed(invocation, code))


def _ended(invocation: Invocation, signals: list[int]) -> int:
    """Run the command; whatever it ends with, told to the user and turned into an exit code."""
    try:
        return _call(invocation)
    except MrlSweepError as fault:
        if fault.exit_code == BUG:
            return _bug(invocation, fault)
        return _fail(invocation, fault.message, fault.hint, fault.exit_code)
    except _USAGE_ERRORS as usage:
        return _fail(invocation, *in_our_style(usage, invocation.argv), InputError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
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
    """Parse and run; the value a command returns is its exit code, None means 0."""
    preload(invocation.argv)
    command = typer.main.get_command(program(invocation.argv))
    if "_MRL_SWEEP_COMPLETE" in os.environ:
        command(prog_name=PROGRAM)
    try:
        try:
            parsed = command.make_context(PROGRAM, list(invocation.argv) or ["--help"], obj=invocation)
        except BrokenPipeError:  # the reader of a version or a help page has gone; results are written by `write_line`
            return 0
        with parsed as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as ended:
        return ended.exit_code if invocation.argv else InputError.exit_code
    except BrokenPipeError:  # the same, of a command's help page
        if HELP.isdisjoint(invocation.argv):
            raise
        return 0


def _missing_library(invocation: Invocation, error: ModuleNotFoundError) -> int:
    """A library that was left out, as `requirements/gate.txt` does, is for the user to install; a module of ours is not."""
    library = (error.name or "").partition(".")[0]
    if library in ("", "mrl_sweep"):
        return _bug(invocation, error)
    hint = f"pip install {library}; requirements/gate.txt has what judging a finished run needs, and no more"
    return _fail(invocation, f"{library} is not installed, and this needs it", hint, EnvironmentFault.exit_code)


def _file_fault(invocation: Invocation, error: OSError) -> int:
    """A full disk or a broken connection is the machine's; a path that cannot be used is what the user gave; else it is ours."""
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
    """SIGTERM ends the work as Ctrl-C does, so that one way of stopping cleanly serves both; yields the signals that came."""
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever runs us there handles signals
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def _flushed(invocation: Invocation, code: int) -> int:
    """Flush what was printed; a reader that has gone away is no fault of ours, and no news for anyone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            close_quietly(stream)
            if not isinstance(error, BrokenPipeError):
                invocation.say_error(f"cannot write the output: {error.strerror}", "", EnvironmentFault.exit_code)
                code = EnvironmentFault.exit_code
    return code


def program(argv: Sequence[str] = ()) -> typer.Typer:
    """The program that takes these arguments. With all ten commands, typer would read some 290 options before one runs."""
    app = typer.Typer(
        name=PROGRAM,
        cls=Commands,
        help="How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries.",
        epilog="Exit codes: 0 pass, 1 gate not met, 2 input, 3 environment, 4 inconclusive, 70 our bug, 130/143 interrupted.",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": sorted(HELP)},
    )
    app.callback()(_options)
    for name in argv[:1] if argv and argv[0] in HOMES else HOMES:
        app.command(cls=Command)(getattr(import_module(f"mrl_sweep.cli.{HOMES[name]}"), name))
    return app


def preload(argv: Sequence[str]) -> None:
    """Import what every command needs while the stack is low, unless help is asked for.

    CPython's stack comes in pieces, and a call that straddles two of them costs an allocation: numpy at the end of a long chain
    of imports took 50 ms more.
    """
    if argv and argv[0] in HOMES and HELP.isdisjoint(argv):
        import_module("numpy")
        import_module("mrl_sweep.settings.config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """How few dimensions of a Matryoshka embedding model can you ship? Proven on your own corpus and judged queries."""


def in_our_style(error: Any, argv: Sequence[str]) -> tuple[str, str]:
    """The message and hint of an error that typer raised over these arguments."""
    option, near = getattr(error, "option_name", ""), getattr(error, "possibilities", None)
    command = argv[0] + " " if not argv[0].startswith("-") else ""
    accepted = f"`{PROGRAM} {command}--help` shows what is accepted"
    others = list(_commands_with(option)) if option else []
    if others and argv[0] not in others:
        return f"no such option: {option}", f"it belongs to {', '.join(others)}; {accepted}"
    if near:
        return _lowered(error.message), f"did you mean {nearest(option, near, cutoff=0)[0]}?"
    message, _, suggestion = error.format_message().strip().partition(". Did you mean ")
    message = _lowered(message)
    if suggestion:
        return message, f"did you mean {suggestion}"
    return message, accepted if "command" not in message else f"`{PROGRAM} --help` shows what is accepted"


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(".")


def _commands_with(option: str) -> Iterator[str]:
    """The commands that take an option of this name."""
    commands: Any = typer.main.get_command(program())
    for name, command in commands.commands.items():
        if any(option in parameter.opts for parameter in command.params):
            yield name
