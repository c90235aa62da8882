"""What every benchmark shares: timing in rounds after a warm-up, the machine and its versions, tables as Markdown and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "faiss-cpu",
    "usearch",
    "numkong",
    "torch",
    "sentence-transformers",
    "pytrec_eval-terrier",
    "ir_measures",
    "ranx",
)


KEPT = "BENCHMARKS_KEPT"
"""The variable with the folder of what benchmarks leave to one another."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing asked of the program: `bar` and `measured` in words with their unit, and whether it was met."""

    what: str
    bar: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One benchmark's result; the cells are text, already rounded; `note` says what was run and what was scaled."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bar, ...] = ()


def medians(contenders: Mapping[str, Callable[[], object]], *, rounds: int = 5, warmups: int = 1) -> dict[str, float]:
    """Median seconds of each contender. They take turns within a round, so that a slow spell of the machine hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warmups + rounds):
        for name, contender in contenders.items():
            started = time.perf_counter()
            contender()
            if turn >= warmups:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The arrays that `make` gives; of benchmarks that run together, the first one that needs them leaves them to the others."""
    if KEPT not in os.environ:
        return make()
    file = Path(os.environ[KEPT]) / f"{name}.npz"
    if not file.exists():
        np.savez(file, **make())
    with np.load(file) as data:
        return dict(data)


def seconds(value: float) -> str:
    """`12.3 ms`, `1.23 s`: three digits and a unit."""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s" if value < 1000 else f"{value:,.0f} s"


def machine() -> str:
    """One line: processor, usable cores, memory, system, Python, and the versions of what is compared."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    parts = [_processor(), f"{cores} cores", f"{memory_gib:.0f} GiB", platform.system(), f"Python {platform.python_version()}"]
    return ", ".join([*parts, *(f"{name} {version}" for name in PACKAGES if (version := _version(name)))])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def markdown(table: Table) -> str:
    """The table under its title, with its note and, where it has any, its bars."""
    parts = [f"## {table.title}", table.note, grid(table.columns, table.rows)]
    if table.bars:
        parts.append(bars_grid(table.bars))
    return "\n\n".join(parts) + "\n"


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: first column to the left, the others to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def bars_grid(bars: Sequence[Bar]) -> str:
    """The bars as a Markdown table."""
    return grid(("what", "bar", "measured", "met"), [(b.what, b.bar, b.measured, "yes" if b.met else "**no**") for b in bars])


def from_json(text: str) -> Table:
    """The Table that `--json` printed."""
    data = json.loads(text)
    rows = tuple(tuple(row) for row in data["rows"])
    return Table(data["title"], data["note"], tuple(data["columns"]), rows, tuple(Bar(**bar) for bar in data["bars"]))


def main(run: Callable[[], Table]) -> None:
    """The command of a benchmark module: its table on stdout, as Markdown or with `--json` as one document."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip())
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    as_json = parser.parse_args().json
    table = run()
    print(json.dumps(asdict(table)) if as_json else f"{machine()}\n\n{markdown(table)}", end="\n" if as_json else "")
