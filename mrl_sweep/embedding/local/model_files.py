"""From a model's name to its files: a folder, or a snapshot of the Hugging Face hub, and which of them decide its vectors."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mrl_sweep.embedding.local.weights import a_file, no_model
from mrl_sweep.embedding.model_families import Family, family_of, read_json
from mrl_sweep.embedding.protocol import ModelOptions
from mrl_sweep.errors import EnvironmentFault, InputError
from mrl_sweep.files import is_there
from mrl_sweep.record import record
from mrl_sweep.words import printable

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_SMALL_FILES: Final = ["*.json", "*.txt", "*.md", "*.py", "*.model", "*.jinja"]
_WEIGHTLESS: Final = frozenset({".md", ".lock", ".png", ".jpg", ".pdf"})


@record
class ModelFiles:
    """A model's files: a person's `folder`, or the snapshot of `repository` at `commit` in the local cache."""

    name: str
    folder: Path
    repository: str | None = None
    commit: str | None = None


def find_model(name: str, options: ModelOptions) -> ModelFiles:
    """The files of a folder or of a name on the Hugging Face hub; small ones are fetched where the cache has none.

    The cache's idea of a branch is kept: a model does not change under a running project unless its revision is asked for.
    Raises InputError (no such folder or name), EnvironmentFault (the hub cannot be reached).
    """
    path = Path(name).expanduser()
    if name and is_there(path):
        if not path.is_dir():
            raise a_file(path)
        if not _describes_a_model(path):
            raise no_model(path)
        folder = path.resolve()
        return ModelFiles(folder.name if folder.name != "model" else f"{folder.parent.name}/model", folder)
    inner = re.sub(r"^https?://(?:huggingface\.co|hf\.co)/|/(?:tree/[^/]+)?/?$", "", name)
    if inner != name and _REPOSITORY.fullmatch(inner):
        raise InputError(f"{printable(name, 120)} is an address, not a model's name", f"--model {inner}")
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"{name[:120]!r} is neither a folder nor a model's name", "--model FOLDER or --model owner/name")
    repositories = [name] if "/" in name else [f"sentence-transformers/{name}", name]
    for repository in repositories:
        snapshot = _cached(repository, options.revision)
        if snapshot is not None:
            return ModelFiles(name, snapshot, repository, snapshot.name)
    if options.offline:
        raise cannot_load(name, "it is not in the local cache, and --offline forbids the network")
    return _fetch(name, repositories, options.revision)


def cannot_load(name: str, reason: str) -> EnvironmentFault:
    """The fault of a model that is not here and cannot be had."""
    return EnvironmentFault(
        f"cannot load the model {name}: {reason}",
        "--model PATH takes a folder with the model's files; or connect once, later runs need no network",
    )


def model_files(folder: Path, backend: str) -> list[Path]:
    """The files that decide a model's vectors: all but hidden ones, texts for people, and other backends' weights."""
    others = {"onnx", "openvino"} - {backend}
    paths = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and parts[0] not in others and path.suffix.lower() not in _WEIGHTLESS and path.is_file():
            paths.append(path)
    return paths


def family_of_files(files: ModelFiles) -> Family | None:
    """The model's family by its name, else by the name of the model that it was made from."""
    config = read_json(files.folder / "config.json")
    names = [files.repository or files.name, *re.findall(r"models--(.+?)/", files.folder.as_posix() + "/")]
    return family_of(*names, str(config.get("_name_or_path", "")))


def foreign_code(files: ModelFiles) -> str | None:
    """Other repositories from which the model's configuration takes code."""
    mapped = read_json(files.folder / "config.json").get("auto_map") or {}
    sources = {str(value).split("--")[0] for value in mapped.values() if "--" in str(value)} - {files.repository}
    return ", ".join(sorted(sources)) or None


def pinned(revision: str | None) -> bool:
    """Whether the revision is a commit: branches and tags can be moved."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def hub_cache() -> Path:
    """The folder in which sentence-transformers and huggingface_hub keep what they downloaded."""
    for variable in ("SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")  # noqa: PTH118
    return Path(home).expanduser() / "hub"


def _describes_a_model(folder: Path) -> bool:
    return (folder / "modules.json").is_file() or (folder / "config.json").is_file()


def _cached(repository: str, revision: str | None) -> Path | None:
    """The snapshot in the cache, read here: importing huggingface_hub takes a tenth of a second."""
    base = hub_cache() / f"models--{repository.replace('/', '--')}"
    commit = revision if pinned(revision) else _read_ref(base / "refs" / (revision or "main"))
    folder = base / "snapshots" / commit if commit else None
    return folder if folder and _describes_a_model(folder) else None


def _read_ref(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def _fetch(name: str, repositories: Sequence[str], revision: str | None) -> ModelFiles:
    """Asks the hub which commit the name stands for, and gets the files that tell a model's prompts and sizes."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    unknown: Exception | None = None
    for repository in repositories:
        try:
            HfApi().model_info(repository, revision=revision, timeout=20)
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            folder = snapshot_download(repository, revision=revision, allow_patterns=_SMALL_FILES, cache_dir=cache)
            return ModelFiles(name, Path(folder), repository, Path(folder).name)
        except GatedRepoError as error:
            raise InputError(f"{repository} is gated: its licence has to be accepted first", "hf auth login") from error
        except (RepositoryNotFoundError, HFValidationError) as error:
            unknown = error
        except HfHubHTTPError as error:
            if "revision" in str(error).lower():
                raise InputError(f"{repository} has no revision {revision!r}", "--revision COMMIT") from error
            raise cannot_load(name, str(error).splitlines()[0]) from error
        except Exception as error:
            raise cannot_load(name, f"it is not in the local cache and the hub cannot be reached ({error})") from error
    raise InputError(f"there is no model {name} (or it is private)", "--model FOLDER or --model owner/name") from unknown
