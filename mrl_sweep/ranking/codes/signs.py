"""One bit a number, the sign and nothing else: against the query as it is (`binary`), or against its signs (`LSH`, Hamming)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mrl_sweep.ranking.codes.code import whole_bytes
from mrl_sweep.types import Float32Array


@dataclass(frozen=True, slots=True)
class SignCode:
    """A bit is set where the number is above 0. `symmetric`: queries are coded as well, as pgvector's `bit` and FAISS's `LSH` do.

    A sign does not depend on the length of the prefix, so that all sizes come out of one pass of additions.
    """

    symmetric: bool = False
    prefixes_share_codes: bool = True
    rounds_to_half: bool = False

    def bytes_per_vector(self, dim: int) -> int:
        return whole_bytes(dim)

    def fit(self, _sample: Float32Array) -> SignCoder:
        return SignCoder(self.symmetric)


@dataclass(frozen=True, slots=True)
class SignCoder:
    """Nothing is learnt. The product of two rows of signs is the size less twice their Hamming distance: a whole number."""

    symmetric: bool

    def documents(self, rows: Float32Array) -> Float32Array:
        return signs(rows)

    def queries(self, rows: Float32Array) -> Float32Array:
        return signs(rows) if self.symmetric else rows


def signs(rows: Float32Array) -> Float32Array:
    """1 where a number is above 0, -1 elsewhere; without `np.where`, which takes twenty times as long."""
    ones = (rows > 0).astype(np.float32)
    ones += ones
    ones -= np.float32(1)
    return ones
