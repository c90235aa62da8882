"""Whole-process times of the command: help, a warm run, the gate on an earlier run, each beside what Python itself takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.harness import Bar, Table, main, medians, seconds
from mrl_sweep.__main__ import OBJECTS_BETWEEN_SEARCHES
from mrl_sweep.collection import load_collection

DOCUMENTS: Final = 5_183
QUERIES: Final = 300
LIBRARIES: Final = f"import gc; gc.set_threshold({OBJECTS_BETWEEN_SEARCHES}); import numpy, faiss, typer, pyarrow.parquet"
OWN_MODULES: Final = f"{LIBRARIES}; import mrl_sweep.cli, mrl_sweep.cli.run, mrl_sweep.pipeline.summary"
LIMITS: Final = (
    "Where the warm run misses its bar, the rows in the middle say why. Beyond numpy and faiss, typer and pyarrow take "
    "half of what these take to import, and the program's own 120 modules about as much as typer and pyarrow. Loading is "
    "for a third the import of pyarrow. Of what measuring three indexes and a funnel takes, 110 single searches of each "
    "(a 99th percentile takes 100 timed calls) are a third, building a quarter, rates of search a sixth, and starting "
    "FAISS's threads a tenth. Of the report, its three files take two fifths, slices a third. The stages are what `-v` "
    "prints; `--index none` saves measuring."
)
ROUNDS: Final = 15
PROFILED_RUNS: Final = 5
AGAIN: Final = """
import json, sys, time
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.pipeline import run as pipeline
from mrl_sweep.pipeline.models import open_model
from mrl_sweep.events import Timing, ignore
stages = {}
def heard(event):
    if isinstance(event, Timing):
        stages[event.stage] = event.elapsed_s
config = SweepConfig.of(collection=sys.argv[1], model="wordllama", store=sys.argv[2], out=sys.argv[3])
pipeline.run(config, heard)
collection = pipeline.load(config)
inputs = pipeline.embed_checked(config, collection, open_model(config), ignore, None)
pipeline.rank_all(inputs, ignore, None, None)
started = time.perf_counter()
pipeline.rank_all(inputs, ignore, None, None)
print(json.dumps(stages | {"ranking": time.perf_counter() - started}))
"""


def write_collection(folder: Path) -> None:
    """A collection of SciFact's size from pydocs: its known items and the documents that come first."""
    whole = load_collection("pydocs", split="known-item")
    ids, texts = list(whole.documents.ids), list(whole.documents.texts())
    chosen = list(range(0, len(whole.queries), max(1, len(whole.queries) // QUERIES)))[:QUERIES]
    judged = {q: whole.qrels.rows[whole.qrels.offsets[q] : whole.qrels.offsets[q + 1]].tolist() for q in chosen}
    kept_rows = sorted({row for rows in judged.values() for row in rows})
    kept_rows = sorted({*kept_rows, *[row for row in range(len(ids)) if row not in set(kept_rows)][: DOCUMENTS - len(kept_rows)]})
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": ids[row], "title": "", "text": texts[row]}) + "\n" for row in kept_rows)
    with (folder / "queries.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": whole.queries.ids[q], "text": whole.queries.texts[q]}) + "\n" for q in chosen)
    with (folder / "qrels" / "test.tsv").open("w") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{whole.queries.ids[q]}\t{ids[row]}\t1\n" for q, rows in judged.items() for row in rows)


def call(*arguments: str, cwd: Path) -> str:
    """What the process prints. Its modules are compiled once and kept, as those of an installed program are."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = inherited | {"PYTHONPYCACHEPREFIX": str(cwd / "bytecode")}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False, env=environment)
    if done.returncode not in (0, 1, 4):
        raise RuntimeError(done.stderr)
    return done.stdout


def run() -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_collection(folder / "pydocs-small")
        sweep = ["-m", "mrl_sweep", "run", "--collection", "pydocs-small", "--model", "wordllama", "--store", "store"]
        sweep += ["--out", "run", "-q"]
        cold = call(*sweep, cwd=folder)
        assert cold == call(*sweep, cwd=folder), "a warm run says what the cold one said"
        took = medians(
            {
                "bare": partial(call, "-c", "pass", cwd=folder),
                "numpy": partial(call, "-c", "import numpy", cwd=folder),
                "numpy and faiss": partial(call, "-c", "import numpy, faiss", cwd=folder),
                "libraries": partial(call, "-c", LIBRARIES, cwd=folder),
                "own modules": partial(call, "-c", OWN_MODULES, cwd=folder),
                "help": partial(call, "-m", "mrl_sweep", "--help", cwd=folder),
                "run": partial(call, *sweep, cwd=folder),
                "gate": partial(call, "-m", "mrl_sweep", "gate", "run", "-q", cwd=folder),
            },
            rounds=ROUNDS,
        )
        runs = [json.loads(call("-c", AGAIN, "pydocs-small", "store", "again", cwd=folder)) for _ in range(PROFILED_RUNS)]
    return table(took, {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]})


def table(took: dict[str, float], stages: dict[str, float]) -> Table:
    """`stages`: seconds of the stages of a warm run in a process of its own, and of the ranking alone once it is warm."""
    ranking = stages.pop("ranking")
    ratio = took["run"] / (took["numpy and faiss"] * 3 + ranking)
    gate = took["gate"] - took["numpy"]
    rows = (
        ("python -c pass", seconds(took["bare"])),
        ("python -c 'import numpy'", seconds(took["numpy"])),
        ("python -c 'import numpy, faiss'", seconds(took["numpy and faiss"])),
        ("importing numpy, faiss, typer and pyarrow", seconds(took["libraries"])),
        ("importing these and mrl-sweep's own modules", seconds(took["own modules"])),
        *((f"a warm run's stage: {stage}", seconds(time)) for stage, time in stages.items()),
        ("the ranking alone, in a warm process", seconds(ranking)),
        ("mrl-sweep --help", seconds(took["help"])),
        (f"mrl-sweep run, warm, {DOCUMENTS:,} documents, {QUERIES} queries", seconds(took["run"])),
        ("mrl-sweep gate on that run", seconds(took["gate"])),
    )
    bars = (
        Bar(
            "warm run, whole process",
            "under 3 times numpy and faiss, plus the ranking",
            f"{took['run'] / took['numpy and faiss']:.2f} times ({ratio:.0%} of the bar)",
            ratio < 1,
        ),
        Bar("gate beyond Python's and numpy's start", "under 0.5 s", seconds(gate), gate < 0.5),
        Bar("mrl-sweep --help", "at most 120 ms", seconds(took["help"]), took["help"] <= 0.12),
        Bar("mrl-sweep gate", "at most 250 ms", seconds(took["gate"]), took["gate"] <= 0.25),
    )
    note = (
        f"Medians of {ROUNDS} whole processes, taking turns. The run is on a collection of SciFact's size cut from pydocs. "
        f"{LIMITS}"
    )
    return Table("command: whole processes", note, ("command", "time"), rows, bars)


if __name__ == "__main__":
    main(run)
