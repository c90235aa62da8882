"""A short run of the fuzzing job; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

from fuzz import fuzz, mutated
from fuzz_readers import targets, write


def test_mutated_inputs_are_read_or_refused() -> None:
    assert list(fuzz(600, seed=1_000_000)) == []


def test_unmutated_inputs_are_read(tmp_path: Path) -> None:
    for target in targets():
        folder = tmp_path / target.name
        write(folder, {**target.fixed, **target.seeds})
        if not target.name.endswith("edited"):  # that one edits what it reads, and may be refused
            target.read(folder)


def test_the_same_seed_gives_the_same_input() -> None:
    import random

    assert mutated(b"abc 123", random.Random("beir 5")) == mutated(b"abc 123", random.Random("beir 5"))
