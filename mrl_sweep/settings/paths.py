"""Default places of files: vectors in the user's cache folder, runs below the working folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mrl_sweep.files import json_digest
from mrl_sweep.settings.config import SweepConfig


def default_store() -> Path:
    """Returns the user's cache folder for vectors."""
    from platformdirs import user_cache_path

    return user_cache_path("mrl-sweep") / "vectors"


def local_store(config: SweepConfig) -> Path:
    """Returns the store's folder on this machine: the store itself, or that of copies of an object store's objects."""
    store = config.run.store or default_store()
    return store if isinstance(store, Path) else copies_of(store)


def copies_of(address: str) -> Path:
    """Returns the folder of copies of an object store's objects; they may be deleted at any time."""
    return _copies() / quote(address.rstrip("/"), safe="")


def original_of(copy: Path) -> str:
    """Returns the address of the object that this file is a copy of; empty for a file that is no copy."""
    if _copies() not in copy.parents:
        return ""
    address, *rest = copy.relative_to(_copies()).parts
    return "/".join((unquote(address), *rest))


def _copies() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("mrl-sweep") / "objects"


def index_folder(config: SweepConfig) -> Path:
    """Returns the folder of built indexes, beside the vectors they were built from."""
    return local_store(config).with_name("indexes")


def run_folder(config: SweepConfig, name: str, manifest: Mapping[str, Any]) -> Path:
    """Returns `--out`, or `runs/<collection>-<digest>`: the same data, model and settings go to the same folder."""
    if config.run.out is not None:
        return config.run.out
    settings = {key: value for key, value in config.settings().items() if not key.startswith(("run.", "gate."))}
    digest = json_digest([settings, manifest["collection"], manifest["model"].get("identity")], size=5)
    return Path("runs") / f"{readable(name)}-{digest}"


def readable(name: str) -> str:
    """Returns a folder's name made of the collection's, whatever characters that holds; at most 60, `run` where none is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"


def inputs_of(config: SweepConfig) -> list[Path]:
    """Lists the files and folders that a run reads, and must never write to."""
    named = [*config.collection.sources, config.model.name or "", config.model.query_model or ""]
    places = [place for name in named for place in (name, name.partition(":")[2]) if place]
    files = [origin.partition(".toml")[0] + ".toml" for origin in config.origins.values() if ".toml" in origin]
    distractors = [config.collection.distractors] if config.collection.distractors else []
    return [*distractors, *(Path(place) for place in [*places, *files])]
