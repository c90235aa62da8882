"""Lines of text files, streamed with their number and byte offset: they end at a line feed and nowhere else."""

from __future__ import annotations

import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from mrl_sweep.errors import InputError
from mrl_sweep.files import LFS_POINTER

DEFAULT_MAX_LINE_BYTES: Final = 32 * 2**20
_PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
DAMAGED: Final = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
"""What reading raises over a file that is not there, cut off or damaged, however it is packed."""

_SNIFFED: Final = 64
_NO_LINES: Final = (
    (re.compile(rb"PK\x03\x04"), "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
    (
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)", re.I),
        "a web page",
        "download the file itself, not the page about it",
    ),
    (re.compile(rb"%PDF-"), "a PDF", "write its text as JSON lines"),
    (re.compile(rb"SQLite format 3\x00"), "an SQLite database", "export its table as CSV"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{"), "one JSON array", "write an object a line: jq -c '.[]' {path} > lines.jsonl"),
    (re.compile(rb"(?:[^\x00]\x00){8}"), "UTF-16", "convert it: iconv -f UTF-16LE -t UTF-8 {path}"),
    (re.compile(rb"(?:\x00[^\x00]){8}"), "UTF-16", "convert it: iconv -f UTF-16BE -t UTF-8 {path}"),
)
"""How files begin that are taken for text by their names, what they are, and what to do."""
_BLOCK_BYTES: Final = 2**20
_BUFFER_BYTES: Final = 2**16


class NumberedLine(NamedTuple):
    """Holds a line: `number` counts from 1; `offset` is that of its first byte (decompressed); `data` lacks the line's end."""

    number: int
    offset: int
    data: bytes


class Where(NamedTuple):
    """Names a place in a file, for messages."""

    path: Path
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def compression(path: Path) -> str | None:
    """Returns `gzip`, `zstd`, `bzip2`, `xz` or None, by the file's first bytes. Errors: InputError for what is no text."""
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except OSError as error:
        raise unreadable(path, error) from error
    if start.startswith(LFS_POINTER):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself", f"git -C {path.parent} lfs pull")
    for looks, what, hint in _NO_LINES:
        if looks.match(start):
            raise InputError(f"{path} is {what}, not lines of text", hint.format(path=path))
    return next((kind for begins, kind in _PACKED.items() if start.startswith(begins)), None)


def open_binary(path: Path) -> BinaryIO:
    """Opens a file; its bytes are decompressed on the way where it is packed."""
    kind = compression(path)
    if kind == "gzip":
        import gzip

        return cast(BinaryIO, gzip.open(path))
    if kind == "bzip2":
        import bz2

        return cast(BinaryIO, bz2.open(path))
    if kind == "xz":
        return cast(BinaryIO, lzma.open(path))
    if kind == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(os.fsencode(path)), "zstd"), _BLOCK_BYTES))
    return path.open("rb", buffering=_BUFFER_BYTES)


def read_lines(
    path: Path,
    *,
    offset: int = 0,
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    keep_ends: bool = False,
    n_before: int = 0,
) -> Iterator[NumberedLine]:
    """Reads every line from `offset` (the first byte of a line) on, blank ones too; numbers count from that line, the
    first being `n_before` + 1.

    `keep_ends` leaves each line's end in its data. Never holds more than one line. Errors: InputError for a file that cannot
    be read, or a line above the limit.
    """
    try:
        with open_binary(path) as file:
            _skip_to(file, offset)
            number = n_before
            while data := file.readline(max_line_bytes + 2):
                number += 1
                size = len(data)
                bare = data.removesuffix(b"\n").removesuffix(b"\r")
                if number == 1 and offset == 0 and bare.count(b"\r") > 1 and not data.endswith(b"\n") and size <= max_line_bytes:
                    raise InputError(f"{path}: its lines end with a carriage return alone", f"tr '\\r' '\\n' < {path}")
                if len(bare) > max_line_bytes:
                    raise InputError(
                        f"{Where(path, number)}: this line is longer than max_line_bytes = {max_line_bytes:,}",
                        "is it one record? If so, cut its text, or read it from Python, LoadOptions(max_line_bytes=N)",
                    )
                yield NumberedLine(number, offset, data if keep_ends else bare)
                offset += size
    except DAMAGED as error:
        raise unreadable(path, error) from error


def read_blocks(path: Path, *, offset: int = 0, max_line_bytes: int, block_bytes: int) -> Iterator[bytes]:
    """Reads the file from `offset` on in blocks of whole lines; the last line of a block is cut off where it is too long.

    Errors: InputError for a file that cannot be read.
    """
    try:
        with open_binary(path) as file:
            _skip_to(file, offset)
            while block := file.read(block_bytes):
                if not block.endswith(b"\n"):
                    block += file.readline(max_line_bytes + 2)
                yield block
    except DAMAGED as error:
        raise unreadable(path, error) from error


def text_of(line: NumberedLine, path: Path) -> str:
    """Returns the line's text without a byte order mark at the file's beginning. Raises InputError for what is not UTF-8."""
    try:
        text = line.data.decode()
    except UnicodeDecodeError as error:
        byte = line.data[error.start]
        raise InputError(
            f"{Where(path, line.number)}: not UTF-8: byte 0x{byte:02x} at offset {line.offset + error.start:,} of the file",
            _encoding_hint(line),
        ) from error
    return text.removeprefix("\ufeff") if line.offset == 0 else text


def is_blank(line: NumberedLine) -> bool:
    """Says whether nothing but white space (or a lone byte order mark) is on the line."""
    return not line.data or line.data.isspace() or (line.offset == 0 and line.data == b"\xef\xbb\xbf")


def line_number_at(path: Path, offset: int) -> int:
    """Returns the number of the line that begins at `offset`: one more read of the file, for messages only."""
    number = 1
    with open_binary(path) as file:
        while offset > 0 and (block := file.read(min(_BLOCK_BYTES, offset))):
            number += block.count(b"\n")
            offset -= len(block)
    return number


def unreadable(path: Path, error: Exception) -> InputError:
    """Returns the InputError for a file that cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    there = not isinstance(error, OSError) or not error.errno
    return InputError(
        f"cannot read {path}: {reason}", "is the file whole? copy it again" if there else "check the path and its permissions"
    )


def _skip_to(file: BinaryIO, offset: int) -> None:
    """Moves a file just opened to `offset`, by reading where it cannot seek."""
    if offset and file.seekable():
        file.seek(offset)
        return
    while offset > 0 and (block := file.read(min(_BLOCK_BYTES, offset))):
        offset -= len(block)


def _encoding_hint(line: NumberedLine) -> str:
    if line.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the file looks like UTF-16; convert it: iconv -f UTF-16 -t UTF-8"
    return "save the file as UTF-8; from a Western single-byte encoding: iconv -f WINDOWS-1252 -t UTF-8"
