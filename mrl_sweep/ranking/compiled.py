"""How the hot loop becomes machine code, and the few vector instructions that numba does not make of a loop by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import numba as nb
from llvmlite import ir
from numba.extending import intrinsic

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
