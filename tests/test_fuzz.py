"""A short run of the fuzzing job; `make fuzz` is the long one."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from fuzz import fuzz, mutated, read, within
from fuzz_readers import LIGHT, Target, targets, write

HOSTILE = {
    "thousands of digits": b"9" * 5000,
    "more than a float holds": b"9" * 400,
    "thousands of brackets": b"[" * 20_000,
    "a name that no file has": b'"' + b"x" * 70_000 + b'"',
}
BINARY = (".npz", ".npy", ".parquet", ".fvecs", ".safetensors")


@pytest.fixture(scope="module")
def readers() -> list[Target]:
    return targets()


def test_mutated_inputs_are_read_or_refused() -> None:
    assert list(fuzz(600, seed=1_000_000)) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_what_python_cannot_parse_is_refused_by_every_reader(tmp_path: Path, readers: list[Target], value: str) -> None:
    """In the place of one value of each text file (FAULTS 64): Python's own limits are no errors of JSON, TOML or float."""
    for target in (reader for reader in readers if reader.turns == LIGHT):
        for name, content in target.seeds.items():
            places = list(re.finditer(rb'(?<=[:=\[,] )(?:-?\d+(?:\.\d+)?|"[^"]*")|(?<=[:=\[,])(?:\d+|"[^"]*")', content[:2000]))
            if places and not name.endswith(BINARY):
                place = places[len(places) // 2]
                edited = content[: place.start()] + HOSTILE[value] + content[place.end() :]
                folder = tmp_path / target.name / name.replace("/", "_")
                write(folder, {**target.fixed, **target.seeds, name: edited})
                assert read(target, folder) == "", f"{target.name}: {name}"


def test_unmutated_inputs_are_read(tmp_path: Path, readers: list[Target]) -> None:
    for target in readers:
        folder = tmp_path / target.name
        write(folder, {**target.fixed, **target.seeds})
        if not target.name.endswith("edited"):  # that one edits what it reads, and may be refused
            target.read(folder)


def test_the_same_seed_gives_the_same_input() -> None:
    import random

    assert mutated(b"abc 123", random.Random("beir 5")) == mutated(b"abc 123", random.Random("beir 5"))


def test_only_what_a_reader_takes_of_the_processor_counts() -> None:
    with within(1):
        time.sleep(1.2)
    with pytest.raises(TimeoutError), within(1):
        all(True for _ in iter(int, 1))
