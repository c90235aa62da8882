"""Files are replaced whole or stay as they were, and facts have one digest."""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mrl_sweep.errors import EnvironmentFault
from mrl_sweep.files import descriptor_of, draft_file, draft_folder, json_digest, read_arrays, replacing, write_text


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a", "new")]


def test_a_block_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    for writer in (replacing, draft_file):
        with contextlib.suppress(ZeroDivisionError), writer(path) as draft:
            draft.write_text("new")
            1 / 0  # noqa: B018
        assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a", "old")]


def test_a_folder_that_cannot_be_made_is_an_environment_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EnvironmentFault, match=r"cannot write to .*file/inside") as refused,
        draft_folder(tmp_path / "file" / "inside"),
    ):
        pass
    assert refused.value.hint == "choose another folder with --out"


def test_a_lone_surrogate_is_written_as_its_escape(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x\ud800é")
    assert (tmp_path / "a").read_bytes() == b"x\\ud800\xc3\xa9"


def test_a_digest_names_facts_in_any_order_and_no_others() -> None:
    assert json_digest({"a": 1, "b": Path("x")}) == json_digest({"b": "x", "a": 1}) == "13ef931ba19b351e"
    assert json_digest({"a": 1}) != json_digest({"a": "1"})
    assert len(json_digest([], size=5)) == 10


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", rows=np.arange(3), facts=np.zeros(2))
    arrays = read_arrays(tmp_path / "a.npz", ["rows"])
    assert list(arrays) == ["rows"]
    assert arrays["rows"].tolist() == [0, 1, 2]
    with pytest.raises(KeyError):
        read_arrays(tmp_path / "a.npz", ["others"])
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "b.npz", ["rows"])


@pytest.mark.parametrize(
    "damage", ["rubbish", "empty", "cut", "a bare array", "no array", "encrypted", "another method", "pickled"]
)
def test_whatever_is_wrong_with_arrays_is_one_kind_of_error(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, rows=np.array([1, 2], object if damage == "pickled" else np.int64))
    whole = bytearray(file.read_bytes())
    entry = whole.rindex(b"PK\x01\x02")  # the directory's entry: flags at 8, method at 10
    if damage == "encrypted":
        whole[entry + 8] |= 1
    elif damage == "another method":
        whole[entry + 10 : entry + 12] = struct.pack("<H", 97)
    damaged = {"rubbish": b"rubbish", "empty": b"", "cut": bytes(whole[:-30])}
    file.write_bytes(damaged.get(damage, bytes(whole)))
    if damage == "a bare array":
        with file.open("wb") as out:
            np.save(out, np.arange(3))
    elif damage == "no array":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("rows", b"text")
    with pytest.raises(ValueError) as error:
        read_arrays(file, ["rows"])
    assert str(error.value)


def test_a_descriptor_is_this_process_s_own() -> None:
    own = {"/dev/fd/63": 63, "/proc/self/fd/1": 1, f"/proc/{os.getpid()}/fd/2": 2}
    others = [f"/proc/{os.getppid()}/fd/1", "/nowhere/fd/1"]
    assert {path: descriptor_of(Path(path)) for path in own} == own
    assert [descriptor_of(Path(path)) for path in others] == [None, None]
