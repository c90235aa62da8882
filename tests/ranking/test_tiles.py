"""The product that filters: its sums lie within the error that is allowed for, its bits are those of the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrl_sweep.ranking.block import FINE_COLUMNS, FINE_SUM
from mrl_sweep.ranking.compiled import LANES, count_among, jit
from mrl_sweep.ranking.kernel import PADDING, STEP_COLUMNS
from mrl_sweep.ranking.pass_plan import steps_of
from mrl_sweep.ranking.tiles import TILE_DOCS, TILE_QUERIES, add_step, pack


def unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)


def multiplied(queries: Any, docs: Any, edges: list[int], low: float, *, fine: bool) -> list[tuple[Any, Any]]:
    """The sums and the bits of the documents above `low`, at each size."""
    length, n_rows = -(-len(docs) // LANES) * LANES, -(-len(queries) // TILE_QUERIES) * TILE_QUERIES
    steps = np.array(steps_of(edges, FINE_COLUMNS if fine else STEP_COLUMNS), np.int64)
    packed_docs, packed_queries = np.empty(length * edges[-1], np.float32), np.empty(n_rows * edges[-1], np.float32)
    pack(docs, steps, TILE_DOCS, length, packed_docs)
    pack(queries, steps, TILE_QUERIES, n_rows, packed_queries)
    shape = (n_rows, length + PADDING)
    scores, sums = np.zeros(shape, np.float32), np.zeros(shape if fine else (0, 0))
    inverse = np.full((len(edges) - 1, length), np.nan, np.float32)
    inverse[:, : len(docs)] = 1
    near, lows = np.full((n_rows, length // LANES), 2**64 - 1, np.uint64), np.full(n_rows, low, np.float32)
    found = []
    for first, width, size in steps:
        step = (int(first), int(width), int(size))
        add_step((packed_queries, n_rows), packed_docs, step, length, 0, n_rows, (scores, sums), (inverse, lows, near))
        if size >= 0:
            bits = np.unpackbits(near.view(np.uint8), axis=1, bitorder="little").astype(bool)
            assert not bits[:, len(docs) :].any()
            found.append((scores[: len(queries), : len(docs)].copy(), bits[: len(queries), : len(docs)]))
    return found


@pytest.mark.parametrize("fine", [False, True])
@given(
    seed=st.integers(0, 2**16),
    n_docs=st.integers(1, 200),
    n_queries=st.integers(1, 40),
    edges=st.sets(st.integers(1, 400), min_size=1, max_size=6),
)
@settings(max_examples=25)
def test_sums_are_as_near_as_is_allowed_for_and_bits_say_what_lies_above(
    fine: bool, seed: int, n_docs: int, n_queries: int, edges: set[int]
) -> None:
    rng = np.random.default_rng(seed)
    docs, queries = (unit(rng.standard_normal((n, max(edges))) + rng.random()) for n in (n_docs, n_queries))
    docs[0] = queries[0]
    for (scores, bits), dim in zip(multiplied(queries, docs, [0, *sorted(edges)], 0.1, fine=fine), sorted(edges), strict=True):
        exact = queries[:, :dim].astype(np.float64) @ docs[:, :dim].T.astype(np.float64)
        allowed = FINE_SUM + 2.0**-24 * np.abs(exact) if fine else 4 * 2.0**-24 * np.sqrt(dim) + 2.0**-24
        assert (np.abs(scores - exact) <= allowed).all()
        np.testing.assert_array_equal(bits, scores > np.float32(0.1))


@jit
def counted(near: Any, row: Any, inverse: Any, thresholds: Any, first: int, band: Any, bar: Any, out: Any) -> None:
    count_among(near, near.shape[0], row, inverse, thresholds, first, band, bar, out)


@given(seed=st.integers(0, 2**16), n_words=st.integers(1, 4), share=st.floats(0, 1))
def test_documents_near_are_compared_with_fifteen_thresholds_and_a_bar(seed: int, n_words: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    row, inverse = rng.random((2, n_words * LANES), np.float32)
    chosen = rng.random(len(row)) < share
    near = np.packbits(chosen, bitorder="little").view(np.uint64)
    thresholds, band, bar, out = (
        np.sort(rng.random(40, np.float32)),
        np.float32(0.01),
        np.float32(0.7),
        np.empty((2, 16), np.float32),
    )
    counted(near, row, inverse, thresholds, 9, band, bar, out)
    scores = (row * inverse)[chosen]
    for edge, counts in ((thresholds - band, out[0]), (thresholds + band, out[1])):
        assert counts[:15].tolist() == [(scores > limit).sum() for limit in edge[9:24]]
        assert counts[15] == (scores > bar).sum()
