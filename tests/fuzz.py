"""Mutated inputs for every reader, seeded: `python tests/fuzz.py --inputs 100000` (or `make fuzz`) says which of them broke one.

A reader may accept an input or refuse it as an error of ours. Any other exception, more than 20 seconds of the processor
and more than 1 GiB of memory for one input are failures; each is printed with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from fuzz_readers import Target, targets, write

from mrl_sweep.errors import MrlSweepError

MOST_SECONDS: Final = 20
MOST_BYTES: Final = 1 << 30

_TOKENS: Final = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\r\n", b"\t", b'"', b"'", b",", b"{", b"}", b"[", b"]"),
    *(
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-1",
        b"0",
        b"9" * 25,
        b"1.7",
        b"null",
        b"true",
        b"<top>",
        b"</top>",
        b"<x>",
        b"\xe2\x80\xa8",
    ),
    *(b"PAR1", b"PK\x03\x04", b"\x93NUMPY", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh91AY&SY", b"\xfd7zXZ\x00"),
    *(b"_id", b"text", b"=", b"[[", b"#", b"../", b"%"),
)


class Failure(NamedTuple):
    target: str
    seed: int
    error: str


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with a few edits: bits, cuts, repetitions, tokens that readers stumble over, other numbers, other JSON values."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        place, kind = chance.randrange(len(out) + 1), chance.randrange(8)
        if kind == 0 and out:
            out[min(place, len(out) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del out[place : place + chance.choice((1, 2, 5, 50, 10_000))]
        elif kind == 2:
            out[place:place] = chance.choice(_TOKENS)
        elif kind == 3:
            out[place : place + chance.randrange(1, 6)] = chance.choice(_TOKENS)
        elif kind == 4:
            piece = out[place : place + chance.choice((1, 8, 64))]
            out[place:place] = piece * chance.choice((1, 2, 40))
        elif kind == 5:
            out[place : place + 8] = struct.pack("<q", chance.choice((0, -1, 2**31, 2**62, -(2**63), 7)))
        elif kind == 6:
            out = bytearray(_other_number(bytes(out), chance))
        else:
            out = bytearray(_other_value(bytes(out), chance))
    return bytes(out)


def _other_number(data: bytes, chance: random.Random) -> bytes:
    """One number of a text replaced."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?", data[:200_000]))
    if not found:
        return data
    one = chance.choice(found)
    other = chance.choice(
        (
            b"-1",
            b"0",
            b"1e400",
            b"9" * 5000,
            b"[" * 9000,
            b"99999999999999999999",
            b"2147483648",
            b"null",
            b'"x"',
            b"1.5",
            b"[]",
            b"1e-300",
        )
    )
    return data[: one.start()] + other + data[one.end() :]


def _other_value(data: bytes, chance: random.Random) -> bytes:
    """One value of a JSON document replaced, dropped or moved; other data as it is."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(document, dict | list):
        return data
    holder: Any = document
    for _ in range(chance.randrange(1, 7)):
        inner = [
            value
            for value in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(value, dict | list) and value
        ]
        if not inner:
            break
        holder = chance.choice(inner)
    if not holder or not isinstance(holder, dict | list):
        return data
    key: Any = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    other: Any = chance.choice((None, -1, 0, 1e300, "", "x", [], {}, True, -(2**62), 0.5, [[]], {"x": 1}))
    if chance.random() < 0.2:
        del holder[key]
    else:
        holder[key] = other
    return json.dumps(document).encode()


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises TimeoutError where the block takes more of the processor, or ten times that by the clock.

    Time in which the disk or other processes are waited for does not count, nor does that in which this one was stopped.
    """
    began, started = time.process_time(), time.monotonic()

    def ring(_number: int, _frame: FrameType | None) -> None:
        left = seconds - (time.process_time() - began)
        if left <= 0 or time.monotonic() - started > 10 * seconds:
            raise TimeoutError(f"more than {seconds} s")
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.1))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tried(target: Target, seed: int, folder: Path) -> Failure | None:
    """One mutated input of one reader."""
    chance = random.Random(f"{target.name} {seed}")
    name = chance.choice(list(target.seeds))
    place = folder / str(seed)
    write(place, {**target.fixed, **target.seeds, name: mutated(target.seeds[name], chance)})
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        fault = read(target, place)
    finally:
        shutil.rmtree(place)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
    fault = fault or (f"{grown:,} bytes more memory" if grown > MOST_BYTES else "")
    return Failure(target.name, seed, f"{name}: {fault}") if fault else None


def read(target: Target, folder: Path) -> str:
    """What is wrong with how the reader takes the folder; "" where it accepts it or refuses it as an error of ours."""
    try:
        with within(MOST_SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(folder)
    except MrlSweepError as error:
        return str(error) if error.exit_code == 70 else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def fuzz(n_inputs: int, *, seed: int = 0, only: str = "") -> Iterator[Failure]:
    """The failures among so many inputs, spread over the readers by their turns."""
    readers = [target for target in targets() if only in target.name]
    turns = [target for target in readers for _ in range(target.turns)]
    random.Random(0).shuffle(turns)
    with tempfile.TemporaryDirectory() as place:
        for number in range(n_inputs):
            target = turns[number % len(turns)]
            failure = tried(target, seed + number, Path(place))
            if failure is not None:
                yield failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    asked = parser.parse_args()
    kinds: dict[str, int] = {}
    for failure in fuzz(asked.inputs, seed=asked.seed, only=asked.only):
        kind = f"{failure.target}: {failure.error.partition(': ')[2][:90]}"
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= 2:
            print(f"{failure.target} --seed {failure.seed}: {failure.error[:300]}", flush=True)
    print(f"{asked.inputs:,} inputs, {sum(kinds.values()):,} failures of {len(kinds)} kinds")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
