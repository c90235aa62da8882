"""Lines end at a line feed and nowhere else, whatever a file holds."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mrl_sweep.collection.reading.lines import NumberedLine, compression, is_blank, line_number_at, read_lines, text_of
from mrl_sweep.errors import InputError

AWKWARD = st.text(st.sampled_from("ab\r\t \x00\x0b\x0c\x1c\x85\u2028\u2029é\ufeff"), max_size=6)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@given(st.lists(AWKWARD, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_lines_are_those_between_line_feeds(tmp_path: Path, texts: list[str], end: str, closed: bool) -> None:
    texts = [text.rstrip("\r") for text in texts]
    data = end.join(texts) + end * closed
    assume("\n" in data or data.count("\r") < 2)  # else refused: lines that end with a carriage return
    read = list(read_lines(write(tmp_path / "f", data.encode())))
    expected = texts if closed or (texts and texts[-1]) else texts[:-1]
    assert [line.data.decode() for line in read] == expected
    assert [line.number for line in read] == list(range(1, len(expected) + 1))


@given(st.lists(AWKWARD, max_size=8), st.sampled_from(["plain", "gzip", "zstd"]))
def test_reading_resumes_at_every_offset_of_every_compression(tmp_path: Path, texts: list[str], kind: str) -> None:
    data = "".join(text + "\n" for text in texts).encode()
    packed = {"plain": data, "gzip": gzip.compress(data), "zstd": pa.compress(data, codec="zstd", asbytes=True)}[kind]
    path = write(tmp_path / "f", packed)
    lines = list(read_lines(path))
    assert b"".join(line.data for line in lines) == b"".join(part.removesuffix(b"\r") for part in data.split(b"\n"))
    for i, line in enumerate(lines):
        again = list(read_lines(path, offset=line.offset))
        assert [(other.offset, other.data) for other in again] == [(other.offset, other.data) for other in lines[i:]]
        assert line_number_at(path, line.offset) == line.number


def test_compression_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    assert compression(write(tmp_path / "plain.gz", b"text")) is None
    assert compression(write(tmp_path / "a.jsonl", gzip.compress(b"text"))) == "gzip"
    assert compression(write(tmp_path / "b.jsonl", pa.compress(b"text", codec="zstd", asbytes=True))) == "zstd"


def test_concatenated_zstd_frames_are_read_to_the_end(tmp_path: Path) -> None:
    frame = pa.compress(b"a\nb\n", codec="zstd", asbytes=True)
    assert [line.data for line in read_lines(write(tmp_path / "f.zst", frame + frame))] == [b"a", b"b", b"a", b"b"]


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: pa.compress(data, codec="zstd", asbytes=True)])
def test_cut_off_archive_is_refused(tmp_path: Path, pack: object) -> None:
    packed = pack(bytes(range(256)) * 4000)  # type: ignore[operator]
    path = write(tmp_path / "f", packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"cannot read .*f: "):
        list(read_lines(path))


def test_byte_order_mark_is_left_out_at_the_beginning_only(tmp_path: Path) -> None:
    path = write(tmp_path / "f", "\ufeffa\n\ufeffb\n".encode())
    assert [text_of(line, path) for line in read_lines(path)] == ["a", "\ufeffb"]


def test_a_line_as_long_as_the_limit_is_read_and_one_longer_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"abcd\r\nabcde\n")
    lines = read_lines(path, max_line_bytes=4)
    assert next(lines).data == b"abcd"
    with pytest.raises(InputError, match=r"f:2: this line is longer than max_line_bytes = 4(\n|$)"):
        next(lines)


def test_invalid_bytes_are_named_by_their_offset_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"ok\nna\xefve\n")
    lines = list(read_lines(path))
    with pytest.raises(InputError, match=r"f:2: not UTF-8: byte 0xef at offset 5 of the file") as caught:
        text_of(lines[1], path)
    assert "WINDOWS-1252" in caught.value.hint


def test_utf16_is_recognised(tmp_path: Path) -> None:
    path = write(tmp_path / "f", "text".encode("utf-16"))
    with pytest.raises(InputError) as caught:
        text_of(next(read_lines(path)), path)
    assert "iconv -f UTF-16" in caught.value.hint


@pytest.mark.parametrize(("data", "blank"), [(b"", True), (b" \t\r", True), (b"\xef\xbb\xbf", True), (b"x", False)])
def test_blank_lines(data: bytes, blank: bool) -> None:
    assert is_blank(NumberedLine(1, 0, data)) is blank


def test_a_folder_and_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        list(read_lines(tmp_path))
    with pytest.raises(InputError, match=r"cannot read .*none: No such file or directory"):
        list(read_lines(tmp_path / "none"))
