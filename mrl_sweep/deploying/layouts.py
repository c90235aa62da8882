"""The bytes of a target's index (pgvector, sqlite-vec, Weaviate, else FAISS), by the layout's name in targets.toml (`LAYOUTS`).

pgvector's follow the page layout of PostgreSQL (`bufpage.h`, `heaptoast.h`) and of pgvector 0.8 (`hnsw.h`, `hnswbuild.c`), both
held against a live server in the tests: HNSW tuples on 8 KiB pages, and the table's heap with its TOAST. Tuples are never split,
so the bytes of a vector are a staircase in its dimensions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

from mrl_sweep.deploying.index_spec import faiss_code, index_bytes, links, parse_index
from mrl_sweep.ranking.codes.precision import bytes_per_vector
from mrl_sweep.types import Configuration

PAGE_BYTES: Final = 8192
_HNSW_ROOM: Final = PAGE_BYTES - 24 - 8
"""A page without its header and pgvector's 8 bytes at its end."""
_HEAP_ROOM: Final = PAGE_BYTES - 24
_POINTER: Final = 4
"""Every tuple has a line pointer."""
_ELEMENT_HEADER: Final = 72
"""Type, level, ten heap addresses of 6 bytes, the address of the neighbours."""
_LINKS: Final = 16
"""pgvector's own m, for which the steps of the staircase are counted."""
_LEVELS: Final = 8
"""A level is reached by one vector in m of the level below: with m = 16 the ninth by one in four billion."""

_TUPLE_HEADER: Final = 24
_ID_BYTES: Final = 8
_TOAST_THRESHOLD: Final = 2032
_TOAST_CHUNK: Final = 1996
_TOAST_POINTER: Final = 18
_CHUNK_HEADER: Final = _TUPLE_HEADER + 12
_INDEX_ENTRY: Final = 20
_INDEX_ROOM: Final = int(0.9 * (PAGE_BYTES - 24 - 16))
"""A B-tree that grows at its right end fills its leaves to nine tenths."""
_FREE_SPACE_MAP: Final = 3 * PAGE_BYTES
_SIMULATED_ROWS: Final = 2000


class VectorType(StrEnum):
    """pgvector's types that an HNSW index takes."""

    VECTOR = "vector"
    HALFVEC = "halfvec"
    BIT = "bit"


