"""scipy's single-precision matrix product, callable from compiled code that does not hold the GIL.

It is called by address, and the address is an argument: a function pointer bound at compile time would keep numba from
caching the code on disk.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

import numba as nb
from llvmlite import ir
from numba.extending import get_cython_function_address, intrinsic

from mrl_sweep.ranking.compiled import jit

_CYTHON_BLAS: Final = "scipy.linalg.cython_blas"


def sgemm_address() -> int:
    """The address of scipy's sgemm with 32-bit integers; RuntimeError where scipy was built otherwise."""
    cython_blas = sys.modules.get(_CYTHON_BLAS) or _load_alone() or importlib.import_module(_CYTHON_BLAS)
    if "int *" not in str(cython_blas.__pyx_capi__["sgemm"]):
        raise RuntimeError("scipy's BLAS takes 64-bit integers")
    return int(get_cython_function_address(_CYTHON_BLAS, "sgemm"))


def _load_alone() -> ModuleType | None:
    """The one extension module that is needed, without the rest of scipy.linalg, which takes longer than a small ranking."""
    spec = importlib.util.find_spec("scipy")
    folders = [f"{place}/linalg" for place in (spec.submodule_search_locations or ())] if spec is not None else []
    found = importlib.machinery.PathFinder.find_spec(_CYTHON_BLAS, folders)
    if found is None or found.loader is None:
        return None
    module = importlib.util.module_from_spec(found)
    sys.modules[_CYTHON_BLAS] = module
    try:
        found.loader.exec_module(module)
    except ImportError:
        del sys.modules[_CYTHON_BLAS]
        return None
    return module


def _void_call(_typing_context: Any, _address: Any, pointers: Any) -> Any:
    """Call the C function at the address with the addresses in the tuple `pointers` as its arguments."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte_pointer = ir.IntType(8).as_pointer()
        count = len(signature.args[1])
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer] * count)
        function = builder.inttoptr(arguments[0], function_type.as_pointer())
        values = [builder.inttoptr(builder.extract_value(arguments[1], i), byte_pointer) for i in range(count)]
        builder.call(function, values)
        return context.get_dummy_value()

    return nb.types.void(nb.types.int64, pointers), codegen


void_call: Any = intrinsic(_void_call)


@jit
def accumulate_scores(sgemm: int, docs: Any, queries: Any, lo: int, hi: int, scores: Any, arguments: Any) -> None:
    """scores[q, j] (+)= docs[j, lo:hi] @ queries[q, lo:hi], float32; overwrites at lo = 0.

    `arguments` (int32 (6,), float32 (2,), uint8 (2,) = "TN") hold what Fortran takes by reference.
    """
    ints, floats, chars = arguments
    ints[0], ints[1], ints[2] = docs.shape[0], queries.shape[0], hi - lo
    ints[3], ints[4], ints[5] = docs.strides[0] // 4, queries.strides[0] // 4, scores.shape[1]
    floats[0], floats[1] = 1.0, 0.0 if lo == 0 else 1.0
    i, f, c = ints.ctypes.data, floats.ctypes.data, chars.ctypes.data
    a, b = docs.ctypes.data + 4 * lo, queries.ctypes.data + 4 * lo
    void_call(sgemm, (c, c + 1, i, i + 4, i + 8, f, a, i + 12, b, i + 16, f + 4, scores.ctypes.data, i + 20))
