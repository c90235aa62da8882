"""The run folder: writes and reads report.json, scores.parquet, runs.json, and ranks.npz, which answers without model or corpus.

A run is written so that only whole runs look whole.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mrl_sweep.errors import InputError, MrlSweepError
from mrl_sweep.files import draft_folder, json_digest, write_text
from mrl_sweep.record import record
from mrl_sweep.report.document import Report, decode, load_json
from mrl_sweep.report.exports import SCORES_FILE, write_scores
from mrl_sweep.types import NOT_RETRIEVED, Configuration, Float32Array, IntArray, Qrels, Ranks, TopDocuments

REPORT_FILE: Final = "report.json"
RANKS_FILE: Final = "ranks.npz"
RANKS_SCHEMA: Final = 1
RUNS_FILE: Final = "runs.json"
"""Lists the runs in a folder of several: the name of each, and the folder below that holds it."""

_NAME_A_RUN: Final = "name the folder of a finished run, or the report.json in it"
_SIGNATURE: Final = "signature"
_INT32_MAX: Final = 2**31 - 1
_AGAIN: Final = "run it again: the file is cut short, damaged or not one of mrl-sweep's"


def write_run(folder: Path, report: Report, data: RunData) -> Report:
    """Writes a run and returns the report with its `folder`; an earlier run in the same folder is replaced.

    The scores are those in the report. Every file is written beside its final place first. Then the old report.json
    goes, the files move in, and report.json comes last, so that no folder ever holds a report of another run's ranks.
    Raises EnvironmentFault where the disk is full or the folder cannot be written.
    """
    table = report.scores
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
    """Writes the fitted axes, (dim, dim) float32: `vectors @ rotation`, cut and renormalised, is what was measured as `pca`."""
    with draft_folder(path.parent) as draft:
        np.save(draft / path.name, rotation, allow_pickle=False)
        (draft / path.name).replace(path)


def holds_run(folder: Path) -> bool:
    """Tells whether a finished run lies in the folder itself."""
    return (folder / REPORT_FILE).is_file()


def read_report(path: Path) -> Report:
    """Reads the report of a run: `path` is its folder or its report.json. Raises InputError for anything else."""
    file = _report_file(path)
    return replace(Report.from_json(_bytes_of(file), source=str(file)), folder=file.parent)


@record
class _Head:
    """The part of a report that is read where only its manifest is wanted."""

    manifest: Mapping[str, Any]


def read_manifest(path: Path) -> Mapping[str, Any]:
    """Reads the manifest of a run's report, and nothing else of it. Raises InputError as `read_report` does."""
    file = _report_file(path)
    data = load_json(_bytes_of(file), source=str(file))
    return decode(_Head, data, source=str(file)).manifest


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", _NAME_A_RUN) from error


def read_run(path: Path) -> RunData:
    """Reads a run's ranks, judgments and queries; `path` is its folder or report.json. Raises InputError for anything else."""
    file = _report_file(path).with_name(RANKS_FILE)
    if not file.is_file():
        raise InputError(f"{file.parent} has no {RANKS_FILE}, so nothing more can be computed from it", _NAME_A_RUN)
    return read_ranks(file)


@contextmanager
def as_edited(path: Path) -> Iterator[None]:
    """Turns an exception of the block into an InputError where the run at `path` (its folder or report.json) was edited.

    An MrlSweepError passes as it is, and so does any exception over a run that is as it was written: that is a bug of mrl-sweep.
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
    """Writes the list of the runs that lie below `folder`, by name, once all are finished."""
    listed = {"schema_version": 1, "runs": {name: str(path.relative_to(folder)) for name, path in runs.items()}}
    (folder / REPORT_FILE).unlink(missing_ok=True)
    write_text(folder / RUNS_FILE, json.dumps(listed, indent=2) + "\n")


def read_runs(path: Path) -> dict[str, Path]:
    """Reads the runs that `write_runs` listed, by name; none where `path` is no folder of several runs.

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


def runs_in(path: Path) -> dict[str, Path]:
    """Returns the runs at `path` by name: those that `read_runs` reads, else `path` itself, unchecked, by the name `""`."""
    return read_runs(path) or {"": path}


def read_history(folder: Path) -> tuple[list[Report], int]:
    """Reads every report in and below a folder, and counts those that cannot be read. Raises InputError where it reads none."""
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


# --- ranks.npz --------------------------------------------------------------------------------------------------------


