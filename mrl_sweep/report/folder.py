"""The run folder: report.json, ranks.npz, scores.parquet and TREC run files, written so that only whole runs look whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from mrl_sweep.errors import InputError, MrlSweepError
from mrl_sweep.files import draft_folder, write_text
from mrl_sweep.report.document import QueryScores, Report, load_json
from mrl_sweep.report.exports import SCORES_FILE, write_scores
from mrl_sweep.report.ranks_file import RANKS_FILE, RunData, is_as_written, read_ranks, sign, write_ranks
from mrl_sweep.types import Float32Array

REPORT_FILE: Final = "report.json"
RUNS_FILE: Final = "runs.json"
"""In a folder of several runs: what each is called, and the folder below that holds it."""

_NAME_A_RUN: Final = "name the folder of a finished run, or the report.json in it"


def write_run(folder: Path, report: Report, data: RunData, scores: QueryScores | None = None) -> Report:
    """Write a run and return the report with its `folder`; an earlier run in the same folder is replaced.

    `scores` None takes those in the report. Everything is written beside its final place first. Then the old report.json
    goes, the files move in, and report.json comes last, so that no folder ever holds a report of another run's ranks.
    Raises EnvironmentFault where the disk is full or the folder cannot be written.
    """
    table = scores or report.scores
    files: dict[str, Callable[[Path], object]] = {RANKS_FILE: lambda path: write_ranks(path, data)}
    if table is not None:
        files[SCORES_FILE] = lambda path: write_scores(path, table)
    text = (report.to_json() + "\n").encode("ascii")
    files[REPORT_FILE] = lambda path: path.write_bytes(text)
    with draft_folder(folder) as draft:
        for name, write in files.items():
            write(draft / name)
        sign(draft / RANKS_FILE, text)
        (folder / REPORT_FILE).unlink(missing_ok=True)
        (folder / RUNS_FILE).unlink(missing_ok=True)
        if table is None:
            (folder / SCORES_FILE).unlink(missing_ok=True)
        for name in files:
            (draft / name).replace(folder / name)
    return replace(report, folder=folder)


def write_rotation(path: Path, rotation: Float32Array) -> None:
    """Write the fitted axes, (dim, dim) float32: `vectors @ rotation`, cut and renormalised, is what was measured as `pca`."""
    with draft_folder(path.parent) as draft:
        np.save(draft / path.name, rotation, allow_pickle=False)
        (draft / path.name).replace(path)


def holds_run(folder: Path) -> bool:
    """Whether a finished run lies in the folder itself."""
    return (folder / REPORT_FILE).is_file()


def read_report(path: Path) -> Report:
    """The report of a run: `path` is its folder or its report.json. Raises InputError for anything else."""
    file = _report_file(path)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", _NAME_A_RUN) from error
    return replace(Report.from_json(text, source=str(file)), folder=file.parent)


def read_run(path: Path) -> RunData:
    """The ranks, judgments and queries of a run: `path` is its folder or its report.json. Raises InputError for anything else."""
    file = _report_file(path).with_name(RANKS_FILE)
    if not file.is_file():
        raise InputError(f"{file.parent} has no {RANKS_FILE}, so nothing more can be computed from it", _NAME_A_RUN)
    return read_ranks(file)


@contextmanager
def as_edited(path: Path) -> Iterator[None]:
    """What the block raises over a run (its folder or report.json) that was edited, as an InputError.

    What it raises over a run that is as it was written is a bug of ours, and stays one.
    """
    try:
        yield
    except MrlSweepError:
        raise
    except Exception as error:
        file = _report_file(path)
        if is_as_written(file.with_name(RANKS_FILE), file.read_bytes()):
            raise
        raise InputError(
            f"{path}: {file.name} and {RANKS_FILE} do not belong together, or were edited ({type(error).__name__}: {error})",
            "run it again",
        ) from error


def write_runs(folder: Path, runs: Mapping[str, Path]) -> None:
    """Write the list of the runs that lie below `folder`, by name, once all are finished."""
    listed = {"schema_version": 1, "runs": {name: str(path.relative_to(folder)) for name, path in runs.items()}}
    (folder / REPORT_FILE).unlink(missing_ok=True)
    write_text(folder / RUNS_FILE, json.dumps(listed, indent=2) + "\n")


def read_runs(path: Path) -> dict[str, Path]:
    """The runs that `write_runs` listed, by name; none where `path` is no folder of several runs.

    Raises InputError for a list that cannot be read.
    """
    file = path / RUNS_FILE
    if not file.is_file():
        return {}
    listed = load_json(file.read_bytes(), source=str(file))
    runs = listed.get("runs") if isinstance(listed, dict) and listed.get("schema_version") == 1 else None
    if not isinstance(runs, dict) or not runs or not all(isinstance(inside, str) for inside in runs.values()):
        raise InputError(f"{file} is no list of runs", "run the collections again with --out, or name one run's folder")
    return {name: path / inside for name, inside in runs.items()}


def read_history(folder: Path) -> tuple[list[Report], int]:
    """Every report in and below a folder, and how many there could not be read. Raises InputError where there is none."""
    files = sorted(folder.rglob(REPORT_FILE))
    reports = []
    for file in files:
        with suppress(InputError):
            reports.append(read_report(file))
    if not reports:
        raise InputError(f"{folder} holds no finished run", "name the folder that holds the runs: runs/")
    return reports, len(files) - len(reports)


def _report_file(path: Path) -> Path:
    if path.is_dir():
        if not (path / REPORT_FILE).is_file():
            why = "the run in it did not finish" if (path / RANKS_FILE).exists() else "it is not a run folder"
            raise InputError(f"{path} has no {REPORT_FILE}: {why}", _NAME_A_RUN)
        return path / REPORT_FILE
    if not path.exists():
        raise InputError(f"cannot read {path}: there is no such file or folder", _NAME_A_RUN)
    return path
