"""Whether there is a GPU at all, asked of the driver: importing torch to find out takes seconds."""

from __future__ import annotations

import ctypes
import sys


def cuda_devices() -> int:
    """The NVIDIA GPUs that this process may use (the driver heeds CUDA_VISIBLE_DEVICES); 0 where there is no driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
