"""Which file, and which bytes of it, an array of vectors is mapped from."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Mapped:
    """An array's first byte lies at `begin` of the mapped `memory`, that of the file called `filename`, if that is known."""

    memory: mmap.mmap
    begin: int
    filename: str | None


def mapped(array: npt.NDArray[Any]) -> Mapped | None:
    """Where a C-contiguous array of rows lies; None where it is not mapped from a file."""
    filename = getattr(array, "filename", None)
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap) or not array.flags.c_contiguous or not array.size:
        return None
    address = np.frombuffer(base, np.uint8, 1).__array_interface__["data"][0]
    return Mapped(base, array.__array_interface__["data"][0] - address, None if filename is None else str(filename))
