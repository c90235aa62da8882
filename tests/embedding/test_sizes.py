"""The sizes of a sweep: `--dims` as it is parsed, held against a model's full and trained sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.embedding import candidate_dims
from mrl_sweep.errors import InputError
from mrl_sweep.settings.parsing import parse_dims


@pytest.mark.parametrize(
    ("written", "full", "trained", "expected"),
    [
        ("auto", 768, (512, 256, 128, 64), (64, 128, 256, 512, 768)),
        ("auto", 768, (), (48, 96, 192, 384, 768)),
        ("auto", 256, (), (32, 64, 128, 256)),
        ("auto", 40, (), (40,)),
        ("auto", 256, (512, 256), (32, 64, 128, 256)),
        (" AUTO ", 64, (), (32, 64)),
        ("64,128,256", 256, (), (64, 128, 256)),
        ("128, 64", 256, (), (64, 128, 256)),
        ("64,64,256,64", 256, (), (64, 256)),
        ([128, "64"], 256, (), (64, 128, 256)),
        ("every:100", 256, (), (100, 200, 256)),
        ("Every:8", 32, (16,), (8, 16, 24, 32)),
        ("every:300", 256, (), (256,)),
    ],
)
def test_sizes_are_ascending_and_full_size_is_among_them(
    written: object, full: int, trained: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert candidate_dims(parse_dims(written), full, trained) == expected


def test_a_size_above_the_models_is_refused_naming_both() -> None:
    with pytest.raises(InputError, match="the model has 256 dimensions, 512, 1024 asked for") as refused:
        candidate_dims(parse_dims("64,1024,512"), 256)
    assert refused.value.hint == "--dims up to 256"


@given(st.lists(st.integers(1, 500), min_size=1), st.integers(0, 100))
def test_order_and_repeats_do_not_matter(sizes: list[int], extra: int) -> None:
    full = max(sizes) + extra
    expected = tuple(sorted({*sizes, full}))
    assert candidate_dims(parse_dims(",".join(map(str, sizes))), full) == expected == candidate_dims((*sizes, *sizes), full)
