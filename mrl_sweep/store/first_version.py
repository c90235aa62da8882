"""Reads what the first version of mrl-sweep has stored: rows and their index in growing `.npy` files. They are carried over once.

00000.npy        rows, one text each
00000.index.npy  for each row the text's digest, a checksum over digest, row number and the row's bytes, tokens, flags
00000.json, model.json
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.store.digests import Uint64Array
from mrl_sweep.store.shard import Kind, Rows
from mrl_sweep.types import ModelFacts

RECORD: Final = np.dtype(
    [("digest", "<u8", (2,)), ("checksum", "<u8"), ("row", "<u4"), ("tokens", "<u4"), ("left", "<u4"), ("flags", "<u4")]
)
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def read_facts(folder: Path) -> ModelFacts | None:
    """The facts of the model, None where there are none (any more), or none that make sense."""
    try:
        return ModelFacts.from_json(json.loads((folder / "model.json").read_bytes())["facts"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def read_rows(folder: Path, kind: Kind, at_once: int) -> Iterator[Rows]:
    """Every row whose checksum is right, at most `at_once` at a time; what a kill or a person has damaged is left out."""
    for number in _numbers(folder):
        try:
            rows = np.load(folder / f"{number}.npy", mmap_mode="r", allow_pickle=False)
            data = np.fromfile(folder / f"{number}.npy", kind.dtype, offset=rows.offset).reshape(-1) if not len(rows) else None
            records = _records(folder / f"{number}.index.npy")
        except (OSError, ValueError, EOFError, AttributeError):
            continue
        if data is not None:  # of a run that was killed: the header says nothing of the rows yet
            rows = data[: len(data) // kind.dim * kind.dim].reshape(-1, kind.dim)
        if rows.ndim != 2 or rows.shape[1] != kind.dim or rows.dtype != kind.dtype:
            continue
        records = records[records["row"] < len(rows)]
        for start in range(0, len(records), at_once):
            yield from _sound(records[start : start + at_once], rows)


def remove(folder: Path) -> None:
    """Deletes the first version's files, and nothing else."""
    for number in _numbers(folder):
        for path in (folder / f"{number}{suffix}" for suffix in (".json", ".npy", ".index.npy")):
            with contextlib.suppress(OSError):
                path.unlink()
    with contextlib.suppress(OSError):
        (folder / "model.json").unlink()


def _numbers(folder: Path) -> list[str]:
    stems = (path.name.removesuffix(".index.npy") for path in folder.glob("*.index.npy"))
    return sorted(stem for stem in stems if stem.isdecimal() and len(stem) >= 5)


def _records(path: Path) -> npt.NDArray[np.void]:
    """Every whole record of the index, whatever number its header gives."""
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        _, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if fortran or dtype != RECORD:
            raise ValueError("not an index of the first version")
        data = stream.read()
    return np.frombuffer(data, RECORD, len(data) // RECORD.itemsize)


def _sound(records: npt.NDArray[np.void], rows: npt.NDArray[Any]) -> Iterator[Rows]:
    vectors, digests = np.asarray(rows[records["row"]]), np.ascontiguousarray(records["digest"])
    sound = np.flatnonzero(_checksums(vectors, digests, records["row"]) == records["checksum"])
    if len(sound):
        tokens, flags = records["tokens"].astype(np.uint32), records["flags"].astype(np.uint8)
        yield Rows(vectors, digests.astype(np.uint64), tokens, flags).take(sound)


def _checksums(vectors: npt.NDArray[Any], digests: Uint64Array, rows: npt.NDArray[Any]) -> Uint64Array:
    """(n,) a weighted sum of each row's words, its text's digest and its number; any one changed word changes it."""
    width = vectors.shape[1] * vectors.dtype.itemsize
    words = np.ascontiguousarray(vectors).view("<u8" if width % 8 == 0 else "<u4" if width % 4 == 0 else "<u2")
    sums = words.astype(np.uint64, copy=False) @ _weights(words.shape[1])
    places = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    return np.asarray(sums + digests.astype(np.uint64) @ _weights(2) + places, dtype=np.uint64)


@functools.cache
def _weights(n: int) -> Uint64Array:
    """n odd multipliers (splitmix64): an odd one is invertible, so no change is lost."""
    weights = []
    for i in range(1, n + 1):
        z = (i * _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        weights.append((z ^ (z >> 31)) | 1)
    return np.array(weights, dtype=np.uint64)
