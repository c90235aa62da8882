"""Scalar quantisers: each number by itself to 16, 8, 6, 4 or fewer bits. FAISS scores them as the product with `reconstruct`.

float16 is FAISS's `SQfp16`, written out: prefixes share it, and a pass rounds as it judges. The others are FAISS's own.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import numpy as np

from mrl_sweep.ranking.codes.code import one_thread, whole_bytes
from mrl_sweep.record import record
from mrl_sweep.types import Float32Array

FACTORY: Final = re.compile(r"SQ(?:(?P<bits>[468])|(?P<half>fp16|bf16)|tqmse(?P<levels>[12348])|tq(?P<turbo>[2-5]))")

_TURBO_FACTORS: Final = 8
"""Bytes: the length of the vector and of what its levels leave, two float32."""


@record
class HalfCode:
    """float16: each number is rounded by itself, so that prefixes which need no renormalising share their codes."""

    prefixes_share_codes: bool = True
    rounds_to_half: bool = True

    def bytes_per_vector(self, dim: int) -> int:
        return 2 * dim

    def fit(self, _sample: Float32Array) -> HalfCoder:
        return HalfCoder()


@record
class HalfCoder:
    """The coder of float16, which learns nothing. Numbers from 65,520 on become infinite, which a pass refuses."""

    def documents(self, rows: Float32Array) -> Float32Array:
        return rounded(rows)

    def queries(self, rows: Float32Array) -> Float32Array:
        return rows


def rounded(rows: Float32Array) -> Float32Array:
    """Returns the float16 nearest to each number, as float32: ties go away from zero, as in FAISS's encoder.

    A product with 2^-112 gives float32 the exponent of float16, subnormal numbers included, so that adding half a step to the
    bits rounds (Giesen's float_to_half_fast3, which FAISS has). Processors send ties to the even neighbour instead; about one
    number in 8,192 is a tie.
    """
    bits = rows.view(np.uint32)
    size = ((bits & np.uint32(0x7FFFF000)).view(np.float32) * np.float32(2.0**-112)).view(np.uint32) + np.uint32(0x1000)
    codes = np.minimum(size, np.uint32(31 << 23)) >> np.uint32(13) | (bits >> np.uint32(16) & np.uint32(0x8000))
    values: Float32Array = codes.astype(np.uint16).view(np.float16).astype(np.float32)
    return values


@record
class ScalarCode:
    """One of FAISS's scalar quantisers, by its factory string: `SQfp16`, `SQ8`, `SQ4`, `SQtqmse2`, `SQtq3`, ..."""

    factory: str
    prefixes_share_codes: bool = False  # ranges and levels are those of renormalised prefixes
    rounds_to_half: bool = False

    def bytes_per_vector(self, dim: int) -> int:
        match = FACTORY.fullmatch(self.factory)
        if match is None:
            raise ValueError(f"{self.factory!r} is no scalar quantiser")
        if match["turbo"]:  # levels of one bit less, signs of what they leave, and two factors
            bits = int(match["turbo"])
            return whole_bytes(dim) * bits + _TURBO_FACTORS
        return whole_bytes(dim * (16 if match["half"] else int(match["bits"] or match["levels"])))

    def fit(self, sample: Float32Array) -> ScalarCoder:
        with one_thread() as faiss:
            index = faiss.index_factory(sample.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
            index.train(sample)
            return ScalarCoder(faiss.serialize_index(index).tobytes())


@record
class ScalarCoder:
    """The coder of a FAISS scalar quantiser: `trained` is the serialised empty index."""

    trained: bytes

    def documents(self, rows: Float32Array) -> Float32Array:
        index = opened(self.trained)
        with one_thread():
            decoded: Float32Array = index.sa_decode(index.sa_encode(rows))
        return decoded

    def queries(self, rows: Float32Array) -> Float32Array:
        return rows


@lru_cache(maxsize=64)
def opened(trained: bytes) -> Any:
    """Opens the FAISS index behind these bytes; encoding and decoding only read it, so that threads may share it."""
    import faiss

    return faiss.deserialize_index(np.frombuffer(trained, np.uint8))
