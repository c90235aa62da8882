"""How much memory this process holds, as far as the system tells."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path


def anonymous_bytes() -> int | None:
    """Resident memory of this process without mapped files, in bytes; None where the system does not tell (not Linux).

    Freed memory is handed back first where the C library can do that: what an earlier index left would hide the next one.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        fields = Path("/proc/self/statm").read_text().split()
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
