"""How the hot loop becomes machine code, and the few vector instructions that numba does not make of a loop by itself."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

if sys.byteorder != "little":
    raise ImportError("bits are numbered as little-endian processors do")

LANES: Final = 64
"""Documents whose comparisons make one word."""

AMONG: Final = 15
"""Thresholds that a document is compared with at once; one number more, of the sixteen, serves the list of the best."""


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


def in_all(builder: Any, number: Any, vector: ir.VectorType) -> Any:
    """LLVM's vector with a number in every place."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


@inlined
def to_half(x: Any) -> Any:
    """A number of at most 65,504 as FAISS's float16 keeps it: as `codes.scalar.rounded` gives it, one number at a time."""
    bits = np.float32(x).view(np.uint32)
    size = np.float32(np.uint32(bits & np.uint32(0x7FFFF000)).view(np.float32) * np.float32(2.0**-112)).view(np.uint32)
    code = np.uint32((size + np.uint32(0x1000)) & np.uint32(0xFFFFE000))
    value = code.view(np.float32) * np.float32(2.0**112)
    return -value if bits >> np.uint32(31) else value


def _above_bits(_typing_context: Any, scores: Any, _start: Any, _low: Any) -> Any:
    """`above_bits(scores, start, low)`: uint64, bit x set where scores[start + x] > low, for x < `LANES`.

    All 64 floats must be there to be read, whatever is done with their bits.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), vector.as_pointer())
        above = builder.fcmp_ordered(">", builder.load(address, align=4), in_all(builder, arguments[2], vector))
        return builder.bitcast(above, ir.IntType(64))

    return nb.types.uint64(scores, nb.types.int64, nb.types.float32), codegen


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


def _count_among(
    _typing_context: Any, scores: Any, _n: Any, thresholds: Any, _first: Any, _band: Any, _bar: Any, out: Any
) -> Any:  # fmt: skip
    """`count_among(scores, n, thresholds, first, band, bar, out)`: the first n scores, n even, against `AMONG` thresholds.

    out[0, x] becomes how many of the scores exceed thresholds[first + x] - band, out[1, x] plus band, for x < `AMONG`;
    out[:, AMONG] how many exceed bar. float32; all `AMONG` + 1 thresholds must be there to be read.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, n, _, first, band, bar, _ = arguments
        whole, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), AMONG + 1)
        zero, one = (ir.Constant(vector, [number] * (AMONG + 1)) for number in (0.0, 1.0))

        def data(position: int) -> Any:
            return context.make_array(signature.args[position])(context, builder, arguments[position]).data

        scores, out = data(0), builder.bitcast(data(6), vector.as_pointer())
        limits = builder.load(builder.bitcast(builder.gep(data(2), [first]), vector.as_pointer()), align=4)
        wide = in_all(builder, band, vector)
        lows, highs = (
            builder.insert_element(edge, bar, ir.Constant(ir.IntType(32), AMONG))
            for edge in (builder.fsub(limits, wide), builder.fadd(limits, wide))
        )
        entry, loop, done = builder.block, builder.append_basic_block("scores"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        at, after = builder.phi(whole), []
        counts = [builder.phi(vector) for _ in range(4)]  # of two scores in turn: an addition waits for the last but one
        for place, count in enumerate(counts):
            address = builder.gep(scores, [builder.add(at, ir.Constant(whole, place // 2))])
            score = in_all(builder, builder.load(address), vector)
            above = builder.fcmp_ordered(">", score, (lows, highs)[place % 2])
            after.append(builder.fadd(count, builder.select(above, one, zero)))
            count.add_incoming(zero, entry)
            count.add_incoming(after[-1], loop)
        following = builder.add(at, ir.Constant(whole, 2))
        at.add_incoming(ir.Constant(whole, 0), entry)
        at.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, n), loop, done)
        builder.position_at_end(done)
        for edge in range(2):
            total = builder.fadd(after[edge], after[edge + 2])
            builder.store(total, builder.gep(out, [ir.Constant(whole, edge)]), align=4)
        return context.get_dummy_value()

    index, number = nb.types.int64, nb.types.float32
    return nb.types.void(scores, index, thresholds, index, number, number, out), codegen


def _prefetch(_typing_context: Any, _address: Any) -> Any:
    """Have the line of the cache at an address read, without waiting for it."""

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")  # type: ignore[no-untyped-call]
        to_read, to_keep, data = 0, 3, 1
        place = builder.inttoptr(arguments[0], pointer)
        builder.call(function, [place, *(ir.Constant(number, flag) for flag in (to_read, to_keep, data))])
        return context.get_dummy_value()

    return nb.types.void(nb.types.int64), codegen


prefetch: Any = intrinsic(_prefetch)
count_among: Any = intrinsic(_count_among)
count_bits: Any = intrinsic(_count_bits)
above_bits: Any = intrinsic(_above_bits)
lowest_bit: Any = intrinsic(_lowest_bit)


_CYTHON_BLAS: Final = "scipy.linalg.cython_blas"


def _load_blas_alone() -> None:
    """Load the one extension module that numba asks for, without the rest of scipy.linalg, which takes longer than a ranking."""
    spec = importlib.util.find_spec("scipy")
    folders = [f"{place}/linalg" for place in (spec.submodule_search_locations or ())] if spec is not None else []
    extension = importlib.machinery.PathFinder.find_spec(_CYTHON_BLAS, folders)
    if _CYTHON_BLAS in sys.modules or extension is None or extension.loader is None:
        return
    module = importlib.util.module_from_spec(extension)
    sys.modules[_CYTHON_BLAS] = module
    try:
        extension.loader.exec_module(module)
    except ImportError:
        del sys.modules[_CYTHON_BLAS]


_load_blas_alone()
