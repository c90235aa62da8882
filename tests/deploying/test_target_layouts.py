"""pgvector's closed form against what a live server showed: PostgreSQL 18.4, pgvector 0.8.5, m = 16."""

from __future__ import annotations

import pytest

from mrl_sweep.deploying.layouts import PAGE_BYTES, VectorType, hnsw_bytes, rows_per_page, step_begins, table_bytes

MEASURED_AT_400 = {
    # dim: bytes of index a vector as vector, halfvec, bit
    3072: (None, 8212, 737),
    2000: (16404, 8212, 594),
    1536: (8212, 4116, 532),
    1280: (8212, 4116, 492),
    1024: (8212, 2765, 471),
    960: (8212, 2765, 451),
    768: (4116, 2068, 430),
    640: (4116, 1659, 410),
    512: (2765, 1393, 389),
    384: (2068, 1208, 389),
    256: (1393, 860, 369),
    128: (860, 594, 348),
    64: (594, 471, 348),
}


@pytest.mark.parametrize("dim", MEASURED_AT_400)
def test_the_staircase_of_a_live_server_is_met_to_a_page(dim: int) -> None:
    for kind, measured in zip(VectorType, MEASURED_AT_400[dim], strict=True):
        expected = hnsw_bytes(kind, dim, 400)
        if measured is not None:
            assert abs(expected - 400 * measured) <= PAGE_BYTES + 200, (kind, dim)
            if measured > 800:
                assert expected == pytest.approx(400 * measured, rel=0.02), (kind, dim)


PAGES_OF_MOST_BUILDS = {
    # dim: pages of bit in most of 20 builds of 400 rows (two numbers where these were even), of halfvec and vector in 8
    3072: ((35,), 401, None),
    2000: ((29,), 401, 801),
    1536: ((26,), 201, 401),
    1280: ((24,), 201, 401),
    1024: ((23,), 135, 401),
    960: ((22,), 135, 401),
    768: ((21,), 101, 201),
    640: ((20,), 81, 201),
    512: ((19, 20), 68, 135),
    384: ((18, 19), 59, 101),
    256: ((18,), 42, 68),
    128: ((17,), 29, 42),
    64: ((17,), 23, 29),
}


@pytest.mark.parametrize("dim", PAGES_OF_MOST_BUILDS)
def test_the_form_is_what_most_builds_of_a_small_table_have(dim: int) -> None:
    """A page is five percent of so few rows, and the random levels of a graph decide it: most builds is all there is to meet."""
    bit, halfvec, vector = PAGES_OF_MOST_BUILDS[dim]
    assert hnsw_bytes(VectorType.BIT, dim, 400) // PAGE_BYTES in bit
    assert hnsw_bytes(VectorType.HALFVEC, dim, 400) // PAGE_BYTES == halfvec
    if vector is not None:
        assert hnsw_bytes(VectorType.VECTOR, dim, 400) // PAGE_BYTES == vector


def test_a_small_table_is_no_small_picture_of_a_large_one() -> None:
    """At 400 rows, 26 pages of `bit(1536)` are 532.5 bytes a row, the first and the last page among them; a million has 501.8."""
    small, large = (hnsw_bytes(VectorType.BIT, 1536, n) for n in (400, 1_000_000))
    assert small == 26 * PAGE_BYTES
    assert large / 1_000_000 == pytest.approx(501.8, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "dim", "n", "measured"),
    [
        (VectorType.BIT, 1536, 2_000, 124 * PAGE_BYTES / 2000),
        (VectorType.BIT, 1536, 20_000, 1_227 * PAGE_BYTES / 20_000),
        (VectorType.BIT, 512, 20_000, 902 * PAGE_BYTES / 20_000),
        (VectorType.BIT, 512, 20_000, 369.87),
        (VectorType.BIT, 1536, 20_000, 502.17),
        (VectorType.BIT, 512, 4_000, 1_490_944 / 4000),
        (VectorType.VECTOR, 512, 4_000, 10_936_320 / 4000),
        (VectorType.VECTOR, 128, 4_000, 3_350_528 / 4000),
        (VectorType.VECTOR, 64, 4_000, 2_293_760 / 4000),
        (VectorType.HALFVEC, 64, 4_000, 1_753_088 / 4000),
    ],
)
def test_many_vectors_are_within_half_a_percent(kind: VectorType, dim: int, n: int, measured: float) -> None:
    expected = hnsw_bytes(kind, dim, n)
    assert expected / n == pytest.approx(measured, rel=0.005)


MEASURED_TABLES_AT_400 = {
    # dim: pg_table_size after one INSERT ... SELECT of 400 rows
    3072: 5_619_712,
    2000: 3_440_640,
    1536: 3_407_872,
    1280: 2_465_792,
    1024: 2_310_144,
    960: 1_753_088,
    768: 1_753_088,
    640: 1_212_416,
    512: 1_212_416,
    384: 688_128,
    256: 507_904,
    128: 270_336,
    64: 155_648,
}


@pytest.mark.parametrize("dim", MEASURED_TABLES_AT_400)
def test_heap_and_toast_are_within_two_percent(dim: int) -> None:
    assert table_bytes(dim, 400) == pytest.approx(MEASURED_TABLES_AT_400[dim], rel=0.02)


def test_a_table_grows_in_proportion() -> None:
    assert table_bytes(1280, 1_000_000) == pytest.approx(250 * table_bytes(1280, 4_000), rel=0.02)


def test_from_1536_to_1024_nothing_is_saved_and_to_768_half() -> None:
    at = {dim: hnsw_bytes(VectorType.VECTOR, dim, 1_000_000) for dim in (1536, 1024, 768)}
    assert at[1536] == at[1024] == 2 * at[768] - PAGE_BYTES


def test_steps_are_named_by_their_first_size() -> None:
    assert [step_begins(VectorType.VECTOR, dim) for dim in (1024, 1536, 1968, 948, 768)] == [949, 949, 949, 609, 609]


def test_a_step_ends_where_one_dimension_more_costs_more() -> None:
    for kind in VectorType:
        first = step_begins(kind, 512)
        assert rows_per_page(kind, first) - rows_per_page(kind, 512) < 1
        assert step_begins(kind, first) == first
        assert step_begins(kind, first - 1) < first


def test_more_links_fit_fewer_vectors_on_a_page() -> None:
    assert rows_per_page(VectorType.HALFVEC, 256, m=64) < rows_per_page(VectorType.HALFVEC, 256, m=16)
