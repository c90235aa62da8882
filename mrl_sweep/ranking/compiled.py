"""Compiling with numba (`jit`, `inlined`), and the few vector instructions that numba does not make of a loop by itself."""

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
"""Documents whose comparisons make one word of 64 bits."""

AMONG: Final = 15
"""Thresholds that a document is compared with at once; one number more, of the sixteen, serves the list of the best."""


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function by numba's njit, without the GIL, cached on disk where a folder can be written.

    Its arrays are not reference-counted (the counts are atomic, and cost more than a short loop): it must not make any.
    """
    return _compiled(function, {"forceinline": False})


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles as `jit` does, into every caller: for short functions, to which passing the arrays costs more than the work."""
    return _compiled(function, {"forceinline": True})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    options |= {"nogil": True, "_nrt": False, "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return nb.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no cache folder can be written: compile anew in each process
        return nb.njit(**options)(function)  # type: ignore[no-any-return]


@inlined
def to_half(x: Any) -> Any:
    """Rounds one number of at most 65,504 to FAISS's float16, kept as float32: what `codes.scalar.rounded` does to arrays."""
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
    """`lowest_bit(bits)`: int64, the position of the lowest bit that is set; bits must not be 0."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return nb.types.int64(nb.types.uint64), codegen


def _count_bits(_typing_context: Any, _bits: Any) -> Any:
    """`count_bits(bits)`: int64, how many bits are set."""

    def codegen(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return nb.types.int64(nb.types.uint64), codegen


def _count_among(
    _typing_context: Any, near: Any, _n_words: Any, row: Any, inverse: Any, thresholds: Any, _first: Any, _band: Any, _bar: Any,
    out: Any,
) -> Any:  # fmt: skip
    """`count_among(near, n_words, row, inverse, thresholds, first, band, bar, out)`: counts documents whose bits `near` sets.

    out[0, x] becomes how many of their scores row[j] * inverse[j] exceed thresholds[first + x] - band, out[1, x] plus band,
    for x < `AMONG`; out[:, AMONG] how many exceed bar. float32; all `AMONG` + 1 thresholds must be there to be read.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n_words, first, band, bar = arguments[1], arguments[5], arguments[6], arguments[7]
        single, whole, lanes = ir.FloatType(), ir.IntType(64), AMONG + 1
        vector, numbers = ir.VectorType(single, lanes), ir.VectorType(ir.IntType(32), lanes)
        zero, one = (ir.Constant(vector, [number] * lanes) for number in (0.0, 1.0))

        def data(position: int) -> Any:
            return context.make_array(signature.args[position])(context, builder, arguments[position]).data

        def in_all(number: Any) -> Any:
            start = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(start, ir.Constant(vector, ir.Undefined), ir.Constant(numbers, [0] * lanes))

        near, row, inverse, out = data(0), data(2), data(3), builder.bitcast(data(8), vector.as_pointer())
        limits = builder.load(builder.bitcast(builder.gep(data(4), [first]), vector.as_pointer()), align=4)
        edges = [
            builder.insert_element(edge, bar, ir.Constant(ir.IntType(32), AMONG))
            for edge in (builder.fsub(limits, in_all(band)), builder.fadd(limits, in_all(band)))
        ]
        entry = builder.block
        words, hits, ends, done = (builder.append_basic_block(name) for name in ("words", "hits", "ends", "done"))
        builder.branch(words)
        builder.position_at_end(words)
        word, counts = builder.phi(whole), [builder.phi(vector) for _ in edges]
        bits = builder.load(builder.gep(near, [word]))
        empty = builder.icmp_unsigned("==", bits, ir.Constant(whole, 0))
        builder.cbranch(empty, ends, hits)
        builder.position_at_end(hits)
        left, inner = builder.phi(whole), [builder.phi(vector) for _ in edges]
        j = builder.add(builder.mul(word, ir.Constant(whole, LANES)), builder.cttz(left, ir.Constant(ir.IntType(1), 1)))
        score = in_all(builder.fmul(builder.load(builder.gep(row, [j])), builder.load(builder.gep(inverse, [j]))))
        more = [
            builder.fadd(count, builder.select(builder.fcmp_ordered(">", score, edge), one, zero))
            for count, edge in zip(inner, edges, strict=True)
        ]
        rest = builder.and_(left, builder.sub(left, ir.Constant(whole, 1)))
        builder.cbranch(builder.icmp_unsigned("==", rest, ir.Constant(whole, 0)), ends, hits)
        left.add_incoming(bits, words)
        left.add_incoming(rest, hits)
        builder.position_at_end(ends)
        total = [builder.phi(vector) for _ in edges]
        after = builder.add(word, ir.Constant(whole, 1))
        for x in range(len(edges)):
            counts[x].add_incoming(zero, entry)
            counts[x].add_incoming(total[x], ends)
            inner[x].add_incoming(counts[x], words)
            inner[x].add_incoming(more[x], hits)
            total[x].add_incoming(counts[x], words)
            total[x].add_incoming(more[x], hits)
        word.add_incoming(ir.Constant(whole, 0), entry)
        word.add_incoming(after, ends)
        builder.cbranch(builder.icmp_signed("<", after, n_words), words, done)
        builder.position_at_end(done)
        for x, count in enumerate(total):
            builder.store(count, builder.gep(out, [ir.Constant(whole, x)]), align=4)
        return context.get_dummy_value()

    index, number = nb.types.int64, nb.types.float32
    return nb.types.void(near, index, row, inverse, thresholds, index, number, number, out), codegen


def _prefetch(_typing_context: Any, _address: Any) -> Any:
    """`prefetch(address)`: fetches the cache line at an address, without waiting for it."""

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
    """Loads the one extension module that numba asks for, without the rest of scipy.linalg, which takes longer than a ranking."""
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
