"""What FAISS writes to descriptor 2 is taken away; everything else arrives."""

from __future__ import annotations

import os

import pytest

from mrl_sweep.deploying.indexes.building import captured_warnings


def test_warnings_are_caught_once_each_and_other_lines_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as caught:
        os.write(2, b"WARNING clustering 5 points\nprogress 10%\nWARNING clustering 5 points\n")
        os.write(2, b"WARN ssyev info\nunfinished")
    assert caught == ["WARNING clustering 5 points", "WARN ssyev info"]
    assert capfd.readouterr().err == "progress 10%\nunfinished"


def test_a_warning_written_in_pieces_is_one_warning(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as caught:
        os.write(2, b"WARNING clus")
        os.write(2, b"tering\n")
        os.write(2, b"WARNING no newline")
    assert caught == ["WARNING clustering", "WARNING no newline"]
    assert capfd.readouterr().err == ""


def test_descriptor_2_is_restored_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), captured_warnings():
        raise ZeroDivisionError
    os.write(2, b"WARNING of another\n")
    assert capfd.readouterr().err == "WARNING of another\n"


def test_a_block_inside_a_block_captures_nothing_and_hangs_not(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_warnings() as outer:
        with captured_warnings() as inner:
            os.write(2, b"WARNING one\n")
        assert inner == []
    assert outer == ["WARNING one"]
    assert capfd.readouterr().err == ""