def value_bytes(kind: VectorType, dim: int) -> int:
    """Counts the bytes of one value with its 8 bytes of header: length and dimensions."""
    per_dim = {VectorType.VECTOR: 4 * dim, VectorType.HALFVEC: 2 * dim, VectorType.BIT: (dim + 7) // 8}
    return 8 + per_dim[kind]


def hnsw_bytes(kind: VectorType, dim: int, n: int, *, m: int = _LINKS) -> int:
    """Counts the bytes that an HNSW index over n different vectors has most often, built at once.

    The levels of the graph are drawn at random, so a build may have a page or two more or fewer.
    """
    per_page = rows_per_page(kind, dim, m=m)
    # as many pages as hold all vectors in one build of two: the half turns the expected number into the median
    pages = math.ceil((n - 0.5) / per_page) if per_page >= 1 else math.ceil(n / per_page)
    return PAGE_BYTES * (1 + max(1, pages))


@lru_cache(maxsize=4096)
def rows_per_page(kind: VectorType, dim: int, *, m: int = _LINKS) -> float:
    """Counts the vectors that a page of an HNSW index holds in the long run; one half where each takes two pages.

    An element and its neighbours stand on one page where both fit on an empty one. The tuple that no longer fits opens the
    next page, so the levels of first elements are the stationary law of a chain: tall elements open pages more often.
    """
    element = _aligned(_ELEMENT_HEADER + value_bytes(kind, dim))
    pairs = [element + _neighbours(level, m) + 2 * _POINTER for level in range(_LEVELS)]
    if pairs[0] > _HNSW_ROOM:
        return 0.5
    shares = [float(m) ** -level * (1 - 1 / m) for level in range(_LEVELS - 1)] + [float(m) ** (1 - _LEVELS)]
    filled = [_fill(pair, pairs, shares) for pair in pairs]
    first = shares
    for _ in range(40):
        first = [sum(first[i] * filled[i][1][j] for i in range(_LEVELS)) for j in range(_LEVELS)]
    return sum(first[i] * filled[i][0] for i in range(_LEVELS))


def _fill(opening: int, pairs: list[int], shares: list[float]) -> tuple[float, list[float]]:
    """Returns the mean number of elements on a page that one of `opening` bytes opened, and the levels of the next opener."""
    rooms, count, openers = {_HNSW_ROOM - opening: 1.0}, 1.0, [0.0] * len(pairs)
    while rooms:
        left: dict[int, float] = defaultdict(float)
        for room, chance in rooms.items():
            for level, (pair, share) in enumerate(zip(pairs, shares, strict=True)):
                if pair <= room:
                    left[room - pair] += chance * share
                    count += chance * share
                else:
                    openers[level] += chance * share
        rooms = left
    return count, openers


def _neighbours(level: int, m: int) -> int:
    """Counts the bytes of the neighbours' tuple: 2m addresses on the ground, m on each level above."""
    return _aligned(4 + 6 * m * (level + 2))


def table_bytes(dim: int, n: int) -> int:
    """Counts the bytes of a table of n rows `(id bigint, embedding vector(dim))`, as `pg_table_size` does after plain inserts.

    A row above 2 KB keeps its vector in TOAST, in chunks of 1,996 bytes, four to a page; the TOAST's own index and the free
    space maps count. The primary key's index does not. COPY reserves some pages ahead: up to a third more on a small table.
    """
    row = _TUPLE_HEADER + _ID_BYTES + value_bytes(VectorType.VECTOR, dim)
    if row <= _TOAST_THRESHOLD:
        per_page = _HEAP_ROOM // (_aligned(row) + _POINTER)
        # an empty TOAST table has an index of one page all the same
        return PAGE_BYTES * (math.ceil(n / per_page) + 1) + _FREE_SPACE_MAP
    heap = math.ceil(n / (_HEAP_ROOM // (_aligned(_TUPLE_HEADER + _ID_BYTES + _TOAST_POINTER) + _POINTER)))
    whole, rest = divmod(value_bytes(VectorType.VECTOR, dim) - 4, _TOAST_CHUNK)
    chunks = [_TOAST_CHUNK] * whole + [rest] * (rest > 0)
    leaves = math.ceil(n * len(chunks) / (_INDEX_ROOM // _INDEX_ENTRY))
    return PAGE_BYTES * (heap + _toast_pages(n, chunks) + leaves + 2) + 2 * _FREE_SPACE_MAP


def _toast_pages(n: int, chunks: list[int]) -> int:
    """Counts pages of n rows' chunks, filled as by PostgreSQL: on the page in use, else in a gap it knows of, else on a new one.

    The first rows are laid down one by one, and the rest at the rate of their second half.
    """
    tuples = [_aligned(_CHUNK_HEADER + chunk) + _POINTER for chunk in chunks]
    smallest, pages, room, halfway = min(tuples), 1, _HEAP_ROOM, 0
    gaps: list[int] = []
    rows = min(n, _SIMULATED_ROWS)
    for row in range(rows):
        for size in tuples:
            if size > room:
                if room >= smallest:
                    gaps.append(room)
                gap = next((i for i, free in enumerate(gaps) if free // 32 * 32 >= size), None)
                pages += gap is None
                room = _HEAP_ROOM if gap is None else gaps.pop(gap)
            room -= size
        if row == rows // 2:
            halfway = pages
    if n == rows:
        return pages
    return pages + round((n - rows) * (pages - halfway) / (rows - 1 - rows // 2))


def step_begins(kind: VectorType, dim: int) -> int:
    """Finds where the step of the staircase that `dim` stands on begins: the fewest dimensions with as many whole rows a page.

    949 of `vector` for 1,024 and for 1,536 says that they cost the same, and that 948 is the next step down.
    """

    def fewer(at: int) -> int:
        return -_whole_rows(kind, at)

    return 1 + bisect_left(range(1, dim + 1), fewer(dim), key=fewer)


def _whole_rows(kind: VectorType, dim: int) -> int:
    """Counts the elements of the lowest level that fit on a page; 0 where one takes two pages."""
    return _HNSW_ROOM // (_aligned(_ELEMENT_HEADER + value_bytes(kind, dim)) + _neighbours(0, _LINKS) + 2 * _POINTER)


def _aligned(size: int) -> int:
    return -(-size // 8) * 8


_VECTORS_A_CHUNK: Final = 1024
"""Vectors that sqlite-vec keeps together."""


def _stand_in(structure: str, configuration: Configuration, docs: int) -> int | None:
    return index_bytes(f"{parse_index(structure).factory},{faiss_code(configuration.precision)}", configuration.dim, docs)


def _pgvector(kind: VectorType) -> Callable[[str, Configuration, int], int | None]:
    def layout(structure: str, configuration: Configuration, docs: int) -> int | None:
        return hnsw_bytes(kind, configuration.dim, docs, m=links(structure))

    return layout


def _weaviate(least_bits: int, bits: int, beside: int) -> Callable[[str, Configuration, int], int | None]:
    """Weighs rotated codes: the dimension rounded up to a multiple of 64, and to `least_bits`; the graph is the stand-in's."""

    def layout(structure: str, configuration: Configuration, docs: int) -> int | None:
        with_vectors = index_bytes(f"{parse_index(structure).factory},Flat", configuration.dim, docs)
        if with_vectors is None:
            return None
        rotated = -(-configuration.dim // 64) * 64
        code = max(rotated * bits, least_bits) // 8 + beside
        return with_vectors - 4 * configuration.dim * docs + code * docs

    return layout


def _sqlite_vec(_structure: str, configuration: Configuration, docs: int) -> int:
    """Counts the bytes of chunks of 1,024 vectors each, the last one as large as the others."""
    return -(-docs // _VECTORS_A_CHUNK) * _VECTORS_A_CHUNK * bytes_per_vector(configuration.precision, configuration.dim)


LAYOUTS: Final[Mapping[str, Callable[[str, Configuration, int], int | None]]] = {
    "": _stand_in,
    "pgvector:vector": _pgvector(VectorType.VECTOR),
    "pgvector:halfvec": _pgvector(VectorType.HALFVEC),
    "pgvector:bit": _pgvector(VectorType.BIT),
    "sqlitevec": _sqlite_vec,
    "weaviate:rq8": _weaviate(0, 8, 16),
    "weaviate:rq1": _weaviate(256, 1, 8),
}
"""(structure, configuration, documents) -> bytes of the index, by the name in targets.toml."""
