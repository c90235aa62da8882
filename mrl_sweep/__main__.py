"""The process: `mrl-sweep` and `python -m mrl_sweep` both start here."""

from __future__ import annotations

import gc
from typing import Final, NoReturn

OBJECTS_BETWEEN_SEARCHES: Final = 250_000
"""What is imported and parsed stays: looking for garbage in it every 700 objects takes a tenth of a short run."""


def start() -> NoReturn:
    """The command, in a process of its own."""
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    from mrl_sweep.cli import main

    try:
        main()
    finally:
        gc.freeze()  # the memory goes back to the system as a whole: no search through it at the end


if __name__ == "__main__":
    start()
