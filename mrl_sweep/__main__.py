"""The entry point of the process: `mrl-sweep` and `python -m mrl_sweep` both start here."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import threading
from typing import Final, NoReturn

OBJECTS_BETWEEN_SEARCHES: Final = 250_000
"""What is imported and parsed stays: looking for garbage in it every 700 objects takes a tenth of a short run."""

_LAST_WORDS_S: Final = 0.3


def start() -> NoReturn:
    """Runs the command in a process of its own, which ends with its exit code.

    The memory goes back to the system as a whole, after what libraries have registered for the end: taking the interpreter
    apart piece by piece takes longer, and torch's compiler tells of its own leaks on stderr while it is done.
    """
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    from mrl_sweep.cli import main
    from mrl_sweep.cli.console import open_closed_streams
    from mrl_sweep.interrupt import GRACE_S, ended_within

    open_closed_streams()  # before the watch over signals opens a pipe, which would take their numbers
    with ended_within(GRACE_S, _end_now):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or never there
                stream.flush()
        os._exit(code)


def _end_now(number: int) -> NoReturn:
    """Ends the process and its workers with the signal's exit code, while its main thread is busy in a library."""
    from mrl_sweep.cli.invocation import Invocation

    words = Invocation(tuple(sys.argv[1:])).say_error
    message = ("interrupted", "what is done is kept: the same command resumes", 128 + number)
    speaker = threading.Thread(target=words, args=message, daemon=True)  # the reader of stderr may have stopped
    speaker.start()
    speaker.join(_LAST_WORDS_S)
    if "multiprocessing" in sys.modules:
        from multiprocessing import active_children

        for child in active_children():
            child.kill()
    os._exit(128 + number)


if __name__ == "__main__":
    start()
