"""How people write settings: every accepted form, and what each refused one is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrl_sweep.errors import InputError
from mrl_sweep.settings.parsing import (
    format_size,
    parse_count,
    parse_dims,
    parse_flag,
    parse_indexes,
    parse_level,
    parse_loss,
    parse_positive,
    parse_precisions,
    parse_rescore,
    parse_share,
    parse_size,
)


@pytest.mark.parametrize(
    ("written", "share"),
    [(0.98, 0.98), ("0.98", 0.98), ("98%", 0.98), (" 97.7 % ", 0.977), (1, 1.0), ("100%", 1.0), (1.0, 1.0), (0.5, 0.5)],
)
def test_share_is_read_in_every_accepted_form(written: object, share: float) -> None:
    assert parse_share(written) == share


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("2%", "to lose at most 2%, write 0.98 or 98%"),
        (0.02, "to lose at most 2%, write 0.98 or 98%"),
        ("2", "to lose at most 2%, write 0.98 or 98%"),
        (98, "write 98% or 0.98"),
        ("97.5", "write 97.5% or 0.975"),
        (980, "write the share to keep: 0.98 or 98%"),
        ("150%", "write the share to keep: 0.98 or 98%"),
        ("much", "write the share to keep: 0.98 or 98%"),
        (True, "write the share to keep: 0.98 or 98%"),
        (float("nan"), "write the share to keep: 0.98 or 98%"),
        ("-98%", "write the share to keep: 0.98 or 98%"),
    ],
)
def test_what_is_no_share_is_refused_with_the_accepted_form(written: object, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_share(written)
    assert refused.value.hint == hint


@given(st.integers(500, 1000))
def test_a_percentage_is_the_same_number_as_its_decimal(thousandths: int) -> None:
    assert parse_share(f"{thousandths / 10}%") == float(f"{thousandths / 1000}")


def test_level_is_an_error_rate_not_a_confidence() -> None:
    assert parse_level("5%") == parse_level(0.05) == 0.05
    for written in ("95%", 0, 0.5, "x"):
        with pytest.raises(InputError) as refused:
            parse_level(written)
        assert refused.value.hint == "write 0.05 or 5% for 95% confidence"


def test_loss_may_be_nothing_but_not_one_half() -> None:
    assert [parse_loss(written) for written in ("1%", 0.01, 0)] == [0.01, 0.01, 0.0]
    with pytest.raises(InputError, match="99% is not a loss"):
        parse_loss("99%")


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [("4GiB", 4 * 2**30), ("4 gib", 4 * 2**30), ("1.5GiB", 3 * 2**29), ("512MiB", 2**29), ("16GB", 16 * 10**9), ("10b", 10)],
)
def test_size_needs_a_unit_and_knows_both_kinds(written: str, size_bytes: int) -> None:
    assert parse_size(written) == size_bytes


@pytest.mark.parametrize("written", [4, "4", "4G", "GiB", "-1GiB", None, True])
def test_size_without_a_unit_is_refused(written: object) -> None:
    with pytest.raises(InputError) as refused:
        parse_size(written)
    assert refused.value.hint == "write a number and a unit: 4GiB, 512MiB, 16GB"


@given(st.sampled_from(["KiB", "MiB", "GiB"]), st.integers(1, 999))
def test_a_printed_size_is_read_back(unit: str, number: int) -> None:
    assert parse_size(format_size(parse_size(f"{number}{unit}"))) == parse_size(f"{number}{unit}")


def test_count_knows_thousands_millions_and_billions() -> None:
    written = [10_000_000, "10M", "10,000,000", "10_000_000", "0.01B", "1e7", "10000k"]
    assert [parse_count(w) for w in written] == [10_000_000] * 7
    for refused in ("0", "1.5", "many", True, -3):
        with pytest.raises(InputError, match=r"is not a (count|whole number)"):
            parse_count(refused)


def test_dims_are_mended_in_order_and_repeats_and_nothing_else() -> None:
    assert parse_dims("64,256, 128,64") == parse_dims([64, 256, 128]) == parse_dims(["64", "128,256"]) == (256, 128, 64)
    assert parse_dims(64) == (64,)
    assert parse_dims("auto") == "auto"
    assert parse_dims("every:8") == "every:8"


@pytest.mark.parametrize(
    "written",
    ["0", "-64", "64,0", "64.5", "big", "every:0", "every:x", "every:-8", "every:", "", [], [True], [1.5], "64,-8", "64,x"],
)
def test_dims_that_are_no_sizes_are_refused(written: object) -> None:
    with pytest.raises(InputError) as refused:
        parse_dims(written)
    assert refused.value.hint == "write auto, a list such as 64,128,256, or every:8"


def test_index_specs_keep_their_commas() -> None:
    assert parse_indexes("IVF1024,PQ64; HNSW32 Flat") == ("IVF1024,PQ64", "HNSW32", "Flat")
    assert parse_indexes(["IVF1024,PQ64", "HNSW32"]) == ("IVF1024,PQ64", "HNSW32")
    assert parse_indexes("none") == ()
    with pytest.raises(InputError, match="none cannot be combined"):
        parse_indexes(["none", "Flat"])


def test_precisions_have_one_name_and_float32_is_among_them() -> None:
    assert parse_precisions("SQ8, binary") == ("float32", "int8", "binary")
    assert parse_precisions(["all"]) == ("float32", "float16", "int8", "int4", "rabitq", "binary")
    assert parse_precisions("all,SQtqmse2")[-1] == "SQtqmse2"
    with pytest.raises(InputError, match="'int3' is no precision"):
        parse_precisions("int3")


def test_rescoring_is_read_and_written_alike() -> None:
    assert parse_rescore("4X@768") == "4x@768"
    with pytest.raises(InputError, match="no rescoring"):
        parse_rescore("four")


def test_truth_values_and_whole_numbers_are_read_from_text() -> None:
    assert [parse_flag(w) for w in (True, "yes", "1", "on", False, "no", "0", "FALSE")] == [True] * 4 + [False] * 4
    assert parse_positive("8") == parse_positive(8) == 8
    for refused in (0, "0", "-1", 1.5, True, "two"):
        with pytest.raises(InputError, match="whole number above zero"):
            parse_positive(refused)
    with pytest.raises(InputError, match="neither true nor false"):
        parse_flag("maybe")
