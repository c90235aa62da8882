"""What lies ahead is asked for once, in order, in large stretches, from whichever file holds it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mrl_sweep.execution.places import ReadAhead, mapped
from mrl_sweep.types import Vectors

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="no madvise here")

DIM = 1024
ROWS = 100


@pytest.fixture
def parts(tmp_path: Path) -> Any:
    """Two files of 100 rows of 4 KiB; each begins with a header of 128 bytes."""
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.arange(ROWS * DIM, dtype=np.float32).reshape(ROWS, DIM))
    return tuple(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("a", "b"))


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> Any:
    """(part's name, first page, pages) of each request."""
    asked = []

    def record(place: Any, begin: Any, end: Any) -> None:
        first, last = place.begin + begin, place.begin + end
        asked.append((place.filename[-5], first // 4096, -(-last // 4096)))

    monkeypatch.setattr("mrl_sweep.execution.places._will_need", record)
    return asked


def test_a_mapped_slice_is_found_in_its_file(parts: Any) -> None:
    assert mapped(parts[0]).begin == 128
    assert mapped(parts[0][7:]).begin == 128 + 7 * 4096
    assert mapped(parts[0][7:]).filename.endswith("a.npy")
    assert mapped(np.asarray(parts[0])[7:]).filename is None
    assert mapped(np.zeros((3, 4))) is None
    assert mapped(parts[0][:, ::2]) is None


def test_each_row_is_asked_for_once_half_the_distance_at_a_time(parts: Any, advised: Any) -> None:
    ahead = ReadAhead(Vectors(parts), ahead_bytes=40 * 4096)
    for start in range(0, 200, 10):
        ahead((start, start + 10))
    assert advised == [
        ("a", 0, 51), ("a", 50, 71), ("a", 70, 91), ("a", 90, 101), ("b", 0, 11), ("b", 10, 31),
        ("b", 30, 51), ("b", 50, 71), ("b", 70, 91), ("b", 90, 101),
    ]  # fmt: skip


def test_it_begins_where_a_resumed_pass_begins(parts: Any, advised: Any) -> None:
    ReadAhead(Vectors(parts), ahead_bytes=10 * 4096)((150, 160))
    assert advised == [("b", 50, 71)]


def test_rows_in_another_order_are_asked_for_where_they_lie_together(parts: Any, advised: Any) -> None:
    together = np.concatenate([np.arange(60, 80)[::-1], np.arange(60), np.arange(80, 200)])
    ReadAhead(Vectors(parts, order=together), ahead_bytes=10 * 4096)((0, 10))
    assert advised == [("a", 60, 81)]
    scattered = np.arange(200).reshape(20, 10).T.ravel()
    ReadAhead(Vectors(parts, order=scattered), ahead_bytes=1 * 4096)((0, 2))
    assert advised == [("a", 60, 81)]


def test_arrays_in_memory_are_left_alone(advised: Any) -> None:
    ReadAhead(Vectors((np.zeros((10, 4), np.float32),)))((0, 5))
    assert advised == []


def test_the_system_takes_the_hint_up_to_the_last_byte_of_a_file(parts: Any) -> None:
    ahead = ReadAhead(Vectors((parts[0], parts[1][3:])), ahead_bytes=1 << 30)
    ahead((0, 1))
    assert parts[1][99, 0] == 99 * DIM
