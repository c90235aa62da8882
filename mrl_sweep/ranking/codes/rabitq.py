"""RaBitQ (Gao & Long, 2024): one bit or a few of each number, with factors that make the inner product's estimate unbiased.

FAISS does not score these codes by `reconstruct` but by the estimate, which is affine in the query: with the centroid c, the
signed levels s of a document (one bit: -1 or 1) and its factors m and f, it is q.c + m s.(q - c) + f. The first term is the
same for all documents, so the row `m s` with f in one more column, against `q - c` with a 1 there, is a product that ranks
alike. The query is not rounded, as with `qb = 0`: FAISS's default rounds it to four bits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.ranking.codes.code import one_thread, whole_bytes
from mrl_sweep.ranking.codes.scalar import opened
from mrl_sweep.types import Float32Array

FACTORY: Final = re.compile(r"RaBitQ(?P<bits>[2-9])?")

_ONE_BIT_FACTORS: Final = 8
"""Bytes: |x - c|^2 - |x|^2 and the multiplier, two float32."""

_SIGN_FACTORS: Final = 12
"""With more bits also an error bound, which a search may use to skip documents."""

_LEVEL_FACTORS: Final = 8
"""Bytes: the additive and the multiplying factor of the estimate from all bits."""


@dataclass(frozen=True, slots=True)
class RaBitQCode:
    """RaBitQ of so many bits a number."""

    n_bits: int = 1
    prefixes_share_codes: bool = False  # the centroid and the factors are those of renormalised prefixes

    def bytes_per_vector(self, dim: int) -> int:
        if self.n_bits == 1:
            return whole_bytes(dim) + _ONE_BIT_FACTORS
        return whole_bytes(dim) + _SIGN_FACTORS + whole_bytes(dim * (self.n_bits - 1)) + _LEVEL_FACTORS

    def fit(self, sample: Float32Array) -> RaBitQCoder:
        with one_thread() as faiss:
            spec = "RaBitQ" if self.n_bits == 1 else f"RaBitQ{self.n_bits}"
            index = faiss.index_factory(sample.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
            index.train(sample)
            return RaBitQCoder(faiss.serialize_index(index).tobytes())


@dataclass(frozen=True, slots=True)
class RaBitQCoder:
    """`trained` is the serialised empty index: it holds the centroid and the number of bits."""

    trained: bytes

    def documents(self, rows: Float32Array) -> Float32Array:
        index = opened(self.trained)
        with one_thread():
            codes = index.sa_encode(rows)
        n_bits, dim = int(index.rabitq.nb_bits), rows.shape[1]
        levels, multiplier, constant = _one_bit(codes, dim) if n_bits == 1 else _more_bits(codes, dim, n_bits)
        out = np.empty((len(rows), dim + 1), np.float32)
        np.multiply(levels, multiplier[:, None], out=out[:, :-1])
        out[:, -1] = constant
        return out

    def queries(self, rows: Float32Array) -> Float32Array:
        """Less the centroid, with a 1 in one more column; all 0 for a zero query, which ties with everything."""
        with one_thread() as faiss:
            centroid = faiss.vector_to_array(opened(self.trained).center)
        out = np.column_stack([rows - centroid, np.ones(len(rows), np.float32)])
        out[~rows.any(axis=1)] = 0
        return np.ascontiguousarray(out, dtype=np.float32)


Decoded = tuple[Float32Array, Float32Array, Float32Array]
"""Of each document: its levels (n, dim), what multiplies them (n,), and what is added (n,)."""


def _one_bit(codes: npt.NDArray[np.uint8], dim: int) -> Decoded:
    factors = _floats(codes, whole_bytes(dim), 2)
    levels = _bits(codes, 0, dim).astype(np.float32)
    levels *= 2
    levels -= 1
    return levels, factors[:, 1] / np.float32(np.sqrt(dim)), -0.5 * factors[:, 0]


def _more_bits(codes: npt.NDArray[np.uint8], dim: int, n_bits: int) -> Decoded:
    extra = n_bits - 1
    begin = whole_bytes(dim) + _SIGN_FACTORS
    factors = _floats(codes, begin + whole_bytes(dim * extra), 2)
    low = _bits(codes, begin, dim * extra).reshape(len(codes), dim, extra)
    levels: Float32Array = (low @ (1 << np.arange(extra)).astype(np.float32)).astype(np.float32, copy=False)
    levels += _bits(codes, 0, dim).astype(np.float32) * (1 << extra)
    levels -= (1 << extra) - 0.5
    return levels, factors[:, 1], factors[:, 0]


def _bits(codes: npt.NDArray[np.uint8], begin: int, count: int) -> npt.NDArray[np.uint8]:
    """The `count` bits that begin with byte `begin` of each code."""
    return np.unpackbits(codes[:, begin : begin + whole_bytes(count)], axis=1, count=count, bitorder="little")


def _floats(codes: npt.NDArray[Any], begin: int, count: int) -> Float32Array:
    values: Float32Array = np.ascontiguousarray(codes[:, begin : begin + 4 * count]).view(np.float32)
    return values