@record(kw_only=True)
class RunData:
    """The data of a run for later commands: ranks, judgments, queries, and the documents that may have to be named.

    `document_ids` and `document_titles` are by corpus row and hold the judged and the top documents, not the corpus.
    """

    ranks: Ranks
    qrels: Qrels
    query_ids: tuple[str, ...]
    query_metadata: tuple[Mapping[str, Any], ...] = ()
    query_texts: tuple[str, ...] = ()
    document_ids: Mapping[int, str] = field(default_factory=dict)
    document_titles: Mapping[int, str] = field(default_factory=dict)


def mentioned_rows(ranks: Ranks, qrels: Qrels) -> list[int]:
    """Finds the corpus rows that a run may have to name: judged documents and those in any top list, ascending."""
    rows = [qrels.rows] if ranks.top is None else [qrels.rows, ranks.top.rows.ravel()]
    is_mentioned = np.zeros(ranks.n_documents, np.bool_)
    for some in rows:
        is_mentioned[some[some >= 0]] = True
    return [int(row) for row in np.flatnonzero(is_mentioned)]


def write_ranks(path: Path, data: RunData) -> None:
    """Writes the data as compressed arrays, none pickled, texts as JSON. Raises ValueError where parts do not fit."""
    _check(data)
    ranks, qrels = data.ranks, data.qrels
    rows = sorted(data.document_ids)
    arrays: dict[str, npt.NDArray[Any]] = {
        "schema": np.array(RANKS_SCHEMA),
        "n_documents": np.array(ranks.n_documents),
        "candidates": _text([[str(c.basis), c.dim, c.index, c.precision, c.rescore] for c in ranks.candidates]),
        "above": _narrow(ranks.above),
        "tied": _narrow(ranks.tied),
        "qrels_offsets": qrels.offsets,
        "qrels_rows": qrels.rows,
        "qrels_grades": qrels.grades,
        "query_ids": _text(list(data.query_ids)),
        "query_metadata": _text([dict(fields) for fields in data.query_metadata]),
        "query_texts": _text(list(data.query_texts)),
        "document_rows": np.array(rows, np.int64),
        "document_ids": _text([data.document_ids[row] for row in rows]),
        "document_titles": _text([data.document_titles.get(row, "") for row in rows]),
    }
    if ranks.top is not None:
        arrays |= {"top_rows": _narrow(ranks.top.rows), "top_scores": ranks.top.scores.astype(np.float32, copy=False)}
    if ranks.zero_prefixes is not None:
        arrays["zero_prefixes"] = ranks.zero_prefixes
    # numpy's own writer compresses at level 6: ranks take eight times as long and come out no smaller.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def sign(path: Path, report: bytes) -> None:
    """Adds a signature to the file: a digest of its arrays and of the `report` (bytes) that it was written with."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(_SIGNATURE, _signature(archive, report))


def is_as_written(path: Path, report: bytes) -> bool:
    """Tells whether the file and its report are as a run has left them: a failure on those is a bug of mrl-sweep."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(_SIGNATURE) == _signature(archive, report)
    except Exception:  # a zip: its reader raises whatever it stumbles over
        return False


def _signature(archive: zipfile.ZipFile, report: bytes) -> bytes:
    members = [(member.filename, member.CRC) for member in archive.infolist() if member.filename != _SIGNATURE]
    return json_digest([members, hashlib.sha256(report).hexdigest()], size=16).encode()


