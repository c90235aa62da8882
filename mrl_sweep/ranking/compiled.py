"""How the hot loop becomes machine code, and the few vector instructions that numba does not make of a loop by itself."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import get_cython_function_address, intrinsic

if sys.byteorder != "little":
    raise ImportError("bits are numbered as little-endian processors do")

LANES: Final = 64
"""Documents whose comparisons make one word."""


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """numba's njit without the GIL, cached on disk where there is a place for it.

    Arrays are not reference-counted in it (the counts are atomic, and cost more than a short loop), so that it must not make any.
    """
    return _compiled(function, {"forceinline": False})


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a function that becomes part of those that call it: passing tables costs more than a few steps of work."""
    return _compiled(function, {"forceinline": True})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    options |= {"nogil": True, "_nrt": False, "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return nb.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no cache folder can be written: compile anew in each process
        return nb.njit(**options)(function)  # type: ignore[no-any-return]


@inlined
def to_half(x: Any) -> Any:
    """A number of at most 65,504 as FAISS's float16 keeps it: as `codes.scalar.rounded` gives it, one number at a time."""
    bits = np.float32(x).view(np.uint32)
    size = np.float32(np.uint32(bits & np.uint32(0x7FFFF000)).view(np.float32) * np.float32(2.0**-112)).view(np.uint32)
    code = np.uint32((size + np.uint32(0x1000)) & np.uint32(0xFFFFE000))
    value = code.view(np.float32) * np.float32(2.0**112)
    return -value if bits >> np.uint32(31) else value


def _above_bits(_typing_context: Any, row: Any, inverse: Any, _start: Any, _low: Any) -> Any:
    """`above_bits(row, inverse, start, low)`: uint64, bit x set where row[start + x] * inverse[start + x] > low.

    All 64 floats must be there to be read, whatever is done with their bits.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)

        def load(position: int) -> Any:
            array = context.make_array(signature.args[position])(context, builder, arguments[position])
            address = builder.gep(array.data, [arguments[2]])
            return builder.load(builder.bitcast(address, vector.as_pointer()), align=4)

        first = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[3], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        splat = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)
        return builder.bitcast(builder.fcmp_ordered(">", builder.fmul(load(0), load(1)), splat), ir.IntType(64))

    return nb.types.uint64(row, inverse, nb.types.int64, nb.types.float32), codegen


def _lowest_bit(_typing_context: Any, _bits: Any) -> Any:
    """The position of the lowest bit that is set; bits must not be 0."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return nb.types.int64(nb.types.uint64), codegen


def _count_bits(_typing_context: Any, _bits: Any) -> Any:
    """How many bits are set."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return nb.types.int64(nb.types.uint64), codegen


count_bits: Any = intrinsic(_count_bits)
above_bits: Any = intrinsic(_above_bits)
lowest_bit: Any = intrinsic(_lowest_bit)


_CYTHON_BLAS: Final = "scipy.linalg.cython_blas"


def gemm_address(name: str) -> int:
    """The address of scipy's `sgemm` or `dgemm` with 32-bit integers; RuntimeError where scipy was built otherwise."""
    cython_blas = sys.modules.get(_CYTHON_BLAS) or _load_alone() or importlib.import_module(_CYTHON_BLAS)
    if "int *" not in str(cython_blas.__pyx_capi__[name]):
        raise RuntimeError("scipy's BLAS takes 64-bit integers")
    return int(get_cython_function_address(_CYTHON_BLAS, name))


def _load_alone() -> ModuleType | None:
    """The one extension module that is needed, without the rest of scipy.linalg, which takes longer than a small ranking."""
    spec = importlib.util.find_spec("scipy")
    folders = [f"{place}/linalg" for place in (spec.submodule_search_locations or ())] if spec is not None else []
    extension = importlib.machinery.PathFinder.find_spec(_CYTHON_BLAS, folders)
    if extension is None or extension.loader is None:
        return None
    module = importlib.util.module_from_spec(extension)
    sys.modules[_CYTHON_BLAS] = module
    try:
        extension.loader.exec_module(module)
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
def accumulate_scores(gemm: int, docs: Any, queries: Any, scores: Any, anew: bool, arguments: Any) -> None:
    """scores[q, j] += docs[j] @ queries[q], or = where `anew`; all float32 for sgemm, all float64 for dgemm.

    `docs` and `queries` are columns of C-contiguous rows. `arguments` (int32 (6,), two scalars, uint8 (2,) = "TN") hold what
    Fortran takes by reference.
    """
    ints, scalars, chars = arguments
    ints[0], ints[1], ints[2] = docs.shape[0], queries.shape[0], docs.shape[1]
    ints[3], ints[4], ints[5] = docs.strides[0] // docs.itemsize, queries.strides[0] // docs.itemsize, scores.shape[1]
    scalars[0], scalars[1] = 1.0, 0.0 if anew else 1.0
    i, f, c = ints.ctypes.data, scalars.ctypes.data, chars.ctypes.data
    a, b, out = docs.ctypes.data, queries.ctypes.data, scores.ctypes.data
    void_call(gemm, (c, c + 1, i, i + 4, i + 8, f, a, i + 12, b, i + 16, f + scalars.itemsize, out, i + 20))


def gemm_arguments(dtype: type[np.floating[Any]]) -> tuple[object, ...]:
    """What `accumulate_scores` writes its arguments to."""
    return np.empty(6, np.int32), np.empty(2, dtype), np.frombuffer(bytearray(b"TN"), np.uint8)
