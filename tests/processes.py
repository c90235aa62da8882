"""Processes of this machine, as Linux shows them, and what they are started with."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def unmeasured() -> dict[str, str]:
    """The environment without what has a started program count its coverage: that imports more than the program does."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def of_session(session: int) -> dict[int, str]:
    """The living processes of a session, by id, with their names."""
    living = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                living[int(entry.name)] = (entry / "cmdline").read_text().strip("\0 ").partition("\0")[0].strip()
    return living