def read_ranks(path: Path) -> RunData:
    """Reads what `write_ranks` wrote. Raises InputError for a file that is missing, damaged, of another schema or pickled."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            schema = int(arrays["schema"])
            if schema == RANKS_SCHEMA:
                data = _from_arrays(arrays)
    except FileNotFoundError:
        raise InputError(f"cannot read {path}: there is no such file", "name the folder of a finished run") from None
    except Exception as error:  # a zip of numpy arrays: its readers raise whatever they stumble over
        raise InputError(f"cannot read {path}: {error}", _AGAIN) from error
    if schema != RANKS_SCHEMA:
        raise InputError(f"{path}: schema is {schema}; this version reads {RANKS_SCHEMA}", "run it again with this version")
    try:
        _check(data)
    except ValueError as error:
        raise InputError(f"{path}: {error}", _AGAIN) from error
    return data


def _from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> RunData:
    top = None
    if "top_rows" in arrays:
        top = TopDocuments(rows=_wide(arrays["top_rows"]), scores=np.asarray(arrays["top_scores"], np.float32))
    candidates = tuple(Configuration.read(*fields) for fields in _parse(arrays["candidates"]))
    zero_prefixes = _wide(arrays["zero_prefixes"]) if "zero_prefixes" in arrays else None
    ranks = Ranks(candidates, int(arrays["n_documents"]), _wide(arrays["above"]), _wide(arrays["tied"]), top, zero_prefixes)
    qrels = Qrels(*(_wide(arrays[f"qrels_{name}"]) for name in ("offsets", "rows", "grades")))
    rows = arrays["document_rows"].tolist()
    return RunData(
        ranks=ranks,
        qrels=qrels,
        query_ids=tuple(_parse(arrays["query_ids"])),
        query_metadata=tuple(_parse(arrays["query_metadata"])),
        query_texts=tuple(_parse(arrays["query_texts"])),
        document_ids=dict(zip(rows, _parse(arrays["document_ids"]), strict=True)),
        document_titles=dict(zip(rows, _parse(arrays["document_titles"]), strict=True)),
    )


def _check(data: RunData) -> None:
    """Raises ValueError where the parts of a run's data do not fit together."""
    n_candidates, n_queries, n_pairs = len(data.ranks.candidates), len(data.query_ids), len(data.qrels.rows)
    expected: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "above": (data.ranks.above.shape, (n_candidates, n_pairs)),
        "tied": (data.ranks.tied.shape, (n_candidates, n_pairs)),
        "judgments": (data.qrels.grades.shape, (n_pairs,)),
        "queries": (data.qrels.offsets.shape, (n_queries + 1,)),
    }
    if data.ranks.top is not None:
        expected["top documents"] = (data.ranks.top.rows.shape[:2], (n_candidates, n_queries))
        expected["top scores"] = (data.ranks.top.scores.shape, data.ranks.top.rows.shape)
    if data.ranks.zero_prefixes is not None:
        expected["zero prefixes"] = (data.ranks.zero_prefixes.shape, (n_candidates,))
    for name, (shape, wanted) in expected.items():
        if shape != wanted:
            raise ValueError(f"{name} have the shape {shape}, not {wanted}")
    if int(data.qrels.offsets[-1]) != n_pairs:
        raise ValueError(f"the last judgment is number {int(data.qrels.offsets[-1])}, not {n_pairs}")
    _check_values(data)
    for name, values in (("metadata", data.query_metadata), ("texts", data.query_texts)):
        if len(values) not in (0, n_queries):
            raise ValueError(f"{name} of {len(values)} queries, not {n_queries}")


def _check_values(data: RunData) -> None:
    """Raises ValueError for numbers that no ranking gives: counts below zero, offsets out of order, rows of no document.

    FAULTS 64.
    """
    ranks, qrels, n = data.ranks, data.qrels, data.ranks.n_documents
    if n < 1:
        raise ValueError(f"{n} documents")
    if not all(isinstance(one.dim, int) and one.dim >= 1 for one in ranks.candidates):
        raise ValueError("a configuration without dimensions")
    for name, counts in (("above", ranks.above), ("tied", ranks.tied)):
        if counts.size and not (counts.min() >= 0 and ((counts <= n) | (counts == NOT_RETRIEVED)).all()):
            raise ValueError(f"counts of documents {name} a judged one lie outside of 0 to {n:,}")
    if int(qrels.offsets[0]) != 0 or (np.diff(qrels.offsets) < 0).any():
        raise ValueError("the judgments' offsets are out of order")
    top = [] if ranks.top is None else [ranks.top.rows]
    for rows in (qrels.rows, *top):
        if rows.size and not (rows.min() >= -1 and rows.max() < n):
            raise ValueError(f"document rows lie outside of 0 to {n - 1:,}")
    if not all(isinstance(name, str) for name in data.query_ids):
        raise ValueError("query ids that are no texts")
    if not all(isinstance(entry, Mapping) for entry in data.query_metadata):
        raise ValueError("query metadata that is no object")


def _narrow(values: IntArray) -> npt.NDArray[Any]:
    """Casts to int32 where all values fit, as NOT_RETRIEVED and those of all but giant corpora do: half the bytes."""
    fits = values.size == 0 or (int(values.max()) <= _INT32_MAX and int(values.min()) >= -1)
    return values.astype(np.int32) if fits else values


def _wide(values: npt.NDArray[Any]) -> IntArray:
    return values.astype(np.int64)


def _text(value: Sequence[Any]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii"), np.uint8)


def _parse(array: npt.NDArray[np.uint8]) -> Any:
    return json.loads(array.tobytes())
