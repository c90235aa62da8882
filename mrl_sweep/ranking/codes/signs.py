"""Codes of signs: binary, which keeps one bit a number and nothing else, and RaBitQ.

RaBitQ (Gao & Long, 2024): one bit or a few of each number, with factors that make the inner product's estimate unbiased.

FAISS does not score these codes by `reconstruct` but by the estimate, which is affine in the query: with the centroid c, the
signed levels s of a document (one bit: -1 or 1) and its factors m and f, it is q.c + m s.(q - c) + f. The first term is the
same for all documents, so the row `m s` with f in one more column, against `q - c` with a 1 there, is a product that ranks
alike. The query is not rounded, as with `qb = 0`: FAISS's default rounds it to four bits.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.ranking.codes.code import Coder, one_thread, whole_bytes
from mrl_sweep.ranking.codes.scalar import opened
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array

FACTORY: Final = re.compile(r"RaBitQ(?P<bits>[2-9])?")

_ONE_BIT_FACTORS: Final = 8
"""Bytes: |x - c|^2 - |x|^2 and the multiplier, two float32."""

_EPSILON: Final = np.finfo(np.float32).eps
"""FAISS divides by nothing that is smaller."""

_SIGN_FACTORS: Final = 12
"""Bytes with more bits: also an error bound, a third float32, by which a search may skip documents."""

_LEVEL_FACTORS: Final = 8
"""Bytes: the additive and the multiplying factor of the estimate from all bits."""


@record
class SignCode:
    """Binary: numbers above 0 set a bit. `symmetric`: queries are coded too, as pgvector's `bit` and FAISS's `LSH` do.

    A sign does not depend on the length of the prefix, so that all sizes come out of one pass of additions.
    """

    symmetric: bool = False
    prefixes_share_codes: bool = True
    rounds_to_half: bool = False

    def bytes_per_vector(self, dim: int) -> int:
        return whole_bytes(dim)

    def fit(self, _sample: Float32Array) -> SignCoder:
        return SignCoder(self.symmetric)


@record
class SignCoder:
    """The coder of binary, which learns nothing. Two rows of signs have as product the size less twice their Hamming distance."""

    symmetric: bool

    def documents(self, rows: Float32Array) -> Float32Array:
        return signs(rows)

    def queries(self, rows: Float32Array) -> Float32Array:
        return signs(rows) if self.symmetric else rows


def signs(rows: Float32Array) -> Float32Array:
    """Returns 1 where a number is above 0, -1 elsewhere, as float32; `np.where` takes twenty times as long."""
    ones = (rows > 0).astype(np.float32)
    ones += ones
    ones -= np.float32(1)
    return ones


@record
class RaBitQCode:
    """RaBitQ of `n_bits` a number, from 1 to 9."""

    n_bits: int = 1
    prefixes_share_codes: bool = False  # the centroid and the factors are those of renormalised prefixes
    rounds_to_half: bool = False

    def bytes_per_vector(self, dim: int) -> int:
        if self.n_bits == 1:
            return whole_bytes(dim) + _ONE_BIT_FACTORS
        return whole_bytes(dim) + _SIGN_FACTORS + whole_bytes(dim * (self.n_bits - 1)) + _LEVEL_FACTORS

    def fit(self, sample: Float32Array) -> Coder:
        with one_thread() as faiss:
            spec = "RaBitQ" if self.n_bits == 1 else f"RaBitQ{self.n_bits}"
            index = faiss.index_factory(sample.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
            index.train(sample)
            if self.n_bits == 1:
                return OneBitCoder(faiss.vector_to_array(index.center).tobytes())
            return RaBitQCoder(faiss.serialize_index(index).tobytes())


@record
class OneBitCoder:
    """The coder of one-bit RaBitQ; `centroid` holds the bytes of float32. FAISS's formula is written out: faster than packing."""

    centroid: bytes

    def documents(self, rows: Float32Array) -> Float32Array:
        """Returns the signs of r = x - c times |r|^2 / |r|_1, and (|x|^2 - |r|^2) / 2: the estimate of x.q without q.c."""
        dim = np.float32(rows.shape[1])
        residual = rows - np.frombuffer(self.centroid, np.float32)
        square, one_norm = _squares(residual), np.abs(residual).sum(axis=1)
        length = np.sqrt(square)
        cosine = one_norm / np.where(square < _EPSILON, 1, length) / np.sqrt(dim)
        multiplier = length / np.where(cosine < _EPSILON, 1, cosine) / np.sqrt(dim)
        out = np.empty((len(rows), rows.shape[1] + 1), np.float32)
        np.multiply(signs(residual), multiplier[:, None], out=out[:, :-1])
        out[:, -1] = (_squares(rows) - square) / 2
        return out

    def queries(self, rows: Float32Array) -> Float32Array:
        return _about(np.frombuffer(self.centroid, np.float32), rows)


@record
class RaBitQCoder:
    """The coder of RaBitQ with more bits. `trained` is the serialised empty index, with the centroid and the number of bits."""

    trained: bytes

    def documents(self, rows: Float32Array) -> Float32Array:
        index = opened(self.trained)
        with one_thread():
            codes = index.sa_encode(rows)
        dim, extra = rows.shape[1], int(index.rabitq.nb_bits) - 1
        begin = whole_bytes(dim) + _SIGN_FACTORS
        constant, multiplier = _floats(codes, begin + whole_bytes(dim * extra), 2).T
        low = _bits(codes, begin, dim * extra).reshape(len(codes), dim, extra)
        levels = (low @ (1 << np.arange(extra)).astype(np.float32)).astype(np.float32, copy=False)
        levels += _bits(codes, 0, dim).astype(np.float32) * (1 << extra)
        levels -= (1 << extra) - 0.5
        out = np.empty((len(rows), dim + 1), np.float32)
        np.multiply(levels, multiplier[:, None], out=out[:, :-1])
        out[:, -1] = constant
        return out

    def queries(self, rows: Float32Array) -> Float32Array:
        with one_thread() as faiss:
            centroid = faiss.vector_to_array(opened(self.trained).center)
        return _about(centroid, rows)


def _about(centroid: Float32Array, rows: Float32Array) -> Float32Array:
    """Queries less the centroid, with a 1 in one more column; all 0 for a zero query, which ties with everything."""
    out = np.column_stack([rows - centroid, np.ones(len(rows), np.float32)])
    out[~rows.any(axis=1)] = 0
    return np.ascontiguousarray(out, dtype=np.float32)


def _squares(rows: Float32Array) -> Float32Array:
    """Returns (n,) float32, the squared length of each row."""
    lengths: Float32Array = np.einsum("ij,ij->i", rows, rows)
    return lengths


def _bits(codes: npt.NDArray[np.uint8], begin: int, count: int) -> npt.NDArray[np.uint8]:
    """Unpacks the `count` bits that begin with byte `begin` of each code."""
    return np.unpackbits(codes[:, begin : begin + whole_bytes(count)], axis=1, count=count, bitorder="little")


def _floats(codes: npt.NDArray[Any], begin: int, count: int) -> Float32Array:
    values: Float32Array = np.ascontiguousarray(codes[:, begin : begin + 4 * count]).view(np.float32)
    return values
