import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.embedding import candidate_dims
from mrl_sweep.errors import InputError


@pytest.mark.parametrize(
    ("spec", "full", "trained", "expected"),
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
        ((), 256, (), None),
        ("every:100", 256, (), (100, 200, 256)),
        ("every:8", 32, (16,), (8, 16, 24, 32)),
        ("every:300", 256, (), (256,)),
    ],
)
def test_sizes_are_ascending_and_full_size_is_among_them(spec, full, trained, expected):
    if expected is None:
        with pytest.raises(InputError):
            candidate_dims(spec, full, trained)
    else:
        assert candidate_dims(spec, full, trained) == expected


@pytest.mark.parametrize(
    "spec", ["0", "-1", "64,-8", "64,x", "", "64,,128", "1.5", "every:0", "every:-8", "every:", "every:x", [True], [64.0]]
)
def test_what_is_no_size_is_refused_with_the_accepted_forms(spec):
    with pytest.raises(InputError) as caught:
        candidate_dims(spec, 256)
    assert "every:8" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_size_above_the_models_is_refused_naming_both():
    with pytest.raises(InputError, match="the model has 256 dimensions, 512, 1024 asked for"):
        candidate_dims("64,1024,512", 256)


@given(st.lists(st.integers(1, 500), min_size=1), st.integers(0, 100))
def test_order_and_repeats_do_not_matter(sizes, extra):
    full = max(sizes) + extra
    expected = candidate_dims(sorted(set(sizes)), full)
    assert candidate_dims(",".join(map(str, sizes)), full) == expected == candidate_dims(sizes + sizes, full)
