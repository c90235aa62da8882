"""Several collections in one run: each its own run folder and verdict, one model and one store for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mrl_sweep.errors import naming
from mrl_sweep.events import Note, OnEvent, ignore
from mrl_sweep.files import prepare_folder
from mrl_sweep.pipeline import run as pipeline
from mrl_sweep.report.document import Report
from mrl_sweep.report.files.folder import RUNS_FILE, write_runs
from mrl_sweep.settings.config import SweepConfig
from mrl_sweep.settings.folders import readable
from mrl_sweep.types import Collection


def run_each(config: SweepConfig, on_event: OnEvent = ignore) -> Mapping[str, Report]:
    """The main job for every configured collection, with one model and one store: the reports by name, in the order given.

    All collections are loaded and checked before anything is embedded, so that the last one's mistake does not cost the
    work on the others; each is let go when its run is written. With `run.out` the runs lie in folders below it, and a list of
    them beside those, by which `gate` and `report` find them again. Raises what `pipeline.run` raises, the message naming the
    collection; the runs that were written by then stay.
    """
    if config.run.out is not None:
        prepare_folder(config.run.out)
        (config.run.out / RUNS_FILE).unlink(missing_ok=True)
    asked = config.each()
    with pipeline.timed("load the collections", on_event):
        waiting = [pipeline.load(one) for one in asked]
    names = labels(waiting, config.collection.sources)
    folders = folders_of(names, config.run.out)
    model = pipeline.open_model(config)
    reports: dict[str, Report] = {}
    for number, (name, one) in enumerate(zip(names, asked, strict=True), start=1):
        on_event(Note(f"collection {number} of {len(names)}: {name}"))
        with naming(name):
            reports[name] = pipeline.run_on(one.replaced("run", "out", folders[name]), waiting.pop(0), model, on_event)
    if config.run.out is not None:
        write_runs(config.run.out, {name: folder for name, folder in folders.items() if folder is not None})
    return reports


def labels(collections: Sequence[Collection], sources: Sequence[str]) -> list[str]:
    """What each is called: its name, or all that was typed for it where two have the same name."""
    names = [collection.name for collection in collections]
    return [source if names.count(name) > 1 else name for name, source in zip(names, sources, strict=True)]


def folders_of(names: Sequence[str], out: Path | None) -> dict[str, Path | None]:
    """A folder of its own for each below `out`, told apart by a number where two names would be spelled alike."""
    folders: dict[str, Path | None] = {}
    for name in names:
        wanted, number = readable(name), 1
        while out is not None and out / (wanted if number == 1 else f"{wanted}-{number}") in folders.values():
            number += 1
        folders[name] = None if out is None else out / (wanted if number == 1 else f"{wanted}-{number}")
    return folders
