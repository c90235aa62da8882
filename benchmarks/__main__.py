"""`python -m benchmarks [NAME ...]`: runs every benchmark in a process of its own and rewrites benchmarks/README.md."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import KEPT, Table, bars_grid, from_json, machine, markdown, seconds

MODULES = (
    "sweep",
    "judgments",
    "gpu",
    "codes",
    "growth",
    "measures",
    "encode",
    "command",
    "projection",
    "projection_codes",
    "pgvector",
    "machines",
)
MOST_S = 1200.0
"""One that takes longer has failed: all of them together take some 30 minutes on two cores that nothing else uses."""

README = Path(__file__).with_name("README.md")


def run_module(name: str) -> tuple[Table | None, str]:
    """The table of one benchmark, or None where it failed, and how long it took; what it says meanwhile goes to stderr."""
    started = time.perf_counter()
    print(f"{name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=MOST_S)
        table = from_json(done.stdout.strip().splitlines()[-1])
    except subprocess.SubprocessError:
        table = None
    took = seconds(time.perf_counter() - started)
    print(f"{name}: {took}" if table else f"{name}: FAILED after {took}", file=sys.stderr, flush=True)
    return table, took


def page(results: dict[str, tuple[Table | None, str]]) -> str:
    """The whole README: machine and date, all bars in one table, then each benchmark."""
    bars = [bar for table, _ in results.values() if table for bar in table.bars]
    failed = [name for name, (table, _) in results.items() if table is None]
    head = (
        "# Benchmarks\n\nWritten by `make bench` (`python -m benchmarks`); one alone: `python -m benchmarks.NAME`.\n"
        "Ratios are of medians in one run after a warm-up, and every answer is checked before it is timed.\n"
    )
    parts = [head, f"{datetime.date.today().isoformat()}. {machine()}.\n", f"## The bars\n\n{bars_grid(bars)}\n"]
    parts += [f"**Failed to run:** {', '.join(failed)}.\n"] if failed else []
    for name, (table, took) in results.items():
        parts += [f"{markdown(table)}\nAgain: `python -m benchmarks.{name}`, in {took}.\n"] if table else []
    return "\n".join(parts)


def main() -> int:
    """Exit 0 when every benchmark ran, met bars or not; 1 when one broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MODULES)}; all of them by default")
    chosen = parser.parse_args().names
    present = [name for name in MODULES if importlib.util.find_spec(f"benchmarks.{name}")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[KEPT] = folder
        results = {name: run_module(name) for name in chosen or present}
    text = page(results)
    if chosen:
        print(text)
    else:
        temporary = README.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(README)
    return 1 if any(table is None for table, _ in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
