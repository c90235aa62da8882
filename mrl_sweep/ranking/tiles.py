"""The matrix product of documents and queries at every size, in machine code, compared with limits while in registers.

BLAS would be asked for a product of eight columns 96 times over: it packs both sides anew, and its sums are read once more to be
filtered. Here both sides are packed once (`pack`), and a tile of `TILE_QUERIES` by `TILE_DOCS` sums stays in registers through
the columns of a step; as it leaves them each sum is compared with its query's limit, and the answer is a bit a document.

In float32 the sums of a tile go on from those of the step before. In `sums`, float64, they are added up step by step, each step
from zero: so the error of a score is that of one step, a few columns, and costs a third more than the plain product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba as nb
from llvmlite import binding, ir
from numba.extending import intrinsic

from mrl_sweep.ranking.compiled import jit

_FEATURES: Final = binding.get_host_cpu_features()

WIDTH: Final = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx2") else 4
"""Float32 numbers that a vector register holds."""

TILE_DOCS: Final = 2 * WIDTH

TILE_QUERIES: Final = 12 if _FEATURES.get("avx512f") or _FEATURES.get("neon") else 6
"""Each takes two registers of sums, and three more are needed: 27 of 32 registers, or 15 of 16."""

ROUNDINGS: Final = 1 if any(_FEATURES.get(name) for name in ("avx512f", "fma", "neon")) else 2
"""Roundings a column adds to a sum: one where the processor fuses product and sum, else two."""


def _tile(*, filtered: bool, wide: bool) -> Any:
    """Makes the intrinsic that adds the columns of a step to one tile; it takes a tuple of ten addresses and numbers, all int64.

    `scores` and `stride`: the first sum, and bytes from one query to the next; `sums` alike where `wide`, strides twice as long.
    `docs` and `queries` packed, `width` columns. Where `filtered`, each score times `inverse` (TILE_DOCS,) is compared with
    the query's `lows` (TILE_QUERIES,): the bits of those that lie above go to `near`, `near_stride` bytes from query to query.
    """
    single, double, whole = ir.FloatType(), ir.DoubleType(), ir.IntType(64)
    vector, wide_vector = ir.VectorType(single, WIDTH), ir.VectorType(double, WIDTH)
    bits, lanes, flags = ir.IntType(TILE_DOCS), range(TILE_DOCS // WIDTH), ("contract",)  # product and sum may become one FMA

    def codegen(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        scores, stride, sums, docs, queries, width, inverse, lows, near, near_stride = (
            builder.extract_value(arguments[0], i) for i in range(10)
        )

        def after(address: Any, offset: int, times: int = 0, step: Any = None) -> Any:
            place = builder.add(address, ir.Constant(whole, offset))
            return builder.add(place, builder.mul(step, ir.Constant(whole, times))) if times else place

        def load(address: Any, kind: Any, align: int = 4) -> Any:
            return builder.load(builder.inttoptr(address, kind.as_pointer()), align=align)

        def store(value: Any, address: Any, align: int = 4) -> None:
            builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=align)

        def in_all(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

        cells = [(q, lane) for q in range(TILE_QUERIES) for lane in lanes]
        places = {(q, lane): after(scores, 4 * WIDTH * lane, q, stride) for q, lane in cells}
        begun = {cell: ir.Constant(vector, [0.0] * WIDTH) if wide else load(places[cell], vector) for cell in cells}
        entry, loop, done = builder.block, builder.append_basic_block("columns"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        column, x_at, y_at = (builder.phi(whole) for _ in range(3))
        before = {cell: builder.phi(vector) for cell in cells}
        documents = [load(after(x_at, 4 * WIDTH * lane), vector) for lane in lanes]
        after_it = {}
        for q in range(TILE_QUERIES):
            number = in_all(load(after(y_at, 4 * q), single))
            for lane in lanes:
                product = builder.fmul(documents[lane], number, flags=flags)
                after_it[q, lane] = builder.fadd(before[q, lane], product, flags=flags)
        steps = ((column, ir.Constant(whole, 0), 1), (x_at, docs, 4 * TILE_DOCS), (y_at, queries, 4 * TILE_QUERIES))
        for value, first, step in steps:
            value.add_incoming(first, entry)
            value.add_incoming(builder.add(value, ir.Constant(whole, step)), loop)
        for cell in cells:
            before[cell].add_incoming(begun[cell], entry)
            before[cell].add_incoming(after_it[cell], loop)
        builder.cbranch(builder.icmp_signed("<", builder.add(column, ir.Constant(whole, 1)), width), loop, done)
        builder.position_at_end(done)
        for q, lane in cells:
            if wide:
                place = after(sums, 8 * WIDTH * lane, 2 * q, stride)
                total = builder.fadd(load(place, wide_vector, 8), builder.fpext(after_it[q, lane], wide_vector))
                store(total, place, 8)
                if filtered:
                    after_it[q, lane] = builder.fptrunc(total, vector)
            if filtered or not wide:
                store(after_it[q, lane], places[q, lane])
        for q in range(TILE_QUERIES if filtered else 0):
            low, word = in_all(load(after(lows, 4 * q), single)), ir.Constant(bits, 0)
            for lane in lanes:
                scaled = builder.fmul(after_it[q, lane], load(after(inverse, 4 * WIDTH * lane), vector))
                above = builder.zext(builder.bitcast(builder.fcmp_ordered(">", scaled, low), ir.IntType(WIDTH)), bits)
                word = builder.or_(word, builder.shl(above, ir.Constant(bits, WIDTH * lane)))
            store(word, after(near, 0, q, near_stride), 1)
        return context.get_dummy_value()

    def add_columns(_typing_context: Any, numbers: Any) -> tuple[Any, Callable[..., Any]]:
        return nb.types.void(numbers), codegen

    return intrinsic(add_columns)


_add: Any = _tile(filtered=False, wide=False)
_add_and_filter: Any = _tile(filtered=True, wide=False)
_add_wide: Any = _tile(filtered=False, wide=True)
_add_wide_and_filter: Any = _tile(filtered=True, wide=True)


@jit
def pack(rows: Any, steps: Any, height: int, length: int, out: Any) -> None:
    """Writes rows (n, dim) to the flat `out`, step by step: in groups of `height` rows, and each group column by column.

    Rows that are missing up to `length`, a multiple of `height`, become zeros.
    """
    n = rows.shape[0]
    for s in range(steps.shape[0]):
        first, width = steps[s, 0], steps[s, 1]
        for start in range(0, length, height):
            begin = first * length + start * width
            for j in range(height):
                at = begin + j
                for i in range(width):
                    out[at + i * height] = rows[start + j, first + i] if start + j < n else 0.0


@jit
def add_step(queries: Any, docs: Any, step: Any, n_docs: int, q0: int, n_queries: int, out: Any, tests: Any) -> None:
    """Adds the columns of a step to the scores of n_queries queries from q0 on, both multiples of `TILE_QUERIES`.

    `queries` and `docs` are packed; `step` its first column, how many, and the size that ends with it, or -1. `n_docs` and
    `n_rows`, of all packed queries, are whole tiles. `out`: scores, and sums in float64 or nothing, rows of the queries from q0;
    `tests`: inverse (n_sizes, n_docs), lows (n_queries,), and near, whose bits are set where a size ends.
    """
    (first, width, size), (packed_queries, n_rows), (scores, sums), (inverse, lows, near) = step, queries, out, tests
    stride, near_stride = scores.strides[0], near.strides[0]
    at_scores, at_sums, at_near = scores.ctypes.data, sums.ctypes.data, near.ctypes.data
    at_lows, at_inverse = lows.ctypes.data, inverse.ctypes.data + size * inverse.strides[0]
    at_docs, at_queries = docs.ctypes.data + 4 * first * n_docs, packed_queries.ctypes.data + 4 * (first * n_rows + q0 * width)
    for doc in range(0, n_docs, TILE_DOCS):
        x, inverses = at_docs + 4 * width * doc, at_inverse + 4 * doc
        for q in range(0, n_queries, TILE_QUERIES):
            y, score, wide = at_queries + 4 * width * q, at_scores + stride * q + 4 * doc, at_sums + 2 * stride * q + 8 * doc
            bits, low = at_near + near_stride * q + doc // 8, at_lows + 4 * q
            if sums.size:
                if size < 0:
                    _add_wide((score, stride, wide, x, y, width, 0, 0, 0, 0))
                else:
                    _add_wide_and_filter((score, stride, wide, x, y, width, inverses, low, bits, near_stride))
            elif size < 0:
                _add((score, stride, 0, x, y, width, 0, 0, 0, 0))
            else:
                _add_and_filter((score, stride, 0, x, y, width, inverses, low, bits, near_stride))
