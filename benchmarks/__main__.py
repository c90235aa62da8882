"""`python -m benchmarks [NAME ...]`: runs every benchmark in a process of its own and rewrites benchmarks/README.md."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Table, bars_grid, from_json, machine, markdown, seconds

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
README = Path(__file__).with_name("README.md")


def run_module(name: str) -> Table | None:
    """The table of one benchmark, or None where it failed; what it says meanwhile goes to stderr."""
    started = time.perf_counter()
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--json"], stdout=subprocess.PIPE, text=True, check=False)
    took = seconds(time.perf_counter() - started)
    print(f"{name}: {took}" if done.returncode == 0 else f"{name}: FAILED after {took}", file=sys.stderr, flush=True)
    return from_json(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else None


def page(tables: dict[str, Table | None]) -> str:
    """The whole README: machine and date, all bars in one table, then each benchmark."""
    bars = [bar for table in tables.values() if table for bar in table.bars]
    failed = [name for name, table in tables.items() if table is None]
    head = (
        "# Benchmarks\n\nWritten by `make bench` (`python -m benchmarks`); one alone: `python -m benchmarks.NAME`.\n"
        "Ratios are of medians in one run after a warm-up, and every answer is checked before it is timed.\n"
    )
    parts = [head, f"{datetime.date.today().isoformat()}. {machine()}.\n", f"## The bars\n\n{bars_grid(bars)}\n"]
    parts += [f"**Failed to run:** {', '.join(failed)}.\n"] if failed else []
    parts += [f"{markdown(table)}\nAgain: `python -m benchmarks.{name}`\n" for name, table in tables.items() if table]
    return "\n".join(parts)


def main() -> int:
    """Exit 0 when every benchmark ran, met bars or not; 1 when one broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MODULES)}; all of them by default")
    chosen = parser.parse_args().names
    present = [name for name in MODULES if importlib.util.find_spec(f"benchmarks.{name}")]
    tables = {name: run_module(name) for name in chosen or present}
    text = page(tables)
    if chosen:
        print(text)
    else:
        temporary = README.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(README)
    return 1 if None in tables.values() else 0


if __name__ == "__main__":
    sys.exit(main())
