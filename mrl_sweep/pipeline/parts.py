"""A run in parts: each counts some documents and leaves a file; the part that completes the set goes on to the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from mrl_sweep.errors import InputError
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.execution.parts import (
    PARTS_FOLDER,
    Part,
    PartsExecutor,
    finished_parts,
    missing_parts,
    open_checkpoint,
    read_facts,
    write_part,
)
from mrl_sweep.files import json_digest, prepare_folder
from mrl_sweep.pipeline import run as job
from mrl_sweep.pipeline.checks import check_part, check_settings
from mrl_sweep.pipeline.models import open_model
from mrl_sweep.pipeline.sweep import passes, rank_options
from mrl_sweep.ranking.counting import pass_key
from mrl_sweep.ranking.exact import count
from mrl_sweep.ranking.task import Partial
from mrl_sweep.report.document import Report
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.paths import local_store
from mrl_sweep.types import Collection, Embeddings
from mrl_sweep.words import first_offenders

_OWN: Final = ("run.output",)
"""Settings of the command that is called, which its run does not record."""


def run_part(config: SweepConfig, part: Part, on_event: OnEvent = ignore) -> Report | None:
    """Counts one part of the documents into `--out`; returns the report where that completes the set, else None.

    Raises InputError where the folder holds parts of other data or settings, otherwise what `run` raises.
    """
    check_settings(config)
    folder = check_part(config)
    prepare_folder(folder)
    _refuse_other_size(folder, part)
    with job.timed("load the collection", on_event):
        collection = job.load(config, on_event)
    with job.executor_of(config, on_event) as executor:
        inputs = job.embed_checked(config, collection, open_model(config), on_event, executor=None)
        facts = _facts(config, collection, inputs.embeddings)
        _refuse_other_facts(folder, facts)
        if part not in finished_parts(folder):
            checkpoint = open_checkpoint(local_store(config), inputs.embeddings.documents, on_event)
            options = rank_options(inputs, on_event, checkpoint, executor)
            rows = (part.rows(len(inputs.embeddings.documents)),)
            with job.timed("rank", on_event):
                counts = {
                    pass_key(one.task): Partial(rows, count(replace(one, task=one.task.of(rows)), options, on_event))
                    for _, _, one in passes(inputs, options)
                }
            write_part(folder, part, facts, counts)
            checkpoint.clear()
    if missing := missing_parts(folder):
        names = first_offenders([str(one) for one in missing])
        on_event(Note(f"part {part} is counted in {folder}; missing: {names}"))
        return None
    return merge_parts(folder, on_event)


def parts_json(config: SweepConfig, part: Part) -> str:
    """Returns what `--format json` prints of a part that is counted while others are missing."""
    missing = [str(one) for one in missing_parts(check_part(config))]
    return json.dumps({"schema_version": 1, "status": "part", "part": str(part), "missing": missing}, indent=2)


def merge_parts(folder: Path, on_event: OnEvent = ignore) -> Report:
    """Puts the parts in the folder of a run together, and goes on to its report as `run` does.

    Raises InputError where a part is missing or was counted of other data or settings, otherwise what `run` raises.
    """
    if missing := missing_parts(folder):
        names = first_offenders([str(part) for part in missing])
        raise InputError(f"parts are missing in {folder}: {names}", f"run them with the same settings: --part {missing[0]}")
    recorded = read_facts(folder, finished_parts(folder)[0])["settings"]
    config = SweepConfig.recorded(recorded, origin=str(folder / PARTS_FOLDER)).replaced("run", "out", folder)
    with job.timed("load the collection", on_event):
        collection = job.load(config, on_event)
    return job.run_on(config, collection, open_model(config), on_event, PartsExecutor(folder), resume=False)


def _facts(config: SweepConfig, collection: Collection, embeddings: Embeddings) -> dict[str, Any]:
    """What all parts of a run share: the settings, and a digest of the collection and the model."""
    data = [collection.facts, embeddings.model.get("identity"), len(embeddings.documents)]
    settings = {key: value for key, value in config.record().items() if key not in _OWN}
    return {"settings": settings, "data": json_digest(data, size=16)}


def _refuse_other_size(folder: Path, part: Part) -> None:
    """Raises InputError where the folder holds parts of a set of another size."""
    finished = finished_parts(folder)
    if finished and finished[0].of != part.of:
        raise InputError(f"{folder} holds parts of {finished[0].of}, not of {part.of}", "give another --out, or the same N")


def _refuse_other_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Raises InputError where a finished part in the folder was counted of other data, or with settings that change results."""
    for part in finished_parts(folder):
        other = read_facts(folder, part)
        if (other.get("data"), _deciding(other)) != (facts["data"], _deciding(facts)):
            hint = f"give another --out, or remove {folder / PARTS_FOLDER}"
            raise InputError(f"part {part} in {folder} was counted of other data or other settings", hint)


def _deciding(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings that decide the result: all but those of the table `run`."""
    settings = facts.get("settings")
    return {key: value for key, value in settings.items() if not key.startswith("run.")} if isinstance(settings, dict) else {}
