"""The protocols of a precision: its bytes a vector, and rows whose product with a query is the score of FAISS's search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mrl_sweep.types import Float32Array


class Coder(Protocol):
    """A precision fitted to documents of one size: a value that can be pickled, compared and digested.

    The score of a document is the inner product of its row with the query's row, but for what is the same for all documents
    of a query: so the kernel that counts float32 vectors counts codes.
    """

    def documents(self, rows: Float32Array) -> Float32Array:
        """Returns (n, columns) C-contiguous float32, what the codes of (n, dim) cut documents stand for in a search."""
        ...

    def queries(self, rows: Float32Array) -> Float32Array:
        """Returns (n, columns) C-contiguous float32 of (n, dim) cut queries; a zero query becomes 0s, or -1s as coded signs."""
        ...


class Code(Protocol):
    """A precision: what it costs a vector, and how it is fitted to documents."""

    @property
    def prefixes_share_codes(self) -> bool:
        """Whether the code of a prefix is the prefix of the code, so that one pass serves all sizes."""
        ...

    @property
    def rounds_to_half(self) -> bool:
        """Whether the precision only rounds each number to float16: kernels do that to a renormalised prefix as they judge."""
        ...

    def bytes_per_vector(self, dim: int) -> int:
        """Returns the bytes that each vector of `dim` numbers adds to the index, as `faiss.serialize_index` gives them."""
        ...

    def fit(self, sample: Float32Array) -> Coder:
        """Returns the coder that this (n, dim) sample of cut documents trains; queries are never looked at.

        Codes that prefixes share learn nothing: they are given no rows.
        """
        ...


def whole_bytes(n_bits: int) -> int:
    """Returns how many bytes hold so many bits."""
    return -(-n_bits // 8)


@contextmanager
def one_thread() -> Iterator[Any]:
    """Yields faiss, which uses one thread of its own inside the block: the pass already uses all of them."""
    import faiss

    before = faiss.omp_get_max_threads()  # of this thread alone: each has its own setting
    faiss.omp_set_num_threads(1)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)
